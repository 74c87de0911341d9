/** `make chaos` in short: gateways that are killed, stopped or cut off, what is told of them, and to whom. */
import { expect, test } from 'vitest';

import { playAll, sum } from '../chaos/scenario.ts';
import { cut, stall } from '../chaos/scenarios/away.ts';
import { kill500 } from '../chaos/scenarios/kill.ts';

test('kill -9 of one of three gateways, five times: each of its 500 sessions is told closed or lost', async () => {
  const rows = await playAll(kill500, { sessions: 500, runs: 5, jobs: 1 });
  expect(rows.flatMap(({ faults }) => faults)).toEqual([]);
  expect(rows).toHaveLength(5);
  expect(sum(rows, 'closed') + sum(rows, 'lost')).toBe(2_500);
});

test('a gateway that is away for less than 6 s is not told to be lost', async () => {
  const rows = await playAll(stall, { sessions: 60, runs: 3, jobs: 3 });
  rows.push(...(await playAll(cut, { sessions: 60, runs: 8, jobs: 2 })));
  expect(rows.flatMap(({ faults }) => faults)).toEqual([]);
  expect(rows).toHaveLength(11);
  expect(sum(rows, 'lost')).toBe(0);
});
