/** Pushes to one group that wait, in their order, for the answer to a request that joins it. */
import type { Cursor } from '../contract/cursor.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { Perishable } from './outbox-queue.ts';

/** Bytes that an entry takes besides its body, which is short in most pushes. */
const ENTRY_BYTES = 160;
/** Entries that were replaced before the list is shortened. */
const COMPACT_AT = 1_024;

export type HeldPush = {
  /** null: the push is not for this session, which only counts it. */
  encoded: Encoded | null;
  readonly perishable: Perishable | null;
  /** null: it has no number. */
  readonly cursor: Cursor | null;
  /** A newer one of its key has taken its place. */
  isReplaced: boolean;
};

/** What waits for one session, in all its groups. */
export class HeldTotals {
  /** Of the pushes. */
  bytes = 0;
  entries = 0;

  /** What all of it takes in memory, about. */
  get heldBytes(): number {
    return this.bytes + this.entries * ENTRY_BYTES;
  }
}

export class HeldPushes {
  readonly #totals: HeldTotals;
  #bytes = 0;
  #entries: HeldPush[] = [];
  #replaced = 0;
  /** The newest push of a key; made at the first such push. */
  #latest: Map<string, HeldPush> | null = null;

  constructor(totals: HeldTotals) {
    this.#totals = totals;
  }

  get size(): number {
    return this.#entries.length - this.#replaced;
  }

  /** Bytes that a push with this key would replace. */
  bytesOf(latestKey: string): number {
    return latestKey === '' ? 0 : (this.#latest?.get(latestKey)?.encoded?.length ?? 0);
  }

  push(encoded: Encoded, perishable: Perishable | null, cursor: Cursor | null): void {
    const entry = { encoded, perishable, cursor, isReplaced: false };
    const latestKey = perishable?.latestKey ?? '';
    if (latestKey !== '') {
      const older = this.#latest?.get(latestKey);
      if (older !== undefined) this.#replace(older);
      (this.#latest ??= new Map()).set(latestKey, entry);
    }
    this.#add(entry, encoded.length);
  }

  /** Counts a push that is not for this session; it takes as much room as one that is short. */
  pass(cursor: Cursor): void {
    this.#add({ encoded: null, perishable: null, cursor, isReplaced: false }, ENTRY_BYTES);
  }

  /** Takes out all of them. */
  take(): HeldPush[] {
    const entries = this.#entries.filter(({ isReplaced }) => !isReplaced);
    this.#totals.bytes -= this.#bytes;
    this.#totals.entries -= entries.length;
    this.#bytes = 0;
    this.#entries = [];
    this.#replaced = 0;
    this.#latest = null;
    return entries;
  }

  #add(entry: HeldPush, bytes: number): void {
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#totals.bytes += bytes;
    this.#totals.entries++;
  }

  #replace(older: HeldPush): void {
    this.#bytes -= older.encoded!.length;
    this.#totals.bytes -= older.encoded!.length;
    this.#totals.entries--;
    older.encoded = null;
    older.isReplaced = true;
    this.#replaced++;
    if (this.#replaced < COMPACT_AT || this.#replaced < this.#entries.length / 2) return;
    this.#entries = this.#entries.filter(({ isReplaced }) => !isReplaced);
    this.#replaced = 0;
  }
}
