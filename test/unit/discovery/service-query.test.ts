/** Which index a blocking query goes on from. */
import { expect, test } from 'vitest';

import { nextIndex } from '../../../src/discovery/service-query.ts';

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
