import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Backoff } from '../../src/backoff.ts';
import { seededRandom } from '../support/random.ts';

test('waits double up to the longest, are never less than half of that, and begin anew', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 }), fc.integer(), (failures, seed) => {
      const backoff = new Backoff(500, 30_000, seededRandom(seed));
      for (let i = 0; i < failures; i++) backoff.next();
      const most = Math.min(30_000, 500 * 2 ** failures);
      const wait = backoff.next();
      expect(wait).toBeGreaterThanOrEqual(most / 2);
      expect(wait).toBeLessThanOrEqual(most);
      backoff.reset();
      expect(backoff.next()).toBeLessThanOrEqual(500);
    }),
    { numRuns: 50 },
  );
});

test('no two wait alike', () => {
  const random = seededRandom();
  const waits = Array.from({ length: 20 }, () => new Backoff(1_000, 1_000, random).next());
  expect(new Set(waits).size).toBe(20);
});
