/** Backends that had attached to the process before this one attach again: what is for them waits. */
import { failure, type Failure } from '../../errors.ts';
import type { Lane } from '../../session/lane.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Call, PendingCall } from '../call.ts';
import { CallQueue } from '../call-queue.ts';
import type { Waits } from '../waits.ts';

/** How long they are waited for. */
export const RETURN_MS = 5_000;
/** Bytes of the requests that wait, with `CALL_BYTES` for each; beyond it they are refused. */
export const RETURN_BYTES_MAX = 8 * 1024 * 1024;

/** A session that backends know from the process before. */
type Known = {
  /** Their instances, first the one that it keeps to; '': one without a name. */
  readonly places: readonly string[];
  isBack: boolean;
  /** Its end, which they are to hear of; null: it has not ended. */
  ended: Buffer | null;
};

export class Returning implements PendingCall {
  #isOn = false;
  readonly #wheel: TimerWheel;
  readonly #over: Timeout;
  readonly #send: (call: Call) => void;
  readonly #calls: CallQueue;
  readonly #known = new Map<Lane, Known>();

  /** @param send Sends what has waited, or ends it. */
  constructor(wheel: TimerWheel, waits: Waits, send: (call: Call) => void) {
    this.#wheel = wheel;
    this.#send = send;
    this.#calls = new CallQueue(RETURN_BYTES_MAX, Infinity, waits);
    this.#over = new Timeout(() => {
      this.end();
    });
  }

  begin(): void {
    this.#isOn = true;
    this.#wheel.set(this.#over, RETURN_MS);
  }

  /** They have had the time, or the gateway stops. */
  end(): void {
    this.#isOn = false;
    this.#wheel.cancel(this.#over);
    this.#known.clear();
    this.#sendAll();
  }

  expect(lane: Lane, places: readonly string[]): void {
    if (this.#isOn) this.#known.set(lane, { places, isBack: false, ended: null });
  }

  /** The one that the session keeps to is not there yet. */
  awaits(lane: Lane): boolean {
    return this.#known.get(lane)?.isBack === false;
  }

  /** There is nobody for it. Ends the call where it cannot wait. */
  keep(call: Call): void {
    // A small view may hold a large buffer.
    if (this.#isOn && call.body.length > 0) call.body = Buffer.from(call.body);
    if (!this.#isOn) call.fail(failure('BACKEND_AWAY'));
    else if (!this.#calls.add(call, this, null))
      call.fail(failure('OVERLOADED', 'too much waits for the backend'));
  }

  cancel(call: Call): void {
    this.#calls.remove(call);
  }

  unsentBecause(): Failure {
    return failure('BACKEND_AWAY');
  }

  /** The session has ended. @param event Says so to those who come yet. */
  ended(lane: Lane, event: () => Buffer): void {
    const known = this.#known.get(lane);
    if (known !== undefined) known.ended = event();
  }

  /**
   * One of them is there, or another one.
   *
   * @param keepTo Is told of each session that it knows.
   * @param tell Tells it of an end.
   */
  cameBack(
    instance: string,
    keepTo: (lane: Lane, places: readonly string[]) => void,
    tell: (event: Buffer) => void,
  ): void {
    if (!this.#isOn) return;
    for (const [lane, known] of this.#known) {
      const at = known.places.indexOf(instance);
      if (at < 0) continue;
      if (known.ended !== null) tell(known.ended);
      else keepTo(lane, known.places);
      known.isBack ||= at === 0;
    }
    this.#sendAll();
  }

  /** In their order; those that find nobody wait again. */
  #sendAll(): void {
    for (let left = this.#calls.size; left > 0; left--) {
      const next = this.#calls.take();
      if (next === null) return;
      this.#send(next.call);
    }
  }
}
