/** Counters and gauges, in one table; rendered as Prometheus text. Labels come from tables, never from clients. */

type Instrument = {
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
};

export const INSTRUMENTS = {
  pith_build_info: gauge('Always 1.', ['version', 'node']),
  pith_sessions: gauge('Sessions that are open.'),
  pith_connections_accepted_total: counter('Connections that became sessions.', ['transport']),
  pith_connections_refused_total: counter('Connections turned away before that.', ['reason']),
  pith_sessions_closed_total: counter(
    'Sessions that ended, by reason (src/session/close-reason.ts).',
    ['reason'],
  ),
  pith_messages_dropped_total: counter('Client messages dropped without an answer.', ['reason']),
  pith_messages_refused_total: counter(
    'Client messages answered with an error before any backend.',
    ['reason'],
  ),
  pith_requests_total: counter('Messages relayed, by how they ended.', ['backend', 'outcome']),
  pith_requests_in_flight: gauge('Messages in flight or waiting.', ['backend']),
  pith_late_replies_total: counter(
    'Answers that came after the call had ended, and were dropped.',
    ['kind'],
  ),
  pith_pushes_total: counter('Pushes to sessions of this gateway.', ['outcome']),
  pith_pushes_spoiled_total: counter('Pushes replaced or expired before they were sent.'),
  pith_backend_healthy_addresses: gauge('Addresses that serve.', ['backend']),
  pith_bus_up: gauge('1 while the bus is connected.'),
} as const satisfies Record<string, Instrument>;

export type InstrumentName = keyof typeof INSTRUMENTS;

function counter(help: string, labels: readonly string[] = []): Instrument {
  return { kind: 'counter', help, labels };
}

function gauge(help: string, labels: readonly string[] = []): Instrument {
  return { kind: 'gauge', help, labels };
}

/** A value that is read when somebody looks. */
type Read = () => number;

/** One counter with its labels; keep it where it is counted often. */
export class Series {
  value = 0;

  add(by = 1): void {
    this.value += by;
  }
}

export class Metrics {
  readonly #counts = new Map<InstrumentName, Map<string, Series>>();
  readonly #reads = new Map<InstrumentName, Map<string, Read>>();

  /** The counter of these label values, in the order of the table. */
  series(name: InstrumentName, labels: readonly string[]): Series {
    let all = this.#counts.get(name);
    if (all === undefined) {
      all = new Map();
      this.#counts.set(name, all);
    }
    const key = labels.join('\u0000');
    let series = all.get(key);
    if (series === undefined) {
      series = new Series();
      all.set(key, series);
    }
    return series;
  }

  add(name: InstrumentName, labels: readonly string[], by = 1): void {
    this.series(name, labels).add(by);
  }

  /** What a counter stands at. */
  count(name: InstrumentName, labels: readonly string[]): number {
    return this.#counts.get(name)?.get(labels.join('\u0000'))?.value ?? 0;
  }

  /** Registers a gauge that is read when the metrics are. */
  watch(name: InstrumentName, labels: readonly string[], read: Read): void {
    let series = this.#reads.get(name);
    if (series === undefined) {
      series = new Map();
      this.#reads.set(name, series);
    }
    series.set(labels.join('\u0000'), read);
  }

  /** [prometheus.io/docs/instrumenting/exposition_formats] Text format 0.0.4. */
  render(): string {
    let text = '';
    for (const name of Object.keys(INSTRUMENTS) as InstrumentName[]) {
      const { help, kind, labels } = INSTRUMENTS[name] as Instrument;
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
      for (const [key, { value }] of this.#counts.get(name) ?? [])
        text += line(name, labels, key, value);
      for (const [key, read] of this.#reads.get(name) ?? [])
        text += line(name, labels, key, read());
    }
    return text;
  }
}

function line(name: string, labels: readonly string[], key: string, value: number): string {
  if (labels.length === 0) return `${name} ${value}\n`;
  const values = key.split('\u0000');
  const pairs = labels.map((label, i) => `${label}="${escape(values[i] ?? '')}"`);
  return `${name}{${pairs.join(',')}} ${value}\n`;
}

function escape(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
