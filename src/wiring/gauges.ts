/** The gauges that are read when somebody scrapes: of sessions, and of the process. */
import type { Admission } from '../relay/admission.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { EventLoopLag } from '../telemetry/event-loop.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Listener } from '../transport/listener.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Capacity } from '../config/auto-limits.ts';

export type Memory = {
  readonly rss: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
};

/** What waits for clients, and how much of it may. */
export function watchOutboxes(metrics: Metrics, outboxes: Outboxes, capacity: Capacity): void {
  metrics.watch('pith_outbox_bytes', [], () => outboxes.heldBytes);
  metrics.watch('pith_outbox_limit_bytes', [], () => capacity.outboxesBytes);
  metrics.watch('pith_connections_limit', [], () => capacity.connections);
}

/** By the backend's ordinal. */
export function watchBackends(
  metrics: Metrics,
  names: readonly string[],
  upstreams: readonly Upstream[],
  admission: Admission,
): void {
  for (const [ordinal, name] of names.entries()) {
    metrics.watch('pith_requests_in_flight', [name], () => admission.inFlight(ordinal));
    metrics.watch(
      'pith_backend_healthy_addresses',
      [name],
      () => upstreams[ordinal]!.info().healthy,
    );
  }
}

/** One for each listener with a certificate, by the address in its configuration. */
export function watchCertificates(metrics: Metrics, listeners: readonly Listener[]): void {
  for (const listener of listeners) {
    if (listener.certificateExpiresAt === null) continue;
    metrics.watch('pith_tls_certificate_expiry_timestamp_seconds', [listener.url], () =>
      Math.floor((listener.certificateExpiresAt ?? 0) / 1_000),
    );
  }
}

export function watchProcess(metrics: Metrics, lag: EventLoopLag, memory: () => Memory): void {
  metrics.watch('nodejs_eventloop_lag_p50_seconds', [], () => lag.percentile(50));
  // Rendered after the median, as in the table.
  metrics.watch('nodejs_eventloop_lag_p99_seconds', [], () => {
    const seconds = lag.percentile(99);
    lag.forget();
    return seconds;
  });
  metrics.watch('process_resident_memory_bytes', [], () => memory().rss);
  metrics.watch('nodejs_heap_size_used_bytes', [], () => memory().heapUsed);
  metrics.watch('nodejs_heap_size_total_bytes', [], () => memory().heapTotal);
  metrics.watch('nodejs_external_memory_bytes', [], () => memory().external);
}
