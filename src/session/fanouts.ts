/**
 * What is done to many sessions at once, such as a push to a large group: a part of it in each turn of the event loop,
 * so that nobody else waits long. Whatever else is done to a session meanwhile comes after it, as if all had been done
 * at once.
 */
import type { Clock } from '../clock.ts';
import { Fifo } from '../fifo.ts';
import { TurnShare } from '../turn-share.ts';
import type { Outboxes } from './outboxes.ts';
import type { Session } from './session.ts';

export type FanoutLimits = {
  /** `limits.fanout.per_turn`: writes of a short message to a client, or what costs as much. */
  readonly perTurn: number;
  /** `limits.fanout.waiting`: bytes. */
  readonly waitingBytesMax: number;
};

/** What is done to each of many sessions. */
export abstract class SessionWork {
  /** Sessions that it has not reached yet. */
  left = 0;
  /** Bytes of it that are counted among those that wait. */
  heldBytes = 0;
  isDone = false;
  #ended: PromiseWithResolvers<void> | null = null;
  /** What it costs for one session, compared to a write. */
  abstract readonly cost: number;
  /** Bytes that it keeps while it waits, besides what each session takes; may grow while sessions are reached. */
  abstract get bytes(): number;
  /** Does it to one session, which may have been closed meanwhile. */
  abstract reach(session: Session): void;
  /** It has to wait: what it was given holds only until the end of this call. */
  keep(): void {}

  /** It has reached all. Called once. */
  protected onDone(): void {}

  done(): void {
    this.isDone = true;
    this.onDone();
    this.#ended?.resolve();
  }

  /** `outcome` once it has reached all: now, or later. */
  whenDone<T>(outcome: () => T): T | Promise<T> {
    if (this.isDone) return outcome();
    this.#ended ??= Promise.withResolvers();
    return this.#ended.promise.then(outcome);
  }
}

/** One that keeps no more than what is given here. */
export class EachSession extends SessionWork {
  readonly cost: number;
  readonly bytes = 0;
  readonly #reach: (session: Session) => void;

  constructor(cost: number, reach: (session: Session) => void) {
    super();
    this.cost = cost;
    this.#reach = reach;
  }

  override reach(session: Session): void {
    this.#reach(session);
  }
}

/** What it costs to close one session, compared to a write. */
export const CLOSE_COST = 4;
/** What one piece of work takes in memory, and each of its sessions: about. */
const WORK_BYTES = 512;
const SESSION_BYTES = 32;

export class Fanouts {
  /** Something waits for some session. */
  isBusy = false;
  readonly #share: TurnShare;
  readonly #outboxes: Outboxes;
  readonly #limits: FanoutLimits;
  /** For each session, in the order in which it came. */
  readonly #waiting = new Map<Session, Fifo<SessionWork>>();
  #waitingBytes = 0;
  #isTurnComing = false;
  /** What is done to it is being done now. */
  #reaching: Session | null = null;
  /** How those end whose clients have gone; after what waits for them. */
  readonly #leaving = new Map<Session, () => void>();

  constructor(clock: Clock, outboxes: Outboxes, limits: FanoutLimits) {
    this.#share = new TurnShare(clock, limits.perTurn);
    this.#outboxes = outboxes;
    this.#limits = limits;
  }

