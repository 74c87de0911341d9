/** Makes what NATS is used for: the connection, the answers of NATS backends, and the bus. */
import { NatsBus } from '../bus/nats-bus.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { NatsConnector } from '../upstream/nats/connection.ts';
import { NatsReport } from '../upstream/nats/nats-report.ts';
import { NatsAnswers } from '../upstream/nats/nats-answers.ts';
import { Subjects } from '../upstream/nats/subjects.ts';

export type NatsOptions = {
  readonly servers: readonly string[];
  readonly config: Config;
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** NATS as the gateway uses it. */
export type Nats = {
  readonly connector: NatsConnector;
  readonly report: NatsReport;
  readonly answers: NatsAnswers;
  readonly bus: NatsBus;
};

export function makeNats(options: NatsOptions): Nats {
  const { servers, config, gatewayId, clock, metrics } = options;
  const { creds, user, password, token, nkey, prefix } = config.nats;
  const subjects = new Subjects(prefix, gatewayId);
  const { inboxPrefix } = subjects;
  const isNeeded = Object.values(config.backends).some(({ kind }) => kind === 'nats');
  const report = new NatsReport({ ...options, isNeeded });
  const connector = new NatsConnector(
    { servers, gatewayId, clock, inboxPrefix, creds, user, password, token, nkey },
    report,
  );
  const convertBytesMax = config.limits.convert;
  const bus = new NatsBus({ ...options, connector, subjects, convertBytesMax, report });
  const answers = new NatsAnswers({ connector, subjects, streams: bus.streams, report });
  metrics.watch('pith_bus_unsent_bytes', [], () => answers.unsentBytes);
  return { connector, report, answers, bus };
}
