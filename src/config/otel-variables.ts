/**
 * OpenTelemetry's own variables, where neither the file nor a setting of ours says it.
 * [opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables; the SDK itself reads those of headers, time
 * limits, batches and resource attributes]
 */
import type { Assignment } from './environment.ts';
import type { Problem } from './problem.ts';
import type { Path } from './schema-tree.ts';
import { getAt, isMap, withValueAt } from './tree.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** A tree with what the variables say, and those that were ignored. */
export type OtelApplied = {
  tree: unknown;
  assignments: Assignment[];
  warnings: Problem[];
};

/** What the exporters need to know of the variables. */
export type OtelExport = {
  /** Whole URLs of one signal each, to which nothing is appended; '': none. */
  readonly tracesEndpoint: string;
  readonly metricsEndpoint: string;
  /** Of the bodies, for each signal; false: JSON. */
  readonly isTracesProtobuf: boolean;
  readonly isMetricsProtobuf: boolean;
};

export const TRACES_ENDPOINT = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
export const METRICS_ENDPOINT = 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT';

/** What is wrong with the URL of a collector; undefined: nothing. */
export function faultInOtlpUrl(value: string): string | undefined {
  if (!/^https?:\/\/[^\s/]+/.test(value) || !URL.canParse(value))
    return 'expected an http or https URL, as http://collector:4318';
  const { username, password } = new URL(value);
  // The configuration is shown, and a URL is no secret in it.
  return username + password === ''
    ? undefined
    : 'user and password go to OTEL_EXPORTER_OTLP_HEADERS, as authorization=Basic …, not into the URL';
}

/** What the variables say of how to export. Pure. */
export function otelExport(env: Env): OtelExport {
  const text = (name: string): string => env[name]?.trim() ?? '';
  const isProtobuf = (signal: string): boolean =>
    (text(`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`) || text('OTEL_EXPORTER_OTLP_PROTOCOL')) ===
    'http/protobuf';
  return {
    tracesEndpoint: text(TRACES_ENDPOINT),
    metricsEndpoint: text(METRICS_ENDPOINT),
    isTracesProtobuf: isProtobuf('TRACES'),
    isMetricsProtobuf: isProtobuf('METRICS'),
  };
}

/** Puts what the variables say into a tree. As the specification wants it, a wrong value is ignored with a warning. */
export function applyOtel(tree: unknown, env: Env): OtelApplied {
  const reader = new VariableReader(tree, env);
  if (reader.isTrue('OTEL_SDK_DISABLED')) {
    reader.force('OTEL_SDK_DISABLED', ['telemetry', 'otlp'], '');
    reader.force('OTEL_SDK_DISABLED', ['telemetry', 'otlp_metrics'], '0s');
    return reader.applied;
  }
  const endpoint = reader.endpoint([TRACES_ENDPOINT, 'OTEL_EXPORTER_OTLP_ENDPOINT'], 'TRACES');
  if (endpoint !== null) reader.set(endpoint.name, ['telemetry', 'otlp'], endpoint.url);
  if (getAt(reader.applied.tree, ['telemetry', 'otlp'])) {
    const every = reader.metricsInterval();
    if (every !== null) reader.set('OTEL_METRICS_EXPORTER', ['telemetry', 'otlp_metrics'], every);
  }
  const share = reader.sampledShare();
  if (share !== null) reader.set('OTEL_TRACES_SAMPLER', ['telemetry', 'sample'], share);
  return reader.applied;
}

/** By OTEL_TRACES_SAMPLER: the share of messages that are traced; null: OTEL_TRACES_SAMPLER_ARG says. */
const SAMPLERS: Readonly<Record<string, number | null>> = {
  always_on: 1,
  always_off: 0,
  traceidratio: null,
  // Every message begins a trace here, so there is no parent that decides.
  parentbased_always_on: 1,
  parentbased_always_off: 0,
  parentbased_traceidratio: null,
};

