/** The gauges that are read when somebody scrapes: of sessions, and of the process. */
import type { Registry } from '../session/registry.ts';
import type { EventLoopLag } from '../telemetry/event-loop.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Listener } from '../transport/listener.ts';

export type Memory = {
  readonly rss: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
};

/** Reads over all sessions at each scrape, so that nothing is counted per packet. */
export function watchOutboxes(metrics: Metrics, registry: Registry): void {
  metrics.watch('pith_outbox_bytes', [], () => {
    let bytes = 0;
    for (const session of registry.all()) bytes += session.outbox.unsentBytes;
    return bytes;
  });
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
