import { expect, test } from 'vitest';

import { MessageCounts } from '../../../src/relay/message-counts.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { Call } from '../../../src/upstream/call.ts';

test('each message counts for its rule, its backend and its outcome, also after a reload has moved the rules', () => {
  const metrics = new Metrics();
  const counts = new MessageCounts(metrics);
  counts.addBackend('one');
  counts.addBackend('two');
  const count = (match: string, ordinal: number, outcome = 'ok', backendOrdinal = 0): void => {
    const call = { target: { match, ordinal, backendOrdinal }, wantsAnswer: true };
    counts.count(call as unknown as Call, outcome, 20);
  };
  count('a.>', 0);
  count('b.>', 1, 'TIMEOUT', 1);
  count('a.>', 0, 'TIMEOUT');
  count('a.>', 0);
  // The rules change places.
  count('b.>', 0);
  count('b.>', 0);
  count('a.>', 1);
  const found = [...metrics.values('pith_route_requests_total')];
  expect(Object.fromEntries(found.map(([labels, value]) => [labels.join(' '), value]))).toEqual({
    'a.> ok': 3,
    'a.> TIMEOUT': 1,
    'b.> TIMEOUT': 1,
    'b.> ok': 2,
  });
  const backends = [...metrics.values('pith_requests_total')];
  expect(Object.fromEntries(backends.map(([labels, value]) => [labels.join(' '), value]))).toEqual({
    'one ok': 5,
    'one TIMEOUT': 1,
    'two TIMEOUT': 1,
  });
  expect(metrics.histogram('pith_route_duration_seconds', ['a.>']).count).toBe(4);
});
