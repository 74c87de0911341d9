/**
 * What waits to be sent to one client, bounded in bytes. What a turn of the event loop has gathered goes out in
 * one write.
 *
 * Messages wait here, not in the socket, while the client is slow: here they can still be replaced or expire.
 */
import type { Encoded } from '../protocol/packet.ts';
import type { Connection } from '../transport/transport.ts';
import type { Outboxes } from './outboxes.ts';

export type OutboxLimits = {
  /**
   * Unsent bytes per session; one message may exceed an empty outbox, and so may what two turns of the event loop
   * bring: until then nobody can tell whether the client takes it.
   */
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

/** Whose outbox it is. Neither may be called while a message is put. */
export interface OutboxOwner {
  /** The outbox was flushed, as far as the client takes it: the client may be read from again, or be behind. */
  onFlushed(): void;
  /** All outboxes together are full, and this one is the fullest whose client is behind: close. */
  onEvicted(): void;
}

/** What goes out in one write. */
const PIECE_BYTES = 65_536;
/** Entries at the front that are sent, or anywhere that are replaced, before the list is shortened. */
const COMPACT_AT = 1_024;

type Entry = Encoded | Stale;

/** A push that may spoil before it is sent. */
class Stale {
  /** null: a newer one of its key has taken its place. */
  encoded: Encoded | null;
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
  readonly #outboxes: Outboxes;
  readonly #limits: OutboxLimits;
  readonly #owner: OutboxOwner;
  /** What waits, from `#head` on. */
  #entries: Entry[] = [];
  #head = 0;
  /** Entries from `#head` on that were replaced. */
  #replaced = 0;
  #queuedBytes = 0;
  /** What the socket held when it was last looked at; counted among what all outboxes hold. */
  #socketBytes = 0;
  /** The newest unsent push of a key; made at the first such push. */
  #latest: Map<string, Stale> | null = null;
  #corks = 0;
  #dirty = false;
  #ended = false;
  #released = false;
  /** Pushes that expired or were replaced before they were sent. */
  #spoiled = 0;
  /** When the client last took something of the backlog that is there now; 0: no backlog. */
  #backlogSince = 0;
  /** What the client had taken by then. */
  #takenBytes = 0;
  /** The turn in which a message first did not fit; 0: the last one did. */
  #overfullSinceTurn = 0;
  /** The turn since which something waits for the client, or for the cork; 0: nothing does. */
  behindSinceTurn = 0;

  constructor(
    connection: Connection,
    outboxes: Outboxes,
    limits: OutboxLimits,
    owner: OutboxOwner,
  ) {
    this.#connection = connection;
    this.#outboxes = outboxes;
    this.#limits = limits;
    this.#owner = owner;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#queuedBytes + this.#connection.bufferedBytes;
  }

  /** Entries that wait, with those that were replaced. */
  get waitingEntries(): number {
    return this.#entries.length - this.#head;
  }

  /** Milliseconds for which the client has taken nothing although there was something; 0: no backlog. */
  backlogMs(now: number): number {
    if (this.#backlogSince === 0) return 0;
    const taken = this.#connection.takenBytes;
    if (taken !== this.#takenBytes) {
      // In the midst of a long write.
      this.#takenBytes = taken;
      this.#backlogSince = now;
    }
    return now - this.#backlogSince;
  }

  /** Nothing of it has been offered to the client yet. */
  get isCorked(): boolean {
    return this.#corks > 0;
  }

  /** The client has not taken everything that it was sent. Over TLS nobody has, for a moment. */
  get hasBacklog(): boolean {
    return this.#backlogSince !== 0;
  }

  /** The client does not keep up: it had time to take what waits, or half of what may wait does. */
  get isBehind(): boolean {
    if (this.behindSinceTurn === 0) return false;
    return this.#wasOffered || this.#queuedBytes > this.#limits.bytesMax / 2;
  }

  /** How many pushes were replaced or expired since the last call. */
  takeSpoiled(): number {
    const spoiled = this.#spoiled;
    this.#spoiled = 0;
    return spoiled;
  }

  /** Puts a message that must be sent. */
  put(encoded: Encoded): Taken {
    const { length } = encoded;
    if (!this.#fits(length, 0) && !this.#makeRoom(length, '', true)) return 'full';
    this.#push(encoded, length);
    return 'taken';
  }

  /** Puts a push that may be dropped, replaced or expire. */
  putPerishable(encoded: Encoded, perishable: Perishable): Taken {
    const { droppable, latestKey } = perishable;
    if (droppable && this.backlogMs(this.#outboxes.now()) > this.#limits.dropAfterMs) {
      return 'dropped';
    }
    const { length } = encoded;
    // What may be dropped has nobody closed for it.
    const mustGo = !droppable && latestKey === '';
    if (
      !this.#fits(length, this.#bytesOf(latestKey)) &&
      !this.#makeRoom(length, latestKey, mustGo)
    ) {
      return mustGo ? 'full' : 'dropped';
    }
    const entry = new Stale(encoded, perishable);
    if (latestKey !== '') {
      const older = this.#latest?.get(latestKey);
      if (older !== undefined) this.#replace(older);
      (this.#latest ??= new Map()).set(latestKey, entry);
    }
    this.#push(entry, length);
    return 'taken';
  }

  /** Keeps everything back until `uncork`; corks add up. What is put meanwhile waits in order. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    this.#corks--;
    if (this.#corks === 0) this.#touch();
  }

  /** Sends what waits, as far as the client takes it; the next drain sends the rest. */
  flush(): void {
    this.#dirty = false;
    if (this.#ended) return;
    this.#offer();
    this.#owner.onFlushed();
  }

  /** Sends everything, whatever keeps it back: the connection is closed next. */
  flushLast(): void {
    this.#corks = 0;
    if (this.#waits) this.#send(Infinity);
  }

  /** The socket has taken all that it was given. */
  onDrain(): void {
    this.#backlogSince = 0;
    this.#catchUp();
    this.#count();
    this.flush();
  }

  /** See `OutboxOwner.onEvicted`. */
  evict(): void {
    this.#owner.onEvicted();
  }

  /** The session has ended: nothing waits here any more, only in the socket, until `release`. */
  end(): void {
    this.#ended = true;
    this.#outboxes.count(-this.#queuedBytes);
    this.#queuedBytes = 0;
    this.#entries = [];
    this.#head = 0;
    this.#latest = null;
    this.#catchUp();
    this.#count();
  }

  /** The socket is gone, with what it held. */
  release(): void {
    this.#released = true;
    this.#outboxes.count(-this.#socketBytes);
    this.#socketBytes = 0;
  }

  get #waits(): boolean {
    return this.#head < this.#entries.length;
  }

  #push(entry: Entry, bytes: number): void {
    this.#entries.push(entry);
    this.#queuedBytes += bytes;
    this.#outboxes.count(bytes);
    this.#touch();
  }

  #offer(): void {
    // In pieces: each that the client has taken shows that it reads, and what waits here can still be replaced.
    while (this.#waits && this.#corks === 0 && !this.#connection.congested) this.#send(PIECE_BYTES);
    if (this.#connection.congested) {
      if (this.#backlogSince === 0) {
        this.#backlogSince = this.#outboxes.now();
        this.#takenBytes = this.#connection.takenBytes;
      }
      this.#fallBehind();
    } else {
      this.#backlogSince = 0;
      if (this.#waits) this.#fallBehind();
      else this.#catchUp();
    }
  }

  /** Sends at most `bytesMax` in one write, or one message that is larger. */
  #send(bytesMax: number): void {
    const last = this.#entries.at(-1)!;
    if (this.#entries.length === 1 && !(last instanceof Stale)) {
      // The usual case. The list keeps its memory.
      this.#entries.pop();
      this.#sent([last], last.length);
      return;
    }
    const packets: Encoded[] = [];
    const now = this.#outboxes.now();
    let bytes = 0;
    while (this.#waits && bytes < bytesMax) {
      const entry = this.#entries[this.#head]!;
      const fresh = entry instanceof Stale ? this.#fresh(entry, now) : entry;
      if (fresh !== null) {
        // It stays what it is: with a key it can still be replaced.
        if (bytes > 0 && bytes + fresh.length > bytesMax) break;
        if (entry instanceof Stale) this.#forget(entry);
        packets.push(fresh);
        bytes += fresh.length;
      }
      this.#head++;
    }
    if (!this.#waits) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_AT) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
    if (packets.length > 0) this.#sent(packets, bytes);
  }

  #sent(packets: readonly Encoded[], bytes: number): void {
    this.#queuedBytes -= bytes;
    this.#outboxes.count(-bytes);
    this.#connection.send(packets);
    this.#count();
  }

  /** `bytes` more fit in place of `freed`, here and among all. */
  #fits(bytes: number, freed: number): boolean {
    const unsent = this.unsentBytes - freed;
    if (this.#ended || (unsent !== 0 && unsent + bytes > this.#limits.bytesMax)) return false;
    this.#overfullSinceTurn = 0;
    return this.#outboxes.hasRoom(bytes);
  }

  /**
   * Offers the client what it has, and with `mustGo` has others closed that are behind, or this one. False: there is
   * no room.
   */
  #makeRoom(bytes: number, latestKey: string, mustGo: boolean): boolean {
    if (this.#ended) return false;
    this.#offer();
    const unsent = this.unsentBytes - this.#bytesOf(latestKey);
    if (unsent === 0 || unsent + bytes <= this.#limits.bytesMax) this.#overfullSinceTurn = 0;
    else if (this.#wasOffered) return false;
    else if (this.#overfullSinceTurn === 0) this.#overfullSinceTurn = this.#outboxes.turn;
    if (this.#outboxes.hasRoom(bytes)) return true;
    if (mustGo) this.#outboxes.makeRoom(bytes);
    return mustGo && !this.#ended;
  }

  /** The client had its time: it takes nothing, or less than comes. */
  get #wasOffered(): boolean {
    const { behindSinceTurn } = this;
    const since = this.#overfullSinceTurn;
    if (since !== 0 && this.#outboxes.wasOffered(since)) return true;
    return behindSinceTurn !== 0 && this.#outboxes.wasOffered(behindSinceTurn);
  }

  #bytesOf(latestKey: string): number {
    if (latestKey === '' || this.#latest === null) return 0;
    return this.#latest.get(latestKey)?.encoded?.length ?? 0;
  }

  #replace(older: Stale): void {
    const { length } = older.encoded!;
    older.encoded = null;
    this.#queuedBytes -= length;
    this.#outboxes.count(-length);
    this.#spoiled++;
    this.#replaced++;
    if (this.#replaced < COMPACT_AT || this.#replaced < (this.#entries.length - this.#head) / 2) {
      return;
    }
    this.#entries = this.#entries
      .slice(this.#head)
      .filter((entry) => !(entry instanceof Stale) || entry.encoded !== null);
    this.#head = 0;
    this.#replaced = 0;
  }

  /** What of a perishable push is to be sent now; null: nothing. */
  #fresh(entry: Stale, now: number): Encoded | null {
    const { encoded } = entry;
    if (encoded === null) {
      this.#replaced--;
      return null;
    }
    if (entry.expiresAt > now) return encoded;
    this.#forget(entry);
    this.#queuedBytes -= encoded.length;
    this.#outboxes.count(-encoded.length);
    this.#spoiled++;
    return null;
  }

  /** It cannot be replaced any more. */
  #forget({ latestKey }: Stale): void {
    if (latestKey !== '') this.#latest!.delete(latestKey);
  }

  #touch(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#outboxes.touch(this);
  }

  #fallBehind(): void {
    if (this.behindSinceTurn !== 0) return;
    this.behindSinceTurn = this.#outboxes.turn;
    this.#outboxes.addBehind(this);
  }

  #catchUp(): void {
    if (this.behindSinceTurn === 0) return;
    this.behindSinceTurn = 0;
    this.#outboxes.removeBehind(this);
  }

  /** Counts what the socket holds now. */
  #count(): void {
    const bytes = this.#connection.bufferedBytes;
    if (bytes === this.#socketBytes || this.#released) return;
    this.#outboxes.count(bytes - this.#socketBytes);
    this.#socketBytes = bytes;
  }
}
