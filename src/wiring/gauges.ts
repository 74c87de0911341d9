/** Makes the gauges that are read when somebody scrapes: of sessions, of backends, and of the process. */
import type { Bus } from '../bus/bus.ts';
import type { Capacity } from '../config/auto-limits.ts';
import type { Fanouts } from '../session/fanouts.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { Relay } from '../relay/relay.ts';
import type { Registry } from '../session/registry.ts';
import { watchStates } from '../session/traffic.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { GC_KINDS, type ProcessUse } from '../telemetry/process-use.ts';
import type { ClientListener } from '../transport/listener.ts';
import type { Shared } from './shared.ts';

export type GaugesParts = Shared & {
  /** Node's. */
  readonly nodeVersion: string;
  readonly registry: Registry;
  readonly outboxes: Outboxes;
  readonly fanouts: Fanouts;
  readonly capacity: Capacity;
  readonly bus: Bus;
  /** Without it, that is not among the metrics. */
  readonly processUse?: ProcessUse;
  /** Log lines dropped because stdout was not read; absent: no such metric. */
  readonly logLinesDropped?: () => number;
  readonly isDraining: () => boolean;
  readonly relay: Relay;
};

export function makeGauges(parts: GaugesParts): void {
  const { metrics, registry, outboxes, fanouts, capacity, bus, relay } = parts;
  const { version, nodeVersion, processUse, logLinesDropped, isDraining } = parts;
  metrics.watch('pith_build_info', [version, nodeVersion], () => 1);
  metrics.watch('pith_bus_up', [], () => (bus.up ? 1 : 0));
  metrics.watch('pith_drain_state', [], () => (isDraining() ? 1 : 0));
  if (logLinesDropped !== undefined)
    metrics.watch('pith_log_lines_dropped_total', [], logLinesDropped);
  const { shedding, admission } = relay.parts;
  const { limited } = admission;
  for (const scope of ['session', 'route'] as const)
    metrics.watch('pith_rate_limited_total', [scope], () => limited[scope]);
  const { retries } = relay;
  metrics.watch('pith_retries_total', ['sent_again'], () => retries.sentAgain);
  metrics.watch('pith_retries_total', ['no_budget'], () => retries.noBudget);
  metrics.watch('pith_overload_state', [], () => (shedding.share === 0 ? 0 : 1));
  metrics.watch('pith_sessions', [], () => registry.size);
  watchStates(metrics, registry);
  metrics.watch('pith_drain_remaining', [], () => (isDraining() ? registry.size : 0));
  metrics.watch('pith_outbox_bytes', [], () => outboxes.heldBytes);
  for (const why of ['replaced', 'expired'] as const)
    metrics.watch('pith_pushes_skipped_total', [why], () => outboxes.skipped[why]);
  metrics.watch('pith_pushes_waiting_bytes', [], () => fanouts.waitingBytes);
  metrics.watch('pith_outbox_limit_bytes', [], () => capacity.outboxesBytes);
  metrics.watch('pith_in_flight_bytes', [], () => admission.heldBytes);
  metrics.watch('pith_in_flight_limit_bytes', [], () => admission.limits.inFlightBytes);
  metrics.watch('pith_connections_limit', [], () => capacity.connections);
  if (processUse !== undefined) makeProcessGauges(metrics, processUse);
}

type Certified = Pick<ClientListener, 'certificateExpiresAt'>;

/** One for each port with a certificate: of clients by the address at which it listens, the others by their names. */
export function makeCertificateGauges(
  metrics: Metrics,
  listeners: readonly ClientListener[],
  ports: Readonly<Record<string, Certified>>,
): void {
  const certified = [
    ...listeners.map((listener): [string, Certified] => [listener.url, listener]),
    ...Object.entries(ports),
  ];
  for (const [name, port] of certified) {
    if (port.certificateExpiresAt === null) continue;
    metrics.watch('pith_tls_certificate_expiry_timestamp_seconds', [name], () =>
      Math.floor((port.certificateExpiresAt ?? 0) / 1_000),
    );
  }
}

function makeProcessGauges(metrics: Metrics, use: ProcessUse): void {
  const { lag, memory, cpu, gc } = use;
  const { scraped } = lag;
  metrics.watch('nodejs_eventloop_lag_p50_seconds', [], () => scraped.percentileMs(50) / 1e3);
  // Rendered after the median, as in the table.
  metrics.watch('nodejs_eventloop_lag_p99_seconds', [], () => {
    const seconds = scraped.percentileMs(99) / 1e3;
    scraped.reset();
    return seconds;
  });
  metrics.watch('nodejs_eventloop_utilization_ratio', [], use.loopUtilization);
  for (const kind of GC_KINDS) metrics.adopt('nodejs_gc_duration_seconds', [kind], gc.byKind[kind]);
  metrics.watch('process_cpu_seconds_total', [], () => (cpu().user + cpu().system) / 1e6);
  metrics.watch('process_resident_memory_bytes', [], () => memory().rss);
  if (use.descriptors() >= 0) metrics.watch('process_open_fds', [], use.descriptors);
  metrics.watch('process_max_fds', [], () => use.descriptorsMax);
  metrics.watch('process_start_time_seconds', [], () => use.startedAtWall / 1e3);
  metrics.watch('nodejs_heap_size_used_bytes', [], () => memory().heapUsed);
  metrics.watch('nodejs_heap_size_total_bytes', [], () => memory().heapTotal);
  metrics.watch('nodejs_external_memory_bytes', [], () => memory().external);
}
