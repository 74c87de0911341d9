/**
 * The Grafana dashboard, as code: writes dashboard.json beside this file, and what the chart takes of this folder into
 * deploy/helm/pith/files.   node deploy/observability/dashboard.ts
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';

/** How a value is written: units of Grafana. */
type Unit = 'short' | 'reqps' | 's' | 'bytes' | 'percentunit';

export type Panel = {
  readonly title: string;
  readonly about: string;
  readonly kind: 'stat' | 'timeseries';
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** Of the 24 columns. */
  readonly width: number;
};

export type Query = {
  readonly expr: string;
  /** Grafana's form: `{{backend}}`. */
  readonly legend: string;
};

export type Row = { readonly title: string; readonly panels: readonly Panel[] };

const FAILED =
  'outcome=~"BACKEND_AWAY|BACKEND_ERROR|BAD_REPLY|BUS_AWAY|INTERNAL|OVERLOADED|TIMEOUT"';
const OF = 'job=~"$job",instance=~"$instance"';
const BACKEND = `${OF},backend=~"$backend"`;
const WINDOW = '[$__rate_interval]';

export const ROWS: readonly Row[] = [
  {
    title: 'At a glance',
    panels: [
      stat('Gateways', 'short', `count(pith_build_info{${OF}})`, 'Gateways that are scraped.'),
      stat('Sessions', 'short', `sum(pith_sessions{${OF}})`, 'Open sessions on all of them.'),
      stat(
        'Messages',
        'reqps',
        `sum(rate(pith_requests_total{${OF}}${WINDOW}))`,
        'Requests and notifies a second, whatever became of them.',
      ),
      stat(
        'Failed',
        'percentunit',
        `sum(rate(pith_requests_total{${OF},${FAILED}}${WINDOW})) / sum(rate(pith_requests_total{${OF}}${WINDOW})) or vector(0)`,
        'Share of them that failed for a reason that is not the client’s. Alert: PithErrors.',
      ),
      stat(
        'Slowest 1 %',
        's',
        `histogram_quantile(0.99, sum by (le) (rate(pith_request_duration_seconds_bucket{${OF}}${WINDOW})))`,
        'One answer in a hundred takes longer. Alert: PithSlow.',
      ),
      stat(
        'Without NATS',
        'short',
        `count(pith_bus_up{${OF}} == 0) or vector(0)`,
        'Gateways whose bus is away. Alert: PithBusAway.',
      ),
    ],
  },
  {
    title: 'Messages',
    panels: [
      graph(
        'Messages by backend',
        'reqps',
        [[`sum by (backend) (rate(pith_requests_total{${BACKEND}}${WINDOW}))`, '{{backend}}']],
        'Where the load goes.',
      ),
      graph(
        'Errors by outcome',
        'reqps',
        [
          [
            `sum by (outcome) (rate(pith_requests_total{${BACKEND},outcome!~"ok|client_gone"}${WINDOW}))`,
            '{{outcome}}',
          ],
          [`sum by (reason) (rate(pith_messages_refused_total{${OF}}${WINDOW}))`, '{{reason}}'],
        ],
        'What clients were told instead of an answer; BACKEND is a refusal of the backend’s own.',
      ),
      graph(
        'Time to the answer',
        's',
        [0.5, 0.9, 0.99].map((share) => [
          `histogram_quantile(${share}, sum by (le) (rate(pith_request_duration_seconds_bucket{${BACKEND}}${WINDOW})))`,
          `p${share * 100}`,
        ]),
        'From a request to its answer, whatever the outcome.',
      ),
      graph(
        'In flight',
        'short',
        [[`sum by (backend) (pith_requests_in_flight{${BACKEND}})`, '{{backend}}']],
        'Unanswered, or waiting in the gateway; limits.in_flight_per_backend bounds it.',
      ),
    ],
  },
  {
    title: 'Players',
    panels: [
      graph(
        'Sessions by gateway',
        'short',
        [[`pith_sessions{${OF}}`, '{{instance}}']],
        'They should be even once a rollout is over.',
      ),
      graph(
        'Connections',
        'reqps',
        [
          [`sum(rate(pith_connections_accepted_total{${OF}}${WINDOW}))`, 'accepted'],
          [
            `sum by (reason) (rate(pith_connections_refused_total{${OF}}${WINDOW}))`,
            'refused: {{reason}}',
          ],
          [`sum(rate(pith_resumes_total{${OF}}${WINDOW}))`, 'came back'],
        ],
        'New connections a second, and sessions that went on from one that was lost.',
      ),
      graph(
        'Ends of sessions',
        'reqps',
        [[`sum by (reason) (rate(pith_sessions_closed_total{${OF}}${WINDOW}))`, '{{reason}}']],
        'By close reason: deploy/reference/errors.md says what each is.',
      ),
      graph(
        'Tokens',
        'reqps',
        [[`sum by (outcome) (rate(pith_jwt_tokens_total{${OF}}${WINDOW}))`, '{{outcome}}']],
        'Tokens that clients came with, where auth.mode is jwt.',
      ),
    ],
  },
  {
    title: 'Pushes',
    panels: [
      graph(
        'Pushes',
        'reqps',
        [[`sum by (outcome) (rate(pith_pushes_total{${OF}}${WINDOW}))`, '{{outcome}}']],
        'To sessions, by what became of them.',
      ),
      graph(
        'Sessions that a push reached',
        'short',
        [0.5, 0.99].map((share) => [
          `histogram_quantile(${share}, sum by (le) (rate(pith_push_fanout_bucket{${OF}}${WINDOW})))`,
          `p${share * 100}`,
        ]),
        'On one gateway.',
      ),
      graph(
        'Unread by clients',
        'bytes',
        [
          [`pith_outbox_bytes{${OF}}`, '{{instance}}'],
          [`min(pith_outbox_limit_bytes{${OF}})`, 'limit'],
        ],
        'What clients have not taken yet; at limits.outboxes the one that is furthest behind is closed.',
      ),
      graph(
        'Not sent',
        'reqps',
        [
          [`sum by (reason) (rate(pith_pushes_skipped_total{${OF}}${WINDOW}))`, '{{reason}}'],
          [`sum(rate(pith_gaps_told_total{${OF}}${WINDOW}))`, 'gaps told'],
        ],
        'Pushes that a newer one has replaced, or whose time was over.',
      ),
    ],
  },
  {
    title: 'Backends and bus',
    panels: [
      graph(
        'Healthy addresses',
        'short',
        [[`min by (backend) (pith_backend_healthy_addresses{${BACKEND}})`, '{{backend}}']],
        'On the gateway that sees the fewest. On NATS: 1 if it has answered lately.',
      ),
      graph(
        'Not understood',
        'reqps',
        [
          [
            `sum by (backend, reason) (rate(pith_backend_messages_dropped_total{${BACKEND}}${WINDOW}))`,
            '{{backend}}: {{reason}}',
          ],
          [`sum by (kind) (rate(pith_late_replies_total{${OF}}${WINDOW}))`, 'late: {{kind}}'],
        ],
        'What backends sent that could not be used, and answers after the timeout.',
      ),
      graph(
        'Waiting for NATS',
        'bytes',
        [[`pith_bus_unsent_bytes{${OF}}`, '{{instance}}']],
        'At 16 MiB requests on NATS are refused.',
      ),
      graph(
        'Events waiting',
        'short',
        [[`pith_events_waiting{${OF}}`, '{{instance}}']],
        'At 10,000 or 16 MiB the oldest are dropped.',
      ),
    ],
  },
  {
    title: 'Gateways',
    panels: [
      graph(
        'Event loop lag',
        's',
        [[`nodejs_eventloop_lag_p99_seconds{${OF}}`, '{{instance}}']],
        '99th percentile. Beyond limits.event_loop_lag new requests are refused.',
      ),
      graph(
        'CPU',
        'short',
        [[`rate(process_cpu_seconds_total{${OF}}${WINDOW})`, '{{instance}}']],
        'In cores. A gateway uses about one.',
      ),
      graph(
        'Memory',
        'bytes',
        [[`process_resident_memory_bytes{${OF}}`, '{{instance}}']],
        'Resident memory of the process.',
      ),
      graph(
        'State',
        'short',
        [
          [`pith_overload_state{${OF}}`, 'overloaded {{instance}}'],
          [`pith_drain_state{${OF}}`, 'stopping {{instance}}'],
          [`pith_maintenance_state{${OF}}`, 'maintenance {{instance}}'],
        ],
        '1 while it is so.',
      ),
      graph(
        'Faults and losses',
        'short',
        [
          [`increase(pith_internal_errors_total{${OF}}${WINDOW})`, 'faults {{instance}}'],
          [`increase(pith_log_lines_dropped_total{${OF}}${WINDOW})`, 'log lines {{instance}}'],
          [`increase(pith_events_dropped_total{${OF}}${WINDOW})`, 'events {{instance}}'],
        ],
        'All of these should be 0.',
      ),
    ].map((panel, i) => ({ ...panel, width: i === 4 ? 4 : 5 })),
  },
];

