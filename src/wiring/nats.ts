/** Builds what NATS is used for: the connection, the answers of NATS backends, and the bus. */
import { NatsBus, type NatsBusParts } from '../bus/nats-bus.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import { isOlder } from './settings.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import {
  NatsConnector,
  type NatsEvents,
  SAFE_SERVER_VERSION,
} from '../upstream/nats/connection.ts';
import { ENDED } from '../upstream/nats/dial.ts';
import { NatsAnswers, type NatsAnswersEvents } from '../upstream/nats/nats-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';

/** Routes for which it is told that a stream captures them. */
const CAPTURED_TOLD_MAX = 64;
/** Reasons that say no more than that NATS is away. */
const AWAY: ReadonlySet<string> = new Set(['connection refused', 'timeout', ENDED]);
/** Other reasons that are told until NATS is there again. */
const REASONS_TOLD_MAX = 8;

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
  readonly #options: NatsOptions;
  readonly #throttle: LogThrottle;
  #onFirstUp = (): void => {};
  /** Why the last try failed; '': none has. */
  #why = '';
  /** Reasons that were told since NATS went away; null: it is there, or nobody has been told that it is not. */
  #told: Set<string> | null = null;

  constructor(options: NatsOptions) {
    const { servers, config, gatewayId, clock, wheel } = options;
    const { creds, user, password, token, nkey, prefix } = config.nats;
    this.#options = options;
    this.#throttle = new LogThrottle(clock);
    this.firstUp = new Promise((resolve) => {
      this.#onFirstUp = resolve;
    });
    const subjects = new Subjects(prefix, gatewayId);
    const { inboxPrefix } = subjects;
    this.connector = new NatsConnector(
      { servers, gatewayId, clock, inboxPrefix, creds, user, password, token, nkey },
      this.#events(),
    );
    const { log, metrics } = options;
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
      onError: this.#onError,
      onRefused: refusals(log, metrics, this.#throttle),
      onStrayAnswer: () => {
        metrics.add('pith_late_replies_total', ['bus']);
      },
    });
    metrics.watch('pith_bus_unsent_bytes', [], () => this.answers.unsentBytes);
  }

  /** Says that NATS is away, and what to do; to be called once, by who has waited for it. */
  tellAway(): void {
    if (this.connector.up) return;
    const { config, log, servers } = this.#options;
    this.#told = new Set([this.#why]);
    const needsNats = Object.values(config.backends).some(({ kind }) => kind === 'nats');
    log.warn(
      { bus: config.bus, why: this.#why || 'no answer yet' },
      'the bus is away, and the gateway is not ready until it is there: ' +
        `is nats-server running at ${servers.join(', ')}?` +
        (needsNats ? '' : ' "bus: embedded" needs none'),
    );
  }

  #events(): NatsEvents {
    const { log, metrics } = this.#options;
    return {
      onError: (what) => {
        this.#onError(what);
      },
      onUp: (first, server) => {
        metrics.add('pith_bus_connects_total', ['connected']);
        this.#onUp(first, server);
      },
      onDown: (why) => {
        this.answers.onDown();
        if (why === null) return;
        this.#told = new Set([this.#why]);
        const more = this.#throttle.allow('lost');
        if (more !== null) log.warn({ why, ...more }, 'bus lost');
      },
      onRefused: (why) => {
        metrics.add('pith_bus_connects_total', ['refused']);
        this.#onRefused(why);
      },
      onRoom: () => {
        this.answers.onRoom();
      },
    };
  }

  #onUp(first: boolean, server: string): void {
    const { log } = this.#options;
    const version = this.connector.serverVersion;
    this.#told = null;
    const more = this.#throttle.allow('up');
    if (more !== null)
      log.info({ server, version, ...more }, first ? 'bus connected' : 'bus connected again');
    if (first && isOlder(version, SAFE_SERVER_VERSION)) {
      log.warn(
        { version },
        `nats-server below ${SAFE_SERVER_VERSION} has known security holes; update it`,
      );
    }
    this.bus.onUp(first);
    this.#onFirstUp();
  }

  #onRefused(why: string): void {
    this.#why = why;
    const told = this.#told;
    if (told === null || AWAY.has(why) || told.has(why) || told.size > REASONS_TOLD_MAX) return;
    told.add(why);
    this.#options.log.warn({ why }, 'the bus cannot be reached');
  }

  readonly #onError = (what: string): void => {
    const more = this.#throttle.allow('error');
    if (more !== null) this.#options.log.error({ what, ...more }, 'bus');
  };
}

/** Counts what is refused or dropped; tells the log of the first of each reason. */
function refusals(log: Log, metrics: Metrics, throttle: LogThrottle): NatsBusParts['onRefused'] {
  return (reason, subject, what) => {
    metrics.add('pith_bus_refused_total', [reason]);
    if (ORDINARY.has(reason)) return;
    const left = throttle.allow(reason);
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