class VariableReader {
  readonly applied: OtelApplied;
  readonly #env: Env;

  constructor(tree: unknown, env: Env) {
    this.applied = { tree, assignments: [], warnings: [] };
    this.#env = env;
  }

  /** '' if it is unset, which an empty value counts as. */
  #text(name: string): string {
    return this.#env[name]?.trim() ?? '';
  }

  isTrue(name: string): boolean {
    const value = this.#text(name).toLowerCase();
    if (!['', 'true', 'false'].includes(value)) this.#ignored(name, 'expected true or false');
    return value === 'true';
  }

  /** The first of these variables that is set, unless another exporter or protocol is wanted than the one there is. */
  endpoint(names: readonly string[], signal: string): { name: string; url: string } | null {
    const name = names.find((one) => this.#text(one) !== '');
    if (name === undefined) return null;
    const exporter = this.#text(`OTEL_${signal}_EXPORTER`) || 'otlp';
    if (exporter === 'none') return null;
    if (exporter !== 'otlp') {
      this.#ignored(`OTEL_${signal}_EXPORTER`, 'expected otlp or none');
      return null;
    }
    const url = this.#text(name);
    const fault = faultInOtlpUrl(url);
    if (fault !== undefined) {
      this.#ignored(name, fault);
      return null;
    }
    const protocol = [`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL'].find(
      (one) => this.#text(one) !== '',
    );
    if (protocol !== undefined && this.#text(protocol) === 'grpc') {
      this.#ignored(name, `${protocol} is grpc, and only OTLP over HTTP is spoken here`);
      return null;
    }
    return { name, url };
  }

  /** How often metrics are to be sent, where OTEL_METRICS_EXPORTER asks for it; null: it does not. */
  metricsInterval(): string | null {
    const exporter = this.#text('OTEL_METRICS_EXPORTER');
    if (exporter === '' || exporter === 'none') return null;
    if (exporter !== 'otlp') {
      this.#ignored('OTEL_METRICS_EXPORTER', 'expected otlp or none');
      return null;
    }
    const ms = Number(this.#text('OTEL_METRIC_EXPORT_INTERVAL') || '60000');
    if (Number.isInteger(ms) && ms >= 1_000 && ms <= 86_400_000) return `${ms}ms`;
    const what = 'expected a number of milliseconds from 1000 to 86400000';
    this.#ignored('OTEL_METRIC_EXPORT_INTERVAL', what);
    return '60s';
  }

  /** What OTEL_TRACES_SAMPLER asks for; null: nothing. */
  sampledShare(): number | null {
    const sampler = this.#text('OTEL_TRACES_SAMPLER');
    if (sampler === '') return null;
    if (!Object.hasOwn(SAMPLERS, sampler)) {
      this.#ignored('OTEL_TRACES_SAMPLER', `expected ${Object.keys(SAMPLERS).join(', ')}`);
      return null;
    }
    const share = SAMPLERS[sampler]!;
    if (share !== null) return share;
    const name = 'OTEL_TRACES_SAMPLER_ARG';
    const ratio = Number(this.#text(name) || '1');
    if (ratio >= 0 && ratio <= 1) return ratio;
    this.#ignored(name, 'expected a number from 0 to 1');
    return 1;
  }

  /** For a key that nothing else has set. */
  set(source: string, path: Path, value: unknown): void {
    if (getAt(this.applied.tree, path) === undefined) this.force(source, path, value);
  }

  force(source: string, path: Path, value: unknown): void {
    const section = getAt(this.applied.tree, path.slice(0, -1));
    // It is wrong, which is for the schema to say.
    if (section !== undefined && section !== null && !isMap(section)) return;
    this.applied.tree = withValueAt(this.applied.tree, path, value);
    this.applied.assignments.push({ source, path });
  }

  #ignored(name: string, why: string): void {
    const message = `ignored: ${why}`;
    this.applied.warnings.push({ file: name, line: 0, column: 0, path: '', message });
  }
}
