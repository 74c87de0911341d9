/**
 * The calls that wait for an answer on one link or subject, by a number that goes on the wire.
 *
 * Numbers count up and are not used again: the place is the number's low bits (the slot), the rest is its
 * generation, so a late answer finds either nothing or a call of another number. Places that are still taken
 * are skipped, which takes the longest-free slot first.
 */
import type { Call, PendingCall } from './call.ts';

const PLACES_START = 256;

export class CallTable {
  readonly #idMax: number;
  #places: (Call | null)[] = emptyPlaces(PLACES_START);
  #mask = PLACES_START - 1;
  #next = 1;
  #size = 0;
  /** The numbers have begun again at 1. */
  #isRound = false;

  /** @param idMax After it numbers begin again at 1: 2^32 - 1 on a Link, 2^53 - 1 in a subject. */
  constructor(idMax: number) {
    this.#idMax = idMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Puts the call in, where `pending` waits for its answer, and gives its number, also in `call.pendingId`. */
  add(call: Call, pending: PendingCall): number {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    let id = this.#next;
    while (this.#places[id % (this.#mask + 1)] !== null) id = this.#after(id);
    this.#next = this.#after(id);
    this.#places[id % (this.#mask + 1)] = call;
    this.#size++;
    call.pending = pending;
    call.pendingId = id;
    return id;
  }

  /** The call of this number; it is out then. null: it ended already, or never was. */
  take(id: number): Call | null {
    const call = this.find(id);
    if (call !== null) this.remove(call);
    return call;
  }

  /** Numbers up to this one are taken: by another process, before this one. */
  get last(): number {
    return this.#next - 1;
  }

  set last(id: number) {
    this.#next = this.#after(id);
  }

  /** True for a number that was given to a call at any time. */
  wasGiven(id: number): boolean {
    return this.#isRound || (id > 0 && id < this.#next);
  }

  find(id: number): Call | null {
    const call = this.#places[id % (this.#mask + 1)];
    return call !== undefined && call !== null && call.pendingId === id ? call : null;
  }

  /** Takes a call out that will not be answered; false: it is not in. */
  remove(call: Call): boolean {
    if (!this.#has(call)) return false;
    this.#places[call.pendingId % (this.#mask + 1)] = null;
    call.pending = null;
    this.#size--;
    return true;
  }

  /** Those that are in, in no order. */
  all(): Call[] {
    return this.#places.filter((call) => call !== null);
  }

  /** Empties the table, one call at a time: ending one may end others of its session, and they are left out. */
  *takeAll(): Generator<Call, void> {
    for (const call of this.all()) {
      if (this.remove(call)) yield call;
    }
  }

  #has(call: Call): boolean {
    return this.#places[call.pendingId % (this.#mask + 1)] === call;
  }

  #after(id: number): number {
    if (id < this.#idMax) return id + 1;
    this.#isRound = true;
    return 1;
  }

  #grow(): void {
    const calls = this.#places.filter((call) => call !== null);
    const places = this.#places.length * 2;
    this.#places = emptyPlaces(places);
    this.#mask = places - 1;
    // Numbers that differ in the low bits differ in more of them, so no two calls meet.
    for (const call of calls) this.#places[call.pendingId % places] = call;
  }
}

function emptyPlaces(count: number): (Call | null)[] {
  return Array.from({ length: count }, () => null);
}
