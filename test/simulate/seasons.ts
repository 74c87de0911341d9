/**
 * What all gateways have in common in their configuration: how many sessions a uid may have, and whether there are resume
 * tokens. It changes every few rounds, when nobody is there, so that a day has each of them beside the other.
 */
import type { SeededRandom } from './random.ts';
import type { World } from './world.ts';

export type UidPolicy = {
  /** Keys of `auth`. */
  readonly yaml: string;
  /** Sessions of one uid; Infinity: any number. */
  readonly sessionsMax: number;
  /** A bind waits for whoever holds the uid. */
  readonly refuses: boolean;
};

export type Season = {
  readonly policy: UidPolicy;
  /** Players that ask get tokens. */
  readonly hasTokens: boolean;
};

/** Two hours: a day has twelve of them, and there are ten. */
export const ROUNDS_PER_SEASON = 12;

const MANY: UidPolicy = { yaml: '', sessionsMax: Infinity, refuses: false };
const POLICIES: readonly UidPolicy[] = [
  ...[MANY, MANY],
  { yaml: 'sessions_per_uid: kick_old', sessionsMax: 1, refuses: false },
  { yaml: 'sessions_per_uid: refuse_new', sessionsMax: 1, refuses: true },
  { yaml: 'max_sessions_per_uid: 2', sessionsMax: 2, refuses: false },
];
const ALL: readonly Season[] = POLICIES.flatMap((policy) =>
  [true, false].map((hasTokens) => ({ policy, hasTokens })),
);

export class Seasons {
  /** How it is now, and how gateways are started from now on. */
  current: Season;
  readonly #order: readonly Season[];
  #n = 0;

  constructor(world: World) {
    this.#order = shuffled(ALL, world.random('seasons'));
    this.current = this.#order[0]!;
  }

  /** Another one begins after `round` rounds. */
  static endsAfter(round: number): boolean {
    return round % ROUNDS_PER_SEASON === 0;
  }

  next(): void {
    this.#n++;
    this.current = this.#order[this.#n % this.#order.length]!;
  }
}

function shuffled<T>(list: readonly T[], random: SeededRandom): T[] {
  const left = [...list];
  return list.map(() => left.splice(random.int(0, left.length - 1), 1)[0]!);
}
