/** The short form of `make simulate-model`: a few hundred commands on one, two and three gateways. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { propertyOf } from '../simulate/model/play.ts';

const seed = Number(process.env['TEST_SEED'] ?? 1);

test.each([1, 2, 3])('%s gateways are as the model', async (gateways) => {
  const counts: Record<string, number> = {};
  await fc.assert(propertyOf({ counts, gateways }), { seed, numRuns: 4 });
  const sum = Object.values(counts).reduce((all, count) => all + count, 0);
  expect(sum).toBeGreaterThan(200);
  for (const kind of ['open', 'change: bind', 'change: join', 'kill -9', 'at once', 'push'])
    expect(counts[kind], kind).toBeGreaterThan(0);
});
