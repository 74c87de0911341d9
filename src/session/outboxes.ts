/**
 * All outboxes of a gateway: those that were written to are flushed once per turn of the event loop, and what
 * waits in all of them together stays within its bound, within a turn as well. What was put into many at once is sent a part in each turn.
 */
import type { Clock } from '../clock.ts';
import { Fifo } from '../fifo.ts';
import type { Outbox } from './outbox.ts';
import type { Skipped } from './outbox-queue.ts';

/**
 * After so many turns the socket of a client has been asked whether it takes more: once before the end of the
 * turn in which there was something, and once by the system after that.
 */
const OFFERED_AFTER_TURNS = 2;

/** What waits for one client, and can be closed to make room for others. */
export interface Backlog {
  /** About, in memory. */
  readonly heldBytes: number;
  /** The turn since which it waits. */
  readonly behindSinceTurn: number;
  evict(): void;
}
/** Writes to clients in one turn of what was put into many outboxes: a few milliseconds. */
export const WRITES_PER_TURN = 256;
/** In a turn that brings more than all may hold, everybody is offered theirs again after each such share of it. */
const OFFERED_AGAIN = 1 / 16;
/** Each so many bytes cost about as much as the write of a short message. */
export const BYTES_PER_WRITE = 16_384;
/** Bytes put in one turn, after which sessions that ask for much wait for the next: they take about as long as so many writes. */
const BYTES_PER_TURN = WRITES_PER_TURN * BYTES_PER_WRITE;

export class Outboxes {
  /** What is put now is put into many. */
  isBulk = false;
  /** Bytes that were put into all of them in this turn. */
  putBytes = 0;
  /** Sessions that have asked for much: each reads on when a turn has room for more. */
  readonly #asking = new Fifo<() => void>();
  /** Of all sessions that there are and were. */
  readonly skipped: Skipped = { replaced: 0, expired: 0 };
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #writesPerTurn: number;
  #heldBytes = 0;
  #turn = 1;
  #dirty: Outbox[] = [];
  /** Those that have only got what was put into many. */
  readonly #bulk = new Fifo<Outbox>();
  #willFlush = false;
  /** Those whose clients have not taken everything, or are not sent anything yet. */
  readonly #behind = new Set<Backlog>();
  /** Of those the ones to be closed for others, the fullest last; found in `#sortedTurn` for the first time. */
  #fullestLast: Backlog[] = [];
  #sortedTurn = 0;
  /** Was held when everybody had last been offered theirs. */
  #heldOffered = 0;

  /**
   * @param bytesMax What all of them may hold together: `limits.outboxes`.
   * @param writesPerTurn Of what was put into many: `limits.fanout.per_turn`.
   */
  constructor(clock: Clock, bytesMax: number, writesPerTurn = WRITES_PER_TURN) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#writesPerTurn = writesPerTurn;
  }

  /** Bytes that wait for clients, here and in their sockets. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Counts the turns of the event loop in which something was sent. */
  get turn(): number {
    return this.#turn;
  }

  now(): number {
    return this.#clock.now();
  }

  /** True when what began in `turn` has been offered to its client, who has not taken it. */
  wasOffered(turn: number): boolean {
    return this.#turn - turn >= OFFERED_AFTER_TURNS;
  }

  /** Flushes `outbox` at the end of this turn; if it is one of many, when it is its turn. */
  touch(outbox: Outbox): void {
    if (this.isBulk) this.#bulk.push(outbox);
    else this.#dirty.push(outbox);
    this.#flushSoon();
  }

  /** Something is kept back from a client: it is a turn although nothing may be sent. */
  keptBack(): void {
    this.#flushSoon();
  }

  /** Calls `fn` in the next turn, or in the first one in which those before it do not put BYTES_PER_TURN. */
  askLater(fn: () => void): void {
    this.#asking.push(fn);
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    this.#clock.soon(this.#flush);
  }

  /** An outbox holds `bytes` more, or less. */
  count(bytes: number): void {
    this.#heldBytes += bytes;
  }

  addBehind(backlog: Backlog): void {
    this.#behind.add(backlog);
  }

  removeBehind(backlog: Backlog): void {
    this.#behind.delete(backlog);
  }

  hasRoom(bytes: number): boolean {
    return this.#heldBytes + bytes <= this.#bytesMax;
  }

  /**
   * Makes room for `bytes`: has everybody offered what waits, and with `mustGo` closes the fullest: of the clients that had
   * time to take what waits for them, and if that is not enough, of all that have not taken everything. False: there is
   * none for what may be dropped. Where nobody is behind nothing is held, and one message may be larger than the bound.
   */
  makeRoom(bytes: number, mustGo: boolean): boolean {
    const isMore = this.#heldBytes - this.#heldOffered > this.#bytesMax * OFFERED_AGAIN;
    if (this.#sortedTurn !== this.#turn || isMore) {
      this.#sortedTurn = this.#turn;
      this.#offerAll();
      this.#fullestLast = this.#fullest(({ behindSinceTurn }) => this.wasOffered(behindSinceTurn));
    }
    if (!mustGo) return this.hasRoom(bytes) || this.#behind.size === 0;
    this.#closeFullest(bytes);
    // What one turn brings is no exception. Each round closes all who are left, or makes the room.
    while (!this.hasRoom(bytes) && this.#behind.size > 0) {
      this.#offerAll();
      this.#fullestLast = this.#fullest(() => true);
      this.#closeFullest(bytes);
    }
    return true;
  }

  #offerAll(): void {
    for (const outbox of this.#dirty) outbox.offer();
    for (const outbox of this.#bulk) outbox.offer();
    this.#heldOffered = this.#heldBytes;
  }

  /** The outboxes of thousands are not searched for every message. */
  #fullest(which: (backlog: Backlog) => boolean): Backlog[] {
    return [...this.#behind].filter(which).sort((a, b) => a.heldBytes - b.heldBytes);
  }

  #closeFullest(bytes: number): void {
    while (!this.hasRoom(bytes)) {
      const fullest = this.#fullestLast.pop();
      if (fullest === undefined) return;
      // It may have been taken from meanwhile, or be gone.
      if (this.#behind.has(fullest)) fullest.evict();
    }
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#willFlush = false;
    this.#dirty = [];
    this.#turn++;
    this.#fullestLast = [];
    for (const outbox of dirty) outbox.flush();
    if (this.#bulk.length > 0) this.#flushBulk();
    this.putBytes = 0;
    if (this.#asking.length > 0) this.#askOn();
  };

  /** Lets them read on; those that ask for still more wait for another turn. */
  #askOn(): void {
    for (let due = this.#asking.length; due > 0 && this.putBytes < BYTES_PER_TURN; due--)
      this.#asking.take()!();
    if (this.#asking.length > 0) this.#flushSoon();
  }

  #flushBulk(): void {
    for (let writes = 0; writes < this.#writesPerTurn;) {
      const outbox = this.#bulk.take();
      if (outbox === null) return;
      // It may have got something else meanwhile, which was sent with it.
      if (!outbox.isDue) continue;
      writes += 1 + outbox.unsentBytes / BYTES_PER_WRITE;
      outbox.flush();
    }
    this.#flushSoon();
  }
}
