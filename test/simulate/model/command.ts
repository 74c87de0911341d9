/** What commands are made of. */
import fc from 'fast-check';

import type { Fleet } from './fleet.ts';
import type { Model, ModelSession } from './model.ts';

/** A kind of command: which arguments it takes, when it can be run, and what it does. */
export type Kind<T> = {
  readonly name: string;
  /** How often it is taken, among all. */
  readonly weight: number;
  readonly args: fc.Arbitrary<T>;
  /** Absent: always. */
  readonly can?: (model: Model, args: T) => boolean;
  readonly run: (model: Model, fleet: Fleet, args: T) => Promise<void>;
};

/** What `can` knows of the fleet: fast-check asks it with the model alone. */
export class Command<T> implements fc.AsyncCommand<Model, Fleet> {
  readonly #kind: Kind<T>;
  readonly #args: T;

  constructor(kind: Kind<T>, args: T) {
    this.#kind = kind;
    this.#args = args;
  }

  check(model: Readonly<Model>): boolean {
    return this.#kind.can?.(model as Model, this.#args) ?? true;
  }

  async run(model: Model, fleet: Fleet): Promise<void> {
    const { name } = this.#kind;
    if (name !== 'change') model.count(name);
    fleet.world.trace(`COMMAND ${this.toString()}`);
    await this.#kind.run(model, fleet, this.#args);
  }

  toString(): string {
    return `${this.#kind.name} ${JSON.stringify(this.#args)}`;
  }
}

/** Commands of one kind, as often as it says. */
export function commandsOf<T>(kind: Kind<T>): fc.WeightedArbitrary<fc.AsyncCommand<Model, Fleet>> {
  return { weight: kind.weight, arbitrary: kind.args.map((args) => new Command(kind, args)) };
}

// ---- arguments --------------------------------------------------------------------------------------------

/** Few, so that they meet. Some need encoding on subjects, and one is a prefix of another. */
export const UIDS = ['ann', 'bob', 'zoë', 'ann.2'] as const;
export const GROUPS = ['a', 'room.1', 'room.12', 'zoë', 'room.2'] as const;

export const uid = fc.constantFrom(...UIDS);
export const group = fc.constantFrom(...GROUPS);
export const groups = fc.uniqueArray(group, { minLength: 1, maxLength: 2 });
/** Which of the sessions, or gateways, that are there. */
export const nth = fc.nat(11);
/** Milliseconds; -1: as configured; 0: to the end of the session. One is longer than a turn of the timer wheel. */
export const ttl = fc.constantFrom(-1, -1, 0, 0, 30, 200, 2_000, 9_000, 21_000);

/** Exactly what it names, of those that are there. */
export function pick<T>(all: readonly T[], at: number): T {
  return all[at % all.length]!;
}

/** A target by places in the list of sessions, and names. */
export type Aim = {
  readonly sids: readonly number[];
  readonly uids: readonly string[];
  readonly groups: readonly string[];
  readonly all: boolean;
  readonly except: readonly number[];
  readonly exceptUids: readonly string[];
};

const few = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { maxLength: 2 });

export const aim: fc.Arbitrary<Aim> = fc.record({
  sids: few(nth),
  uids: few(uid),
  groups: few(group),
  all: fc.nat(9).map((n) => n === 0),
  except: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: few(nth) }),
  exceptUids: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: few(uid) }), // prettier-ignore
});

export type TargetJson = {
  readonly sids: string[];
  readonly uids: readonly string[];
  readonly groups: readonly string[];
  readonly all: boolean;
  readonly except_sids: string[];
  readonly except_uids: readonly string[];
};

/** A sid that names nobody is among them now and then: that of a session that has ended. */
export function targetOf(
  model: Model,
  { sids, uids, groups, all, except, exceptUids }: Aim,
): TargetJson {
  // prettier-ignore
  const { list } = model;
  const sidsOf = (places: readonly number[]): string[] =>
    list.length === 0 ? [] : places.map((at) => pick(list, at).sid);
  return {
    ...{ sids: sidsOf(sids), uids, groups, all },
    ...{ except_sids: sidsOf(except), except_uids: exceptUids },
  };
}

export function namesNobody({ sids, uids, groups, all }: TargetJson): boolean {
  return !all && sids.length + uids.length + groups.length === 0;
}

/** The gateways on which these sessions are. */
export function placesOf(sessions: readonly ModelSession[]): Set<string> {
  return new Set(sessions.map(({ place }) => place));
}
