/** Builds what NATS is used for: the connection, the answers of NATS backends, and the bus. */
import { NatsBus } from '../bus/nats-bus.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { isOlder } from './settings.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { NatsConnector, SAFE_SERVER_VERSION } from '../upstream/nats/connection.ts';
import { NatsAnswers } from '../upstream/nats/nats-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';

/** Routes for which it is told that a stream captures them. */
const CAPTURED_TOLD_MAX = 64;

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
    const onError = (what: string): void => {
      log.error({ what }, 'bus');
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
    const captured = new Set<string>();
    this.answers = new NatsAnswers(this.connector, subjects, {
      onLateReply: () => {
        metrics.add('pith_late_replies_total', ['nats']);
      },
      onPubAck: (route) => {
        if (captured.has(route) || captured.size >= CAPTURED_TOLD_MAX) return;
        captured.add(route);
        log.error(
          { route },
          'a JetStream stream captures request subjects and answers for backends: take them out of it',
        );
      },
    });
    this.bus = new NatsBus({
      gatewayId,
      connector: this.connector,
      subjects,
      clock,
      wheel,
      onError,
    });
  }
}
