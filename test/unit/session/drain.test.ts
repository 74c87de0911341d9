/** The end of a drain whose time is up. */
import { expect, test } from 'vitest';

import { drainSessions } from '../../../src/session/drain.ts';
import { TurnClock } from '../../support/turn-clock.ts';
import { activate, makeWorld, turn } from './support.ts';

test('who is left when the time is up is closed, 64 in one turn', async () => {
  const world = makeWorld();
  const { registry } = world;
  for (let n = 1; n <= 130; n++) registry.add(activate({ world, n }).session);
  const clock = new TurnClock(1_000);
  const options = { budgetMs: 1_000, perSecond: 1, signal: 'close' } as const;
  const drained = drainSessions(registry, clock, options, () => true);
  const left = [registry.size];
  for (await turn(); registry.size > 0; await turn()) {
    left.push(registry.size);
    clock.turn();
  }
  expect(left).toEqual([66, 66, 2]);
  expect(await drained).toEqual({ closed: 0, forced: 130 });
});

test('who is due at once is closed, 64 in one turn', async () => {
  const world = makeWorld();
  const { registry } = world;
  for (let n = 1; n <= 130; n++) registry.add(activate({ world, n }).session);
  const clock = new TurnClock(1_000);
  const options = { budgetMs: 10_000, perSecond: 100_000, signal: 'close' } as const;
  const drained = drainSessions(registry, clock, options, () => false);
  const left = [registry.size];
  for (await turn(); registry.size > 0; await turn()) {
    left.push(registry.size);
    clock.turn();
  }
  expect(left).toEqual([66, 66, 2]);
  expect(await drained).toEqual({ closed: 130, forced: 0 });
});
