/**
 * The gateway as a NATS micro service: `nats micro ls`, `info` and `stats` list the gateways, what each serves over
 * NATS and how often it was asked. [github.com/nats-io/nats-architecture-and-design, ADR-32]
 */
import type { NatsMessage, OnMessage } from '../upstream/nats/nats-connection.ts';
import type { BusParts } from './bus-parts.ts';
import type { Replies } from './replies.ts';

/** The name of the service; each gateway is an instance of it. */
export const SERVICE_NAME = 'pith';
const DESCRIPTION = 'Pith gateway: sessions of game clients, pushes, groups and presence';
const TYPE = 'io.nats.micro.v1';
const NANOSECONDS = 1_000_000;
/** Characters of the last error. */
const ERROR_TEXT_MAX = 256;

export type Endpoint = {
  readonly name: string;
  readonly subject: string;
  /** '': none, each of the gateways gets what is meant for it. */
  readonly queue: string;
  readonly stats: EndpointStats;
};

/** How often an endpoint was asked. */
export class EndpointStats {
  requests = 0;
  errors = 0;
  lastError = '';
  /** Milliseconds, of all requests. */
  processingMs = 0;

  /** @param error '': it went well. */
  count(ms: number, error: string): void {
    this.requests++;
    this.processingMs += ms;
    if (error === '') return;
    this.errors++;
    this.lastError = error.slice(0, ERROR_TEXT_MAX);
  }
}

/** What is said of the gateway beside its id. */
export type ServiceFacts = {
  readonly version: string;
  /** Names to values, for people. */
  readonly metadata: Readonly<Record<string, string>>;
};

export type MicroServiceParts = BusParts & {
  readonly replies: Replies;
  readonly endpoints: readonly Endpoint[];
  readonly facts: () => ServiceFacts;
};

export class MicroService {
  readonly #parts: MicroServiceParts;
  readonly #started: string;

  constructor(parts: MicroServiceParts) {
    this.#parts = parts;
    this.#started = new Date(parts.clock.wallNow()).toISOString();
  }

  /** Subscribes to the questions for all services, for those of this name, and for this gateway. */
  start(): void {
    const { connector, gatewayId } = this.#parts;
    for (const [verb, answer] of [
      ['PING', () => this.#ping()],
      ['INFO', () => this.#info()],
      ['STATS', () => this.#stats()],
    ] as const) {
      const onMessage: OnMessage = (error, message) => {
        if (error === null) this.#answer(message, answer);
        else this.#parts.report.refused('SERVICES', `$SRV.${verb}`, `${DEAF}: ${error.message}`);
      };
      for (const subject of [
        verb,
        `${verb}.${SERVICE_NAME}`,
        `${verb}.${SERVICE_NAME}.${gatewayId}`,
      ])
        connector.always(`$SRV.${subject}`, onMessage);
    }
  }

  #answer(message: NatsMessage, answer: () => object): void {
    this.#parts.replies.send(message, false, answer());
  }

  #about(kind: string): object {
    const { version, metadata } = this.#parts.facts();
    const { gatewayId } = this.#parts;
    return {
      type: `${TYPE}.${kind}_response`,
      name: SERVICE_NAME,
      id: gatewayId,
      version,
      metadata,
    };
  }

  #ping(): object {
    return this.#about('ping');
  }

  #info(): object {
    const endpoints = this.#parts.endpoints.map(({ name, subject, queue }) => ({
      ...{ name, subject, queue_group: queue, metadata: {} },
    }));
    return { ...this.#about('info'), description: DESCRIPTION, endpoints };
  }

  #stats(): object {
    const endpoints = this.#parts.endpoints.map(({ name, subject, queue, stats }) => ({
      ...{ name, subject, queue_group: queue },
      ...{ num_requests: stats.requests, num_errors: stats.errors, last_error: stats.lastError },
      processing_time: Math.round(stats.processingMs * NANOSECONDS),
      average_processing_time: Math.round(
        (stats.processingMs * NANOSECONDS) / Math.max(1, stats.requests),
      ),
    }));
    return { ...this.#about('stats'), started: this.#started, endpoints };
  }
}

const DEAF = 'NATS tools do not list this gateway: allow gateways to subscribe to $SRV.>';
