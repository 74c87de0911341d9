/** Calls that wait until a connection can take them, in the order in which they came. */
import type { Call, PendingCall } from './call.ts';
import type { Waits } from './waits.ts';

/** Bytes that a waiting call takes besides its body. */
export const CALL_BYTES = 1_024;
/** Empty places, left by cancelled calls, after which the queue is compacted. */
const GAPS_MAX = 1_024;

/** @typeParam T What is to be sent, where it is made before there is room. */
type Waiting<T> = { readonly call: Call; readonly what: T; readonly bytes: number };

export class CallQueue<T = null> {
  readonly #bytesMax: number;
  readonly #callsMax: number;
  /** A call's number is its place. */
  #places: (Waiting<T> | null)[] = [];
  #head = 0;
  #size = 0;
  #bytes = 0;
  readonly #waits: Waits | null;

  /** @param bytesMax Of all that waits. @param waits Where it is counted; null: nowhere. */
  constructor(bytesMax: number, callsMax = Infinity, waits: Waits | null = null) {
    this.#bytesMax = bytesMax;
    this.#callsMax = callsMax;
    this.#waits = waits;
  }

  get size(): number {
    return this.#size;
  }

  /** Of all that waits. */
  get bytes(): number {
    return this.#bytes;
  }

  /** False: there is no room. @param pending Notified when the call is cancelled; it calls `remove`. */
  add(call: Call, pending: PendingCall, what: T, bytes = CALL_BYTES + call.body.length): boolean {
    if (this.#size >= this.#callsMax || this.#bytes + bytes > this.#bytesMax) return false;
    if (this.#places.length > 2 * this.#size + GAPS_MAX) this.#closeGaps();
    this.#bytes += bytes;
    this.#size++;
    this.#waits?.begin();
    call.pending = pending;
    call.pendingId = this.#places.push({ call, what, bytes }) - 1;
    return true;
  }

  /** The one that has waited longest, which is out then; null: none waits. */
  take(): Waiting<T> | null {
    while (this.#head < this.#places.length) {
      const first = this.#places[this.#head++]!;
      if (first === null) continue;
      this.remove(first.call);
      return first;
    }
    return null;
  }

  has(call: Call): boolean {
    return this.#places[call.pendingId]?.call === call;
  }

  /** Takes out a call that need not be sent any more; false: it is not in. */
  remove(call: Call): boolean {
    const place = this.#places[call.pendingId];
    if (place?.call !== call) return false;
    this.#places[call.pendingId] = null;
    this.#bytes -= place.bytes;
    this.#size--;
    this.#waits?.end();
    call.pending = null;
    return true;
  }

  #closeGaps(): void {
    this.#places = this.#places.filter((place) => place !== null);
    this.#head = 0;
    for (const [at, place] of this.#places.entries()) place!.call.pendingId = at;
  }
}
