/** Makes the relay, with what it counts, logs and traces. */
import type { Clock } from '../clock.ts';
import { ruleOf } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import type { Admission } from '../relay/admission.ts';
import { Breaker } from '../relay/breaker.ts';
import { MessageReport } from '../relay/message-report.ts';
import { MessageTraces } from '../relay/message-traces.ts';
import { Relay, type RelayParts } from '../relay/relay.ts';
import { RouteTable } from '../routing/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Upstream } from '../upstream/upstream.ts';

export type MakeRelayParts = Pick<RelayParts, 'sessionCommands' | 'fleetCommands'> & {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly wheel: TimerWheel;
  readonly admission: Admission;
  /** By the backend's ordinal. */
  readonly upstreams: readonly Upstream[];
  /** null: no traces. */
  readonly tracing: Tracing | null;
};

export function makeRelay(parts: MakeRelayParts): Relay {
  const { config, tracing } = parts;
  const backends = Object.keys(config.backends);
  const { sample, always } = config.telemetry;
  const kept = { sample, keepErrors: always.errors, keepSlowerThanMs: always.slower_than };
  const traces = tracing && new MessageTraces({ ...kept, tracing, clock: parts.clock });
  return new Relay({
    ...parts,
    table: new RouteTable(config.routes.map(ruleOf), backends),
    breakers: Object.values(config.backends).map((backend) => {
      if (!('breaker' in backend) || backend.breaker.failures === 0) return null;
      return new Breaker({ failures: backend.breaker.failures, openMs: backend.breaker.open });
    }),
    routeBytesMax: config.limits.route,
    report: new MessageReport({ ...parts, backends, traces }),
  });
}
