/** Calls that wait until a connection can take them, in the order in which they came. */
import type { Call, PendingCall } from './call.ts';

/** What a waiting call takes beside its body, in bytes. */
export const CALL_BYTES = 1_024;
/** Places of calls that have left, before all places are made anew. */
const GAPS_MAX = 1_024;

export class Waiting {
  readonly #bytesMax: number;
  /** A call's number is its place. */
  #calls: (Call | null)[] = [];
  #head = 0;
  #size = 0;
  #bytes = 0;

  /** @param bytesMax Of all bodies, and of what is kept beside them. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Of all bodies, and of what is kept beside them. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** False: there is no room. @param pending Hears when it is cancelled, and calls `remove`. */
  add(call: Call, pending: PendingCall): boolean {
    const bytes = CALL_BYTES + call.body.length;
    if (this.#bytes + bytes > this.#bytesMax) return false;
    if (this.#calls.length > 2 * this.#size + GAPS_MAX) this.#closeGaps();
    this.#bytes += bytes;
    this.#size++;
    call.pending = pending;
    call.pendingId = this.#calls.push(call) - 1;
    return true;
  }

  /** The first; null: none waits. */
  take(): Call | null {
    while (this.#head < this.#calls.length) {
      const call = this.#calls[this.#head]!;
      this.#head++;
      if (call === null) continue;
      this.remove(call);
      return call;
    }
    return null;
  }

  /** Takes out a call that need not be sent any more; false: it is not in. */
  remove(call: Call): boolean {
    if (this.#calls[call.pendingId] !== call) return false;
    this.#calls[call.pendingId] = null;
    this.#bytes -= CALL_BYTES + call.body.length;
    this.#size--;
    call.pending = null;
    return true;
  }

  #closeGaps(): void {
    this.#calls = this.#calls.filter((call) => call !== null);
    this.#head = 0;
    for (const [place, call] of this.#calls.entries()) call!.pendingId = place;
  }
}
