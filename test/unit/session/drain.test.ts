/** Sessions are sent away at a pace: who goes when, who is told before, and what becomes of those who are not done. */
import { describe, expect, test } from 'vitest';

import { drainSessions } from '../../../src/session/drain.ts';
import { seededRandom } from '../../support/random.ts';
import { keptLog } from '../../support/report.ts';
import { TurnClock } from '../../support/turn-clock.ts';
import { activate, makeWorld, request, turn, type World } from './support.ts';

const NO_HINT = { route: '', leadMs: 2_000 };
const OPTIONS = { budgetMs: 60_000, perSecond: 100, hint: NO_HINT, signal: 'close' } as const;
const STEP_MS = 5;

type Client = ReturnType<typeof activate>;

function crowd(world: World, count: number): Client[] {
  return Array.from({ length: count }, (_, i) => {
    const client = activate({ world, n: i + 1 });
    world.registry.add(client.session);
    return client;
  });
}

function parts(world: World) {
  return { ...world, random: seededRandom(), log: keptLog().log };
}

/** Lets `ms` go by in steps. @param look Called after each. */
async function pass(world: World, ms: number, look: (now: number) => void = () => {}) {
  for (let passed = 0; passed < ms; passed += STEP_MS) {
    world.clock.advance(STEP_MS);
    await turn();
    look(world.clock.now() - 1_000);
  }
}

/** When each was closed, as it is seen after the steps. */
async function closings(world: World, clients: readonly Client[], ms: number): Promise<number[]> {
  const at = new Map<Client, number>();
  await pass(world, ms, (now) => {
    for (const client of clients)
      if (client.connection.closed !== null && !at.has(client)) at.set(client, now);
  });
  return [...at.values()].sort((a, b) => a - b);
}

/** What is seen is up to a step late. */
function expectAtMost(at: readonly number[], perSecond: number): void {
  for (let i = 0; i + perSecond < at.length; i++)
    expect(at[i + perSecond]! - at[i]!).toBeGreaterThanOrEqual(1_000 - STEP_MS);
}

describe('the pace', () => {
  test('in no second more go than drain.per_second says, and they do not go in step', async () => {
    const world = makeWorld();
    const clients = crowd(world, 300);
    const drained = drainSessions(parts(world), OPTIONS, () => false);
    const at = await closings(world, clients, 3_100);
    expect(await drained).toEqual({ closed: 300, forced: 0 });
    expect(at).toHaveLength(300);
    expectAtMost(at, 100);
    expect(new Set(at.slice(1).map((ms, i) => ms - at[i]!)).size).toBeGreaterThan(2);
  });

  test('nor after a stall, and where many have their answers at the same moment', async () => {
    const world = makeWorld();
    const clients = crowd(world, 400);
    const answers = clients.slice(0, 150).map(({ session }) => {
      const call = { rawId: 1, wantsAnswer: true, abandon() {}, giveUp() {} };
      session.track(call);
      return () => {
        session.untrack(call);
      };
    });
    const drained = drainSessions(parts(world), OPTIONS, () => false);
    const before = await closings(world, clients, 1_900);
    world.clock.jump(400);
    const between = await closings(world, clients, 2_000);
    for (const answer of answers) answer();
    const after = await closings(world, clients, 3_000);
    expect(await drained).toEqual({ closed: 400, forced: 0 });
    // Who was gone before is seen at the first step of the next part again.
    expectAtMost([...before, ...between.slice(before.length), ...after.slice(between.length)], 100);
  });

  test('more go where the budget needs it: all are gone in time', async () => {
    const world = makeWorld();
    const clients = crowd(world, 300);
    const options = { ...OPTIONS, perSecond: 1, budgetMs: 2_000 };
    const drained = drainSessions(parts(world), options, () => false);
    const at = await closings(world, clients, 2_100);
    expect(await drained).toEqual({ closed: 300, forced: 0 });
    // 150 a second, from the first to the last.
    expect(at[149]).toBeGreaterThan(900);
    expect(at[149]).toBeLessThan(1_100);
  });

  test('after a stall of the process it goes on where it was: what was missed is not made up for at once', async () => {
    const world = makeWorld();
    const clients = crowd(world, 300);
    const drained = drainSessions(parts(world), OPTIONS, () => false);
    await pass(world, 100);
    const before = clients.filter(({ connection }) => connection.closed !== null).length;
    world.clock.jump(1_000);
    for (let i = 0; i < 4; i++) await turn();
    const after = clients.filter(({ connection }) => connection.closed !== null).length;
    expect(after - before).toBeLessThanOrEqual(7);
    await pass(world, 3_000);
    expect(await drained).toEqual({ closed: 300, forced: 0 });
  });

  test('those who came one after the other do not go one after the other', async () => {
    const world = makeWorld();
    const clients = crowd(world, 100);
    const drained = drainSessions(parts(world), OPTIONS, () => false);
    await pass(world, 500);
    const first = clients.slice(0, 50).filter(({ connection }) => connection.closed !== null);
    expect(first.length).toBeGreaterThan(10);
    expect(first.length).toBeLessThan(40);
    await pass(world, 600);
    await drained;
  });
});

