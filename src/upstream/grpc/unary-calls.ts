/** Handle, Connect and Closed as calls of their own: where a backend has no Link, or is not to be asked by it. */
import { type ClientUnaryCall, type ServiceError, status } from '@grpc/grpc-js';

import { NOTHING } from '../../bytes.ts';
import type { Clock } from '../../clock.ts';
import { decodeConnectResponse } from '../../contract/shapes.ts';
import { WireError, WireReader } from '../../contract/wire.ts';
import { type Failure, failure } from '../../errors.ts';
import type { Call, PendingCall } from '../call.ts';
import type { ConnectCall } from '../connect-call.ts';
import { decodeReply } from '../../contract/backend-frames.ts';
import type { Channel } from './channel.ts';
import { RECEIVE_BYTES_MAX } from '../grpc-client/connection.ts';
import { encodeRequest, type RequestFields } from '../../contract/gateway-frames.ts';
import { failureOfStatus, hint } from '../grpc-client/status.ts';
import { answerTooLong, isRefusedHere, tooLong } from '../link/too-long.ts';
import type { Accepted } from '../../contract/commands.ts';

const CLOSED_TIMEOUT_MS = 2_000;
/** Closed calls in flight; beyond it ends are not told. */
const TELLING_MAX = 1_000;

/** What its way hears of. */
export interface UnaryEvents {
  /** Bytes of JSON in an answer that are made anew: `limits.convert`. */
  readonly convertBytesMax: number;
  /** The way is well: there was an answer. */
  onAnswered(): void;
  /** There was none, or none that can be read. */
  onFault(): void;
  /** The backend cannot be reached any more. */
  onGone(why: string): void;
  /** What it answered was not used. `kind`: one of a few; `why` is for the log. */
  onTrouble(kind: string, why: string): void;
  /** A call of Connect found that there is none; once. */
  onNoConnect(): void;
}

export class UnaryCalls {
  /** Handle and Connect. */
  inFlight = 0;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #events: UnaryEvents;
  #closedUnimplemented = false;
  #noConnectTold = false;
  /** Closed calls in flight. */
  readonly #telling = new Set<Promise<void>>();

  constructor(channel: Channel, clock: Clock, events: UnaryEvents) {
    this.#channel = channel;
    this.#clock = clock;
    this.#events = events;
  }

  /** A backend that is started again may have what it had not. */
  startAgain(): void {
    this.#closedUnimplemented = false;
    this.#noConnectTold = false;
  }

  handle(call: Call, fields: RequestFields): void {
    const deadline = this.#clock.wallNow() + fields.timeoutMs;
    const { generation } = call;
    const unary = new UnaryCall(this.#clock, this.#events);
    call.pending = unary;
    this.inFlight++;
    unary.call = this.#channel.handle(encodeRequest(fields), deadline, (error, bytes) => {
      this.inFlight--;
      // A cancelled call has been given back, and may be another one by now.
      if (call.generation !== generation || call.pending !== unary) return;
      call.pending = null;
      if (error === null) this.#answer(call, bytes ?? NOTHING);
      else this.#onError(call, error);
    });
  }

  #answer(call: Call, bytes: Buffer): void {
    let reply: ReturnType<typeof decodeReply>;
    try {
      reply = decodeReply(new WireReader(bytes), this.#events.convertBytesMax);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#events.onFault();
      call.fail(failure('BAD_REPLY'));
      return;
    }
    this.#events.onAnswered();
    const why = tooLong(reply, call.route);
    if (why !== '') {
      this.#events.onTrouble('too long', why);
      call.fail(answerTooLong());
    } else if (reply instanceof Uint8Array) call.succeed(reply);
    else call.answer(reply);
  }

  #onError(call: Call, error: ServiceError): void {
    if (isRefusedHere(error, RECEIVE_BYTES_MAX)) {
      this.#events.onAnswered();
      this.#events.onTrouble('too long', `the answer to ${call.route}: ${error.details}`);
      call.fail(answerTooLong());
      return;
    }
    const why = failureOfStatus(error);
    if (why.reason === 'TIMEOUT' || why.reason === 'BACKEND_AWAY') this.#events.onFault();
    else this.#events.onAnswered();
    call.fail({ ...why, detail: `${status[error.code] ?? error.code}: ${hint(error)}` });
    // Else it is the backend's own word, or a connection that it has left already, and there is another.
    if (error.code === status.UNAVAILABLE && !this.#channel.connection.isReady)
      this.#events.onGone(hint(error));
  }

  connect(call: ConnectCall, request: Buffer): void {
    const deadline = this.#clock.wallNow() + call.leftMs(this.#clock.now());
    const unary = new UnaryCall(this.#clock, this.#events);
    call.pending = unary;
    this.inFlight++;
    unary.call = this.#channel.connect(request, deadline, (error, bytes) => {
      this.inFlight--;
      if (call.ended) return;
      if (error === null) {
        this.#events.onAnswered();
        call.answered(readConnectResponse(bytes ?? NOTHING, this.#events.convertBytesMax));
      } else if (error.code === status.UNIMPLEMENTED) {
        call.fail(failure('BACKEND_ERROR', 'the backend has no Connect'));
        if (!this.#noConnectTold) this.#events.onNoConnect();
        this.#noConnectTold = true;
      } else {
        this.#onError(call, error);
      }
    });
  }

  /** Tells that a session ended. */
  closed(event: Buffer): void {
    if (this.#closedUnimplemented || this.#telling.size >= TELLING_MAX) return;
    const deadline = this.#clock.wallNow() + CLOSED_TIMEOUT_MS;
    const told = new Promise<void>((resolve) => {
      this.#channel.closed(event, deadline, (error) => {
        if (error?.code === status.UNIMPLEMENTED) this.#closedUnimplemented = true;
        this.#telling.delete(told);
        resolve();
      });
    });
    this.#telling.add(told);
  }

  /** Resolves when every end has been heard of, or given up. */
  async told(): Promise<void> {
    await Promise.all(this.#telling);
  }
}

/** A call in flight. */
export class UnaryCall implements PendingCall {
  call: ClientUnaryCall | null = null;
  readonly #clock: Clock;
  readonly #events: UnaryEvents;

  constructor(clock: Clock, events: UnaryEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  cancel(call: Call): void {
    // Else the client has left, which says nothing about the backend.
    if (call.deadline <= this.#clock.now()) this.#events.onFault();
    this.call?.cancel();
  }
}

function readConnectResponse(bytes: Buffer, convertBytesMax: number): Accepted | Failure {
  try {
    return decodeConnectResponse(new WireReader(bytes), convertBytesMax);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return failure('BAD_REPLY');
  }
}
