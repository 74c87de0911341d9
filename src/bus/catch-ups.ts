/**
 * Sessions that lack kept pushes, and how they get them: read from the stream, page by page, so many sessions at once.
 * While the stream cannot be read all of them wait, and none is given up: what is kept comes late, but in order.
 */
import { Backoff } from '../backoff.ts';
import { inBackground } from '../background.ts';
import type { CancelTimer } from '../clock.ts';
import { errorText, isFailure } from '../errors.ts';
import type { Push } from '../contract/commands.ts';
import type { KeptPlace } from '../session/kept-place.ts';
import type { Session } from '../session/session.ts';
import { Timeout } from '../timer-wheel.ts';
import type { BusParts } from './bus-parts.ts';
import { cursorPush } from './cursor-push.ts';
import { CatchUpPushes } from './catch-up-pushes.ts';
import type { KeptPush } from './kept-push.ts';
import type { KeptPage, KeptStream } from './kept-stream.ts';
import { ReadQueue } from './read-queue.ts';
import { filterOf } from './selection.ts';
import type { SessionCommands } from './session-commands.ts';

/** Sessions for which the stream is read at the same moment, by one gateway. */
export const READS_AT_ONCE = 64;
/** Between two readings while the stream does not answer: at first, and at most. */
const AGAIN_MS = 250;
const AGAIN_MS_MAX = 5_000;
/** A client that is behind with what it was sent already is asked again after this. */
const CLIENT_WAIT_MS = 100;
/** A server that reads may not have the newest yet: how often it is asked again, and how many times. */
const LAG_MS = 50;
const LAGS_MAX = 40;
/** When a session that was resumed, or whose gateway was cut off, is looked after once more: what was stored before it came may have reached no server. */
const LOOK_AGAIN_MS = 1_000;
/** What a clock may be wrong by, where a time has to say what is new. */
const SLACK_MS = 1_000;

export type CatchUpsParts = BusParts & {
  readonly stream: KeptStream;
  readonly commands: SessionCommands;
  /** `limits.outbox`. */
  readonly outboxBytesMax: number;
};

type Behind = {
  readonly session: Session;
  readonly uid: string;
  readonly place: KeptPlace;
  /** Its place when it began. */
  start: number;
  /** It has to come as far as this; 0: to the end. */
  wanted: number;
  /** Pages read, and pushes in them. */
  pages: number;
  count: number;
  /** The push at `start` is still kept, so nothing after it is missing. */
  foundStart: boolean;
  lags: number;
  /** null: it was here all the time. */
  readonly held: CatchUpPushes | null;
  /** Servers that are behind may have been asked: it is looked after once more. */
  looksAgain: boolean;
  readonly wait: Timeout;
};

export class CatchUps {
  readonly #parts: CatchUpsParts;
  readonly #behind = new Map<Session, Behind>();
  /** Those whose turn it is not yet. */
  readonly #queue = new ReadQueue<Behind>();
  #reading = 0;
  readonly #backoff: Backoff;
  /** null: the stream answers, or has not been asked. */
  #pause: CancelTimer | null = null;

  constructor(parts: CatchUpsParts) {
    this.#parts = parts;
    this.#backoff = new Backoff(AGAIN_MS, AGAIN_MS_MAX, parts.random);
  }

  /** Sessions that lack something, or may. */
  get size(): number {
    return this.#behind.size;
  }

  has(session: Session): boolean {
    return this.#behind.has(session);
  }

  /** `session` lacks what comes after its place, at least up to `wanted`. */
  start(session: Session, place: KeptPlace, wanted: number): void {
    const known = this.#behind.get(session);
    if (known === undefined) this.#enqueue(this.#add(session, place, { wanted, isResumed: false }));
    else known.wanted = Math.max(known.wanted, wanted);
  }

  /** The same for one that may lack anything that was stored lately. */
  look(session: Session, place: KeptPlace): void {
    this.start(session, place, 0);
    const behind = this.#behind.get(session);
    if (behind !== undefined) behind.looksAgain = true;
  }

