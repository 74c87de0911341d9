/**
 * What waits to be sent to one client, bounded in bytes. What a turn of the event loop has gathered goes out in
 * one write.
 *
 * Messages wait here, not in the socket, while the client is slow: here they can still be replaced or expire.
 */
import type { Encoded } from '../protocol/packet.ts';
import type { Connection } from '../transport/transport.ts';
import { OutboxQueue, type Perishable } from './outbox-queue.ts';
import type { Outboxes } from './outboxes.ts';
import type { Session } from './session.ts';

export type { Perishable };

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

/** Whose outbox it is. Neither may be called while a message is put. */
type Owner = Pick<Session, 'flushed' | 'evict'>;

/** When it is flushed next: at the end of this turn, or when it is its turn among many. */
type Due = typeof NOT_DUE | typeof DUE_AMONG_MANY | typeof DUE_NOW;
const NOT_DUE = 0;
const DUE_AMONG_MANY = 1;
const DUE_NOW = 2;

/** What goes out in one write. */
const PIECE_BYTES = 65_536;

export class Outbox {
  readonly #connection: Connection;
  readonly #outboxes: Outboxes;
  readonly #limits: OutboxLimits;
  readonly #owner: Owner;
  readonly #queue: OutboxQueue;
  /** What of all that is held here and in the socket is counted among what all outboxes hold. */
  #countedBytes = 0;
  /** Of what waits elsewhere, to be put first. */
  #besideBytes = 0;
  #corks = 0;
  #due: Due = NOT_DUE;
  #ended = false;
  #released = false;
  /** When the client last took something of the backlog that is there now; 0: no backlog. */
  #backlogSince = 0;
  /** What the client had taken by then. */
  #takenBytes = 0;
  /** The turn in which a message first did not fit; 0: the last one did. */
  #overfullSinceTurn = 0;
  /** The turn since which something waits for the client, or for the cork; 0: nothing does. */
  behindSinceTurn = 0;

  /** How many messages were put here to be sent, and their bytes. */
  sent = 0;
  putBytes = 0;

  constructor(connection: Connection, outboxes: Outboxes, limits: OutboxLimits, owner: Owner) {
    this.#connection = connection;
    this.#outboxes = outboxes;
    this.#queue = new OutboxQueue(outboxes.skipped);
    this.#limits = limits;
    this.#owner = owner;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#queue.bytes + this.#connection.bufferedBytes;
  }

