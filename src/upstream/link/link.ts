/**
 * A Link: one long-lived stream to one address, for all sessions. What a turn of the event loop gathers goes
 * out as one message; answers find their calls by number. Both sides may bound what the other sends.
 */
import { type ServiceError, status } from '@grpc/grpc-js';

import { decodeConnectResponse } from '../../contract/shapes.ts';
import type { WireReader, WireWriter } from '../../contract/wire.ts';
import { failure } from '../../errors.ts';
import type { Push } from '../../contract/commands.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import {
  type BackendHello,
  type Credit,
  decodeReply,
  type FrameHandler,
  type SessionVerb,
} from '../../contract/backend-frames.ts';
import type { LinkStream } from '../grpc/channel.ts';
import { FrameReader, type FrameReaderLink } from './frame-reader.ts';
import {
  type RequestFields,
  writeCancel,
  writeConnect,
  writeCredit,
  writeGoaway,
  writeHello,
  writeRequestFrame,
} from '../../contract/gateway-frames.ts';
import { ASKED_MAX, ReceiveWindow } from './receive-window.ts';
import { Outflow } from './frame-writer.ts';
import { hint } from '../grpc-client/status.ts';
import { answerTooLong, tooLong } from './too-long.ts';
import { SendQueue } from './send-queue.ts';

/** Numbers on a Link are 32 bits. */
export const LINK_ID_MAX = 0xffff_ffff;
/** Bytes given to the stream and not yet sent; beyond it requests are refused. */
export const LINK_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** Answers, cancels and ends are not refused: beyond this the link is given up, with all that waits. */
export const LINK_UNSENT_BYTES_END = 2 * LINK_UNSENT_BYTES_MAX;
/** What a backend's hello may name too, and is used then: proto/README.md. */
export const FEATURES = ['credit', 'extend'] as const;

/** What a Link tells its way. */
export interface LinkEvents extends Pick<FrameHandler, 'convertBytesMax'> {
  onHello(hello: BackendHello): void;
  /** Call `link.done(bytes)` when the push, the verb, has been dealt with. */
  onPush(link: Link, id: number, push: Push, bytes: number): void;
  onVerb(link: Link, id: number, verb: SessionVerb, bytes: number): void;
  onGoaway(reason: string): void;
  onExtend(call: Call, timeoutMs: number): void;
  onLateReply(): void;
  /** What the backend sent was not used. `kind`: one of a few; `why` is for the log. */
  onTrouble(kind: string, why: string): void;
  /** A call has had no answer in time. */
  onFault(): void;
  /** While `faulty` is set, an answer. */
  onAnswered(): void;
  /**
   * Once. The calls in flight are failed after it, so that what waited behind them finds the link gone.
   * `unimplemented`: there is no Link here.
   */
  onEnd(why: { readonly unimplemented: boolean; readonly text: string }): void;
}

export class Link implements FrameReaderLink, PendingCall {
  readonly calls = new CallTable(LINK_ID_MAX);
  readonly convertBytesMax: number;
  /** Set by its way while calls fail: the next answer is worth an event. */
  faulty = false;
  readonly #stream: LinkStream;
  readonly #now: () => number;
  readonly #events: LinkEvents;
  readonly #waiting: SendQueue;
  readonly #inflow = new ReceiveWindow();
  readonly #intake: FrameReader;
  readonly #out: Outflow;
  /** What the backend lets us send: requests and handshakes. */
  #frames = Infinity;
  #bytes = Infinity;
  #inFlightMax = Infinity;
  #helloCame = false;
  /** The backend gets no credit until it has read more of what it asked for. */
  #isCreditHeld = false;
  /** Our side has said its last. */
  #closed = false;
  #ended = false;

