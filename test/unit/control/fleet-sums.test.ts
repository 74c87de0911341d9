/** Adding up what several gateways have counted. What the others say may be of any form. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sumOfHistories, sumOfRoutes } from '../../../src/control/fleet-sums.ts';

const row = (gateway: string, json: Record<string, unknown>) => ({ gateway, json });
const OWN = { startMs: 100_000, stepMs: 10_000, steps: 4 };

test('of a rule, its outcomes and latencies are added, in the order of the first gateway', () => {
  const bounds = [0.1, 1];
  expect(
    sumOfRoutes([
      row('a', {
        match: 'x.>',
        backends: ['b'],
        outcomes: { ok: 2 },
        latency: { bounds, counts: [1, 1, 0], sum: 0.5 },
      }),
      row('a', { match: '', backends: [], outcomes: {} }),
      row('b', { match: '', backends: [], outcomes: { NO_ROUTE: 3 } }),
      row('b', {
        match: 'x.>',
        backends: ['c'],
        outcomes: { ok: 1, TIMEOUT: 4 },
        latency: { bounds, counts: [0, 0, 5], sum: 9 },
      }),
      row('b', { match: 'new.>', backends: ['c'], outcomes: {} }),
    ]),
  ).toEqual([
    {
      match: 'x.>',
      backends: ['b'],
      outcomes: { ok: 3, TIMEOUT: 4 },
      latency: { bounds, counts: [1, 1, 5], sum: 9.5 },
    },
    {
      match: '',
      backends: [],
      outcomes: { NO_ROUTE: 3 },
      latency: { bounds: [], counts: [], sum: 0 },
    },
    { match: 'new.>', backends: ['c'], outcomes: {}, latency: { bounds: [], counts: [], sum: 0 } },
  ]);
});

test('histories are put where the clocks of their gateways say', () => {
  const series = (gateway: string, start_ms: number, values: unknown) =>
    row(gateway, { kind: 'closed', name: 'kick', values, start_ms, step_ms: 10_000 });
  expect(
    sumOfHistories(
      [
        series('a', 100_000, [1, 2, 3, 4]),
        series('b', 90_000, [9, 10, 20, 30]),
        series('c', 120_400, [100, 200, 300, 400]),
        series('d', 100_000, [1, 'x']),
        series('e', 900_000, [5, 5, 5, 5]),
        row('f', { kind: 'closed', name: 'kick', values: [1], start_ms: 100_000, step_ms: 60_000 }),
      ],
      OWN,
    ).series,
  ).toEqual([{ kind: 'closed', name: 'kick', values: [11, 22, 133, 204] }]);
});

test('whatever another gateway says, a sum comes out', () => {
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom([1, 2], 'closed', 100_000, 10_000, {}));
  const keys = [
    'match',
    'backends',
    'outcomes',
    'latency',
    'kind',
    'name',
    'values',
    'start_ms',
    'step_ms',
  ];
  const json = fc.dictionary(fc.constantFrom(...keys), anything);
  fc.assert(
    fc.property(fc.array(json, { maxLength: 5 }), (rows) => {
      const all = rows.map((one) => row('x', one as Record<string, unknown>));
      for (const { outcomes } of sumOfRoutes(all))
        for (const count of Object.values(outcomes)) expect(count).toBeGreaterThanOrEqual(0);
      for (const { values } of sumOfHistories(all, OWN).series) expect(values).toHaveLength(4);
    }),
    { numRuns: 300 },
  );
});
