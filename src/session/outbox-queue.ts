/** The messages of an outbox in their order; of pushes with one key the newest, and none that has expired. */
import type { Clock } from '../clock.ts';
import type { Encoded } from '../protocol/packet.ts';

/** A push that need not be sent in every case. */
export type Perishable = {
  readonly droppable: boolean;
  /** On the clock; Infinity: never. */
  readonly expiresAt: number;
  /** '' for none; else only the newest unsent one of this key is kept. */
  readonly latestKey: string;
  /** Hears that it was taken, and not sent; absent: nobody has to know. */
  readonly watcher?: { skipped(): void };
};

/** Pushes that were taken by the outbox, and not sent. */
export type Skipped = {
  /** A newer one of their key has taken their place. */
  replaced: number;
  expired: number;
};

/** Entries at the front that were taken, or anywhere that were replaced, before the list is shortened. */
const COMPACT_AT = 1_024;

/** Bytes that an entry takes besides its body, which is short in most pushes. */
export const ENTRY_BYTES = 128;
/** Bytes that a key takes besides its characters. */
const KEY_BYTES = 128;
/** So much of that counts as the session's own memory, with which `limits.connections` reckons. */
const SPARE_BYTES = 32_768;

type Entry = Encoded | Stale;

/** A push that may spoil before it is sent. */
class Stale {
  /** null: a newer one of its key has taken its place. */
  encoded: Encoded | null;
  readonly expiresAt: number;
  readonly latestKey: string;
  readonly watcher: Perishable['watcher'];

  constructor(encoded: Encoded, perishable: Perishable) {
    this.encoded = encoded;
    this.expiresAt = perishable.expiresAt;
    this.latestKey = perishable.latestKey;
    this.watcher = perishable.watcher;
  }
}

export class OutboxQueue {
  /** Of what waits. */
  bytes = 0;
  /** What waits, from `#head` on; null: it was taken. */
  #entries: (Entry | null)[] = [];
  #head = 0;
  /** Entries from `#head` on that are empty, because they were replaced. */
  #empty = 0;
  /** The newest push of a key; made at the first such push. */
  #latest: Map<string, Stale> | null = null;
  /** What the keys take. */
  #keyBytes = 0;
  readonly #skipped: Skipped;

  /** @param skipped Counts up with each, here and in all other queues that have it. */
  constructor(skipped: Skipped) {
    this.#skipped = skipped;
  }

  /** Entries that wait, with those that were replaced. */
  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** What all of it takes in memory, about: of many small pushes it is many times their bytes. */
  get heldBytes(): number {
    const beside = (this.length - this.#empty) * ENTRY_BYTES + this.#keyBytes;
    return this.bytes + Math.max(0, beside - SPARE_BYTES);
  }

  /** Bytes that a push with this key would replace. */
  bytesOf(latestKey: string): number {
    if (latestKey === '' || this.#latest === null) return 0;
    return this.#latest.get(latestKey)?.encoded?.length ?? 0;
  }

  push(encoded: Encoded): void {
    this.#entries.push(encoded);
    this.bytes += encoded.length;
  }

  pushPerishable(encoded: Encoded, perishable: Perishable): void {
    const { latestKey } = perishable;
    const entry = new Stale(encoded, perishable);
    if (latestKey !== '') {
      const older = this.#latest?.get(latestKey);
      if (older === undefined) this.#keyBytes += KEY_BYTES + latestKey.length;
      else this.#replace(older);
      (this.#latest ??= new Map()).set(latestKey, entry);
    }
    this.#entries.push(entry);
    this.bytes += encoded.length;
  }

  /** Takes out what is to be sent in one write: at most `bytesMax`, or one message that is larger. */
  take(bytesMax: number, clock: Pick<Clock, 'now'>): readonly Encoded[] {
    const last = this.#entries.at(-1)!;
    if (this.#entries.length === 1 && !(last instanceof Stale)) {
      // The usual case. The list keeps its memory.
      this.#entries.pop();
      this.bytes = 0;
      return [last];
    }
    const packets: Encoded[] = [];
    let bytes = 0;
    while (this.length > 0 && bytes < bytesMax) {
      const entry = this.#entries[this.#head]!;
      const fresh = entry instanceof Stale ? this.#fresh(entry, clock) : entry;
      if (fresh !== null) {
        // It stays what it is: with a key it can still be replaced.
        if (bytes > 0 && bytes + fresh.length > bytesMax) break;
        if (entry instanceof Stale) this.#forget(entry);
        packets.push(fresh);
        bytes += fresh.length;
      }
      // Nothing is kept of what has gone: its bytes are no longer counted.
      this.#entries[this.#head++] = null;
    }
    this.bytes -= bytes;
    if (this.length === 0) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_AT) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
    return packets;
  }

  /** Puts messages before all that waits. */
  pushFirst(messages: readonly Encoded[]): void {
    this.#entries = [...messages, ...this.#entries.slice(this.#head)];
    this.#head = 0;
    for (const { length } of messages) this.bytes += length;
  }

  clear(): void {
    this.bytes = 0;
    this.#entries = [];
    this.#head = 0;
    this.#empty = 0;
    this.#latest = null;
    this.#keyBytes = 0;
  }

  #replace(older: Stale): void {
    this.bytes -= older.encoded!.length;
    older.encoded = null;
    older.watcher?.skipped();
    this.#skipped.replaced++;
    this.#empty++;
    if (this.#empty < COMPACT_AT || this.#empty < this.length / 2) return;
    this.#entries = this.#entries
      .slice(this.#head)
      .filter((entry) => !(entry instanceof Stale) || entry.encoded !== null);
    this.#head = 0;
    this.#empty = 0;
  }

  /** What of a perishable push is to be sent now; null: nothing. */
  #fresh(entry: Stale, clock: Pick<Clock, 'now'>): Encoded | null {
    const { encoded } = entry;
    if (encoded === null) {
      this.#empty--;
      return null;
    }
    if (entry.expiresAt === Infinity || entry.expiresAt > clock.now()) return encoded;
    this.#forget(entry);
    this.bytes -= encoded.length;
    this.#skipped.expired++;
    entry.watcher?.skipped();
    return null;
  }

  /** It cannot be replaced any more. */
  #forget({ latestKey }: Stale): void {
    if (latestKey === '') return;
    this.#latest!.delete(latestKey);
    this.#keyBytes -= KEY_BYTES + latestKey.length;
  }
}
