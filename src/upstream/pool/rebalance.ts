/**
 * Brings sessions to ways that came later: those that have nothing in flight move, a few at a time, until each
 * way has its share by weight.
 */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';

/** Sessions that move in a second at most: each may cost the backends a state to be fetched. */
export const MOVES_PER_SECOND = 500;
const STEP_MS = 100;
const MOVES_PER_STEP = (MOVES_PER_SECOND * STEP_MS) / 1_000;
/** Sessions that are looked at in a step at most; busy ones stay for the next. */
const LOOKS_PER_STEP = 1_000;

/** What is known of a way to a backend. */
export interface Share {
  readonly weight: number;
  /** Sessions may be brought there. */
  readonly isWell: boolean;
  readonly sessions: {
    readonly size: number;
    owed: number;
    releaseIdle(count: number, looks: number): number;
  };
}

export class Rebalance {
  readonly #ways: () => readonly Share[];
  readonly #wheel: TimerWheel;
  readonly #step: Timeout;

  constructor(ways: () => readonly Share[], wheel: TimerWheel) {
    this.#ways = ways;
    this.#wheel = wheel;
    this.#step = new Timeout(() => {
      if (spread(this.#ways(), MOVES_PER_STEP)) this.begin();
    });
  }

  /** A way has come; harmless to repeat. */
  begin(): void {
    this.#wheel.set(this.#step, STEP_MS);
  }

  stop(): void {
    this.#wheel.cancel(this.#step);
  }
}

/** One step. True: there is more to move. */
export function spread(all: readonly Share[], moves: number): boolean {
  const ways = all.filter((way) => way.isWell);
  if (ways.length < 2) return false;
  const weights = ways.reduce((sum, { weight }) => sum + weight, 0);
  const total = ways.reduce((sum, { sessions }) => sum + sessions.size + sessions.owed, 0);
  const shareOf = ({ weight }: Share): number => Math.ceil((total * weight) / weights);
  let released = 0;
  let excess = 0;
  for (const way of ways) {
    const tooMany = way.sessions.size + way.sessions.owed - shareOf(way);
    if (tooMany <= 0) continue;
    excess += tooMany;
    released += way.sessions.releaseIdle(Math.min(tooMany, moves - released), LOOKS_PER_STEP);
  }
  // Whoever lacks most gets the next: these sessions, when they have something to say, or new ones.
  const lacking = (way: Share): number =>
    (total * way.weight) / weights - way.sessions.size - way.sessions.owed;
  for (let i = 0; i < released; i++)
    ways.reduce((most, way) => (lacking(way) > lacking(most) ? way : most)).sessions.owed++;
  return excess > released;
}
