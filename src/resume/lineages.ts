/**
 * The lineages of this gateway's sessions. A session that goes on from another has the lineage of the first; of each
 * lineage one session is left, the one that came with the newest token. Gateways ask each other before a session goes
 * on, and say what they hold now and then: so what could not be asked is put right.
 */
import type { Session } from '../session/session.ts';

/** A session, or one that wants to go on, as gateways compare them. */
export type LineagePlace = {
  readonly lineage: string;
  /** The counter of the token that it came with; 0: it is the first. */
  readonly counter: number;
  readonly sid: string;
};

/** A session that wants to go on, until it does. */
export type Coming = LineagePlace & {
  /** Another has the place. */
  isBeaten: boolean;
};

type Live = LineagePlace & { readonly session: Session };

export class Lineages {
  readonly #live = new Map<string, Live>();
  readonly #coming = new Map<string, Coming>();

  get size(): number {
    return this.#live.size;
  }

  /** A session wants to go on; null: a newer one is here. */
  come(place: LineagePlace): Coming | null {
    const { lineage, counter } = place;
    const live = this.#live.get(lineage);
    const other = this.#coming.get(lineage);
    if (live !== undefined && live.counter >= counter) return null;
    if (other !== undefined && other.counter >= counter) return null;
    if (other !== undefined) other.isBeaten = true;
    const coming = { ...place, isBeaten: false };
    this.#coming.set(lineage, coming);
    return coming;
  }

  /** The session goes on: the one before it is closed. False: another has the place by now. */
  goOn(coming: Coming, session: Session): boolean {
    this.giveUp(coming);
    const live = this.#live.get(coming.lineage);
    if (coming.isBeaten || (live !== undefined && live.counter >= coming.counter)) return false;
    this.add({ ...coming, session });
    live?.session.close('resumed');
    return true;
  }

  /** It does not go on. */
  giveUp(coming: Coming): void {
    if (this.#coming.get(coming.lineage) === coming) this.#coming.delete(coming.lineage);
  }

  /** A session that is its own first, or the one that has just gone on. */
  add(live: Live): void {
    this.#live.set(live.lineage, live);
  }

  /** The counter of the token that its session here came with. */
  counterOf(lineage: string): number {
    return this.#live.get(lineage)?.counter ?? 0;
  }

  /** The session has ended. */
  remove(lineage: string, session: Session): void {
    if (this.#live.get(lineage)?.session === session) this.#live.delete(lineage);
  }

  /** A session of another gateway wants to go on. True: it may, and the older one here is closed. */
  isFreeFor(place: LineagePlace): boolean {
    const live = this.#live.get(place.lineage);
    if (live !== undefined && live.counter >= place.counter) return false;
    const coming = this.#coming.get(place.lineage);
    if (coming !== undefined) {
      if (!isNewer(place, coming)) return false;
      coming.isBeaten = true;
    }
    live?.session.close('resumed');
    return true;
  }

  /** A session of another gateway has gone on. Returns the one here that has the better claim; null: there is none. */
  hear(place: LineagePlace): LineagePlace | null {
    const coming = this.#coming.get(place.lineage);
    if (coming !== undefined && place.counter >= coming.counter) coming.isBeaten = true;
    const live = this.#live.get(place.lineage);
    if (live === undefined) return null;
    if (!isNewer(place, live)) return live;
    live.session.close('resumed');
    return null;
  }

  /** No token up to this counter counts any more; null: none at all. A session that came with one is closed. */
  end(lineage: string, upTo: number | null): void {
    const live = this.#live.get(lineage);
    if (live !== undefined && live.counter <= (upTo ?? Infinity)) live.session.close('kick');
  }

  /** What others may have to hear: sessions that have gone on from one. */
  *goneOn(): IterableIterator<LineagePlace> {
    for (const live of this.#live.values()) if (live.counter > 0) yield live;
  }
}

/** The newer token counts; of two sessions with the same one, the smaller sid. */
function isNewer(one: LineagePlace, other: LineagePlace): boolean {
  return one.counter === other.counter ? one.sid < other.sid : one.counter > other.counter;
}
