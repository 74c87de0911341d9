/** A call to a method in flight. */
import { type Metadata, status } from '@grpc/grpc-js';

import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Call, PendingCall } from '../call.ts';
import type {
  CallError,
  CallStatus,
  MessageSource,
  UnaryRequest,
} from '../grpc-client/grpc-connection.ts';
import type { Endpoint } from '../pool/endpoint.ts';
import type { MethodRequest, MethodTransport } from './method-transport.ts';
import type { Method, Schema } from './schema.ts';

/** How often a stream that waits for a slow client looks whether it has caught up. */
const CAUGHT_UP_LOOK_MS = 40;

/** What was sent, and where. */
export type Sent = {
  readonly call: Call;
  readonly method: Method;
  readonly schema: Schema;
  readonly endpoint: Endpoint<MethodTransport>;
  readonly request: MethodRequest;
};

/** How a call has ended. */
export type Outcome = {
  readonly sent: Sent;
  /** Of a unary method; null: none came. */
  readonly body: Buffer | null;
  readonly initial: Metadata | null;
  readonly ended: CallStatus;
  /** No backend has seen it. */
  readonly isUnsent: boolean;
};

/** A call is pending as long as somebody waits for what comes of it. */
function isAwaited(sent: Sent, pending: PendingCall): boolean {
  return sent.call.pending === pending;
}

/** The time is over; or the client has left, which says nothing about the backend. */
function giveUp({ call, endpoint }: Sent, now: number): void {
  call.pending = null;
  if (call.deadline <= now) endpoint.failed();
}

/** For the trace. */
function tellStatus({ call: { trace } }: Sent, { code }: CallStatus): void {
  if (trace !== null) trace.tell('rpc.status_code', status[code] ?? String(code));
}

export class UnaryInFlight implements PendingCall {
  readonly #sent: Sent;
  readonly #wheel: TimerWheel;
  readonly #emitter: UnaryRequest;
  #body: Buffer | null = null;
  #initial: Metadata | null = null;
  #error: CallError | null = null;

  constructor(sent: Sent, wheel: TimerWheel, onEnd: (outcome: Outcome) => void) {
    this.#sent = sent;
    this.#wheel = wheel;
    sent.call.pending = this;
    sent.endpoint.transport.enter();
    this.#emitter = sent.endpoint.transport.unary(sent.request, (error, bytes) => {
      this.#error = error;
      this.#body = bytes ?? null;
    });
    this.#emitter.on('metadata', (metadata) => {
      this.#initial = metadata;
    });
    // Comes after all the rest, with the trailing metadata.
    this.#emitter.on('status', (ended) => {
      sent.endpoint.transport.leave();
      if (!isAwaited(sent, this)) return;
      sent.call.pending = null;
      tellStatus(sent, this.#error ?? ended);
      onEnd({
        sent: this.#sent,
        body: this.#body,
        initial: this.#initial,
        ended: this.#error ?? ended,
        isUnsent: sent.endpoint.transport.connection.isUnsent(this.#emitter, ended),
      });
    });
  }

  cancel(): void {
    giveUp(this.#sent, this.#wheel.now());
    this.#emitter.cancel();
  }
}

export class StreamInFlight implements PendingCall {
  readonly #sent: Sent;
  readonly #stream: MessageSource;
  readonly #wheel: TimerWheel;
  /** Waits for a slow client. */
  readonly #caughtUp: Timeout;
  #initial: Metadata | null = null;
  #ended: CallStatus | null = null;
  #isRead = false;
  readonly #onEnd: (outcome: Outcome) => void;

  /** @param onMessage True: it was taken, and more is wanted. */
  constructor(
    sent: Sent,
    wheel: TimerWheel,
    onMessage: (sent: Sent, bytes: Buffer) => boolean,
    onEnd: (outcome: Outcome) => void,
  ) {
    this.#sent = sent;
    this.#wheel = wheel;
    this.#onEnd = onEnd;
    this.#caughtUp = new Timeout(() => {
      this.#goOn();
    });
    sent.call.pending = this;
    sent.endpoint.transport.enter();
    this.#stream = sent.endpoint.transport.stream(sent.request);
    this.#stream.on('metadata', (metadata) => {
      this.#initial = metadata;
    });
    this.#stream.on('data', (bytes) => {
      if (!isAwaited(sent, this)) return;
      if (!onMessage(sent, bytes)) this.#stream.cancel();
      else if (sent.call.session.outbox.isBehind) this.#wait();
    });
    // The status has it all.
    this.#stream.on('error', () => {});
    this.#stream.on('end', () => {
      this.#isRead = true;
      this.#finish();
    });
    this.#stream.on('status', (ended) => {
      sent.endpoint.transport.leave();
      this.#ended = ended;
      this.#finish();
    });
  }

  cancel(): void {
    giveUp(this.#sent, this.#wheel.now());
    this.#wheel.cancel(this.#caughtUp);
    this.#stream.cancel();
  }

  /** The status may come while messages still wait to be read. */
  #finish(): void {
    const ended = this.#ended;
    if (ended === null || !isAwaited(this.#sent, this)) return;
    if (!this.#isRead && ended.code === status.OK) return;
    this.#sent.call.pending = null;
    tellStatus(this.#sent, ended);
    this.#wheel.cancel(this.#caughtUp);
    const { connection } = this.#sent.endpoint.transport;
    const isUnsent = connection.isUnsent(this.#stream, ended);
    this.#onEnd({ sent: this.#sent, body: null, initial: this.#initial, ended, isUnsent });
  }

  #wait(): void {
    this.#stream.pause();
    this.#wheel.set(this.#caughtUp, CAUGHT_UP_LOOK_MS);
  }

  #goOn(): void {
    if (!isAwaited(this.#sent, this)) return;
    if (this.#sent.call.session.outbox.isBehind) this.#wheel.set(this.#caughtUp, CAUGHT_UP_LOOK_MS);
    else this.#stream.resume();
  }
}
