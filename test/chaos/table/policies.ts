/** How many sessions a uid may have, on three gateways; while one is cut off, and when it is back. */
import { eventually } from '../../support/wait.ts';
import type { Bus } from './buses.ts';
import type { Cases } from './cases.ts';
import { type Player, TableFleet } from './table-fleet.ts';

type Json = Record<string, unknown>;

const ELSEWHERE = { reason: 'logged_in_elsewhere' };
const IN_USE = { code: 409, reason: 'UID_IN_USE' };
const IS_BOUND = { uid: 'ann' };

/** What has come of binding these players to one uid, in this order. */
class Stage {
  readonly policy: string;
  readonly fleet: TableFleet;
  readonly #cases: Cases;

  constructor(policy: string, fleet: TableFleet, cases: Cases) {
    this.policy = policy;
    this.fleet = fleet;
    this.#cases = cases;
  }

  /** By the gateway that holds the session. */
  async bind({ sid }: Player, gateway: number): Promise<Json> {
    const { code, reason, uid } = await this.fleet.control(gateway, 'Bind', { sid, uid: 'ann' });
    return { code, reason, uid };
  }

  /** What a client got: `kick …`, or nothing. */
  #kickOf({ client }: Player): unknown {
    return client.received.find((item) => item.kind === 'kick')?.body ?? 'none';
  }

  /** But for what is only said again, by a gateway that was cut off. */
  #eventsOf(player: Player): string {
    const events = this.fleet.eventsOf(player);
    return events.filter((name) => name !== 'again').join(' ');
  }

  /** Checks which sessions hold the uid according to all gateways, what clients received, and the events of each session. */
  async check(what: string, bound: readonly Json[], must: Must): Promise<void> {
    const { fleet, policy } = this;
    const players = [...fleet.players];
    const look = (): object => ({
      bound,
      kicks: Object.fromEntries(players.map((one) => [one.name, this.#kickOf(one)])),
      events: Object.fromEntries(players.map((one) => [one.name, this.#eventsOf(one)])),
    });
    const { holders, gateways = 3, ...rest } = must;
    await this.#cases.until(policy, what, look, rest);
    // On a busy machine one may not answer in time.
    const answer = await eventually(async () => {
      const one = await fleet.control(0, 'GetPresence', { uids: ['ann'] });
      return one['gateways'] === gateways && one;
    }, `${gateways} gateways`);
    const { ann } = answer['presence'] as Record<string, { sids: string[] }>;
    const has = { holders: fleet.named(ann?.sids ?? []) };
    this.#cases.check(policy, `${what}: who has the uid`, has, { holders });
  }

  async leave(player: Player): Promise<void> {
    player.client.close();
    await player.client.ended;
    this.fleet.players.splice(this.fleet.players.indexOf(player), 1);
  }
}

type Must = {
  readonly bound: readonly Json[];
  readonly kicks: Json;
  readonly events: Readonly<Record<string, string>>;
  /** The one that was bound first comes first. */
  readonly holders: readonly string[];
  /** That answer; 3 where it is not said. */
  readonly gateways?: number;
};

/** Three players on three gateways are bound one after the other. */
async function inTurn(bus: Bus, cases: Cases, policy: string, auth: string, must: Must) {
  const fleet = await TableFleet.start(bus, policy.replaceAll(/\W/g, ''), `auth: { ${auth} }`);
  const stage = new Stage(policy, fleet, cases);
  const bound: Json[] = [];
  for (const [i, name] of ['a', 'b', 'c'].entries())
    bound.push(await stage.bind(await fleet.join(name, i), i));
  await stage.check('one after the other on three gateways', bound, must);
  return { fleet, stage };
}

export async function many(bus: Bus, cases: Cases): Promise<void> {
  const { fleet } = await inTurn(bus, cases, 'many', 'sessions_per_uid: many', {
    bound: [IS_BOUND, IS_BOUND, IS_BOUND],
    kicks: { a: 'none', b: 'none', c: 'none' },
    events: { a: 'opened bound', b: 'opened bound', c: 'opened bound' },
    holders: ['a', 'b', 'c'],
  });
  await fleet[Symbol.asyncDispose]();
}

export async function max(bus: Bus, cases: Cases): Promise<void> {
  const { fleet } = await inTurn(bus, cases, 'max 2', 'max_sessions_per_uid: 2', {
    bound: [IS_BOUND, IS_BOUND, IS_BOUND],
    kicks: { a: ELSEWHERE, b: 'none', c: 'none' },
    events: { a: 'opened bound closed', b: 'opened bound', c: 'opened bound' },
    holders: ['b', 'c'],
  });
  await fleet[Symbol.asyncDispose]();
}

/** Those that are to be cut off afterwards. */
export type Apart = { readonly stage: Stage; readonly here: Player; readonly there: Player };

export async function kickOld(bus: Bus, cases: Cases): Promise<Apart> {
  const { fleet, stage } = await inTurn(bus, cases, 'kick_old', 'sessions_per_uid: kick_old', {
    bound: [IS_BOUND, IS_BOUND, IS_BOUND],
    kicks: { a: ELSEWHERE, b: ELSEWHERE, c: 'none' },
    events: { a: 'opened bound closed', b: 'opened bound closed', c: 'opened bound' },
    holders: ['c'],
  });
  return apart(stage, fleet);
}

export async function refuseNew(bus: Bus, cases: Cases): Promise<Apart> {
  const { fleet, stage } = await inTurn(bus, cases, 'refuse_new', 'sessions_per_uid: refuse_new', {
    bound: [IS_BOUND, IN_USE, IN_USE],
    kicks: { a: 'none', b: 'none', c: 'none' },
    events: { a: 'opened bound', b: 'opened', c: 'opened' },
    holders: ['a'],
  });
  const [a, b] = fleet.players;
  await stage.leave(a!);
  await cases.until('refuse_new', 'the holder leaves', () => ({ a: fleet.eventsOf(a!).join(' ') }), { a: 'opened bound closed' }); // prettier-ignore
  await stage.check('then the next is let in', [await stage.bind(b!, 1)], {
    bound: [IS_BOUND],
    kicks: { b: 'none', c: 'none' },
    events: { b: 'opened bound', c: 'opened' },
    holders: ['b'],
  });
  return apart(stage, fleet);
}

/** Nobody is bound, and two are there: on the first gateway, and on the third. */
async function apart(stage: Stage, fleet: TableFleet): Promise<Apart> {
  for (const player of [...fleet.players]) await stage.leave(player);
  return { stage, here: await fleet.join('here', 0), there: await fleet.join('there', 2) };
}

/** While the third gateway is cut off, each side lets its own in. */
export async function bothAreLetIn({ stage, here, there }: Apart): Promise<void> {
  const bound = [await stage.bind(here, 0), await stage.bind(there, 2)];
  await stage.check('while the third gateway is cut off', bound, {
    bound: [IS_BOUND, IS_BOUND],
    kicks: { here: 'none', there: 'none' },
    // What is told on the other side is not heard here.
    events: { here: 'opened bound', there: 'opened' },
    ...{ holders: ['here'], gateways: 2 },
  });
  // What was told on the other side of a shorter cut is not told again.
  const { fleet } = stage;
  const third = fleet.gateways[2]!.id;
  await eventually(
    () => fleet.presence.named('gateway.lost').some(({ gateway }) => gateway === third),
    'the third to be taken for lost',
  );
}

/**
 * When it is back the newer one stays, whatever the policy is.
 * @param isTold Of what the third gateway has published meanwhile: it has kept it.
 */
export async function theNewerStays(
  { stage, there }: Apart,
  cases: Cases,
  isTold: boolean,
): Promise<void> {
  await stage.check('when it is back', [], {
    bound: [],
    kicks: { here: ELSEWHERE, there: 'none' },
    events: { here: 'opened bound conflict closed', there: isTold ? 'opened bound' : 'opened' },
    holders: ['there'],
  });
  const { fleet, policy } = stage;
  const look = (): object => ({
    here: fleet.named(fleet.presence.sids),
    uid: fleet.presence.here.get(fleet.gateways[2]!.id)?.get(there.sid),
  });
  await cases.until(policy, 'who is there, by events alone', look, { here: ['there'], uid: 'ann' });
}
