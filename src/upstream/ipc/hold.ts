/** What waits for the process that takes over a path, from the goaway of the one before. */
import { type Failure, failure } from '../../errors.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallQueue } from '../call-queue.ts';
import type { Waits } from '../waits.ts';
import type { ConnectAsk } from '../upstream.ts';

/** How long requests wait at most; then they are answered 503. */
export const IPC_HOLD_MS = 2_000;
/** Bytes of the requests that wait, with `CALL_BYTES` for each; beyond it they are refused. */
export const IPC_HOLD_BYTES_MAX = 8 * 1024 * 1024;
/** Ends of sessions and gateways that wait; beyond it they are not reported. */
export const IPC_HOLD_EVENTS_MAX = 10_000;

export type HeldCall = {
  readonly call: Call;
  /** Of a handshake: what is asked. */
  readonly what: ConnectAsk | null;
};

export class Hold implements PendingCall {
  /** There was a goaway, and there is no other connection yet. */
  isOn = false;
  readonly #wheel: TimerWheel;
  readonly #over: Timeout;
  readonly #calls: CallQueue<ConnectAsk | null>;
  #events: Buffer[] = [];

  /** @param onOver Nobody has taken over in time. */
  constructor(wheel: TimerWheel, waits: Waits, onOver: () => void) {
    this.#wheel = wheel;
    this.#calls = new CallQueue(IPC_HOLD_BYTES_MAX, Infinity, waits);
    this.#over = new Timeout(onOver);
  }

  /** Another goaway meanwhile gives no more time. */
  begin(): void {
    if (!this.isOn) this.#wheel.set(this.#over, IPC_HOLD_MS);
    this.isOn = true;
  }

  /** Ends the call where it cannot wait. */
  keep(call: Call, ask: ConnectAsk | null): void {
    // A small view may hold a large buffer.
    if (this.isOn && call.body.length > 0) call.body = Buffer.from(call.body);
    if (!this.isOn) call.fail(failure('BACKEND_AWAY'));
    else if (!this.#calls.add(call, this, ask))
      call.fail(failure('OVERLOADED', 'too much waits for the backend'));
  }

  cancel(call: Call): void {
    this.#calls.remove(call);
  }

  unsentBecause(): Failure {
    return failure('BACKEND_AWAY');
  }

  /** False: too many wait. @param line That needs no answer. */
  keepEvent(line: Buffer): boolean {
    if (this.#events.length >= IPC_HOLD_EVENTS_MAX) return false;
    this.#events.push(line);
    return true;
  }

  /** It is over. The events that waited. */
  end(): Buffer[] {
    this.isOn = false;
    this.#wheel.cancel(this.#over);
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** The next of those that waited, which is out then; null: none is left. */
  take(): HeldCall | null {
    return this.#calls.take();
  }
}
