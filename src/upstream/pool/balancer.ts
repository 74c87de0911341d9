/** Which endpoint a session gets, by the backend's policy. Pure. */
import { hash } from '../../routing/route-table.ts';

/** round_robin: in turn, by weight · least_in_flight · hash: where its key leads · pick_first: the first that is there. */
export type Policy = 'round_robin' | 'least_in_flight' | 'hash' | 'pick_first';

/** Whether a session may be brought to an endpoint that has come later: not where a key, or the order, decides. */
export function rebalances(balance: Policy): boolean {
  return balance === 'round_robin' || balance === 'least_in_flight';
}

/** What is known of an endpoint. */
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
   * The endpoint for one session; null: there is none. Where none is well, all that are open count: a false alarm
   * must not take a whole backend out.
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

/** Each gets its weight at every turn, and the one that has most pays for all, so a heavy one does not get several turns in a row. */
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
 * Rendezvous hashing: each key has an order of its own over all endpoints, so one that goes or comes moves only the
 * keys that were or will be its own. An endpoint of weight w is first for w shares of the keys.
 */
function distance(choice: Choice, key: string): number {
  const point = (hash(`${choice.label} ${key}`) + 1) / 2 ** 32;
  return -Math.log(point) / choice.weight;
}
