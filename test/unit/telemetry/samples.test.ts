/** The metrics of several processes, as one would have them. */
import { expect, test } from 'vitest';

import { Metrics } from '../../../src/telemetry/metrics.ts';
import { addedUp, kept, rendered } from '../../../src/telemetry/samples.ts';

function filled(requests: number, isUp: boolean, bytes: number): Metrics {
  const metrics = new Metrics();
  metrics.add('pith_requests_total', ['chat', 'ok'], requests);
  metrics.histogram('pith_push_fanout', []).observe(requests);
  metrics.watch('pith_sessions', [], () => requests);
  metrics.watch('pith_bus_up', [], () => (isUp ? 1 : 0));
  metrics.watch('process_resident_memory_bytes', [], () => bytes);
  return metrics;
}

test('counters, histograms and most gauges are added; what is not to be added is not', () => {
  const all = [filled(2, true, 100), filled(30, false, 200)].map((metrics, i) => {
    return { worker: i + 1, samples: metrics.samples() };
  });
  const text = rendered(addedUp(all));
  expect(text).toContain('pith_requests_total{backend="chat",outcome="ok"} 32\n');
  expect(text).toContain('pith_push_fanout_bucket{le="2"} 1\n');
  expect(text).toContain('pith_push_fanout_bucket{le="+Inf"} 2\n');
  expect(text).toContain('pith_push_fanout_sum 32\npith_push_fanout_count 2\n');
  expect(text).toContain('pith_sessions 32\n');
  expect(text).toContain('pith_bus_up 0\n');
  expect(text).toContain('process_resident_memory_bytes{worker="1"} 100\n');
  expect(text).toContain('process_resident_memory_bytes{worker="2"} 200\n');
  expect(text).toContain('pith_internal_errors_total 0\n');
});

test('of one that has ended only counts are kept', () => {
  const text = rendered(kept(filled(2, true, 100).samples()));
  expect(text).toContain('pith_requests_total{backend="chat",outcome="ok"} 2\n');
  expect(text).toContain('pith_push_fanout_count 1\n');
  expect(text).not.toMatch(/^pith_sessions /m);
  expect(text).not.toMatch(/^process_resident_memory_bytes/m);
});

test('what passes through JSON is the same', () => {
  const { samples } = { samples: filled(2, true, 100).samples() };
  expect(rendered(JSON.parse(JSON.stringify(samples)))).toBe(filled(2, true, 100).render());
});
