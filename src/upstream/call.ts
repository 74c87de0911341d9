/** What an upstream is given to send: a client's message, or a handshake. It ends it once. */
import { NOTHING } from '../bytes.ts';
import type { Reply } from '../contract/commands.ts';
import type { Trace } from '../contract/facts.ts';
import type { Failure } from '../errors.ts';
import type { Target } from '../routing/rule.ts';
import type { Lane } from '../session/lane.ts';
import type { Session } from '../session/session.ts';
import { WheelEntry } from '../timer-wheel.ts';
import type { Upstream } from './upstream.ts';

/** Where a call waits, with the upstream that has it: a table or a queue, or the request itself. */
export interface PendingCall {
  /** Nobody waits for the answer any more: the deadline has passed, or the client is gone. The caller ends the call. */
  cancel(call: Call): void;
  /** Why it has not left yet, where it waits for a backend or the bus to be there; null: it has. Absent: so it is always. */
  unsentBecause?(call: Call): Failure | null;
}

/** The trace of one call; the backend is told of it when the call is sent. */
export interface CallTrace extends Trace {
  readonly traceId: string;
  /** One more attribute of the span for the time at the backend. */
  tell(name: string, value: string | number): void;
  /** It will be sent again, which is another span. */
  failedOnce(reason: string): void;
}

export abstract class Call extends WheelEntry {
  /** Counts the uses of a pooled slot: code that keeps a call beyond its end must compare it. */
  generation = 0;

  session!: Session;
  lane!: Lane;
  target!: Target;
  upstream!: Upstream;
  /** As the backend sees it. */
  route = '';
  /** As the client sent it. */
  clientRoute = '';
  rawId = 0;
  /** False for a notify. */
  wantsAnswer = false;
  /** As the client sent it: a view. */
  body: Buffer = NOTHING;
  /** The gateway's own count of this session's messages. */
  seq = 0;
  /** On the monotonic clock, milliseconds. */
  deadline = 0;
  startedAt = 0;
  /** '' for any instance. */
  instance = '';
  unordered = false;
  /** It is one of its lane's messages in flight. */
  readonly isInLane: boolean = true;
  /** The trace that is propagated to the backend; null: not traced. */
  trace: CallTrace | null = null;
  /** The backend has had more time once. */
  extended = false;
  /** It may be sent again: its route says so, or its method. */
  idempotent = false;
  /** Its failure has been logged already. */
  reported = false;
  /** Why it fails, for operators, where that is known before its end; '': not. */
  why = '';

  /** Set by the upstream: where the call waits, or its answer is awaited; null: nowhere. */
  pending: PendingCall | null = null;
  /** Owned by the object that set `pending`: the call's number there. */
  pendingId = 0;

  /** Milliseconds until the deadline, whole and at least 1. @param now On the monotonic clock. */
  leftMs(now: number): number {
    return Math.max(1, Math.round(this.deadline - now));
  }

  /** The hot way: a body and nothing else. */
  abstract succeed(body: Uint8Array): void;
  abstract fail(why: Failure): void;
  abstract answer(reply: Reply): void;
  /** A notify has left; nothing more is awaited. */
  abstract sent(): void;
}