  /** What that takes in memory, about. */
  get heldBytes(): number {
    return this.#queue.heldBytes + this.#connection.bufferedBytes + this.#besideBytes;
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

  /** It has got something since it was flushed the last time. */
  get isDue(): boolean {
    return this.#due !== NOT_DUE;
  }

  /** Nothing of it has been offered to the client yet. */
  get isCorked(): boolean {
    return this.#corks > 0;
  }

  /** Calls `fn` once a turn has room for more large answers, for all together. */
  askLater(fn: () => void): void {
    this.#outboxes.askLater(fn);
  }

  /** The client has not taken everything that it was sent. Over TLS nobody has, for a moment. */
  get hasBacklog(): boolean {
    return this.#backlogSince !== 0;
  }

  /** The client does not keep up: it had time to take what waits, or half of what may wait does. */
  get isBehind(): boolean {
    if (this.behindSinceTurn === 0) return false;
    return this.#wasOffered || this.#queue.bytes > this.#limits.bytesMax / 2;
  }

  /** Puts a message that must be sent. */
  put(encoded: Encoded): Taken {
    const { length } = encoded;
    if (!this.#fits(length, 0) && !this.#makeRoom(length, '', true)) return 'full';
    this.#queue.push(encoded);
    this.#onPut(length);
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
      !this.#fits(length, this.#queue.bytesOf(latestKey)) &&
      !this.#makeRoom(length, latestKey, mustGo)
    ) {
      return mustGo ? 'full' : 'dropped';
    }
    this.#queue.pushPerishable(encoded, perishable);
    this.#onPut(length);
    return 'taken';
  }

  /** Puts messages that must be sent before all that waits, which nothing has been sent of. Who does so bounds them. */
  putFirst(messages: readonly Encoded[]): void {
    if (this.#ended || messages.length === 0) return;
    const before = this.#queue.bytes;
    this.#queue.pushFirst(messages);
    this.#onPut(this.#queue.bytes - before, messages.length);
  }

  /**
   * So many bytes more wait elsewhere, or less, until they are put first: they count as if they were here. To make room
   * for them others may be closed, or this one.
   */
  holdBeside(bytes: number): void {
    if (this.#ended) return;
    if (bytes > 0 && !this.#outboxes.hasRoom(bytes)) this.#outboxes.makeRoom(bytes, true);
    if (this.#ended) return;
    this.#besideBytes += bytes;
    this.#count();
    if (this.#besideBytes === 0) return;
    this.#fallBehind();
    this.#outboxes.keptBack();
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
    this.#due = NOT_DUE;
    if (this.#ended) return;
    this.offer();
    this.#owner.flushed();
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

  /** All outboxes together are full, and this one is the fullest whose client is behind. */
  evict(): void {
    if (!this.#ended) {
      this.#owner.evict('limits.outboxes is reached, and no session has more unsent bytes');
      return;
    }
    this.#connection.destroy();
    this.release();
  }

  /** The session has ended: nothing waits here any more, only in the socket, until `release`. */
  end(): void {
    this.#ended = true;
    this.#besideBytes = 0;
    this.#queue.clear();
    this.#count();
    if (this.#connection.bufferedBytes > 0 && !this.#released) this.#fallBehind();
    else this.#catchUp();
  }

  /** The socket is gone, with what it held. */
  release(): void {
    this.#released = true;
    this.#catchUp();
    this.#outboxes.count(-this.#countedBytes);
    this.#countedBytes = 0;
  }

  get #waits(): boolean {
    return this.#queue.length > 0;
  }

  #onPut(bytes: number, messages = 1): void {
    this.sent += messages;
    this.putBytes += bytes;
    this.#outboxes.putBytes += bytes;
    this.#count();
    this.#touch();
  }

  /** Gives the client what it takes at once. */
  offer(): void {
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
      if (this.#waits || this.#besideBytes > 0) this.#fallBehind();
      else this.#catchUp();
    }
  }

  #send(bytesMax: number): void {
    const packets = this.#queue.take(bytesMax, this.#outboxes);
    if (packets.length > 0) this.#connection.send(packets);
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
    this.offer();
    const unsent = this.unsentBytes - this.#queue.bytesOf(latestKey);
    if (unsent === 0 || unsent + bytes <= this.#limits.bytesMax) this.#overfullSinceTurn = 0;
    else if (this.#wasOffered) return false;
    else if (this.#overfullSinceTurn === 0) this.#overfullSinceTurn = this.#outboxes.turn;
    // To make room this one may have been closed.
    return (
      this.#outboxes.hasRoom(bytes) || (this.#outboxes.makeRoom(bytes, mustGo) && !this.#ended)
    );
  }

  /** The client had its time: it takes nothing, or less than comes. */
  get #wasOffered(): boolean {
    const { behindSinceTurn } = this;
    const since = this.#overfullSinceTurn;
    if (since !== 0 && this.#outboxes.wasOffered(since)) return true;
    return behindSinceTurn !== 0 && this.#outboxes.wasOffered(behindSinceTurn);
  }

  #touch(): void {
    const due = this.#outboxes.isBulk ? DUE_AMONG_MANY : DUE_NOW;
    if (this.#due >= due) return;
    this.#due = due;
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

  /** Counts what is held now, here and in the socket. */
  #count(): void {
    const { heldBytes } = this;
    if (heldBytes === this.#countedBytes || this.#released) return;
    this.#outboxes.count(heldBytes - this.#countedBytes);
    this.#countedBytes = heldBytes;
  }
}
