/**
 * What waits to be sent to one client, bounded in bytes; and the flusher that sends what a turn of the event
 * loop has gathered in one write per socket.
 *
 * Messages wait here, not in the socket, while the client is slow: here they can still be replaced or expire.
 */
import type { Clock } from '../clock.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { Connection } from '../transport/transport.ts';

export type OutboxLimits = {
  /** Unsent bytes per session; one message may exceed an empty outbox. */
  readonly bytesMax: number;
  /** Milliseconds of backlog after which droppable pushes are dropped. */
  readonly dropAfterMs: number;
};

/** taken: it will be sent · dropped: as its kind allows · full: it did not fit and may not be dropped. */
export type Taken = 'taken' | 'dropped' | 'full';

/** A push that need not be sent in every case. */
export type Perishable = {
  readonly droppable: boolean;
  /** On the clock; Infinity: never. */
  readonly expiresAt: number;
  /** '' for none; else only the newest unsent one of this key is kept. */
  readonly latestKey: string;
};

/** What goes out in one write. */
const PIECE_BYTES = 65_536;
/** Sent entries that are kept before the list is shortened. */
const COMPACT_AT = 1_024;

type Entry = Encoded | Stale;

/** A push that may spoil before it is sent. */
class Stale {
  readonly encoded: Encoded;
  /** A newer one of its key has taken its place. */
  isReplaced = false;
  readonly expiresAt: number;
  readonly latestKey: string;

  constructor(encoded: Encoded, perishable: Perishable) {
    this.encoded = encoded;
    this.expiresAt = perishable.expiresAt;
    this.latestKey = perishable.latestKey;
  }
}

export class Outbox {
  readonly #connection: Connection;
  readonly #flusher: Flusher;
  readonly #limits: OutboxLimits;
  /** What waits, from `#head` on. */
  #entries: Entry[] = [];
  #head = 0;
  #queuedBytes = 0;
  /** The newest unsent push of a key; made at the first such push. */
  #latest: Map<string, Stale> | null = null;
  #corks = 0;
  #dirty = false;
  /** Pushes that expired or were replaced before they were sent. */
  #spoiled = 0;
  /** When the backlog that is there now began; 0: none. */
  #backlogSince = 0;

  constructor(connection: Connection, flusher: Flusher, limits: OutboxLimits) {
    this.#connection = connection;
    this.#flusher = flusher;
    this.#limits = limits;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#queuedBytes + this.#connection.bufferedBytes;
  }

  /** Milliseconds for which the client has taken nothing although there was something; 0: no backlog. */
  backlogMs(now: number): number {
    return this.#backlogSince === 0 ? 0 : now - this.#backlogSince;
  }

  /** The client does not keep up: something waits for it to read, or half of what may wait does. */
  get isBehind(): boolean {
    return this.#backlogSince !== 0 || this.#queuedBytes > this.#limits.bytesMax / 2;
  }

  /** How many pushes were replaced or expired since the last call. */
  takeSpoiled(): number {
    const spoiled = this.#spoiled;
    this.#spoiled = 0;
    return spoiled;
  }

  /** Puts a message that must be sent. */
  put(encoded: Encoded): Taken {
    if (!this.#fits(encoded)) return 'full';
    this.#entries.push(encoded);
    this.#queuedBytes += encoded.length;
    this.#touch();
    return 'taken';
  }

  /** Puts a push that may be dropped, replaced or expire. */
  putPerishable(encoded: Encoded, perishable: Perishable): Taken {
    const { droppable, latestKey } = perishable;
    const older = latestKey === '' ? undefined : this.#latest?.get(latestKey);
    const freed = older?.encoded.length ?? 0;
    const slow = this.backlogMs(this.#flusher.now()) > this.#limits.dropAfterMs;
    if ((droppable && slow) || !this.#fits(encoded, freed)) {
      return droppable || latestKey !== '' ? 'dropped' : 'full';
    }
    if (older !== undefined) this.#replace(older);
    const entry = new Stale(encoded, perishable);
    if (latestKey !== '') (this.#latest ??= new Map()).set(latestKey, entry);
    this.#entries.push(entry);
    this.#queuedBytes += encoded.length;
    this.#touch();
    return 'taken';
  }

  /** Keeps everything back until `uncork`; corks add up. What is put meanwhile waits in order. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    this.#corks--;
    if (this.#corks === 0 && this.#waits) this.#touch();
  }

  /** Sends what waits, as far as the client takes it; the next drain sends the rest. */
  flush(): void {
    this.#dirty = false;
    if (this.#corks > 0) return;
    // In pieces: each that the client has taken shows that it reads, and what waits here can still be replaced.
    while (this.#waits && !this.#connection.congested) this.#send(PIECE_BYTES);
    if (this.#connection.congested && this.#backlogSince === 0)
      this.#backlogSince = this.#flusher.now();
  }

  /** Sends everything, whatever keeps it back: the connection is closed next. */
  flushLast(): void {
    this.#corks = 0;
    if (this.#waits) this.#send(Infinity);
  }

  /** The socket has taken all that it was given. */
  onDrain(): void {
    this.#backlogSince = 0;
    this.flush();
  }

  get #waits(): boolean {
    return this.#head < this.#entries.length;
  }

  /** Sends at most `bytesMax` in one write, or one message that is larger. */
  #send(bytesMax: number): void {
    const last = this.#entries.at(-1)!;
    if (this.#entries.length === 1 && !(last instanceof Stale)) {
      // The usual case. The list keeps its memory.
      this.#entries.pop();
      this.#queuedBytes = 0;
      this.#connection.send([last]);
      return;
    }
    const packets: Encoded[] = [];
    let bytes = 0;
    while (this.#waits && bytes < bytesMax) {
      const entry = this.#entries[this.#head]!;
      const fresh = entry instanceof Stale ? this.#fresh(entry) : entry;
      if (fresh !== null) {
        if (bytes > 0 && bytes + fresh.length > bytesMax) break;
        packets.push(fresh);
        bytes += fresh.length;
      }
      this.#head++;
    }
    this.#queuedBytes -= bytes;
    if (!this.#waits) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_AT) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
    if (packets.length > 0) this.#connection.send(packets);
  }

  #fits(encoded: Encoded, freed = 0): boolean {
    const unsent = this.unsentBytes - freed;
    return unsent === 0 || unsent + encoded.length <= this.#limits.bytesMax;
  }

  #replace(older: Stale): void {
    older.isReplaced = true;
    this.#queuedBytes -= older.encoded.length;
    this.#spoiled++;
  }

  /** What of a perishable push is to be sent now; null: nothing. */
  #fresh(entry: Stale): Encoded | null {
    if (entry.isReplaced) return null;
    if (entry.latestKey !== '') this.#latest!.delete(entry.latestKey);
    if (entry.expiresAt > this.#flusher.now()) return entry.encoded;
    this.#queuedBytes -= entry.encoded.length;
    this.#spoiled++;
    return null;
  }

  #touch(): void {
    if (this.#dirty || this.#corks > 0) return;
    this.#dirty = true;
    this.#flusher.add(this);
  }
}

/** Flushes every outbox that was written to, once per turn of the event loop. One per gateway. */
export class Flusher {
  readonly #clock: Clock;
  #dirty: Outbox[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  add(outbox: Outbox): void {
    this.#dirty.push(outbox);
    if (this.#dirty.length === 1) setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const outbox of dirty) outbox.flush();
  };
}
