import { expect, test } from 'vitest';

import { ROUND_MS } from '../simulate/faults.ts';
import { ROUNDS_PER_SEASON, Seasons } from '../simulate/seasons.ts';
import { simulate } from '../simulate/simulation.ts';
import { World } from '../simulate/world.ts';

const POLICIES = [
  'any number, no tokens',
  'any number, tokens',
  'max_sessions_per_uid: 2, no tokens',
  'max_sessions_per_uid: 2, tokens',
  'sessions_per_uid: kick_old, no tokens',
  'sessions_per_uid: kick_old, tokens',
  'sessions_per_uid: refuse_new, no tokens',
  'sessions_per_uid: refuse_new, tokens',
];

test.each(['1', '2', '2026'])('a day of seed %s has every season', (seed) => {
  const seasons = new Seasons(new World(seed));
  const rounds = 86_400_000 / ROUND_MS;
  const seen = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    if (round > 0 && Seasons.endsAfter(round)) seasons.next();
    const { policy, hasTokens } = seasons.current;
    seen.add(`${policy.yaml || 'any number'}, ${hasTokens ? 'tokens' : 'no tokens'}`);
  }
  expect([...seen].sort()).toEqual(POLICIES);
  expect(ROUNDS_PER_SEASON * 10).toBeLessThanOrEqual(rounds);
});

test('seeds do not begin with the same season', () => {
  const first = new Set<string>();
  for (let seed = 0; seed < 40; seed++)
    first.add(JSON.stringify(new Seasons(new World(String(seed))).current));
  expect(first.size).toBe(POLICIES.length);
});

test('a run counts every rule that it has, from nothing on', async () => {
  const { checks } = await simulate({ seed: '1', hours: 0.001, gateways: 1, clients: 1 });
  for (const rule of [
    'in fair weather no uid is bound that another client has',
    'in fair weather a lineage has one session',
    'who asked is told what is missing',
    'when it is calm, events say who is there',
    'backends are told of every end',
  ])
    expect(checks[rule], rule).toBe(0);
});
