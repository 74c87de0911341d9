/** Which index a blocking query goes on from, and how failures are spaced. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Backoff } from '../../../src/discovery/backoff.ts';
import { nextIndex } from '../../../src/discovery/watch.ts';

test.each([
  [0, 14, 14],
  [14, 15, 15],
  [14, 14, 14],
  // The servers were restored from an older state.
  [14, 13, 0],
  // No index at all: the next query does not wait, but it is spaced.
  [14, 0, 0],
])('after %i, an answer at %i: %i', (last, said, next) => {
  expect(nextIndex(last, said)).toBe(next);
});

test('waits double up to the cap, never below half of that, and begin anew', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 }), (failures) => {
      const backoff = new Backoff();
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
