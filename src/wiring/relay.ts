/** Makes the relay, with what it counts, logs and traces. */
import { ruleOf } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import { Admission } from '../relay/admission.ts';
import { Breaker } from '../relay/breaker.ts';
import { MessageReport } from '../relay/message-report.ts';
import { MessageTraces } from '../relay/message-traces.ts';
import { Relay } from '../relay/relay.ts';
import type { RelayParts } from '../relay/relay-parts.ts';
import { RouteTable } from '../routing/route-table.ts';
import { Tracing } from '../telemetry/tracing.ts';
import type { Shared } from './shared.ts';

/** `limits`, for each backend. */
export function makeAdmission({ limits, backends }: Config): Admission {
  const { messages_per_second: messagesPerSecond, burst } = limits;
  const { in_flight_per_backend: inFlightPerBackend } = limits;
  const count = Object.keys(backends).length;
  return new Admission({ messagesPerSecond, burst, inFlightPerBackend }, count);
}

/** null: no traces. */
export function makeTracing(shared: Shared): Tracing | null {
  const { otlp } = shared.config.telemetry;
  return otlp === '' ? null : new Tracing({ ...shared, otlp });
}

export type MakeRelayParts = Shared &
  Pick<RelayParts, 'sessionCommands' | 'fleetCommands' | 'joins' | 'admission' | 'upstreams'> & {
    /** null: no traces. */
    readonly tracing: Tracing | null;
  };

export function makeRelay(parts: MakeRelayParts): Relay {
  const { config, tracing, clock, random } = parts;
  const backends = Object.keys(config.backends);
  const { sample, always } = config.telemetry;
  const kept = { sample, keepErrors: always.errors, keepSlowerThanMs: always.slower_than };
  const traces = tracing && new MessageTraces({ ...kept, tracing, clock, random });
  return new Relay({
    ...parts,
    table: new RouteTable(config.routes.map(ruleOf), backends, config.limits.route),
    breakers: Object.values(config.backends).map((backend) => {
      if (!('breaker' in backend) || backend.breaker.failures === 0) return null;
      return new Breaker({ failures: backend.breaker.failures, openMs: backend.breaker.open });
    }),
    report: new MessageReport({ ...parts, backends, traces }),
  });
}