  /** @param now The monotonic clock, milliseconds. */
  constructor(stream: LinkStream, now: () => number, events: LinkEvents) {
    this.convertBytesMax = events.convertBytesMax;
    this.#stream = stream;
    this.#now = now;
    this.#events = events;
    this.#waiting = new SendQueue(this.#onGivenUp);
    this.#intake = new FrameReader(stream, this);
    this.#out = new Outflow(stream, () => {
      if (this.#intake.isPaused || this.#isCreditHeld) this.#readOn();
    });
    stream.on('data', (bytes: Buffer) => {
      this.#intake.take(bytes);
    });
    stream.on('error', (error: ServiceError) => {
      this.#onStreamEnd(error.code === status.UNIMPLEMENTED, hint(error));
    });
    stream.on('end', () => {
      this.#onStreamEnd(false, 'the backend ended the link');
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Calls that wait for an answer, or to be sent. */
  get inFlight(): number {
    return this.calls.size + this.#waiting.size;
  }

  hello(gateway: string, version: string): void {
    writeHello(this.#out.writer, gateway, version, FEATURES);
    this.#out.flushSoon();
  }

  /** Sends a request, or has it wait for the backend's credit; a notify is done with that. */
  request(call: Call, fields: RequestFields): void {
    if (!this.#takes(call)) return;
    if (this.#mustWait) this.#wait(call, fields);
    else this.#request(call, fields);
  }

  #request(call: Call, fields: RequestFields): void {
    const id = call.wantsAnswer ? this.calls.add(call, this) : 0;
    this.#bytes -= writeRequestFrame(this.#out.writer, id, fields);
    this.#frames--;
    this.#out.flushSoon();
    if (!call.wantsAnswer) call.sent();
  }

  /** Asks about a handshake. @param request A ConnectRequest. */
  connect(call: ConnectCall, request: Buffer): void {
    if (!this.#takes(call)) return;
    if (this.#mustWait) this.#wait(call, request);
    else this.#connect(call, request);
  }

  #connect(call: Call, request: Buffer): void {
    writeConnect(this.#out.writer, this.calls.add(call, this), request);
    this.#bytes -= request.length;
    this.#frames--;
    this.#out.flushSoon();
  }

  /** False: nothing more can be sent, and the call has been failed. */
  #takes(call: Call): boolean {
    if (this.#ended || this.#closed) {
      call.fail(failure('BACKEND_AWAY'));
      return false;
    }
    if (this.#out.unsent > LINK_UNSENT_BYTES_MAX) {
      call.fail(failure('OVERLOADED', 'the backend does not read'));
      return false;
    }
    return true;
  }

  // ---- what the backend bounds --------------------------------------------------------------------------

  /** The last that fits may be larger than what is left: else a large one might never go. */
  get #isSpent(): boolean {
    return this.#frames < 1 || this.#bytes < 1 || this.calls.size >= this.#inFlightMax;
  }

  get #mustWait(): boolean {
    return this.#isSpent || this.#waiting.size > 0;
  }

  #wait(call: Call, what: RequestFields | Buffer): void {
    if (!this.#waiting.add(call, what))
      call.fail(failure('OVERLOADED', 'the backend takes no more'));
  }

  /** Sends what waits, as far as it may. */
  #pump(): void {
    while (this.#waiting.size > 0 && !this.#isSpent && !this.#closed) {
      const { call, what } = this.#waiting.take()!;
      const timeoutMs = call.leftMs(this.#now());
      if ('body' in what) this.#request(call, { ...what, timeoutMs });
      else this.#connect(call, what);
    }
  }

  cancel(call: Call): void {
    const id = call.pendingId;
    this.calls.remove(call);
    this.#onGivenUp(call);
    this.send((writer) => {
      writeCancel(writer, id);
    });
    if (this.#waiting.size > 0) this.#pump();
  }

  readonly #onGivenUp = (call: Call): void => {
    // Else the client has left, which says nothing about the backend.
    if (call.deadline <= this.#now()) this.#events.onFault();
  };

  /** Writes any other frame. */
  send(write: (writer: WireWriter) => void): void {
    if (this.#ended || this.#closed) return;
    write(this.#out.writer);
    this.#out.flushSoon();
    if (this.#out.unsent > LINK_UNSENT_BYTES_END) this.destroy('the backend does not read');
  }

  /** Says goodbye and closes our side; the backend answers what it has and ends. */
  close(reason: string): void {
    if (this.#ended || this.#closed) return;
    writeGoaway(this.#out.writer, reason);
    this.#out.flush();
    this.#out.close();
    this.#closed = true;
    this.#stream.end();
    this.#failWaiting();
  }

  destroy(why: string): void {
    if (this.#ended) return;
    this.#stream.cancel();
    this.#end(false, why);
  }

  // ---- frames from the backend --------------------------------------------------------------------------

  onHello(hello: BackendHello, features: readonly string[]): void {
    if (this.#helloCame) {
      // Taken, it would grant credit anew, and take away what was granted to us.
      this.#events.onTrouble('hello', 'a second hello on one link is passed over');
      return;
    }
    this.#helloCame = true;
    if (hello.maxInFlight > 0) this.#inFlightMax = hello.maxInFlight;
    if (features.includes('credit')) {
      this.#frames = 0;
      this.#bytes = 0;
      this.#inflow.useCredit();
      this.#grant();
    }
    this.#events.onHello(hello);
  }

  onCredit({ frames, bytes }: Credit): void {
    this.#frames += frames;
    this.#bytes += bytes;
    this.#pump();
  }

  onReply(id: number, reader: WireReader): void {
    const call = this.#answered(id);
    if (call === null) return;
    const reply = this.#decoded(call, reader, decodeReply);
    const why = tooLong(reply, call.route);
    if (why !== '') {
      this.#events.onTrouble('too long', why);
      call.fail(answerTooLong());
    } else if (reply instanceof Uint8Array) call.succeed(reply);
    else call.answer(reply);
    if (this.#waiting.size > 0) this.#pump();
  }

  onConnect(id: number, reader: WireReader): void {
    const call = this.#answered(id);
    if (call === null) return;
    const outcome = this.#decoded(call, reader, decodeConnectResponse);
    if (call instanceof ConnectCall) call.answered(outcome);
    else call.fail(failure('BAD_REPLY', 'the backend answered a request as if it were Connect'));
    if (this.#waiting.size > 0) this.#pump();
  }

  /** A frame that cannot be read fails its call, and ends the link. */
  #decoded<T>(call: Call, reader: WireReader, decode: (reader: WireReader, max: number) => T): T {
    try {
      return decode(reader, this.convertBytesMax);
    } catch (error) {
      call.fail(failure('BAD_REPLY'));
      throw error;
    }
  }

  /** The call of this number; a late answer is a sign of life too. */
  #answered(id: number): Call | null {
    const call = this.calls.take(id);
    if (this.faulty) this.#events.onAnswered();
    if (call === null) this.#events.onLateReply();
    return call;
  }

  onPush(id: number, push: Push, bytes: number): void {
    if (this.#mayCome(bytes)) this.#events.onPush(this, id, push, bytes);
  }

  onVerb(id: number, verb: SessionVerb, bytes: number): void {
    if (this.#mayCome(bytes)) this.#events.onVerb(this, id, verb, bytes);
  }

  /** What came by the backend's own will has been dealt with: more of it may come. */
  done(bytes: number): void {
    this.#inflow.done(bytes);
    this.#grant();
    if (this.#intake.isPaused) this.#readOn();
  }

  #mayCome(bytes: number): boolean {
    if (this.#ended) return false;
    if (this.#inflow.take(bytes)) return true;
    this.destroy('the backend sent more pushes than it has credit for');
    return false;
  }

  #grant(): void {
    // Nor while it has sent what is not read yet, which would count against what it gets now.
    this.#isCreditHeld = this.#intake.isReading || this.#out.given > LINK_UNSENT_BYTES_MAX;
    const grant = this.#isCreditHeld ? null : this.#inflow.grant();
    if (grant === null) return;
    this.send((writer) => {
      writeCredit(writer, grant.frames, grant.bytes);
    });
  }

  onGoaway(reason: string): void {
    this.#events.onGoaway(reason);
  }

  onExtend(id: number, timeoutMs: number): void {
    const call = this.calls.find(id);
    if (call !== null) this.#events.onExtend(call, timeoutMs);
  }

  get isFull(): boolean {
    return this.#inflow.asked > ASKED_MAX || this.#out.given > LINK_UNSENT_BYTES_MAX;
  }

  onRead(): void {
    if (this.#isCreditHeld && !this.#ended) this.#readOn();
  }

  onUnreadable(why: string): void {
    this.destroy(`a frame could not be read: ${why}`);
  }

  /** Reads again when half of what was too much is gone. */
  #readOn(): void {
    if (this.#inflow.asked > ASKED_MAX / 2 || this.#out.given > LINK_UNSENT_BYTES_MAX / 2) return;
    if (this.#intake.isPaused) this.#intake.readOn();
    this.#grant();
  }

  /** Nothing more comes; what has come may have to be read yet. */
  #onStreamEnd(unimplemented: boolean, text: string): void {
    this.#closed = true;
    this.#out.close();
    this.#intake.finish(() => {
      this.#end(unimplemented, text);
    });
  }

  #end(unimplemented: boolean, text: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#closed = true;
    this.#out.close();
    this.#events.onEnd({ unimplemented, text });
    // Sent, so maybe done: answered, and never sent again.
    for (const call of this.calls.takeAll()) call.fail(failure('BACKEND_AWAY'));
    this.#failWaiting();
  }

  #failWaiting(): void {
    for (let one = this.#waiting.take(); one !== null; one = this.#waiting.take())
      one.call.fail(failure('BACKEND_AWAY'));
  }
}
