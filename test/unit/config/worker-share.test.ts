/** What one of several workers may use: together they have what the configuration gives the process. */
import { expect, test } from 'vitest';

import { shareOf, workersOf } from '../../../src/config/worker-share.ts';
import { load } from './support.ts';

const WHOLE = load(`
id: edge
limits: { connections: 1001, accepts_per_second: 500, connections_per_address: 7, outboxes: 10MiB }
drain: { per_second: 3 }
`);

test('whole numbers are divided so that they add up', () => {
  const shares = [1, 2, 3].map((worker) => shareOf(WHOLE, worker, 3));
  expect(shares.map(({ limits }) => limits.connections)).toEqual([334, 334, 333]);
  expect(shares.map(({ limits }) => limits.in_flight_per_backend)).toEqual([3334, 3333, 3333]);
  expect(shares.map(({ limits }) => limits.outboxes)).toEqual([3495254, 3495253, 3495253]);
  expect(shares.map(({ id }) => id)).toEqual(['edge-w1', 'edge-w2', 'edge-w3']);
});

test('rates are divided, and what is for one session, one address or one turn is not', () => {
  const { limits, drain } = shareOf(WHOLE, 2, 2);
  expect(limits.accepts_per_second).toBe(250);
  expect(drain.per_second).toBe(1.5);
  expect(limits.connections_per_address).toBe(7);
  expect(limits.messages_per_second).toBe(100);
  expect(limits.in_flight_per_session).toBe(64);
  expect(limits.fanout.per_turn).toBe(256);
});

test('what is auto stays so: a worker has its share of the memory', () => {
  expect(shareOf(WHOLE, 1, 2).limits.in_flight_bytes).toBe('auto');
});

test('one worker has it all', () => {
  expect(shareOf(WHOLE, 1, 1)).toBe(WHOLE);
});

test('auto is one for each core', () => {
  expect(workersOf({ workers: 'auto' }, 6)).toBe(6);
  expect(workersOf({ workers: 'auto' }, 1_000)).toBe(256);
  expect(workersOf({ workers: 3 }, 6)).toBe(3);
});
