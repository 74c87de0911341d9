/** Everything about Consul: addresses of backends, and this gateway as a service. */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Random } from '../random.ts';
import type { Readiness } from '../placement/placement.ts';
import type { Log } from '../telemetry/log.ts';
import type { ClientTls } from '../transport/pem.ts';
import { ConsulAgent } from './agent.ts';
import { Registration } from './registration.ts';
import { ConsulResolver } from './resolver.ts';
import { type Listening, serviceFacts } from './service-entry.ts';

export type ConsulParts = {
  readonly config: Config;
  /** From `consul.tls`. */
  readonly tls: ClientTls;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

export class Consul {
  readonly #parts: ConsulParts;
  readonly #agent: ConsulAgent;
  readonly #resolvers: ConsulResolver[] = [];
  #registration: Registration | null = null;

  constructor(parts: ConsulParts) {
    const { address, token } = parts.config.consul;
    const url = address.includes('://') ? address : `http://${address}`;
    this.#parts = parts;
    this.#agent = new ConsulAgent({ url, token, tls: parts.tls, clock: parts.clock });
  }

  /** @param url `consul:///service`, the value of `backends.<backend>.grpc`. */
  resolverOf(backend: string, url: string): ConsulResolver {
    const { clock, random, log } = this.#parts;
    const agent = this.#agent;
    const resolver = new ConsulResolver({ agent, clock, random, log, backend, url });
    this.#resolvers.push(resolver);
    return resolver;
  }

  /** Registers the gateway in the background, if configured. To be called once everything listens. */
  start(listening: Listening, readiness: Readiness): void {
    const { config, gatewayId, version, clock, random, log } = this.#parts;
    if (!config.consul.register) return;
    const facts = serviceFacts(config, gatewayId, version, listening);
    const agent = this.#agent;
    this.#registration = new Registration({ agent, clock, random, log, facts, readiness });
    this.#registration.start();
  }

  /** To be called when the drain begins. Bounded in time. */
  async maintain(): Promise<void> {
    await this.#registration?.maintain();
  }

  /** To be called when the gateway stops. Bounded in time. */
  async close(): Promise<void> {
    for (const resolver of this.#resolvers) resolver.close();
    await this.#registration?.leave();
  }
}
