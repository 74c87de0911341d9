/** The metrics that dashboards and alerts are written for: names, kinds, labels, buckets. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { INSTRUMENTS } from '../../../src/telemetry/instruments.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';

// oxfmt-ignore
const ROWS: readonly string[] = `
 gauge      pith_build_info                                version node
 counter    pith_config_reloads_total                      result
 gauge      pith_config_last_reload_successful
 gauge      pith_config_last_reload_success_timestamp_seconds
 gauge      pith_workers_ready
 counter    pith_worker_crashes_total
 counter    pith_worker_upgrades_total                    outcome
 histogram  pith_worker_upgrade_pause_seconds
 counter    pith_worker_upgrade_sessions_total            outcome
 gauge      pith_sessions
 gauge      pith_session_states                            transport state
 counter    pith_handshakes_total                          dialect client_type
 histogram  pith_handshake_duration_seconds
 histogram  pith_round_trip_seconds                        transport
 counter    pith_messages_received_total                   type
 counter    pith_messages_sent_total                       type
 counter    pith_bytes_received_total                      transport
 counter    pith_bytes_sent_total                          transport
 counter    pith_connections_accepted_total                transport
 counter    pith_connections_refused_total                 reason
 gauge      pith_accepts_waiting
 counter    pith_accepts_delayed_total
 counter    pith_port_connections_refused_total            port reason
 gauge      pith_port_connections                          port
 counter    pith_control_calls_total                       via method outcome
 counter    pith_control_calls_refused_total               port reason
 counter    pith_sessions_closed_total                     reason
 counter    pith_resumes_total
 counter    pith_resumes_refused_total                     reason
 counter    pith_resume_tokens_total                       outcome
 gauge      pith_resume_ended
 counter    pith_jwt_tokens_total                           use outcome
 counter    pith_jwks_fetches_total                         outcome
 gauge      pith_jwks_fetched_timestamp_seconds
 gauge      pith_block_list_size                                    kind source
 counter    pith_blocked_total                             kind
 gauge      pith_maintenance_state
 counter    pith_messages_dropped_total                    reason
 counter    pith_messages_refused_total                    reason
 counter    pith_requests_total                            backend outcome
 histogram  pith_request_duration_seconds                  backend
 counter    pith_route_requests_total                      route outcome
 histogram  pith_route_duration_seconds                    route
 counter    pith_rate_limited_total                        scope
 counter    pith_retries_total                             result
 gauge      pith_calls_waiting                             for
 counter    pith_calls_waited_total                        for
 gauge      pith_requests_in_flight                        backend
 gauge      pith_in_flight_bytes
 gauge      pith_in_flight_limit_bytes
 counter    pith_late_replies_total                        kind
 counter    pith_backend_messages_dropped_total            backend reason
 counter    pith_bus_refused_total                         reason
 counter    pith_pushes_total                              outcome
 histogram  pith_push_fanout
 histogram  pith_push_delay_seconds
 counter    pith_pushes_skipped_total                      reason
 counter    pith_replayed_pushes_total
 counter    pith_replays_total                             outcome
 gauge      pith_replays_waiting
 counter    pith_deltas_total                              outcome
 counter    pith_gaps_told_total
 gauge      pith_backend_healthy_addresses                 backend
 gauge      pith_backend_addresses                         backend state
 gauge      pith_link_credit                               backend
 gauge      pith_backend_breaker_open                      backend
 gauge      pith_tls_certificate_expiry_timestamp_seconds  listener
 gauge      pith_bus_up
 gauge      pith_bus_requests_up
 counter    pith_bus_connects_total                        outcome
 counter    pith_bus_bytes_total                           direction
 gauge      pith_bus_unsent_bytes
 counter    pith_events_total                              event
 counter    pith_events_dropped_total
 gauge      pith_events_waiting
 gauge      pith_pushes_waiting_bytes
 gauge      pith_unfinished_bytes
 gauge      pith_unfinished_limit_bytes
 gauge      pith_outbox_bytes
 gauge      pith_outbox_limit_bytes
 gauge      pith_connections_limit
 counter    pith_internal_errors_total
 counter    pith_log_lines_dropped_total
 gauge      pith_overload_state
 gauge      pith_newcomers_elsewhere                       reason
 counter    pith_sessions_moved_total
 gauge      pith_generation_newest                         generation
 gauge      pith_drain_remaining
 counter    pith_drain_forced_total
 gauge      pith_drain_state
 counter    pith_spans_total                               state
 counter    pith_metric_exports_total                      state
 gauge      nodejs_eventloop_lag_p50_seconds
 gauge      nodejs_eventloop_lag_p99_seconds
 gauge      nodejs_heap_size_used_bytes
 gauge      nodejs_heap_size_total_bytes
 gauge      nodejs_external_memory_bytes
 gauge      nodejs_eventloop_utilization_ratio
 histogram  nodejs_gc_duration_seconds                     kind
 counter    process_cpu_seconds_total
 gauge      process_resident_memory_bytes
 gauge      process_open_fds
 gauge      process_max_fds
 gauge      process_start_time_seconds
`
  .trim()
  .split('\n');

test('the metrics are these and no others', () => {
  const rows = Object.entries(INSTRUMENTS).map(([name, { kind, labels }]) =>
    [kind, name, ...labels].join(' '),
  );
  expect(rows).toEqual(ROWS.map((row) => row.trim().replace(/ +/g, ' ')));
});

test('deploy/README.md names them all in its table, and the pages name no others', () => {
  const pages = ['deploy/README.md', 'proto/README.md', 'README.md'].map((name) =>
    readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8'),
  );
  const namesIn = (text: string) =>
    new Set(text.match(/\b(?:pith|nodejs|process)_\w+_\w+\b|\bpith_sessions\b/g));
  const table = pages[0]!.match(/^\| [A-Z].*\? \| `.*$/gm)!.join('\n');
  expect([...namesIn(table)].sort()).toEqual(Object.keys(INSTRUMENTS).sort());
  for (const name of namesIn(pages.join('\n'))) expect(INSTRUMENTS).toHaveProperty(name);
});

test('a counter without labels is 0 from the start, so that an alert sees its first event', () => {
  const metrics = new Metrics();
  expect(metrics.render()).toContain('\npith_internal_errors_total 0\n');
  metrics.watch('pith_log_lines_dropped_total', [], () => 7);
  metrics.add('pith_internal_errors_total', []);
  const lines = metrics.render().split('\n');
  expect(lines.filter((line) => line.startsWith('pith_internal_errors_total '))).toEqual([
    'pith_internal_errors_total 1',
  ]);
  expect(lines.filter((line) => line.startsWith('pith_log_lines_dropped_total '))).toEqual([
    'pith_log_lines_dropped_total 7',
  ]);
  expect(
    lines.filter(
      (line) => line.startsWith('pith_sessions ') || line.startsWith('pith_sessions_closed'),
    ),
  ).toEqual([]);
});

test('the buckets', () => {
  expect(INSTRUMENTS.pith_request_duration_seconds.buckets).toEqual([
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]);
  expect(INSTRUMENTS.pith_push_fanout.buckets).toEqual([
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
  ]);
});

test('none but a histogram has buckets, and each says what it is', () => {
  for (const [name, { kind, buckets, help }] of Object.entries(INSTRUMENTS)) {
    expect(buckets.length > 0, name).toBe(kind === 'histogram');
    expect(help, name).toMatch(/^\S.*\.$/);
  }
});