function stat(title: string, unit: Unit, expr: string, about: string): Panel {
  return { title, about, kind: 'stat', unit, queries: [{ expr, legend: title }], width: 4 };
}

function graph(
  title: string,
  unit: Unit,
  queries: readonly (readonly [expr: string, legend: string] | readonly string[])[],
  about: string,
): Panel {
  const all = queries.map(([expr, legend]) => ({ expr: expr!, legend: legend! }));
  return { title, about, kind: 'timeseries', unit, queries: all, width: 6 };
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const HEIGHT = { stat: 4, timeseries: 8 } as const;

function panelsOf(rows: readonly Row[]): object[] {
  const panels: object[] = [];
  let y = 0;
  let id = 1;
  for (const row of rows) {
    const at = { h: 1, w: 24, x: 0, y: y++ };
    panels.push({
      id: id++,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: at,
      panels: [],
    });
    let x = 0;
    for (const panel of row.panels) {
      const { kind, width: w } = panel;
      const h = HEIGHT[kind];
      panels.push({ id: id++, ...grafanaPanel(panel), gridPos: { h, w, x, y } });
      x += w;
    }
    y += Math.max(...row.panels.map(({ kind }) => HEIGHT[kind]));
  }
  return panels;
}

function grafanaPanel({ title, about, kind, unit, queries }: Panel): object {
  return {
    type: kind,
    title,
    description: about,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: { unit, min: 0, ...(kind === 'timeseries' && { custom: { fillOpacity: 8 } }) },
      overrides: [],
    },
    options:
      kind === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCodePoint(65 + i),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}

/** A variable that is one, several or all values of a label. */
function variable(name: string, label: string, query: string): object {
  return {
    ...{ name, label, type: 'query', datasource: DATASOURCE, refresh: 2, sort: 1 },
    ...{ multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } },
    query: { query, refId: name },
  };
}

