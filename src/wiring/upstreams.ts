/** Makes what is dialled: the upstream of each configured backend, and Consul. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { BackendFleetCommands } from '../bus/backend-fleet-commands.ts';
import type { Gate } from '../bus/gate.ts';
import type { PassableCommands } from '../bus/passable-commands.ts';
import type { BackendConfig, GrpcBackendConfig } from '../config/schema-backends.ts';
import { isConsulService } from '../config/consul-service.ts';
import { errorText, GatewayError } from '../errors.ts';
import type { Consul } from '../discovery/consul.ts';
import { keysForBackend } from '../config/event-keys.ts';
import type { Relay } from '../relay/relay.ts';
import { Backends } from '../reload/backends.ts';
import type { Kinds } from './kinds.ts';
import type { Nats } from './nats.ts';
import type { Shared } from './shared.ts';
import { BackendReport } from '../upstream/backend-report.ts';
import type { GrpcPoolOptions } from '../upstream/grpc-client/grpc-pool.ts';
import type { MethodUpstream } from '../upstream/method/method-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import { GateReply } from '../upstream/gate-reply.ts';
import type { Registry } from '../session/registry.ts';
import { FixedReply } from '../upstream/fixed-reply.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ClientTls } from '../transport/pem.ts';
import { makeClientTls } from './client-tls.ts';

/** null: no Consul. */
export function makeConsul(shared: Shared): Consul | null {
  const { address, tls } = shared.config.consul;
  if (address === '') return null;
  const { Consul } = shared.kinds.get('consul');
  return new Consul({ ...shared, tls: makeClientTls(['consul', 'tls'], tls) });
}

export type UpstreamParts = Shared & {
  readonly nats: Nats | null;
  /** null: no backend is one. */
  readonly gate: Gate | null;
  /** null: no Consul. */
  readonly consul: Consul | null;
  readonly fleetCommands: PassableCommands;
};

/** @throws {Error} when a file that one needs cannot be used. */
export function makeBackends(
  parts: UpstreamParts & { readonly relay: Relay; readonly registry: Registry },
): Backends {
  const backends = new Backends({
    ...parts,
    makeUpstream: (name, backend) => makeUpstream(name, backend, parts),
    readFiles,
  });
  parts.nats?.bus.watch.listen({
    gatewayLost(lost, isSpeaker) {
      for (const upstream of backends.upstreams) upstream.gatewayLost?.(lost, isSpeaker);
    },
  });
  return backends;
}

function makeUpstream(name: string, backend: BackendConfig, parts: UpstreamParts): Upstream {
  const report = new BackendReport(name, backend.kind, parts);
  const { config, live, gatewayId, version, clock, wheel, random, nats, fleetCommands, kinds } =
    parts;
  const convertBytesMax = config.limits.convert;
  const commands = new BackendFleetCommands(fleetCommands, report, convertBytesMax);
  const links = { gatewayId, version, commands, wheel };
  const closedData = (): readonly string[] => keysForBackend(live.config, name);
  switch (backend.kind) {
    case 'reply':
      return new FixedReply(backend.reply);
    case 'gate':
      return new GateReply(parts.gate!);
    case 'nats': {
      const subjects = new Subjects(backend.nats.prefix ?? config.nats.prefix, gatewayId);
      const { requests: connector, answers } = nats!;
      return new (kinds.get('natsUpstream').NatsUpstream)(
        { connector, subjects, answers, convertBytesMax, wheel },
        report,
      );
    }
    case 'grpc':
      return backend.mode === 'method'
        ? makeMethod(backend, parts, report)
        : new (kinds.get('grpc').GrpcUpstream)(
            { ...grpcPoolOptions(backend, parts, name), mode: backend.mode, closedData },
            links,
          );
    case 'http': {
      const { http: url, headers } = backend;
      const tls = makeClientTls(['backends', name, 'tls'], backend.tls);
      return new (kinds.get('http').HttpUpstream)(
        { name, url, headers, tls, closedData, convertBytesMax, clock, wheel },
        report,
      );
    }
    case 'ipc': {
      const options = {
        ...{ name, address: backend.ipc, closedData },
        ...{ convertBytesMax, clock, wheel, random },
      };
      return new (kinds.get('ipc').IpcUpstream)(options, commands, report);
    }
    case 'dial_in': {
      const {
        dial_in: { token },
        dead_after: deadAfterMs,
        balance,
        hash_by: hashBy,
      } = backend;
      return new (kinds.get('dialIn').DialInUpstream)(
        { name, token, deadAfterMs, balance, hashBy, closedData, clock, random },
        links,
      );
    }
  }
}

/** What every mode of gRPC has. */
function grpcPoolOptions(
  backend: GrpcBackendConfig,
  { clock, wheel, random, consul, network, kinds }: UpstreamParts,
  name: string,
): GrpcPoolOptions {
  return {
    connect: network.connectGrpc,
    url: backend.grpc,
    resolver: isConsulService(backend.grpc)
      ? consul!.resolverOf(name, backend.grpc)
      : network.resolverOf(backend.grpc),
    metadata: backend.metadata,
    links: backend.links,
    ageMs: backend.link_age,
    deadAfterMs: backend.dead_after,
    balance: backend.balance,
    hashBy: backend.hash_by,
    weights: backend.weights,
    health: backend.health,
    tls: grpcTlsOf(name, backend.tls, kinds),
    clock,
    wheel,
    random,
  };
}

function makeMethod(
  backend: GrpcBackendConfig,
  parts: UpstreamParts,
  report: BackendReport,
): MethodUpstream {
  return new (parts.kinds.get('method').MethodUpstream)(
    {
      ...grpcPoolOptions(backend, parts, report.backend),
      services: backend.services,
      descriptors: backend.descriptors,
      protos: backend.protos,
      reflection: backend.reflection,
      digest: backend.reflection_digest,
      json: backend.json,
      convertBytesMax: parts.config.limits.convert,
      jsonDepthMax: parts.config.limits.json_depth,
    },
    parts.fleetCommands,
    report,
  );
}

/**
 * A hash of what a backend's own files hold: its certificates, and what describes its methods. Of one that cannot be read
 * nothing: whoever needs it says so.
 */
function readFiles(name: string, backend: BackendConfig): string {
  const texts: unknown[] = [];
  if ('tls' in backend) texts.push(makeClientTls(['backends', name, 'tls'], backend.tls));
  if (backend.kind !== 'grpc') return hashOf(texts);
  for (const file of backend.descriptors) texts.push(textOf(file));
  for (const folder of backend.protos)
    for (const file of protosIn(folder)) texts.push(file, textOf(join(folder, file)));
  return hashOf(texts);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'base64');
  } catch {
    return '';
  }
}

function protosIn(folder: string): string[] {
  try {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    return files.filter((file) => file.endsWith('.proto')).toSorted();
  } catch {
    return [];
  }
}

function hashOf(texts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('base64');
}

/** null: in plain text. `ca: system` is TLS with the system's authorities, where nothing else says TLS. */
function grpcTlsOf(name: string, tls: GrpcBackendConfig['tls'], kinds: Kinds): ClientTls | null {
  if (tls.ca === '' && tls.cert === '' && tls.key === '') return null;
  const texts = makeClientTls(['backends', name, 'tls'], tls);
  try {
    kinds.get('grpcClient').credentialsOf(texts);
  } catch (error) {
    const message = `backends.${name}.tls: these certificates cannot be used: ${errorText(error)}`;
    throw new GatewayError('BAD_ARGUMENT', message, { cause: error });
  }
  return texts;
}
