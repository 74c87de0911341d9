/** Connections from one address, counted over all workers. */
import { expect, test } from 'vitest';

import { AddressCounts } from '../../../src/workers/address-counts.ts';

test('counts over all workers, and takes off what a worker had that has gone', () => {
  const counts = new AddressCounts<string>();
  expect(counts.enter('one', 1, '192.0.2.1', 2)).toBe(true);
  expect(counts.enter('two', 1, '192.0.2.1', 2)).toBe(true);
  expect(counts.enter('two', 2, '192.0.2.1', 2)).toBe(false);
  expect(counts.enter('two', 3, '192.0.2.2', 2)).toBe(true);
  counts.leave('two', 2);
  counts.forget('one');
  expect(counts.enter('two', 4, '192.0.2.1', 2)).toBe(true);
  expect(counts.addresses).toBe(2);
  counts.forget('two');
  counts.leave('two', 4);
  expect(counts.addresses).toBe(0);
});

test('0 is no limit', () => {
  const counts = new AddressCounts<string>();
  for (let n = 0; n < 1_000; n++) expect(counts.enter('one', n, '192.0.2.1', 0)).toBe(true);
});
