/**
 * What one client has of one group whose pushes are numbered: up to where its last snapshot went, what waits for the
 * next one, and what it has missed. Pure.
 */
import type { Cursor } from '../contract/cursor.ts';
import type { FrozenView } from './frozen.ts';
import { type HeldPush, HeldPushes, type HeldTotals } from './held-pushes.ts';

/** Not all pushes from the first to the last have come. Of two epochs: nobody knows what is between them. */
export type Gap = { readonly from: Cursor; readonly to: Cursor };

export class GroupView {
  readonly group: string;
  /** Requests in flight that join the group: while there are any, its pushes wait. */
  pending = 0;
  /** The session is a member only for the sake of those requests. */
  isTrial = false;
  /** The session has left the group, or has ended. */
  isGone = false;
  /** What waits. */
  readonly held: HeldPushes;
  /** When nobody has to know of it any more. A time of the clock. */
  forgetAt = Infinity;
  /** null: there is nothing to tell. */
  missed: Gap | null = null;
  /** What the client's last snapshot has; null: it has none, or nobody knows. */
  #from: Cursor | null = null;
  /** The last that the client has, or was told that it has missed; null: unknown. */
  #seen: Cursor | null = null;
  /** The same when the first of the requests in flight began. */
  #before: Cursor | null = null;
  /** One of the requests in flight has been answered. */
  #isAnswered = false;
  /** The last that was dropped while others waited. */
  #dropped: Cursor | null = null;

  constructor(group: string, totals: HeldTotals) {
    this.group = group;
    this.held = new HeldPushes(totals);
  }

  /** Late pushes have to be told from new ones. */
  get hasSnapshot(): boolean {
    return this.#from !== null;
  }

  /** For another process, while nothing is in flight. @param now On the clock. */
  freeze(now: number): FrozenView {
    const forgetMs = this.forgetAt === Infinity ? null : this.forgetAt - now;
    return { group: this.group, from: this.#from, seen: this.#seen, missed: this.missed, forgetMs };
  }

  thaw({ from, seen, missed, forgetMs }: FrozenView, now: number): void {
    this.#from = from;
    this.#seen = seen;
    this.missed = missed;
    this.forgetAt = forgetMs === null ? Infinity : now + forgetMs;
  }

  begin(isTrial: boolean): void {
    if (this.pending === 0) {
      this.#before = this.#seen;
      this.#isAnswered = false;
    }
    this.pending++;
    this.isTrial = isTrial;
  }

  /** The client has got a snapshot. @param from What it has; null: the backend does not say. */
  answered(from: Cursor | null): void {
    this.isTrial = false;
    this.#isAnswered = true;
    this.#from = from;
  }

  /** There is no room for it. */
  drop(cursor: Cursor | null): void {
    this.#dropped = cursor ?? this.#dropped;
  }

  /** True if the client has it by its snapshot. */
  has({ epoch, n }: Cursor): boolean {
    return this.#from !== null && this.#from.epoch === epoch && n <= this.#from.n;
  }

  /** Takes out what has waited and the snapshot does not have. */
  release(): HeldPush[] {
    const entries = this.held.take();
    const from = this.#from;
    if (!this.#isAnswered || from === null) return entries;
    this.#startAt(from);
    const isNew = this.#isNewAfter(from, entries);
    return entries.filter(({ cursor }, at) => cursor === null || isNew(cursor, at));
  }

  /** What has waited is with the client; what was dropped meanwhile is missing. */
  released(): void {
    const dropped = this.#dropped;
    this.#dropped = null;
    if (dropped === null || this.has(dropped)) return;
    this.follow(dropped);
    this.miss(dropped, dropped);
  }

  /** It is the next that the client gets, or would get: what is between is missing. */
  follow(cursor: Cursor): void {
    const seen = this.#seen;
    if (seen === null || seen.epoch !== cursor.epoch) {
      if (seen !== null) this.miss(after(seen), before(cursor));
      this.#seen = cursor;
    } else if (cursor.n > seen.n) {
      if (cursor.n > seen.n + 1) this.miss(after(seen), before(cursor));
      this.#seen = cursor;
    }
  }

  /** It will not get these. */
  miss(from: Cursor, to: Cursor): void {
    const missed = this.missed;
    if (missed === null) this.missed = { from, to };
    else
      this.missed = {
        from: missed.from.epoch === from.epoch && from.n < missed.from.n ? from : missed.from,
        to: missed.to.epoch === to.epoch && to.n < missed.to.n ? missed.to : to,
      };
  }

  /** The client's view begins with the snapshot. If it is older than what the client had, the rest is gone from it. */
  #startAt(from: Cursor): void {
    const had = this.#before;
    this.missed = null;
    if (had !== null && had.epoch === from.epoch && had.n > from.n) {
      this.miss(after(from), had);
      this.#seen = had;
    } else {
      this.#seen = from;
    }
  }

  /**
   * Tells the pushes that the snapshot does not have. Of another epoch are those of a publisher that is gone, or of one
   * that came after the snapshot: what came before a push of the snapshot's own epoch is the former, what came behind
   * one the latter. Where there is none to tell by, what was known before the request does; and else they are dropped
   * as missing, because a publisher dies more often before it answers than between its answer and our reading it.
   */
  #isNewAfter(from: Cursor, entries: readonly HeldPush[]): (cursor: Cursor, at: number) => boolean {
    const lastOwn = entries.findLastIndex(({ cursor }) => cursor?.epoch === from.epoch);
    const known = this.#before?.epoch ?? '';
    return (cursor, at) => {
      if (cursor.epoch === from.epoch) return cursor.n > from.n;
      if (cursor.epoch === known) return false;
      if (lastOwn >= 0) return at > lastOwn;
      if (known === from.epoch) return true;
      this.miss(cursor, cursor);
      return false;
    };
  }
}

function after({ epoch, n }: Cursor): Cursor {
  return { epoch, n: n + 1 };
}

function before({ epoch, n }: Cursor): Cursor {
  return { epoch, n: n - 1 };
}
