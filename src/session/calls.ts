/** The messages that a session waits for. */
import type { Failure } from '../errors.ts';
import type { InFlight } from './session-parts.ts';

export class Calls {
  readonly #calls: InFlight[] = [];

  get size(): number {
    return this.#calls.length;
  }

  add(call: InFlight): void {
    call.sessionIndex = this.#calls.length;
    this.#calls.push(call);
  }

  remove(call: InFlight): void {
    const last = this.#calls.pop()!;
    if (last !== call) {
      this.#calls[call.sessionIndex] = last;
      last.sessionIndex = call.sessionIndex;
    }
    call.sessionIndex = -1;
  }

  /** True while the request that came with `rawId` waits for its answer. */
  awaits(rawId: number): boolean {
    for (const call of this.#calls) if (call.rawId === rawId && call.wantsAnswer) return true;
    return false;
  }

  /** Answers all of them with an error. */
  giveUp(why: Failure): void {
    for (const call of [...this.#calls]) call.giveUp(why);
  }

  /** Tells all of them that the session is closed; each takes itself out, now or later. */
  end(): void {
    for (const call of [...this.#calls]) call.abandon();
  }
}
