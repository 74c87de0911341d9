/** What the metrics of a process stand at, as values that can be sent, added up and rendered. */
import { type Instrument, type InstrumentName, INSTRUMENTS } from './instruments.ts';

/** A counter or gauge. `null`: it is not a number, which JSON has no word for. */
type Single = {
  readonly name: InstrumentName;
  readonly labels: readonly string[];
  readonly value: number | null;
};
/** Counts are of each bucket alone. */
type Distribution = {
  readonly name: InstrumentName;
  readonly labels: readonly string[];
  readonly counts: readonly number[];
  readonly sum: number;
};
export type Sample = Single | Distribution;

/** Of one of several processes that serve together. */
export type SamplesOf = { readonly worker: number; readonly samples: readonly Sample[] };

type Rule = 'sum' | 'max' | 'min' | 'each';

/** What is the same in all processes, or not to be added; each: a label `worker` says whose it is. */
const RULES: Partial<Record<InstrumentName, Rule>> = {
  pith_build_info: 'max',
  pith_config_reloads_total: 'max',
  pith_config_last_reload_successful: 'min',
  pith_config_last_reload_success_timestamp_seconds: 'max',
  pith_resume_ended: 'max',
  pith_jwks_fetched_timestamp_seconds: 'min',
  pith_block_list_size: 'max',
  pith_maintenance_state: 'max',
  pith_backend_healthy_addresses: 'min',
  pith_backend_addresses: 'max',
  pith_backend_breaker_open: 'max',
  pith_tls_certificate_expiry_timestamp_seconds: 'min',
  pith_bus_up: 'min',
  pith_bus_requests_up: 'min',
  pith_overload_state: 'max',
  pith_newcomers_elsewhere: 'max',
  pith_generation_newest: 'min',
  pith_drain_state: 'max',
  nodejs_eventloop_lag_p50_seconds: 'each',
  nodejs_eventloop_lag_p99_seconds: 'each',
  nodejs_heap_size_used_bytes: 'each',
  nodejs_heap_size_total_bytes: 'each',
  nodejs_external_memory_bytes: 'each',
  nodejs_eventloop_utilization_ratio: 'each',
  process_cpu_seconds_total: 'each',
  process_resident_memory_bytes: 'each',
  process_open_fds: 'each',
  process_max_fds: 'each',
  process_start_time_seconds: 'each',
};

function ruleOf(name: InstrumentName): Rule {
  return RULES[name] ?? 'sum';
}

/** Of several processes together: counters and histograms are added, gauges as `RULES` has it. */
export function addedUp(all: readonly SamplesOf[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const { worker, samples } of all)
    for (const sample of samples) {
      const { name } = sample;
      const own = sample.labels;
      const labels = ruleOf(name) === 'each' ? [...own, String(worker)] : own;
      const key = [name, ...labels].join('\u0000');
      const known = sums.get(key);
      const next = { ...sample, labels };
      sums.set(key, known === undefined ? next : together(known, next));
    }
  return [...sums.values()];
}

/** What may only grow, of processes that have ended: otherwise their end would look like a beginning of all. */
export function kept(samples: readonly Sample[]): Sample[] {
  return samples.filter(({ name }) => kindOf(name) !== 'gauge' && ruleOf(name) === 'sum');
}

function together(a: Sample, b: Sample): Sample {
  if ('counts' in a && 'counts' in b) {
    const counts = a.counts.map((count, i) => count + (b.counts[i] ?? 0));
    return { ...a, counts, sum: a.sum + b.sum };
  }
  const [x, y] = [valueOf(a), valueOf(b)];
  const rule = ruleOf(a.name);
  const value = rule === 'max' ? Math.max(x, y) : rule === 'min' ? Math.min(x, y) : x + y;
  return { name: a.name, labels: a.labels, value };
}

function valueOf(sample: Sample): number {
  return 'value' in sample && sample.value !== null ? sample.value : Number.NaN;
}

/** [prometheus.io/docs/instrumenting/exposition_formats] Text format 0.0.4. */
export function rendered(samples: readonly Sample[]): string {
  const byName = Map.groupBy(samples, ({ name }) => name);
  let text = '';
  for (const name of Object.keys(INSTRUMENTS) as InstrumentName[]) {
    const { help, kind } = INSTRUMENTS[name] as Instrument;
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
    for (const sample of byName.get(name) ?? []) text += linesOf(sample);
  }
  return text;
}

function linesOf(sample: Sample): string {
  const { name } = sample;
  const { labels, buckets } = INSTRUMENTS[name] as Instrument;
  const pairs = sample.labels.map((one, i) => `${labels[i] ?? 'worker'}="${escape(one)}"`);
  if (!('counts' in sample)) return line(name, pairs, valueOf(sample));
  let text = '';
  let below = 0;
  for (const [i, count] of sample.counts.entries()) {
    below += count;
    const bound = i < buckets.length ? String(buckets[i]) : '+Inf';
    text += line(`${name}_bucket`, [...pairs, `le="${bound}"`], below);
  }
  return text + line(`${name}_sum`, pairs, sample.sum) + line(`${name}_count`, pairs, below);
}

function kindOf(name: InstrumentName): Instrument['kind'] {
  return INSTRUMENTS[name].kind;
}

function line(name: string, labels: readonly string[], value: number): string {
  return labels.length === 0 ? `${name} ${value}\n` : `${name}{${labels.join(',')}} ${value}\n`;
}

function escape(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
