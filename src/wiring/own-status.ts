/** Makes what the gateway tells of itself: to the console of operators, and to the other gateways that are asked for it. */
import type { FleetCommands } from '../bus/fleet-commands.ts';
import type { Capacity } from '../config/auto-limits.ts';
import { durationText } from '../contract/json-shapes.ts';
import { FleetStatus, type OwnStatus } from '../control/fleet-status.ts';
import type { Info } from '../control/gateway-methods.ts';
import type { Readiness } from '../placement/placement.ts';
import type { LastFailure } from '../relay/message-report.ts';
import type { Relay } from '../relay/relay.ts';
import type { Backends } from '../reload/backends.ts';
import type { Registry } from '../session/registry.ts';
import type { Outboxes } from '../session/outboxes.ts';
import { History, STEP_MS } from '../telemetry/history.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { InstrumentName, Metrics } from '../telemetry/metrics.ts';
import type { RecentLines } from '../telemetry/recent-lines.ts';
import type { Target } from '../routing/rule.ts';
import type { AddressStatus } from '../upstream/upstream.ts';
import type { ProcessUse } from '../telemetry/process-use.ts';
import type { Shared } from './shared.ts';

/** Of one backend; how many there are is told as well. */
const ADDRESSES_MAX = 200;
/** Of a reason in a backend's own words. */
const WHY_CHARS_MAX = 500;

export type OwnStatusParts = Shared & {
  readonly fleetCommands: FleetCommands;
  readonly relay: Relay;
  readonly outboxes: Outboxes;
  readonly capacity: Capacity;
  readonly readiness: Readiness;
  readonly info: () => Info;
  readonly backends: Pick<Backends, 'facts'>;
  readonly registry: Pick<Registry, 'size'>;
  /** Absent: nothing is known of the process. */
  readonly processUse?: ProcessUse;
  /** Absent: the log is not kept. */
  readonly recentLines?: RecentLines;
};

/** A backend as the configuration names it now. */
type BackendFacts = ReturnType<Backends['facts']>[number];

export function makeFleetStatus(parts: OwnStatusParts): { status: FleetStatus; history: History } {
  const { gatewayId, fleetCommands, registry } = parts;
  const history = new History({ ...parts, sessions: () => registry.size });
  const rows = makeStatusRows({ ...parts, history });
  return { status: new FleetStatus(gatewayId, fleetCommands, rows), history };
}

/** The rows of each kind, in JSON as `control.proto` has them, but for history and log, whose methods add them up. */
export function makeStatusRows(parts: OwnStatusParts & { history: History }): OwnStatus {
  const { relay, history, recentLines, gatewayId, backends } = parts;
  return {
    gateway: () => [gatewayRow(parts)],
    backends: () => backends.facts().map((backend) => backendRow(backend, parts)),
    routes: () => routeRows(relay),
    history: () => {
      const { startMs, series } = history.read();
      return series.map((one) => ({ ...one, start_ms: startMs, step_ms: STEP_MS }));
    },
    log: ({ after }) => {
      const seen = (after as Record<string, unknown> | undefined)?.[gatewayId];
      return recentLines?.after(typeof seen === 'number' ? seen : 0) ?? [];
    },
  };
}

function gatewayRow(parts: OwnStatusParts): object {
  const { metrics, relay, outboxes, capacity, readiness, processUse, config } = parts;
  const { version, state, sessions, bus, uptimeMs, maintenance } = parts.info();
  const failed = sumOf(metrics, 'pith_requests_total', ([, outcome]) => isFailed(outcome));
  const lag = processUse?.lag.scraped;
  return {
    ...{ version, state, sessions, bus, maintenance, generation: config.generation },
    sessions_max: capacity.connections,
    uptime: durationText(Math.max(0, uptimeMs)),
    not_ready: readiness.notReady(),
    in_flight: relay.inFlight,
    messages: sumOf(metrics, 'pith_requests_total'),
    failed,
    refused: sumOf(metrics, 'pith_messages_refused_total'),
    closed: sumOf(metrics, 'pith_sessions_closed_total'),
    outbox_bytes: outboxes.heldBytes,
    outbox_bytes_max: capacity.outboxesBytes,
    memory_bytes: processUse?.memory().rss ?? 0,
    ...(lag !== undefined && { event_loop_lag: durationText(lag.percentileMs(99)) }),
  };
}

/** Whether a message that ended so is one that failed: not if its client has gone. */
function isFailed(outcome: string | undefined): boolean {
  return outcome !== 'ok' && outcome !== 'client_gone';
}

function sumOf(
  metrics: Metrics,
  name: InstrumentName,
  counts: (labels: readonly string[]) => boolean = () => true,
): number {
  let sum = 0;
  for (const [labels, value] of metrics.values(name)) if (counts(labels)) sum += value;
  return sum;
}

function backendRow(backend: BackendFacts, { relay, metrics }: OwnStatusParts): object {
  const { name, ordinal, kind, healthy, addresses, each } = backend;
  const { admission, report } = relay.parts;
  const breaker = relay.breakers[ordinal];
  const outcomes: Record<string, number> = {};
  for (const [[of, outcome], value] of metrics.values('pith_requests_total'))
    if (of === name) outcomes[outcome!] = value;
  const failure = report.lastFailure(ordinal);
  const all = each?.() ?? [];
  return {
    ...{ name, kind, healthy, outcomes, address_count: addresses },
    in_flight: admission.inFlight(ordinal),
    breaker: breaker === null || breaker === undefined ? '' : breaker.isOpen ? 'open' : 'closed',
    latency: latencyJson(metrics.histogram('pith_request_duration_seconds', [name])),
    ...(failure !== undefined && { last_failure: failureJson(failure, all) }),
    addresses: all.slice(0, ADDRESSES_MAX).map(addressJson),
  };
}

/** Why a backend is away is known better by its addresses than by the calls that wanted to go there. */
function failureJson(
  { atWall, reason, route, why }: LastFailure,
  addresses: readonly AddressStatus[],
): object {
  const away = addresses.find((one) => !one.isHealthy && one.why !== '');
  const known = reason === 'BACKEND_AWAY' && away !== undefined ? away.why : why;
  return { at: new Date(atWall).toISOString(), reason, route, why: cut(known) };
}

function addressJson(one: AddressStatus): object {
  const { address, state, why, instance, inFlight, sessions, isHealthy } = one;
  return {
    ...{ address, state, why: cut(why), instance: instance.toWellFormed(), sessions },
    ...{ in_flight: inFlight, healthy: isHealthy },
  };
}

function cut(text: string): string {
  return text.slice(0, WHY_CHARS_MAX).toWellFormed();
}

function latencyJson({ bounds, counts, sum }: Histogram): object {
  return { bounds: [...bounds], counts: [...counts], sum };
}

/** Each rule, in the order of the configuration, and what matched none. Whoever asks makes it count. */
function routeRows({ table, parts: { report } }: Relay): object[] {
  const { routes } = report;
  routes.asked();
  const counted = { counted_for: durationText(routes.countedMs) };
  const row = (match: string, backends: readonly string[]): object => {
    const counts = routes.of(match);
    return {
      ...{ match, backends, ...counted },
      outcomes: Object.fromEntries(counts?.outcomes ?? []),
      ...(counts !== undefined && { latency: latencyJson(counts.latency) }),
    };
  };
  return [...table.targets.map((target) => row(target.match, backendsOf(target))), row('', [])];
}

function backendsOf({ backend, choices }: Target): string[] {
  return choices === null ? [backend] : choices.map(({ target }) => target.backend);
}
