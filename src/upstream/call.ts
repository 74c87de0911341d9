/**
 * One message on its way to a backend and back: a pooled slot.
 *
 * A call is taken from the pool, filled, sent, ended once and given back; nothing is allocated per message.
 * Whoever keeps a call beyond its end must compare `generation`, which counts its uses.
 */
import { NOTHING } from '../bytes.ts';
import type { Reply } from '../contract/commands.ts';
import type { Trace } from '../contract/facts.ts';
import type { Failure } from '../errors.ts';
import type { Target } from '../routing/rule.ts';
import type { Lane, Queued } from '../session/lane.ts';
import type { InFlight } from '../session/session-parts.ts';
import type { Session } from '../session/session.ts';
import { WheelEntry } from '../timer-wheel.ts';
import type { Upstream } from './upstream.ts';

/** Where a call waits, with the upstream that has it: a table or a queue, or the request itself. */
export interface PendingCall {
  /** Nobody waits for the answer any more: the deadline has passed, or the client is gone. The caller ends the call. */
  cancel(call: Call): void;
}

/** What happens when a call ends; the relay. */
export interface CallEnd {
  onLate(call: Call): void;
  onSessionClosed(call: Call): void;
  giveUp(call: Call, why: Failure): void;
  start(call: Call): void;
  /** The hot way: a body and nothing else. */
  succeed(call: Call, body: Uint8Array): void;
  fail(call: Call, failure: Failure): void;
  answer(call: Call, reply: Reply): void;
  sent(call: Call): void;
}

/** free: in the pool · waiting: for its turn in the lane · sent: with the upstream · retrying: will be, again. */
type CallState = 'free' | 'waiting' | 'sent' | 'retrying';

export class Call extends WheelEntry implements Queued, InFlight {
  state: CallState = 'free';
  generation = 0;
  sessionIndex = -1;

  session!: Session;
  lane!: Lane;
  target!: Target;
  upstream!: Upstream;
  /** As the backend sees it. */
  route = '';
  /** As the client said it. */
  clientRoute = '';
  rawId = 0;
  /** False for a notify. */
  wantsAnswer = false;
  /** As the client sent it: a view. */
  body!: Buffer;
  /** The gateway's own count of this session's messages. */
  seq = 0;
  /** On the monotonic clock, milliseconds. */
  deadline = 0;
  startedAt = 0;
  /** '' for any instance. */
  instance = '';
  exclusive = false;
  unordered = false;
  /** What the backend is told of the trace; null: it is not traced. */
  trace: Trace | null = null;
  /** The backend has had more time once. */
  extended = false;
  /** It may be sent again: its route says so, or its method. */
  idempotent = false;
  /** How often it was sent again. */
  retries = 0;
  /** Its failure has been logged already. */
  reported = false;

  /** Set by the upstream: where the call waits, or its answer is awaited; null: nowhere. */
  pending: PendingCall | null = null;
  /** Owned by whoever set `pending`: the call's number there. */
  pendingId = 0;

  readonly #end: CallEnd;

  constructor(end: CallEnd) {
    super();
    this.#end = end;
  }

  /** Milliseconds until the deadline, whole and at least 1. @param now On the monotonic clock. */
  leftMs(now: number): number {
    return Math.max(1, Math.round(this.deadline - now));
  }

  start(): void {
    this.#end.start(this);
  }

  onLate(): void {
    this.#end.onLate(this);
  }

  onSessionClosed(): void {
    this.#end.onSessionClosed(this);
  }

  giveUp(why: Failure): void {
    this.#end.giveUp(this, why);
  }

  succeed(body: Uint8Array): void {
    this.#end.succeed(this, body);
  }

  fail(why: Failure): void {
    this.#end.fail(this, why);
  }

  answer(reply: Reply): void {
    this.#end.answer(this, reply);
  }

  /** A notify has left; nothing more is awaited. */
  sent(): void {
    this.#end.sent(this);
  }
}

/** Free calls, kept for reuse. */
export class CallPool {
  readonly #end: CallEnd;
  readonly #free: Call[] = [];
  #inUse = 0;

  constructor(end: CallEnd) {
    this.#end = end;
  }

  get inUse(): number {
    return this.#inUse;
  }

  take(): Call {
    this.#inUse++;
    return this.#free.pop() ?? new Call(this.#end);
  }

  give(call: Call): void {
    this.#inUse--;
    call.state = 'free';
    call.generation++;
    call.body = NOTHING;
    call.pending = null;
    call.pendingId = 0;
    call.extended = false;
    call.retries = 0;
    call.reported = false;
    call.trace = null;
    this.#free.push(call);
  }
}
