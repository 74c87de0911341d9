/** Consul, as the configuration wants it: addresses of backends, and this gateway as a service. */

import type { Clock } from '../clock.ts';
import { parseAddress, parseHostPort } from '../config/address.ts';
import { parseConsulService } from '../config/consul-service.ts';
import type { Config } from '../config/schema.ts';
import { ConsulAgent } from '../discovery/agent.ts';
import { Registration } from '../discovery/registration.ts';
import { ConsulResolver } from '../discovery/resolver.ts';
import { hostOf, type Place, type ServiceFacts } from '../discovery/service-entry.ts';
import type { Log } from '../telemetry/log.ts';
import { makeClientTls } from './client-tls.ts';

export type DiscoveryParts = {
  readonly config: Config;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
};

/** Where the gateway listens, with the real ports. */
export type Listening = {
  /** URLs. */
  readonly clients: readonly string[];
  readonly controlPort: number;
  readonly healthPort: number;
};

export class Discovery {
  readonly #parts: DiscoveryParts;
  readonly #agent: ConsulAgent;
  readonly #resolvers: ConsulResolver[] = [];
  #registration: Registration | null = null;

  constructor(parts: DiscoveryParts) {
    const { address, token, tls } = parts.config.consul;
    this.#parts = parts;
    this.#agent = new ConsulAgent({
      url: address.includes('://') ? address : `http://${address}`,
      token,
      tls: makeClientTls(['consul', 'tls'], tls),
      clock: parts.clock,
    });
  }

  /** @param url `consul:///service`, as `backends.<backend>.grpc` has it. */
  resolverOf(backend: string, url: string): ConsulResolver {
    const { clock, log } = this.#parts;
    const resolver = new ConsulResolver(this.#agent, clock, parseConsulService(url), {
      onTrouble: (why) => {
        log.warn({ backend, why }, 'consul cannot be asked; the last known addresses stay');
      },
      onBack: () => {
        log.info({ backend }, 'consul answers again');
      },
      onAddresses: (addresses, leftOut) => {
        if (leftOut > 0)
          log.warn({ backend, leftOut }, 'consul lists instances without a port, or too many');
        if (addresses.length === 0)
          log.warn({ backend, service: url }, 'consul lists no healthy instance');
        else log.info({ backend, addresses }, 'addresses from consul');
      },
      onHeld: (heldMs) => {
        log.warn(
          { backend, heldMs },
          'consul lists no healthy instance any more; the last ones are used if that was a moment only',
        );
      },
    });
    this.#resolvers.push(resolver);
    return resolver;
  }

  /** Registers the gateway, if it is to be; in the background. Once everything listens. */
  start(listening: Listening, notReady: () => readonly string[]): void {
    const { config, gatewayId, version, clock, log } = this.#parts;
    if (!config.consul.register) return;
    const facts = factsOf(config, gatewayId, version, listening);
    const service = facts.name;
    this.#registration = new Registration(
      { agent: this.#agent, clock, facts, notReady },
      {
        onRegistered: (again) => {
          const text = again ? 'consul had forgotten us; registered again' : 'registered in consul';
          log[again ? 'warn' : 'info']({ service, check: facts.check }, text);
        },
        onTrouble: (why) => {
          log.warn({ service, why }, 'Consul rejected our registration; retrying');
        },
        onBack: () => {
          log.info({ service }, 'consul takes our registration again');
        },
        onLeft: () => {
          log.info({ service }, 'deregistered from consul');
        },
      },
    );
    this.#registration.start();
  }

  /** The drain begins. Bounded in time. */
  async maintain(): Promise<void> {
    await this.#registration?.maintain();
  }

  /** The gateway ends. Bounded in time. */
  async close(): Promise<void> {
    for (const resolver of this.#resolvers) resolver.close();
    await this.#registration?.leave();
  }
}

/** null: no Consul. */
export function makeDiscovery(parts: DiscoveryParts): Discovery | null {
  return parts.config.consul.address === '' ? null : new Discovery(parts);
}

function factsOf(
  config: Config,
  gatewayId: string,
  version: string,
  { clients, controlPort, healthPort }: Listening,
): ServiceFacts {
  const { consul, control } = config;
  const controlAt = parseAddress(control.listen);
  const onTcp = controlAt.kind === 'tcp';
  return {
    id: gatewayId,
    name: consul.service,
    tags: consul.tags,
    meta: {
      ...consul.meta,
      version,
      ...(onTcp && { control_port: String(controlPort) }),
      health_port: String(healthPort),
    },
    clients: consul.advertise === '' ? placeOf(clients[0]!) : parseHostPort(consul.advertise),
    check: consul.check,
    health: { host: hostOf(parseHostPort(config.health.listen).host), port: healthPort },
    control: onTcp ? { host: hostOf(controlAt.host), port: controlPort } : null,
    controlTls: control.tls.cert !== '',
    deregisterAfterMs: consul.deregister_after,
  };
}

/** Of a listener's URL. */
function placeOf(url: string): Place {
  const { host, port } = parseHostPort(url.replace(/^[a-z]+:\/\//, ''));
  return { host: hostOf(host), port };
}
