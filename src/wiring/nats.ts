/** Builds what NATS is used for: the connection, the answers of NATS backends, and the bus. */
import { NatsBus, type NatsBusParts } from '../bus/nats-bus.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { Seldom } from './seldom.ts';
import { isOlder } from './settings.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { NatsConnector, SAFE_SERVER_VERSION } from '../upstream/nats/connection.ts';
import { NatsAnswers, type NatsAnswersEvents } from '../upstream/nats/nats-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';

/** Routes for which it is told that a stream captures them. */
const CAPTURED_TOLD_MAX = 64;

/** Refusals that sessions which come and go make by themselves. */
const ORDINARY = new Set(['NO_SESSION', 'CONFLICT', 'CLOSING']);

/** How much of what strangers say stands in a log line. */
const TOLD_MAX = 300;

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
export class Nats {
  readonly connector: NatsConnector;
  readonly answers: NatsAnswers;
  readonly bus: NatsBus;
  /** Resolves at the first connection. */
  readonly firstUp: Promise<void>;

  constructor(options: NatsOptions) {
    const { servers, config, gatewayId, clock, wheel, log, metrics } = options;
    const { creds, user, password, token, nkey, prefix } = config.nats;
    const subjects = new Subjects(prefix, gatewayId);
    const seldom = new Seldom(clock);
    const onError = (what: string): void => {
      const left = seldom.take('error');
      if (left !== null) log.error({ what, ...left }, 'bus');
    };
    let onFirstUp = (): void => {};
    this.firstUp = new Promise((resolve) => {
      onFirstUp = resolve;
    });
    this.connector = new NatsConnector(
      {
        servers,
        gatewayId,
        clock,
        inboxPrefix: subjects.inboxPrefix,
        creds,
        user,
        password,
        token,
        nkey,
      },
      {
        onError,
        onUp: (first, server) => {
          const version = this.connector.serverVersion;
          log.info({ server, version }, first ? 'bus connected' : 'bus connected again');
          if (first && isOlder(version, SAFE_SERVER_VERSION)) {
            log.warn(
              { version },
              `nats-server below ${SAFE_SERVER_VERSION} has known security holes; update it`,
            );
          }
          this.bus.onUp(first);
          onFirstUp();
        },
        onDown: (why) => {
          log.warn({ why }, 'bus lost');
          this.answers.onDown();
        },
      },
    );
    this.answers = new NatsAnswers(this.connector, subjects, {
      ...answersEvents(log, metrics),
      captures: (subject) => this.bus.streams.captures(subject),
    });
    this.bus = new NatsBus({
      gatewayId,
      connector: this.connector,
      subjects,
      clock,
      wheel,
      convertBytesMax: config.limits.convert,
      onError,
      onRefused: refusals(log, metrics, seldom),
      onStrayAnswer: () => {
        metrics.add('pith_late_replies_total', ['bus']);
      },
    });
  }
}

/** Counts what is refused or dropped; tells the log of the first of each reason. */
function refusals(log: Log, metrics: Metrics, seldom: Seldom): NatsBusParts['onRefused'] {
  return (reason, subject, what) => {
    metrics.add('pith_bus_refused_total', [reason]);
    if (ORDINARY.has(reason)) return;
    const left = seldom.take(reason);
    if (left === null) return;
    const cut = { subject: subject.slice(0, TOLD_MAX), what: what.slice(0, TOLD_MAX) };
    log.warn({ reason, ...cut, ...left }, 'bus message refused');
  };
}

function answersEvents(log: Log, metrics: Metrics): Omit<NatsAnswersEvents, 'captures'> {
  const captured = new Set<string>();
  return {
    onLateReply: () => {
      metrics.add('pith_late_replies_total', ['nats']);
    },
    onPubAck: (route, subject) => {
      metrics.add('pith_bus_refused_total', ['PUB_ACK']);
      if (captured.has(route) || captured.size >= CAPTURED_TOLD_MAX) return;
      captured.add(route);
      log.error(
        { route, subject },
        'a JetStream stream captures request subjects and answers for backends: take them out of it',
      );
    },
  };
}
