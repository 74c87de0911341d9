/**
 * Brings sessions to endpoints that came later: those that have nothing in flight move, a few at a time, until each
 * endpoint has its share by weight. One that was ejected gets a single session when its time is over, to see whether it
 * answers again, since there may be no new session for long.
 */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';

/** Sessions that move in a second at most: each may cost the backends a state to be fetched. */
export const MOVES_PER_SECOND = 500;
const STEP_MS = 100;
const MOVES_PER_STEP = (MOVES_PER_SECOND * STEP_MS) / 1_000;
/** Sessions that a step examines at most; busy ones are left for the next. */
const LOOKS_PER_STEP = 1_000;

/** What is known of an endpoint. */
export interface Share {
  readonly weight: number;
  /** Sessions may be brought there. */
  readonly isWell: boolean;
  /** It has failed too often: none are, until one that is sent there is answered. */
  readonly isEjected: boolean;
  /** That may be tried. */
  readonly admitsTrial: boolean;
  readonly sessions: {
    readonly size: number;
    owed: number;
    releaseIdle(count: number, looks: number): number;
  };
}

export class Rebalance {
  readonly #endpoints: () => readonly Share[];
  readonly #wheel: TimerWheel;
  readonly #step: Timeout;

  constructor(endpoints: () => readonly Share[], wheel: TimerWheel) {
    this.#endpoints = endpoints;
    this.#wheel = wheel;
    this.#step = new Timeout(() => {
      if (rebalance(this.#endpoints(), MOVES_PER_STEP)) this.begin();
    });
  }

  /** An endpoint has come; harmless to repeat. */
  begin(): void {
    this.#wheel.set(this.#step, STEP_MS);
  }

  stop(): void {
    this.#wheel.cancel(this.#step);
  }
}

/** One step. True: there is more to move. */
export function rebalance(all: readonly Share[], moves: number): boolean {
  const endpoints = all.filter((endpoint) => endpoint.isWell);
  const hasEjected = endpoints.length > 0 && all.some(({ isEjected }) => isEjected);
  if (hasEjected)
    for (const endpoint of all) if (endpoint.admitsTrial) bringOne(endpoint, endpoints);
  if (endpoints.length < 2) return hasEjected;
  const weights = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  const total = endpoints.reduce((sum, { sessions }) => sum + sessions.size + sessions.owed, 0);
  const shareOf = ({ weight }: Share): number => Math.ceil((total * weight) / weights);
  let released = 0;
  let excess = 0;
  for (const endpoint of endpoints) {
    const tooMany = endpoint.sessions.size + endpoint.sessions.owed - shareOf(endpoint);
    if (tooMany <= 0) continue;
    excess += tooMany;
    released += endpoint.sessions.releaseIdle(Math.min(tooMany, moves - released), LOOKS_PER_STEP);
  }
  // The endpoint that lacks most gets the next session: one of these, at its next message, or a new one.
  const lacking = (endpoint: Share): number =>
    (total * endpoint.weight) / weights - endpoint.sessions.size - endpoint.sessions.owed;
  for (let i = 0; i < released; i++)
    endpoints.reduce((most, endpoint) => (lacking(endpoint) > lacking(most) ? endpoint : most))
      .sessions.owed++;
  return hasEjected || excess > released;
}

/** From where most are. */
function bringOne({ sessions }: Share, from: readonly Share[]): void {
  if (sessions.owed > 0) return;
  const most = from.reduce((a, b) => (b.sessions.size > a.sessions.size ? b : a));
  sessions.owed = most.sessions.releaseIdle(1, LOOKS_PER_STEP);
}