  /** The same for one that has come back. Everything else for its client waits, for a while. */
  resume(session: Session, place: KeptPlace, confirmed: Promise<void> | null): void {
    const behind = this.#add(session, place, { wanted: 0, isResumed: true });
    if (confirmed === null) this.#enqueue(behind);
    else
      inBackground(
        confirmed.then(() => {
          this.#enqueue(behind);
        }),
        (error) => {
          this.#fault(behind, error);
        },
      );
  }

  #add(
    session: Session,
    place: KeptPlace,
    { wanted, isResumed }: { wanted: number; isResumed: boolean },
  ): Behind {
    const behind: Behind = {
      session,
      uid: session.uid,
      place,
      start: place.seq,
      wanted,
      pages: 0,
      count: 0,
      foundStart: false,
      lags: 0,
      looksAgain: isResumed,
      held: isResumed ? new CatchUpPushes(session, this.#parts.wheel, this.#roomBytes) : null,
      wait: new Timeout(() => {
        this.#enqueue(behind);
      }),
    };
    place.catchUp = {
      end: () => {
        this.#end(behind);
      },
    };
    this.#behind.set(session, behind);
    return behind;
  }

  /** It is for another user now, or for none. */
  drop(session: Session): void {
    const behind = this.#behind.get(session);
    if (behind !== undefined) this.#end(behind);
  }

  /** There is a new connection: whoever waits need not wait any longer. */
  hurry(): void {
    this.#pause?.();
    this.#pause = null;
    this.#backoff.reset();
    this.#pump();
  }

  /** So much may wait for a client that has something to catch up on. */
  get #roomBytes(): number {
    return this.#parts.outboxBytesMax / 2;
  }

  // ---- one after the other ----------------------------------------------------------------------------

  #enqueue(behind: Behind): void {
    this.#queue.add(behind);
    this.#pump();
  }

  #pump(): void {
    while (this.#pause === null && this.#reading < READS_AT_ONCE) {
      const behind = this.#queue.take();
      if (behind === undefined) return;
      if (this.#isOver(behind)) {
        this.#end(behind);
        continue;
      }
      this.#reading++;
      inBackground(
        this.#read(behind).finally(() => {
          this.#reading--;
          this.#pump();
        }),
        (error) => {
          this.#fault(behind, error);
        },
      );
    }
  }

  #fault(behind: Behind, error: unknown): void {
    this.#parts.report.error(`kept pushes could not be read: ${errorText(error)}`);
    this.#end(behind);
  }

  #isOver({ session, place, uid }: Behind): boolean {
    return session.state === 'closed' || session.kept !== place || session.uid !== uid;
  }

  #end(behind: Behind): void {
    const { session, place } = behind;
    if (this.#behind.get(session) !== behind) return;
    place.catchUp = null;
    this.#behind.delete(session);
    this.#queue.delete(behind);
    this.#parts.wheel.cancel(behind.wait);
    behind.held?.release();
  }

  /** Nobody's turn comes for a while. */
  #failed(behind: Behind): void {
    this.#queue.add(behind);
    if (this.#pause !== null) return;
    this.#parts.report.keptUnreadable(this.#behind.size);
    this.#pause = this.#parts.clock.setTimer(this.#backoff.next(), () => {
      this.#pause = null;
      this.#pump();
    });
  }

  // ---- one session ------------------------------------------------------------------------------------

  async #read(behind: Behind): Promise<void> {
    const { stream, wheel } = this.#parts;
    const { session, place, uid } = behind;
    if (!isHeld(behind) && session.outbox.unsentBytes > this.#roomBytes) {
      wheel.set(behind.wait, CLIENT_WAIT_MS);
      return;
    }
    // Known before the reading: what is stored meanwhile comes live.
    const end = place.seq < 0 ? await stream.end() : 0;
    // Its own last push is asked for, too: as long as it is kept, so is what came after it.
    const from = behind.pages === 0 && place.seq > 0 ? place.seq : place.seq + 1;
    const page = end === null ? null : await stream.read(uid, from);
    if (this.#isOver(behind)) {
      this.#end(behind);
      return;
    }
    if (page === null) {
      this.#failed(behind);
      return;
    }
    this.#backoff.reset();
    if (behind.pages++ === 0 && page.pushes.length === 0 && place.seq > 0) {
      const isAnother = await this.#isAnotherStream(place);
      if (this.#isOver(behind)) {
        this.#end(behind);
        return;
      }
      if (isAnother) {
        this.#startOver(behind);
        return;
      }
    }
    for (const kept of page.pushes) this.#deliver(behind, kept);
    if (place.seq < 0 && page.isLast) place.seq = end ?? 0;
    this.#goOn(behind, page);
  }

  /** The stream was made again, and counts anew. */
  async #isAnotherStream({ seq }: KeptPlace): Promise<boolean> {
    const end = await this.#parts.stream.end();
    return end !== null && end < seq;
  }

  #startOver(behind: Behind): void {
    Object.assign(behind.place, { seq: 0, isOwn: false });
    Object.assign(behind, { start: 0, wanted: 0, pages: 0, count: 0 });
    this.#enqueue(behind);
  }

  #goOn(behind: Behind, { isLast }: KeptPage): void {
    if (!isLast) {
      // It goes on before others begin: what is held in the meantime is that of READS_AT_ONCE sessions.
      this.#queue.addFirst(behind);
      this.#pump();
      return;
    }
    if (behind.wanted <= behind.place.seq || behind.lags === LAGS_MAX) this.#finish(behind);
    // At first it has only been stored since.
    else if (behind.lags++ === 0) this.#enqueue(behind);
    else this.#parts.wheel.set(behind.wait, LAG_MS);
  }

  #finish(behind: Behind): void {
    const { session, place, start, foundStart, count, looksAgain } = behind;
    // Of each user so many are kept: where all of them are new, there may have been more.
    const isMissing = start >= 0 && !foundStart && count >= this.#parts.stream.perUserMax;
    if (isMissing) this.#put(behind, cursorPush(place.seq, true), place.tellsCursor);
    this.#parts.report.replayed(count, isMissing);
    this.#end(behind);
    if (count > 0 && !place.tellsCursor) session.resuming?.changed();
    if (!looksAgain) return;
    const again = new Timeout(() => {
      if (!this.#isOver(behind)) this.start(session, place, 0);
    });
    this.#parts.wheel.set(again, LOOK_AGAIN_MS);
  }

  #deliver(behind: Behind, kept: KeptPush): void {
    const { place, session, start } = behind;
    if (kept.seq === start) behind.foundStart = true;
    if (kept.seq <= place.seq) return;
    const isOld = start < 0 && kept.storedAtWall > 0 && kept.storedAtWall < place.since - SLACK_MS;
    place.seq = kept.seq;
    place.isOwn = true;
    if (isOld) return;
    behind.count++;
    const push = this.#toPush(kept, session);
    if (push === null) return;
    this.#put(behind, push, true);
    if (place.tellsCursor) this.#put(behind, cursorPush(kept.seq), true);
  }

  /** null: it is not for this session, has expired, or cannot be read. */
  #toPush({ push, storedAtWall }: KeptPush, session: Session): Push | null {
    const { commands, report, clock, subjects } = this.#parts;
    const wrong = isFailure(push) ? push : commands.check({ ...push, target: null });
    if (wrong !== null || isFailure(push)) {
      report.refused('BAD_ARGUMENT', subjects.keep(session.uid), wrong!.message);
      return null;
    }
    if (push.target !== null && filterOf(push.target)?.(session) === false) return null;
    if (push.expiresInMs === 0 || storedAtWall === 0) return push;
    const expiresInMs = storedAtWall + push.expiresInMs - clock.wallNow();
    return expiresInMs > 0 ? { ...push, expiresInMs } : null;
  }

  #put(behind: Behind, push: Push, isWanted: boolean): void {
    if (!isWanted) return;
    const { session, held } = behind;
    const { commands } = this.#parts;
    if (held === null || held.isReleased) {
      commands.push(push, [session]);
      return;
    }
    const encoded = commands.encode(session, push);
    if (encoded !== null) held.put(encoded);
  }
}

function isHeld({ held }: Behind): boolean {
  return held !== null && !held.isReleased;
}
