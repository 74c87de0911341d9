/** The gateway's registration as a service. Pure. */
import { isIP } from 'node:net';

import { parseAddress, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';

/** How often the agent checks the gateway. */
const CHECK_EVERY = '5s';
const CHECK_WAIT = '2s';
/** Without a report from the gateway for this long, a ttl check turns critical. */
export const TTL_MS = 15_000;

/** Where something listens, with the actual port; `host` is empty for a wildcard. */
export type Place = { readonly host: string; readonly port: number };

export type CheckKind = 'http' | 'grpc' | 'ttl';

export type ServiceFacts = {
  /** The gateway's id. */
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** What clients should dial; an empty host: detected. */
  readonly clients: Place;
  readonly check: CheckKind;
  readonly health: Place;
  /** null: on a Unix socket. */
  readonly control: Place | null;
  /** Control speaks TLS. */
  readonly controlTls: boolean;
  /** The agent removes a gateway that has been critical for this long. */
  readonly deregisterAfterMs: number;
};

/** Where the gateway listens, with the actual ports. */
export type Listening = {
  /** URLs. */
  readonly clients: readonly string[];
  readonly controlPort: number;
  readonly healthPort: number;
};

/** @param gatewayId Id of this process, which becomes the service's id. */
export function serviceFacts(
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

/** The place of a listener's URL. */
function placeOf(url: string): Place {
  const { host, port } = parseHostPort(url.replace(/^[a-z]+:\/\//, ''));
  return { host: hostOf(host), port };
}

/** A listener's host for a place: '' for a wildcard. */
function hostOf(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '' : host;
}

/** Id of the gateway's one check. */
export function checkIdOf(id: string): string {
  return `service:${id}`;
}

/**
 * The body of `/v1/agent/service/register`.
 *
 * @param localAddress The gateway's address as the agent sees it. It is used where a listener takes every interface: the
 *   agent can reach it, so others probably can. On loopback it is omitted, and the agent's own node address applies.
 */
export function serviceEntry(facts: ServiceFacts, localAddress: string): Record<string, unknown> {
  const { id, name, tags, meta, clients, deregisterAfterMs } = facts;
  const ours = isLoopback(localAddress) ? '' : localAddress;
  return {
    ID: id,
    Name: name,
    Tags: tags,
    Meta: meta,
    Address: clients.host === '' ? ours : clients.host,
    Port: clients.port,
    Check: {
      CheckID: checkIdOf(id),
      Name: 'pith',
      DeregisterCriticalServiceAfter: `${deregisterAfterMs}ms`,
      ...checkOf(facts, localAddress),
    },
  };
}

function checkOf(facts: ServiceFacts, localAddress: string): Record<string, unknown> {
  const every = { Interval: CHECK_EVERY, Timeout: CHECK_WAIT };
  const at = ({ host, port }: Place): string => {
    const known = host === '' ? localAddress || '127.0.0.1' : host;
    return isIP(known) === 6 ? `[${known}]:${port}` : `${known}:${port}`;
  };
  switch (facts.check) {
    case 'http':
      return { ...every, HTTP: `http://${at(facts.health)}/readyz?warn` };
    case 'grpc':
      if (facts.control === null)
        throw new Error('consul.check: grpc needs control.listen on a TCP port');
      // This service is SERVING also while new clients should go elsewhere: a gRPC check knows no warning.
      return {
        ...every,
        GRPC: `${at(facts.control)}/pith.v1.Control`,
        GRPCUseTLS: facts.controlTls,
      };
    case 'ttl':
      return { TTL: `${TTL_MS}ms` };
  }
}

function isLoopback(address: string): boolean {
  return address === '' || address === '::1' || address.startsWith('127.');
}
