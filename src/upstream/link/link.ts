/**
 * A Link: one long-lived stream to one address, for all sessions. What a turn of the event loop gathers goes
 * out as one message; answers find their calls by number. Both sides may bound what the other sends.
 */
import type { BackendHello, Credit, SessionVerb } from '../../contract/backend-frames.ts';
import type { Push, Reply } from '../../contract/commands.ts';
import {
  writeCancel,
  writeConnect,
  writeCredit,
  writeGoaway,
  writeHello,
  writeRequestFrame,
} from '../../contract/gateway-frames.ts';
import { decodeConnectResponse, decodeReply } from '../../contract/protobuf-shapes.ts';
import type { WireReader, WireWriter } from '../../contract/protobuf-wire.ts';
import { failure } from '../../errors.ts';
import { tooMuch } from '../../protocol/conversion-limit.ts';
import { Timeout } from '../../timer-wheel.ts';
import type { Carried } from '../../session/lane.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallQueue } from '../call-queue.ts';
import { CallTable } from '../call-table.ts';
import { ConnectCall } from '../connect-call.ts';
import { answerTooLong, tooLong } from '../too-long.ts';
import { takePush, takeVerb } from './command-results.ts';
import { FrameReader, type FrameReaderLink } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Carrier, LinkOwner, LinkParts, LinkStream } from './link-transport.ts';
import { Receipts } from './receipts.ts';
import { ASKED_MAX, ReceiveWindow } from './receive-window.ts';
import { SendWindow, WAITING_BYTES_MAX, WAITING_CALLS_MAX } from './send-window.ts';

/** Numbers on a Link are 32 bits. */
export const LINK_ID_MAX = 0xffff_ffff;
/** Bytes given to the stream and not yet sent; beyond it requests are refused. */
export const LINK_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** Answers, cancels and ends are not refused: beyond this the link is given up, with all that waits. */
export const LINK_UNSENT_BYTES_END = 2 * LINK_UNSENT_BYTES_MAX;
/** What a backend's hello may name too, and is used then: proto/README.md. */
export const FEATURES = ['credit', 'extend'] as const;
/** How long a backend may take to end its side after the gateway's. */
const END_WAIT_MS = 2_000;
/** A backend may ask for more time once, by at most this. */
export const EXTEND_MS_MAX = 300_000;

export class Link implements Carrier, Carried, FrameReaderLink, PendingCall {
  readonly calls = new CallTable(LINK_ID_MAX);
  readonly convertBytesMax: number;
  readonly #stream: LinkStream;
  readonly #bodyBytesMax: number;
  readonly #parts: LinkParts;
  readonly #owner: LinkOwner;
  readonly #waiting: CallQueue<Buffer>;
  readonly #window = new ReceiveWindow();
  readonly #reader: FrameReader;
  readonly #out: FrameWriter;
  readonly credit = new SendWindow();
  readonly #receipts: Receipts;
  #helloCame = false;
  /** The backend gets no credit until it has read more of what it asked for. */
  #isCreditHeld = false;
  readonly #endLate: Timeout;
  /** The gateway's side has ended. */
  #closed = false;
  #ended = false;

