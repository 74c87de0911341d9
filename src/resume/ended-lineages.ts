/**
 * Lineages that have ended: a backend has closed a session of theirs, or taken its uid from it, so no token of theirs
 * brings it back. All gateways keep the same list, each entry for as long as a token lasts.
 */
import type { Clock } from '../clock.ts';

/** Lineages on the list; beyond it the oldest are forgotten. */
export const ENDED_MAX = 100_000;

export type EndedLineage = {
  readonly lineage: string;
  /** Tokens with a counter up to this one are void; null: all of them. */
  readonly upTo: number | null;
  /** Milliseconds for which the entry is still kept. */
  readonly leftMs: number;
};

/** `seq` grows from entry to entry. */
type Entry = { readonly upTo: number; readonly until: number; readonly seq: number };

/** A part of the list, for a gateway that has just begun. */
export type EndedPage = {
  readonly ended: readonly EndedLineage[];
  /** What to continue after; 0: that is all. */
  readonly next: number;
};

export class EndedLineages {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #onForgotten: () => void;
  /** In the order in which they came, and so nearly in that in which they end. */
  readonly #entries = new Map<string, Entry>();
  #seq = 0;

  /** @param onForgotten An entry was dropped before its time. */
  constructor(clock: Clock, windowMs: number, onForgotten: () => void = () => {}) {
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @returns Whether it says more than what was known. */
  add({ lineage, upTo, leftMs }: EndedLineage): boolean {
    const known = this.#entries.get(lineage);
    const entry = {
      upTo: Math.max(upTo ?? Infinity, known?.upTo ?? 0),
      until: Math.max(
        this.#clock.now() + Math.min(leftMs, this.#windowMs),
        known?.until ?? -Infinity,
      ),
      seq: ++this.#seq,
    };
    const isNews = known === undefined || known.upTo < entry.upTo;
    // To its place in the order.
    this.#entries.delete(lineage);
    this.#entries.set(lineage, entry);
    this.#makeRoom();
    return isNews;
  }

  /** Whether a token of this counter is void. */
  has(lineage: string, counter: number): boolean {
    const entry = this.#entries.get(lineage);
    return entry !== undefined && entry.until > this.#clock.now() && counter <= entry.upTo;
  }

  /** The entry of a lineage, as others are told of it; null: there is none any more. */
  entryOf(lineage: string): EndedLineage | null {
    const entry = this.#entries.get(lineage);
    return entry === undefined ? null : this.#told(lineage, entry);
  }

  /** At most `limit` entries, those that came after `after`. */
  page(after: number, limit: number): EndedPage {
    const ended: EndedLineage[] = [];
    let next = after;
    for (const [lineage, entry] of this.#entries) {
      if (entry.seq <= after) continue;
      if (ended.length === limit) return { ended, next };
      next = entry.seq;
      const one = this.#told(lineage, entry);
      if (one !== null) ended.push(one);
    }
    return { ended, next: 0 };
  }

  #told(lineage: string, { upTo, until }: Entry): EndedLineage | null {
    const leftMs = Math.ceil(until - this.#clock.now());
    return leftMs > 0 ? { lineage, upTo: upTo === Infinity ? null : upTo, leftMs } : null;
  }

  #makeRoom(): void {
    const now = this.#clock.now();
    for (const [lineage, { until }] of this.#entries) {
      if (until > now && this.#entries.size <= ENDED_MAX) return;
      if (until > now) this.#onForgotten();
      this.#entries.delete(lineage);
    }
  }
}
