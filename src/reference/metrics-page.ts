/** Every metric of `/metrics`. */
import { INSTRUMENTS } from '../telemetry/instruments.ts';
import { code, heading, page, prose, table, WRITTEN } from './markdown.ts';

export function metricsPage(): string {
  const rows = Object.entries(INSTRUMENTS).map(([name, { kind, labels, buckets, help }]) => [
    code(name),
    kind,
    labels.map(code).join(', '),
    `${prose(help)}${buckets.length === 0 ? '' : ` Buckets: ${buckets.join(', ')}.`}`,
  ]);
  return page(
    WRITTEN,
    heading(1, 'Metrics'),
    "`/metrics` on the health port, in Prometheus' text format. The values of labels come from tables of the gateway or " +
      'from its configuration, never from clients: `backend` is a name of `backends`, `reason` of ' +
      '`pith_sessions_closed_total` a [close reason](errors.md#close-reasons), that of `pith_connections_refused_total` one of ' +
      '[these](errors.md#refused-connections), and `outcome` of `pith_requests_total` is `ok`, `client_gone`, an ' +
      '[error](errors.md#errors), or `BACKEND` for an error that only the backend knows.',
    table(['metric', 'kind', 'labels', 'meaning'], rows),
  );
}