  constructor(stream: LinkStream, parts: LinkParts, owner: LinkOwner) {
    this.convertBytesMax = parts.commands.convertBytesMax;
    this.#stream = stream;
    const waits = parts.commands.report.waits('credit');
    this.#waiting = new CallQueue(WAITING_BYTES_MAX, WAITING_CALLS_MAX, waits);
    this.#bodyBytesMax = stream.bodyBytesMax ?? Infinity;
    this.#parts = parts;
    this.#owner = owner;
    this.#reader = new FrameReader(stream, this, parts.wheel);
    this.#out = new FrameWriter(stream, parts.wheel, () => {
      if (this.#reader.isPaused || this.#isCreditHeld) this.#readOn();
      this.#receipts.ask();
    });
    this.#receipts = new Receipts(this.#out, (done) => {
      owner.liveness?.begin();
      owner.roundTrip(done);
    });
    this.#endLate = new Timeout(() => {
      this.destroy(`the backend did not end the link within ${END_WAIT_MS} ms of our goaway`);
    });
    stream.on('end', () => {
      this.streamEnded('the backend ended the link');
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Calls that wait for an answer, or to be sent; and what has not been received yet, where that was asked. */
  get inFlight(): number {
    return this.calls.size + this.#waiting.size + (this.#receipts.isAwaited ? 1 : 0);
  }

  hello(): void {
    writeHello(this.#out.writer, this.#parts.gatewayId, this.#parts.version, FEATURES);
    this.#out.flushSoon();
  }

  /** Sends a request, or has it wait for the backend's credit; a notify is done with that. */
  request(call: Call, what: Buffer): void {
    const { length } = call.body;
    this.#owner.liveness?.begin();
    if (length > this.#bodyBytesMax)
      call.fail(tooMuch('BAD_BODY', 'the body', length, this.#bodyBytesMax));
    else if (this.#ended || this.#closed) call.fail(failure('BACKEND_AWAY'));
    else if (this.#out.unsent > LINK_UNSENT_BYTES_MAX)
      call.fail(failure('OVERLOADED', 'the backend is not keeping up'));
    else if (this.#waiting.size === 0 && !this.credit.isSpent(this.calls.size))
      this.#request(call, what);
    else if (!this.#waiting.add(call, this, what, length + what.length))
      call.fail(failure('OVERLOADED', 'the backend is at its limit'));
  }

  #request(call: Call, what: Buffer): void {
    if (call instanceof ConnectCall) {
      writeConnect(this.#out.writer, this.calls.add(call, this), what);
      this.credit.spend(what.length);
      this.#out.flushSoon();
      return;
    }
    const id = call.wantsAnswer ? this.calls.add(call, this) : 0;
    const leftMs = call.leftMs(this.#parts.wheel.now());
    this.credit.spend(writeRequestFrame(this.#out.writer, id, call, what, leftMs));
    this.#out.flushSoon();
    if (call.wantsAnswer) return;
    if (!call.unordered) call.lane.unanswered(this);
    call.sent();
  }

  whenReceived(done: () => void): void {
    if (this.#ended) done();
    else this.#receipts.add(done);
  }

  /** Sends what waits, as far as it may. */
  #pump(): void {
    while (this.#waiting.size > 0 && !this.credit.isSpent(this.calls.size) && !this.#closed) {
      const { call, what } = this.#waiting.take()!;
      this.#request(call, what);
    }
  }

  cancel(call: Call): void {
    const id = call.pendingId;
    // Else the client has left, which says nothing about the backend.
    if (call.deadline <= this.#parts.wheel.now()) this.#owner.endpoint.failed();
    if (this.#waiting.remove(call) || !this.calls.remove(call)) return;
    if (call.isInLane && !call.unordered) call.lane.unanswered(this);
    this.send((writer) => {
      writeCancel(writer, id);
    });
    if (this.#waiting.size > 0) this.#pump();
  }

  /** Writes any other frame. */
  send(write: (writer: WireWriter) => void): void {
    if (this.#ended || this.#closed) return;
    write(this.#out.writer);
    this.#out.flushSoon();
    if (this.#out.unsent > LINK_UNSENT_BYTES_END) this.destroy('the backend does not read');
  }

  /** Says goodbye and closes our side; the backend answers what it has and ends, or is cut off. */
  close(reason: string): void {
    if (this.#ended || this.#closed) return;
    writeGoaway(this.#out.writer, reason);
    this.#out.flush();
    this.#out.close();
    this.#closed = true;
    this.#stream.end();
    this.#parts.wheel.set(this.#endLate, END_WAIT_MS);
    this.#failWaiting();
  }

  destroy(why: string): void {
    if (this.#ended) return;
    this.#stream.cancel();
    this.#end(why);
  }

  // ---- frames from the backend --------------------------------------------------------------------------

  onHello(hello: BackendHello, features: readonly string[]): void {
    if (this.#helloCame) {
      // Accepting it would grant credit twice, and reset what was granted to us.
      const why = 'a second hello on one link is ignored';
      this.#parts.commands.report.dropped('frame', why, 'hello');
      return;
    }
    this.#helloCame = true;
    if (hello.maxInFlight > 0) this.credit.inFlightMax = hello.maxInFlight;
    if (features.includes('credit')) {
      this.credit.useCredit();
      this.#window.useCredit();
      this.#grant();
    }
    this.#owner.onHello(hello);
  }

  onCredit(credit: Credit): void {
    this.credit.grant(credit);
    this.#pump();
  }

  onReply(id: number, reader: WireReader): void {
    const call = this.#answered(id);
    if (call !== null) this.#answer(call, this.#decoded(call, reader, decodeReply));
  }

  onBody(id: number, body: Buffer): void {
    const call = this.#answered(id);
    if (call !== null) this.#answer(call, body);
  }

  #answer(call: Call, reply: Uint8Array | Reply): void {
    const why = tooLong(reply, call.route);
    if (why !== '') {
      this.#parts.commands.report.dropped('frame', why, 'too long');
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
    this.#owner.endpoint.answered();
    if (call === null) this.#parts.commands.report.lateReply();
    return call;
  }

  onPush(id: number, push: Push, bytes: number): void {
    if (this.#mayCome(bytes)) takePush(this.#parts.commands, { link: this, id, bytes }, push);
  }

  onVerb(id: number, verb: SessionVerb, bytes: number): void {
    if (this.#mayCome(bytes)) takeVerb(this.#parts.commands, { link: this, id, bytes }, verb);
  }

  /** What came by the backend's own will has been dealt with: more of it may come. */
  done(bytes: number): void {
    this.#window.done(bytes);
    this.#grant();
    if (this.#reader.isPaused) this.#readOn();
  }

  #mayCome(bytes: number): boolean {
    if (this.#ended) return false;
    if (this.#window.take(bytes)) return true;
    this.destroy('the backend sent more pushes than it has credit for');
    return false;
  }

  #grant(): void {
    // Nor while it has sent what is not read yet, which would count against what it gets now.
    this.#isCreditHeld = this.#reader.isReading || this.#out.given > LINK_UNSENT_BYTES_MAX;
    const grant = this.#isCreditHeld ? null : this.#window.grant();
    if (grant === null) return;
    this.send((writer) => {
      writeCredit(writer, grant.frames, grant.bytes);
    });
  }

  onGoaway(reason: string): void {
    this.#owner.endpoint.goaway(reason);
  }

  onExtend(id: number, timeoutMs: number): void {
    const call = this.calls.find(id);
    if (call === null || call.extended) return;
    call.extended = true;
    this.#parts.wheel.set(call, Math.min(timeoutMs, EXTEND_MS_MAX));
  }

  get isFull(): boolean {
    return this.#window.asked > ASKED_MAX || this.#out.given > LINK_UNSENT_BYTES_MAX;
  }

  onRead(): void {
    if (this.#isCreditHeld && !this.#ended) this.#readOn();
  }

  onUnreadable(why: string): void {
    this.destroy(`a frame could not be read: ${why}`);
  }

  /** Reads again when half of what was too much is gone. */
  #readOn(): void {
    if (this.#window.asked > ASKED_MAX / 2 || this.#out.given > LINK_UNSENT_BYTES_MAX / 2) return;
    if (this.#reader.isPaused) this.#reader.readOn();
    this.#grant();
  }

  /** Nothing more comes; what has come may have to be read yet. @param unimplemented There is no Link here. */
  streamEnded(why: string, unimplemented = false): void {
    this.#closed = true;
    this.#parts.wheel.cancel(this.#endLate);
    this.#out.close();
    this.#reader.finish(() => {
      this.#end(why, unimplemented);
    });
  }

  #end(why: string, unimplemented = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#closed = true;
    this.#parts.wheel.cancel(this.#endLate);
    this.#out.close();
    this.#owner.onEnd(this, why, unimplemented);
    // They may have been carried out: only the relay decides whether one is sent again.
    for (const call of this.calls.takeAll()) call.fail(failure('BACKEND_AWAY'));
    this.#failWaiting();
    this.#receipts.end();
  }

  #failWaiting(): void {
    for (let one = this.#waiting.take(); one !== null; one = this.#waiting.take())
      one.call.fail(failure('BACKEND_AWAY'));
  }
}
