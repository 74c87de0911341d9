/** Which way a session takes, by the backend's policy. Pure. */
import { hash } from '../../routing/route-table.ts';

/** round_robin: in turn, by weight · least_in_flight · hash: where its key leads · pick_first: the first that is there. */
export type Policy = 'round_robin' | 'least_in_flight' | 'hash' | 'pick_first';

/** What is known of a way to a backend. */
export interface Choice {
  /** The same on every gateway. */
  readonly label: string;
  /** Greater than 0. */
  readonly weight: number;
  /** Takes new sessions. */
  readonly welcomes: boolean;
  /** Takes them if there is no better. */
  readonly isOpen: boolean;
  readonly inFlight: number;
  readonly sessions: { readonly size: number; readonly owed: number };
  /** Owned by the balancer. */
  turn: number;
}

export class Balancer {
  readonly #policy: Policy;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /**
   * The way for one session; null: there is none. Where none is well, all that are open count: a wrong verdict
   * must not close a backend down.
   *
   * @param key What a hash goes by; '' elsewhere.
   */
  pick<C extends Choice>(choices: readonly C[], key: string): C | null {
    const welcoming = choices.filter((choice) => choice.welcomes);
    const among = welcoming.length > 0 ? welcoming : choices.filter((choice) => choice.isOpen);
    if (among.length <= 1) return among[0] ?? null;
    switch (this.#policy) {
      case 'pick_first':
        return among[0]!;
      case 'hash':
        return among.reduce((best, one) => (distance(one, key) < distance(best, key) ? one : best));
      case 'round_robin':
        return among.find(({ sessions }) => sessions.owed > 0) ?? inTurn(among);
      case 'least_in_flight':
        return among.find(({ sessions }) => sessions.owed > 0) ?? inTurn(leastBusy(among));
    }
  }
}

/** Each gets its weight at every turn, and who has most pays for all: turns of the heavy do not come in a row. */
function inTurn<C extends Choice>(choices: readonly C[]): C {
  let total = 0;
  let first = choices[0]!;
  for (const choice of choices) {
    choice.turn += choice.weight;
    total += choice.weight;
    if (choice.turn > first.turn) first = choice;
  }
  first.turn -= total;
  return first;
}

/** Sessions decide where calls do not: many may come before the first call. */
function leastBusy<C extends Choice>(choices: readonly C[]): C[] {
  const least = <T extends C>(of: readonly T[], load: (choice: T) => number): T[] => {
    const min = Math.min(...of.map((choice) => load(choice) / choice.weight));
    return of.filter((choice) => load(choice) / choice.weight === min);
  };
  return least(
    least(choices, ({ inFlight }) => inFlight),
    ({ sessions }) => sessions.size,
  );
}

/**
 * Rendezvous hashing: each key has an order of its own over all ways, so one that goes or comes moves only the
 * keys that were or will be its own. A way of weight w is first for w shares of the keys.
 */
function distance(choice: Choice, key: string): number {
  const point = (hash(`${choice.label} ${key}`) + 1) / 2 ** 32;
  return -Math.log(point) / choice.weight;
}
