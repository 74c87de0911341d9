/** What one session waits for. */
import type { Failure } from '../errors.ts';

/** A message that a session waits for. */
export interface InFlight {
  readonly rawId: number;
  readonly wantsAnswer: boolean;
  /** Owned by `AllInFlight`: the one that came before it, and the next; absent: it has not been in. */
  inFlightBefore?: InFlight | null;
  inFlightAfter?: InFlight | null;
  /** Its client is gone, so its answer is no longer needed. */
  abandon(): void;
  /** Its answer is no longer needed, but its client can be answered with `why`. */
  giveUp(why: Failure): void;
}

/** All messages that one session waits for, in their order: a chain through them, so that none is copied or hashed. */
export class AllInFlight {
  size = 0;
  #first: InFlight | null = null;
  #last: InFlight | null = null;
  /** While all are being ended: the next one. Each takes itself out, now or later, and may take out others. */
  #next: InFlight | null = null;

  /** True while the request that came with `rawId` waits for its answer. */
  awaits(rawId: number): boolean {
    for (let call = this.#first; call !== null; call = after(call))
      if (call.rawId === rawId && call.wantsAnswer) return true;
    return false;
  }

  /** It must not be in. */
  add(call: InFlight): void {
    const last = this.#last;
    call.inFlightBefore = last;
    call.inFlightAfter = null;
    if (last === null) this.#first = call;
    else last.inFlightAfter = call;
    this.#last = call;
    this.size++;
  }

  /** Harmless if it is not in. */
  delete(call: InFlight): void {
    const before = call.inFlightBefore ?? null;
    if (before === null && this.#first !== call) return;
    const next = after(call);
    if (this.#next === call) this.#next = next;
    if (before === null) this.#first = next;
    else before.inFlightAfter = next;
    if (next === null) this.#last = before;
    else next.inFlightBefore = before;
    call.inFlightBefore = null;
    call.inFlightAfter = null;
    this.size--;
  }

  giveUp(why: Failure): void {
    for (let call = this.#first; call !== null; call = this.#next) {
      this.#next = after(call);
      call.giveUp(why);
    }
  }

  abandon(): void {
    for (let call = this.#first; call !== null; call = this.#next) {
      this.#next = after(call);
      call.abandon();
    }
  }
}

function after(call: InFlight): InFlight | null {
  return call.inFlightAfter ?? null;
}
