/** Makes the relay, with what it counts, logs and traces. */
import type { Capacity } from '../config/auto-limits.ts';
import { otelExport, type OtelExport } from '../config/otel-variables.ts';
import type { Config } from '../config/schema.ts';
import { Admission, type AdmissionLimits } from '../relay/admission.ts';
import { MessageReport } from '../relay/message-report.ts';
import { type KeptTraces, MessageTraces } from '../relay/message-traces.ts';
import { Relay } from '../relay/relay.ts';
import type { RelayParts } from '../relay/relay-parts.ts';
import { RouteActivity } from '../relay/route-activity.ts';
import { Shedding } from '../relay/shedding.ts';
import { OtlpMetrics } from '../telemetry/otlp-metrics.ts';
import type { ProcessUse } from '../telemetry/process-use.ts';
import { LevelSwitch } from '../telemetry/level-switch.ts';
import { Tracing } from '../telemetry/tracing.ts';
import type { Watches } from '../watch/watches.ts';
import type { Shared } from './shared.ts';

/** `limits`, of each session, for each backend, and of all bodies. */
export function makeAdmissionLimits(
  { limits }: Config,
  { inFlightBytes }: Capacity,
): AdmissionLimits {
  const { messages_per_second: messagesPerSecond, burst } = limits;
  const inFlightPerBackend = limits.in_flight_per_backend;
  return { messagesPerSecond, burst, inFlightPerBackend, inFlightBytes };
}

/** Which traces are kept. */
export function makeKeptTraces({ telemetry: { sample, always } }: Config): KeptTraces {
  const {
    errors: keepErrors,
    slower_than: keepSlowerThanMs,
    per_second: keptPerSecondMax,
  } = always;
  return { sample, keepErrors, keepSlowerThanMs, keptPerSecondMax };
}

export type Exports = {
  /** null: no traces. */
  readonly tracing: Tracing | null;
  /** null: metrics are read by Prometheus alone. */
  readonly otlpMetrics: OtlpMetrics | null;
};

/** What goes to a collector. */
export function makeExports(shared: Shared & { readonly otel?: OtelExport }): Exports {
  const { otlp, otlp_metrics: everyMs } = shared.config.telemetry;
  const parts = { otel: otelExport({}), ...shared, otlp, everyMs };
  return {
    tracing: otlp === '' ? null : new Tracing(parts),
    otlpMetrics: everyMs === 0 ? null : new OtlpMetrics(parts),
  };
}

export type MakeRelayParts = Shared &
  Pick<RelayParts, 'maintenance' | 'sessionCommands' | 'fleetCommands' | 'joins'> & {
    readonly capacity: Capacity;
    /** null: no traces. */
    readonly tracing: Tracing | null;
    /** What operators look at. */
    readonly watches: Watches;
    /** Absent: how the event loop lags is not known. */
    readonly processUse?: ProcessUse;
  };

/** What is logged of each message goes by it. */
export function makeLevelSwitch(shared: Shared, { parts }: Relay): LevelSwitch {
  const level = new LevelSwitch(shared, shared.config.log.level);
  level.onChange = () => {
    parts.report.logLevelChanged();
  };
  return level;
}

/** Without backends and routes, which come later. */
export function makeRelay(parts: MakeRelayParts): Relay {
  const { config, capacity, tracing, clock, random, processUse } = parts;
  const lag = processUse?.lag.recent ?? null;
  const traces =
    tracing && new MessageTraces({ ...makeKeptTraces(config), tracing, clock, random });
  return new Relay({
    ...parts,
    admission: new Admission(makeAdmissionLimits(config, capacity)),
    shedding: new Shedding({ ...parts, lag }, config.limits.event_loop_lag),
    report: new MessageReport({
      ...{ ...parts, traces, routes: new RouteActivity(parts.wheel) },
      watching: parts.watches,
      tellsRefs: config.telemetry.refs,
    }),
  });
}
