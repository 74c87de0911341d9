/** A run: a fleet, commands, and in the end all leave, and nothing is left. */
import fc from 'fast-check';

import { AT_ONCE } from './at-once.ts';
import { DISTURBANCES } from './disturbances.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import { expectSame, lookRound } from './look.ts';
import { Model, POLICIES } from './model.ts';
import {
  allKnowThatItIsLost,
  askGroups,
  askPresence,
  askSessions,
  QUESTIONS,
} from './questions.ts';
import { RESUMES } from './resumes.ts';
import { gone, SESSION_COMMANDS } from './sessions.ts';

/** In one run. */
const COMMANDS_MAX = 400;
/** Until gateways have noticed who has vanished, and told of who was lost. */
const LAST_MS = 12_000;

export type Counts = Record<string, number>;

export type PlayOptions = {
  /** Added up: operations by kind. */
  readonly counts: Counts;
  /** Absent: one, two or three. */
  readonly gateways?: number | undefined;
  /** Of a failure; ''. */
  readonly replayPath?: string;
  readonly onTrace?: ((line: string) => void) | undefined;
};

function optionsArbitrary({ gateways }: PlayOptions): fc.Arbitrary<FleetOptions> {
  return fc.record({
    seed: fc.nat(0x7fff_ffff),
    gateways: gateways === undefined ? fc.constantFrom(3, 2, 1) : fc.constant(gateways),
    policy: fc.constantFrom(...POLICIES),
    asksConnect: fc.boolean(),
    groupTtlMs: fc.constantFrom(0, 0, 300),
    resumes: fc.boolean(),
  });
}

/** For any commands on any fleet, the gateways are as the model says. */
export function propertyOf(play: PlayOptions) {
  const { counts, replayPath = '', onTrace } = play;
  const commands = fc.commands(
    [fc.oneof(...SESSION_COMMANDS, ...QUESTIONS, ...AT_ONCE, ...RESUMES, ...DISTURBANCES)],
    {
      maxCommands: COMMANDS_MAX,
      size: 'max',
      ...(replayPath !== '' && { replayPath }),
    },
  );
  return fc.asyncProperty(optionsArbitrary(play), commands, async (options, list) => {
    const fleet = await Fleet.begin({ ...options, ...(onTrace && { onTrace }) });
    const model = new Model(options.policy);
    try {
      await fc.asyncModelRun(() => ({ model, real: fleet }), list);
      await lookRound(fleet, model);
      await leaveAll(fleet, model);
    } finally {
      fleet.end();
      for (const [kind, count] of Object.entries(model.counts))
        counts[kind] = (counts[kind] ?? 0) + count;
    }
  });
}

/** Everybody goes, and gateways are as they were when they had just started. */
async function leaveAll(fleet: Fleet, model: Model): Promise<void> {
  for (const session of model.list) {
    if (session.guest.isVanished) continue;
    session.guest.end('leaves');
    await gone(fleet, session);
    model.close(session, 'client_closed');
  }
  await fleet.wait(LAST_MS);
  await lookRound(fleet, model);
  expectSame('sessions in the end', model.list.map(({ sid }) => sid), []); // prettier-ignore
  for (const gateway of fleet.running) {
    const { place } = gateway;
    expectSame(`sessions of ${place}`, gateway.gateway.registry.size, 0);
    expectSame(`groups of ${place}`, [...gateway.gateway.registry.groups()], []);
    expectSame(`subscriptions of ${place}`, fleet.subscriptions(gateway), fleet.base(gateway));
    expectSame(`outboxes of ${place}`, gateway.gauge('pith_outbox_bytes'), 0);
    expectSame(`bodies in flight at ${place}`, gateway.gauge('pith_in_flight_bytes'), 0);
    expectSame(`events of ${place} that wait`, gateway.gauge('pith_events_waiting'), 0);
    expectSame(`internal errors of ${place}`, gateway.count('pith_internal_errors_total'), 0);
  }
  if (fleet.running.length === 0) return;
  if (fleet.killed.size > 0 && fleet.options.seed % 4 === 0) await giveUp(fleet);
  await askPresence(fleet, model);
  await askGroups(fleet, model, '', 100);
  await askSessions(fleet, model, {}, 1_000);
}

/**
 * A gateway that is killed is announced as lost within 10 s. Nobody waits for it any more, it is named as silent for another
 * minute, and new gateways are not told of it. If those that would announce it were killed as well, it is given up once it
 * has failed to answer three times. [src/bus/known-gateways.ts]
 */
async function giveUp(fleet: Fleet): Promise<void> {
  const ask = async (): Promise<string[]> => {
    const asked = fleet.running.map(({ fleetCommands }) => fleetCommands.presence(['ann']));
    const outcomes = await fleet.within('presence', Promise.all(asked));
    return outcomes.flatMap((one) => ('users' in one ? [...one.silentGateways] : ['no answer']));
  };
  await fleet.wait(71_000);
  // Nobody has announced it, or one of the others was cut off then.
  const isAnnounced = (id: string): boolean =>
    fleet.heard.lost.has(id) && allKnowThatItIsLost(fleet, fleet.lostMs.get(id)!);
  const unannounced = (id: string): boolean => fleet.killed.has(id) && !isAnnounced(id);
  const silent = await ask();
  expectSame('silent in the end', silent.filter((id) => !unannounced(id)), []); // prettier-ignore
  for (let i = 1; i < 3; i++) await ask();
  await fleet.wait(61_000);
  expectSame('silent in the end, given up', await ask(), []);
}
