/**
 * What gateways answer when all is still, asked of each of them: who is online and where, and which groups there are, must
 * be what the registries of all hold. And groups that are joined and left through Control, some of them for a while.
 */
import type { GroupOutcome, PresenceOutcome } from '../../src/bus/fleet-commands.ts';
import type { SimGateway } from './gateway.ts';
import type { Stage } from './stage.ts';

const PRESENCE = 'when it is still, presence is who is there';
const GROUPS = 'when it is still, groups are who is in them';
const JOINED = 'Join and Leave reach all sessions of a user, wherever they are';
const ENDS = 'a membership lasts as long as the last join says';
/** Of the memberships that end; and how much later they may. */
const TTL_MS = 2_000;
const LATE_MS = 300;
/** Longer than a call may take, with gateways that are waited for and do not answer. */
const CALL_MS = 2_600;
/** Until all have answered who is there. */
const ASKED_MS = 600;
const PREFIX = 'still.';
const PAGE = { limit: 1_000, after: '' } as const;

export class FleetQuestions {
  readonly checks = { [PRESENCE]: 0, [GROUPS]: 0, [JOINED]: 0, [ENDS]: 0 };
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Nobody asks for anything for a while: ten seconds are needed. */
  askStill(): void {
    for (const gateway of this.#stage.running) this.#askPresence(gateway);
    this.#askGroups('', this.#groups(''));
    this.#stage.world.after(ASKED_MS, () => {
      this.#join();
    });
  }

  #check(rule: keyof FleetQuestions['checks'], isHeld: boolean, what: () => string): void {
    this.checks[rule]++;
    if (!isHeld) this.#stage.world.violate(rule, what());
  }

  /** Calls `then` with what comes of the call; a fault is a violation. */
  #ask<T>(gateway: SimGateway, call: () => Promise<T>, then: (outcome: T) => void): void {
    gateway.node.soon(() => {
      call().then(then, (error: unknown) => {
        this.#stage.world.violate('Control answers', String(error));
      });
    });
  }

  // ---- who is there ---------------------------------------------------------------------------------------

  get #uids(): Map<string, string[]> {
    const uids = new Map<string, string[]>();
    for (const { gateway } of this.#stage.running)
      for (const { uid, sid } of gateway.registry.all())
        if (uid !== '') uids.set(uid, [...(uids.get(uid) ?? []), sid]);
    return uids;
  }

  #askPresence(gateway: SimGateway): void {
    const truth = textOf(this.#uids);
    const uids = [...this.#uids.keys(), 'nobody'];
    this.#ask(gateway, () => gateway.fleetCommands.presence(uids), (outcome) => {
      const told = 'users' in outcome ? textOf(sidsOf(outcome)) : JSON.stringify(outcome);
      // What was heard meanwhile may be either.
      if (textOf(this.#uids) === truth)
        this.#check(PRESENCE, told === truth, () => `${gateway.node.name}: ${told}, not ${truth}`);
    }); // prettier-ignore
  }

  /** Groups and the numbers of their sessions. */
  #groups(prefix: string): Map<string, string[]> {
    const groups = new Map<string, string[]>();
    for (const { gateway } of this.#stage.running)
      for (const [name, members] of gateway.registry.groups())
        if (name.startsWith(prefix))
          groups.set(name, [...(groups.get(name) ?? []), ...[...members].map(({ sid }) => sid)]);
    return groups;
  }

  #askGroups(prefix: string, shouldBe: ReadonlyMap<string, readonly string[]>): void {
    const truth = countsOf(shouldBe);
    for (const gateway of this.#stage.running)
      this.#ask(gateway, () => gateway.fleetCommands.groups(prefix, PAGE), (outcome) => {
        if (countsOf(this.#groups(prefix)) !== truth) return;
        const told =
          'groups' in outcome
            ? outcome.groups.map(({ name, sessions }) => `${name} ${sessions}`).join()
            : JSON.stringify(outcome);
        this.#check(GROUPS, told === truth, () => `${gateway.node.name}: ${told}, not ${truth}`);
      }); // prettier-ignore
  }

  // ---- groups through Control -----------------------------------------------------------------------------

  /** Some users join one group for a while, and another one for a while and then for good; then they leave that. */
  #join(): void {
    const { running, world } = this.#stage;
    const uids = [...this.#uids.keys()].filter((_, i) => i % 3 === 0);
    const [first] = running;
    const last = running.at(-1);
    if (uids.length === 0 || first === undefined || last === undefined) return;
    const groups = [`${PREFIX}a`, `${PREFIX}b`];
    const target = { uids };
    this.#change(first, { verb: 'join', target, groups, ttlMs: TTL_MS }, () => {
      this.#change(last, { verb: 'join', target, groups: [groups[1]!], ttlMs: 0 }, () => {
        this.#askGroups(PREFIX, this.#groups(PREFIX));
        world.after(TTL_MS + LATE_MS, () => {
          const left = [...this.#groups(PREFIX).keys()];
          this.#check(ENDS, left.join() === groups[1], () => `there are ${left.join()}`);
          this.#change(last, { verb: 'leave', target, groups: [groups[1]!] }, () => {
            const still = [...this.#groups(PREFIX).keys()];
            this.#check(ENDS, still.length === 0, () => `there are still ${still.join()}`);
          });
        });
      });
    });
  }

  #change(
    gateway: SimGateway,
    change: Parameters<SimGateway['fleetCommands']['changeGroups']>[0],
    then: () => void,
  ): void {
    const { world } = this.#stage;
    const askedMs = world.nowMs;
    this.#ask(gateway, () => gateway.fleetCommands.changeGroups(change), (outcome) => {
      const { groups, target, verb } = change;
      const uids = new Set(target.uids);
      const sessions = [...this.#uids].filter(([uid]) => uids.has(uid)).flatMap(([, sids]) => sids);
      const all = this.#groups(PREFIX);
      const isDone = (sid: string): boolean =>
        groups.every((group) => (all.get(group)?.includes(sid) ?? false) === (verb === 'join'));
      const isWhole = 'changed' in outcome && isAnswered(outcome, this.#stage.running.length);
      const what = () => `${verb} ${groups.join()} of ${sessions.join()}: ${JSON.stringify(outcome)}`;
      this.#check(JOINED, isWhole && sessions.every(isDone), what);
      if (world.nowMs - askedMs < CALL_MS) then();
    }); // prettier-ignore
  }
}

/** All gateways have answered, and all sessions could. */
function isAnswered({ gateways, refused }: GroupOutcome, running: number): boolean {
  return gateways === running && refused === 0;
}

function sidsOf({ users }: PresenceOutcome): Map<string, string[]> {
  const sids = new Map<string, string[]>();
  for (const [uid, { entries }] of users) sids.set(uid, entries.map(({ sid }) => sid)); // prettier-ignore
  return sids;
}

function textOf(sids: ReadonlyMap<string, readonly string[]>): string {
  return [...sids].map(([uid, all]) => `${uid}: ${[...all].sort().join(' ')}`).sort().join(); // prettier-ignore
}

function countsOf(groups: ReadonlyMap<string, readonly string[]>): string {
  return [...groups.keys()].sort().map((name) => `${name} ${groups.get(name)!.length}`).join(); // prettier-ignore
}