test('idle ones go first, and one with a request in flight once it has its answer', async () => {
  const world = makeWorld();
  const clients = crowd(world, 20);
  const waits = clients.slice(0, 5).map(({ session }) => {
    const call = { rawId: 1, wantsAnswer: true, abandon() {}, giveUp() {} };
    session.track(call);
    return () => {
      session.untrack(call);
    };
  });
  const drained = drainSessions(parts(world), OPTIONS, () => false);
  await pass(world, 1_000);
  expect(clients.map(({ connection }) => connection.closed !== null)).toEqual([
    ...Array.from({ length: 5 }, () => false),
    ...Array.from({ length: 15 }, () => true),
  ]);
  expect(clients[0]!.session.state).toBe('draining');
  for (const done of waits) done();
  await pass(world, 100);
  expect(await drained).toEqual({ closed: 20, forced: 0 });
});

describe('with drain.hint_route', () => {
  const hint = { route: 'onDrain', leadMs: 2_000 };

  test('each is told how long it has, is served meanwhile, and closed then', async () => {
    const world = makeWorld();
    const [client] = crowd(world, 1);
    const drained = drainSessions(parts(world), { ...OPTIONS, hint }, () => false);
    await pass(world, 1_900);
    expect(client!.connection.messages).toEqual(['onDrain {"reason":"draining","in_ms":2000}']);
    expect([client!.connection.closed, client!.session.state]).toEqual([null, 'active']);
    client!.session.onBytes(request(1, 'a.b.c'));
    expect(client!.host.messages).toEqual(['1 a.b.c']);
    await pass(world, 200);
    expect(client!.connection.closed).toEqual({ code: 1001, reason: 'draining' });
    expect(await drained).toEqual({ closed: 1, forced: 0 });
  });

  test('who goes by itself when it is told is not forced, and the others are told at the same pace', async () => {
    const world = makeWorld();
    const clients = crowd(world, 200);
    const drained = drainSessions(parts(world), { ...OPTIONS, hint }, () => false);
    const told: number[] = [];
    await pass(world, 2_100, (now) => {
      for (const { connection, session } of clients)
        if (session.state !== 'closed' && connection.messages.length > 0) {
          told.push(now);
          session.onClosed(null);
        }
    });
    expect(told).toHaveLength(200);
    for (let i = 0; i + 101 < told.length; i++)
      expect(told[i + 101]! - told[i]!).toBeGreaterThanOrEqual(1_000 - STEP_MS);
    expect(await drained).toEqual({ closed: 200, forced: 0 });
  });

  test('the lead is half of the budget at most, and all are gone in time', async () => {
    const world = makeWorld();
    const clients = crowd(world, 50);
    const options = { ...OPTIONS, hint: { ...hint, leadMs: 60_000 }, budgetMs: 1_000 };
    const drained = drainSessions(parts(world), options, () => false);
    await pass(world, 100);
    expect(clients.flatMap(({ connection }) => connection.messages)).toContain(
      'onDrain {"reason":"draining","in_ms":500}',
    );
    await pass(world, 1_000);
    expect(await drained).toEqual({ closed: 50, forced: 0 });
  });
});

describe('when the time is up', () => {
  async function leftByTurns(perSecond: number, isCancelled: boolean) {
    const world = makeWorld();
    const { registry } = world;
    crowd(world, 130);
    const clock = new TurnClock(1_000);
    const options = { ...OPTIONS, budgetMs: 10_000, perSecond };
    const drained = drainSessions({ ...parts(world), clock }, options, () => isCancelled);
    const left = [registry.size];
    for (await turn(); registry.size > 0; await turn()) {
      left.push(registry.size);
      if (!clock.turn()) clock.advance(STEP_MS);
    }
    return { left: left.slice(left.findIndex((size) => size < 129)), drained: await drained };
  }

  test('who is left is closed, 64 in one turn', async () => {
    const { left, drained } = await leftByTurns(1, true);
    expect([...new Set(left)]).toEqual([66, 2]);
    expect(drained).toEqual({ closed: 0, forced: 130 });
  });

  test('who is due at once is closed, 64 in one turn', async () => {
    const { left, drained } = await leftByTurns(100_000, false);
    expect([...new Set(left)]).toEqual([65, 1]);
    expect(drained).toEqual({ closed: 130, forced: 0 });
  });
});
