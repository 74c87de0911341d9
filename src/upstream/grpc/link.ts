/**
 * A Link: one long-lived stream to one address, for all sessions. What a turn of the event loop gathers goes
 * out as one message; answers find their calls by number.
 */
import { type ServiceError, status } from '@grpc/grpc-js';

import { type Accepted, decodeConnectResponse } from '../../contract/shapes.ts';
import { WireError, type WireReader, WireWriter } from '../../contract/wire.ts';
import { type Failure, failure } from '../../errors.ts';
import type { Push } from '../../session/commands.ts';
import type { Call } from '../call.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import {
  type BackendHello,
  decodeReply,
  type FrameHandler,
  readToGateway,
  type SessionVerb,
} from './backend-frames.ts';
import type { LinkStream } from './channel.ts';
import {
  type RequestFields,
  writeCancel,
  writeConnect,
  writeGoaway,
  writeHello,
  writeRequestFrame,
} from './gateway-frames.ts';
import { hint } from './status.ts';

/** Numbers on a Link are 32 bits. */
const LINK_ID_MAX = 0xffff_ffff;
/** Bytes given to the stream and not yet sent; beyond it requests are refused. */
export const LINK_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** A turn that has gathered more goes out in several messages: servers refuse one beyond 4 MiB, and end the stream. */
const MESSAGE_BYTES_AIM = 1024 * 1024;

/** What a Link tells its address. */
export interface LinkEvents {
  onHello(hello: BackendHello): void;
  onPush(link: Link, id: number, push: Push): void;
  onVerb(link: Link, id: number, verb: SessionVerb): void;
  onGoaway(reason: string): void;
  onExtend(call: Call, timeoutMs: number): void;
  onLateReply(): void;
  /**
   * Once. The calls in flight are failed after it, so that what waited behind them finds the link gone.
   * `unimplemented`: there is no Link here.
   */
  onEnd(why: { readonly unimplemented: boolean; readonly text: string }): void;
}

export class Link implements FrameHandler {
  readonly calls: LinkCalls;
  readonly #stream: LinkStream;
  readonly #events: LinkEvents;
  #writer = new WireWriter(4_096);
  #scheduled = false;
  #unsentBytes = 0;
  /** Our side has said its last. */
  #closed = false;
  #ended = false;

  constructor(stream: LinkStream, events: LinkEvents) {
    this.calls = new LinkCalls(this);
    this.#stream = stream;
    this.#events = events;
    stream.on('data', (bytes: Buffer) => {
      this.#onData(bytes);
    });
    stream.on('error', (error: ServiceError) => {
      this.#end(error.code === status.UNIMPLEMENTED, hint(error));
    });
    stream.on('end', () => {
      this.#end(false, 'the backend ended the link');
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  hello(gateway: string, version: string): void {
    writeHello(this.#writer, gateway, version);
    this.#flushSoon();
  }

  /** Sends a request; a notify is done with that. */
  request(call: Call, fields: RequestFields): void {
    if (!this.#takes(call)) return;
    const id = call.wantsAnswer ? this.calls.add(call) : 0;
    writeRequestFrame(this.#writer, id, fields);
    this.#flushSoon();
    if (!call.wantsAnswer) call.sent();
  }

  /** Asks about a handshake. @param request A ConnectRequest. */
  connect(call: ConnectCall, request: Buffer): void {
    if (!this.#takes(call)) return;
    writeConnect(this.#writer, this.calls.add(call), request);
    this.#flushSoon();
  }

  /** False: nothing more can be sent, and the call has been failed. */
  #takes(call: Call): boolean {
    if (this.#ended || this.#closed) {
      call.fail(failure('BACKEND_AWAY'));
      return false;
    }
    if (this.#unsentBytes + this.#writer.length > LINK_UNSENT_BYTES_MAX) {
      call.fail(failure('OVERLOADED', 'the backend does not read'));
      return false;
    }
    return true;
  }

  cancel(call: Call): void {
    const id = call.slotId;
    this.calls.remove(call);
    this.send((writer) => {
      writeCancel(writer, id);
    });
  }

  /** Writes any other frame. */
  send(write: (writer: WireWriter) => void): void {
    if (this.#ended || this.#closed) return;
    write(this.#writer);
    this.#flushSoon();
  }

  /** Says goodbye and closes our side; the backend answers what it has and ends. */
  close(reason: string): void {
    if (this.#ended || this.#closed) return;
    writeGoaway(this.#writer, reason);
    this.#flush();
    this.#closed = true;
    this.#stream.end();
  }

  destroy(why: string): void {
    if (this.#ended) return;
    this.#stream.cancel();
    this.#end(false, why);
  }

  // ---- frames from the backend --------------------------------------------------------------------------

  onHello(hello: BackendHello): void {
    this.#events.onHello(hello);
  }

  onReply(id: number, reader: WireReader): void {
    const call = this.calls.take(id);
    if (call === null) {
      this.#events.onLateReply();
      return;
    }
    let reply: ReturnType<typeof decodeReply>;
    try {
      reply = decodeReply(reader);
    } catch (error) {
      call.fail(failure('BAD_REPLY'));
      throw error;
    }
    if (reply instanceof Uint8Array) call.succeed(reply);
    else call.answer(reply);
  }

  onConnect(id: number, reader: WireReader): void {
    const call = this.calls.take(id);
    if (call === null) {
      this.#events.onLateReply();
      return;
    }
    let outcome: Accepted | Failure;
    try {
      outcome = decodeConnectResponse(reader);
    } catch (error) {
      call.fail(failure('BAD_REPLY'));
      throw error;
    }
    if (call instanceof ConnectCall) call.answered(outcome);
    else call.fail(failure('BAD_REPLY', 'the backend answered a request as if it were Connect'));
  }

  onPush(id: number, push: Push): void {
    this.#events.onPush(this, id, push);
  }

  onVerb(id: number, verb: SessionVerb): void {
    this.#events.onVerb(this, id, verb);
  }

  onGoaway(reason: string): void {
    this.#events.onGoaway(reason);
  }

  onExtend(id: number, timeoutMs: number): void {
    const call = this.calls.find(id);
    if (call !== null) this.#events.onExtend(call, timeoutMs);
  }

  #onData(bytes: Buffer): void {
    if (this.#ended) return;
    try {
      readToGateway(bytes, this);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.destroy(`a frame could not be read: ${error.message}`);
    }
  }

  #flushSoon(): void {
    if (this.#writer.length > MESSAGE_BYTES_AIM) {
      this.#flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flushTurn);
  }

  readonly #flushTurn = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  #flush(): void {
    if (this.#ended || this.#writer.length === 0) return;
    const bytes = this.#writer.take();
    this.#unsentBytes += bytes.length;
    this.#stream.write(bytes, () => {
      this.#unsentBytes -= bytes.length;
    });
  }

  #end(unimplemented: boolean, text: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.onEnd({ unimplemented, text });
    // Sent, so maybe done: answered, and never sent again.
    for (const call of this.calls.takeAll()) call.fail(failure('BACKEND_AWAY'));
  }
}

/** The calls in flight on a link; what `call.slot` holds meanwhile. */
class LinkCalls extends CallTable {
  readonly #link: Link;

  constructor(link: Link) {
    super(LINK_ID_MAX);
    this.#link = link;
  }

  cancel(call: Call): void {
    this.#link.cancel(call);
  }
}