  /** Bytes of what waits. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get waitingBytesMax(): number {
    return this.#limits.waitingBytesMax;
  }

  /**
   * Does it to all of them: at once, if this turn's share allows that or there is one at most, else in the next turns.
   *
   * @returns Whether it is done, or will be. False: too much waits already, and it is done to none.
   */
  run(sessions: readonly Session[], work: SessionWork): boolean {
    if (sessions.length > 1) {
      const cost = sessions.length * work.cost;
      if (!this.#share.hasRoom(cost)) return this.#wait(sessions, work);
      this.#share.spend(cost);
    }
    this.runNow(sessions, work);
    return true;
  }

  /** Does it at once, however many they are. */
  runNow(sessions: readonly Session[], work: SessionWork): void {
    const outer = this.#outboxes.isBulk;
    this.#outboxes.isBulk = sessions.length > 1;
    for (const session of sessions) {
      if (this.isBusy) this.catchUp(session);
      work.reach(session);
    }
    this.#outboxes.isBulk = outer;
    work.done();
  }

  /** The same as `run` for what must not be refused: where too much waits, it is done at once. */
  runAlways(sessions: readonly Session[], work: SessionWork): void {
    if (!this.run(sessions, work)) this.runNow(sessions, work);
  }

  /**
   * Its client has gone, maybe together with thousands of others: ends it now, if this turn's share allows that, else
   * in one of the next turns.
   */
  leave(session: Session, end: () => void): void {
    if (session.state === 'closed') {
      end();
      return;
    }
    const before = this.#leaving.get(session);
    if (before !== undefined) {
      // The end of what it sends, and then of its connection.
      this.#leaving.set(session, () => {
        before();
        end();
      });
      return;
    }
    if (this.#share.hasRoom(CLOSE_COST)) {
      this.#share.spend(CLOSE_COST);
      if (this.isBusy) this.catchUp(session);
      end();
      return;
    }
    this.#leaving.set(session, end);
    this.isBusy = true;
    this.#awaitTurn();
  }

  /** Ends one session whose client has gone, so that there is room for another. False: there is none. */
  endOne(): boolean {
    const [session] = this.#leaving.keys();
    if (session === undefined) return false;
    this.catchUp(session);
    return true;
  }

  /** Does at once what waits for this session: something else is about to be done to it. */
  catchUp(session: Session): void {
    // What waits is put by the same means as everything else, which asks for this first.
    if (session === this.#reaching) return;
    const waiting = this.#waiting.get(session);
    if (waiting !== undefined) this.#reach(session, waiting, false);
    const end = this.#leaving.get(session);
    if (end !== undefined) this.#end(session, end);
  }

  #end(session: Session, end: () => void): void {
    this.#share.spend(CLOSE_COST);
    this.#leaving.delete(session);
    this.#noteBusy();
    end();
  }

  #noteBusy(): void {
    this.isBusy = this.#waiting.size + this.#leaving.size > 0;
  }

  #wait(sessions: readonly Session[], work: SessionWork): boolean {
    const bytes = WORK_BYTES + work.bytes + sessions.length * SESSION_BYTES;
    // However large: where nothing waits there is room.
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > this.waitingBytesMax) return false;
    work.keep();
    work.left = sessions.length;
    this.#count(work);
    for (const session of sessions) {
      let waiting = this.#waiting.get(session);
      if (waiting === undefined) this.#waiting.set(session, (waiting = new Fifo()));
      waiting.push(work);
    }
    this.isBusy = true;
    this.#awaitTurn();
    return true;
  }

  #reach(session: Session, waiting: Fifo<SessionWork>, mayWait: boolean): void {
    const outer = this.#reaching;
    this.#reaching = session;
    while (!(mayWait && this.#share.isSpent)) {
      const work = waiting.take();
      if (work === null) break;
      this.#share.spend(work.cost);
      work.reach(session);
      work.left--;
      this.#count(work);
      if (work.left === 0) work.done();
    }
    this.#reaching = outer;
    if (waiting.length > 0) return;
    this.#waiting.delete(session);
    this.#noteBusy();
  }

  /** Counts what it holds now. */
  #count(work: SessionWork): void {
    const { left } = work;
    const bytes = left === 0 ? 0 : WORK_BYTES + work.bytes + left * SESSION_BYTES;
    this.#waitingBytes += bytes - work.heldBytes;
    work.heldBytes = bytes;
  }

  #awaitTurn(): void {
    if (this.#isTurnComing) return;
    this.#isTurnComing = true;
    this.#share.soon(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#isTurnComing = false;
    this.#outboxes.isBulk = true;
    for (const [session, waiting] of this.#waiting) {
      this.#reach(session, waiting, true);
      if (!this.#share.isSpent) continue;
      if (waiting.length > 0) {
        // The others come first in the next turn, even if more comes for this one than a turn can do.
        this.#waiting.delete(session);
        this.#waiting.set(session, waiting);
      }
      break;
    }
    for (const [session, end] of this.#leaving) {
      if (this.#share.isSpent) break;
      // In its turn it comes after what waits for it.
      if (this.#waiting.has(session)) this.catchUp(session);
      else this.#end(session, end);
    }
    this.#outboxes.isBulk = false;
    if (this.isBusy) this.#awaitTurn();
  };
}