export function dashboard(): object {
  return {
    ...{ title: 'Pith', uid: 'pith-gateways', tags: ['pith'], schemaVersion: 39, version: 1 },
    ...{ editable: true, graphTooltip: 1, timezone: 'browser', refresh: '30s' },
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
        variable('job', 'Job', 'label_values(pith_build_info, job)'),
        variable('instance', 'Gateway', 'label_values(pith_build_info{job=~"$job"}, instance)'),
        variable('backend', 'Backend', 'label_values(pith_requests_total{job=~"$job"}, backend)'),
      ],
    },
    annotations: {
      list: [
        {
          ...{ name: 'Alerts', enable: true, iconColor: 'red', datasource: DATASOURCE },
          expr: 'ALERTS{alertname=~"Pith.*",alertstate="firing"}',
          titleFormat: '{{alertname}}',
        },
      ],
    },
    panels: panelsOf(ROWS),
  };
}

export function dashboardText(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}

if (import.meta.main) {
  const here = new URL('./', import.meta.url);
  const chart = new URL('../helm/pith/files/', here);
  mkdirSync(chart, { recursive: true });
  writeFileSync(new URL('dashboard.json', here), dashboardText());
  for (const name of ['dashboard.json', 'alerts.yaml'])
    copyFileSync(new URL(name, here), new URL(name, chart));
}
