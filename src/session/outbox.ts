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

type Entry = Encoded | Stale | null;

class Stale {
  readonly encoded: Encoded;
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
  #entries: Entry[] = [];
  #queuedBytes = 0;
  /** Where the newest unsent push of a key stands; made at the first such push. */
  #latest: Map<string, number> | null = null;
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
    if (latestKey !== '') this.#forget(latestKey);
    const slow = this.backlogMs(this.#flusher.now()) > this.#limits.dropAfterMs;
    if ((droppable && slow) || !this.#fits(encoded))
      return droppable || latestKey !== '' ? 'dropped' : 'full';
    if (latestKey !== '') (this.#latest ??= new Map()).set(latestKey, this.#entries.length);
    this.#entries.push(new Stale(encoded, perishable));
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
    if (this.#corks === 0 && this.#entries.length > 0) this.#touch();
  }

  /** Sends what waits, unless the client is not taking any more; then the next drain sends it. */
  flush(): void {
    this.#dirty = false;
    if (this.#corks > 0 || this.#entries.length === 0) return;
    if (this.#connection.congested) {
      if (this.#backlogSince === 0) this.#backlogSince = this.#flusher.now();
      return;
    }
    this.#send();
  }

  /** Sends everything, whatever keeps it back: the connection is closed next. */
  flushLast(): void {
    this.#corks = 0;
    if (this.#entries.length > 0) this.#send();
  }

  /** The socket has taken all that it was given. */
  onDrain(): void {
    this.#backlogSince = 0;
    this.flush();
  }

  #send(): void {
    const entries = this.#entries;
    this.#entries = [];
    this.#queuedBytes = 0;
    this.#latest?.clear();
    const packets = this.#fresh(entries);
    if (packets.length > 0) this.#connection.send(packets);
    if (this.#connection.congested && this.#backlogSince === 0)
      this.#backlogSince = this.#flusher.now();
  }

  #fits(encoded: Encoded): boolean {
    const unsent = this.unsentBytes;
    return unsent === 0 || unsent + encoded.length <= this.#limits.bytesMax;
  }

  #forget(latestKey: string): void {
    const at = this.#latest?.get(latestKey);
    if (at === undefined) return;
    const old = this.#entries[at] as Stale;
    this.#entries[at] = null;
    this.#queuedBytes -= old.encoded.length;
    this.#latest!.delete(latestKey);
    this.#spoiled++;
  }

  #fresh(entries: Entry[]): Encoded[] {
    let now = 0;
    let plain = true;
    for (const entry of entries) {
      if (entry === null || entry instanceof Stale) plain = false;
    }
    if (plain) return entries as Encoded[];
    const packets: Encoded[] = [];
    for (const entry of entries) {
      if (entry === null) continue;
      if (!(entry instanceof Stale)) {
        packets.push(entry);
        continue;
      }
      if (now === 0) now = this.#flusher.now();
      if (entry.expiresAt > now) packets.push(entry.encoded);
      else this.#spoiled++;
    }
    return packets;
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
