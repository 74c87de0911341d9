/** Makes the upstream of each configured backend. */

import type { SessionCommands } from '../bus/session-commands.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import type { Clock } from '../clock.ts';
import type {
  BackendConfig,
  DialInBackendConfig,
  GrpcBackendConfig,
  HttpBackendConfig,
  IpcBackendConfig,
} from '../config/schema-backends.ts';
import { isConsulService } from '../config/consul-service.ts';
import { errorText, GatewayError } from '../errors.ts';
import type { Discovery } from './discovery.ts';
import { makeBackendCommands, makeUncounted } from './downlinks.ts';
import { droppedTeller } from './dropped.ts';
import type { Nats } from './nats.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { type BackendTls, credentialsOf } from '../upstream/grpc/connection.ts';
import { DialInUpstream } from '../upstream/dial-in/dial-in-upstream.ts';
import { GrpcUpstream } from '../upstream/grpc/grpc-upstream.ts';
import { HttpUpstream } from '../upstream/http/http-upstream.ts';
import { IpcUpstream } from '../upstream/ipc/ipc-upstream.ts';
import { MethodUpstream } from '../upstream/method/method-upstream.ts';
import { NatsUpstream } from '../upstream/nats/nats-upstream.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import { ReplyUpstream } from '../upstream/reply-upstream.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { clientTlsOf } from './client-tls.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';

export type UpstreamParts = {
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly natsPrefix: string;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  readonly nats: Nats | null;
  /** null: no Consul. */
  readonly discovery: Discovery | null;
  readonly sessionCommands: SessionCommands;
  readonly fleetCommands: FleetCommands;
  readonly log: Log;
  readonly metrics: Metrics;
};

export function makeUpstream(name: string, backend: BackendConfig, parts: UpstreamParts): Upstream {
  const { gatewayId, wheel, nats } = parts;
  switch (backend.kind) {
    case 'reply':
      return new ReplyUpstream(backend.reply);
    case 'nats': {
      const subjects = new Subjects(backend.nats.prefix ?? parts.natsPrefix, gatewayId);
      const throttle = new LogThrottle(parts.clock);
      return new NatsUpstream(nats!.connector, subjects, nats!.answers, wheel, {
        convertBytesMax: parts.convertBytesMax,
        onTrouble: (kind, subject, why) => {
          const left = throttle.allow(kind);
          if (left !== null)
            parts.log.warn({ backend: name, subject, why, ...left }, 'call failed');
        },
      });
    }
    case 'grpc':
      return backend.mode === 'method'
        ? makeMethod(name, backend, parts)
        : makeGrpc(name, backend, parts);
    case 'http':
      return makeHttp(name, backend, parts);
    case 'ipc':
      return makeIpc(name, backend, parts);
    case 'dial_in':
      return makeDialIn(name, backend, parts);
  }
}

/** Conditions of an address that somebody should look at. */
const TROUBLE = new Set(['away', 'ejected', 'unhealthy', 'unresolved', 'failed']);

/** Of a reason, which may be in a backend's words. */
const WHY_CHARS_MAX = 500;

/** Logs each change of an address; of one that comes and goes all the time only some. */
function stateTeller(
  name: string,
  { clock, log }: UpstreamParts,
): (address: string, state: string, why: string) => void {
  const throttle = new LogThrottle(clock);
  return (address, state, why) => {
    const left = throttle.allow(`${address} ${state}`);
    if (left === null) return;
    const level = TROUBLE.has(state) ? 'warn' : 'info';
    log[level](
      { backend: name, address, state, why: why.slice(0, WHY_CHARS_MAX), ...left },
      'backend',
    );
  };
}

function makeGrpc(name: string, backend: GrpcBackendConfig, parts: UpstreamParts): GrpcUpstream {
  const { gatewayId, version, clock, wheel, metrics } = parts;
  const tell = droppedTeller(name, parts);
  return new GrpcUpstream(
    {
      name,
      url: backend.grpc,
      ...(isConsulService(backend.grpc) && {
        resolver: parts.discovery!.resolverOf(name, backend.grpc),
      }),
      mode: backend.mode === 'handle' ? 'handle' : 'link',
      metadata: backend.metadata,
      links: backend.links,
      linkAgeMs: backend.link_age,
      deadAfterMs: backend.dead_after,
      balance: backend.balance,
      hashBy: backend.hash_by,
      weights: backend.weights,
      health: backend.health,
      tls: grpcTlsOf(name, backend.tls),
      gatewayId,
      version,
      clock,
      wheel,
    },
    makeBackendCommands(name, parts),
    {
      onState: stateTeller(name, parts),
      onTrouble: (kind, why) => {
        tell('frame', why, { kind });
      },
      onLateReply: () => {
        metrics.add('pith_late_replies_total', ['grpc']);
      },
    },
  );
}

function makeMethod(
  name: string,
  backend: GrpcBackendConfig,
  parts: UpstreamParts,
): MethodUpstream {
  const { clock, wheel, fleetCommands, log, convertBytesMax } = parts;
  const { metadata, services, descriptors, protos, reflection, json, balance, weights, health } =
    backend;
  const throttle = new LogThrottle(clock);
  const tell = droppedTeller(name, parts);
  return new MethodUpstream(
    {
      ...{
        name,
        metadata,
        services,
        descriptors,
        protos,
        reflection,
        json,
        balance,
        weights,
        health,
      },
      url: backend.grpc,
      hashBy: backend.hash_by,
      deadAfterMs: backend.dead_after,
      digest: backend.reflection_digest,
      convertBytesMax,
      tls: grpcTlsOf(name, backend.tls),
      clock,
      wheel,
    },
    {
      push: (push, from) => {
        const refused = fleetCommands.push(push, from);
        if (refused !== null) tell('push', refused.message, { sid: from.sid, route: push.route });
      },
      onState: stateTeller(name, parts),
      onSchema: ({ digest, methods }) => {
        log.info({ backend: name, methods: methods.size, digest }, 'schema');
      },
      onSchemaProblems: (problems, hasOld) => {
        log.error({ backend: name, problems, oldOneStays: hasOld }, 'schema refused');
      },
      onTrouble: (kind, route, why) => {
        const left = throttle.allow(kind);
        if (left !== null) log.warn({ backend: name, route, why: why(), ...left }, 'call failed');
      },
    },
  );
}

/** null: in plain text. `ca: system` is TLS with the system's authorities, where nothing else says TLS. */
function grpcTlsOf(name: string, tls: GrpcBackendConfig['tls']): BackendTls | null {
  if (tls.ca === '' && tls.cert === '' && tls.key === '') return null;
  const texts = clientTlsOf(['backends', name, 'tls'], tls);
  try {
    credentialsOf(texts);
  } catch (error) {
    const message = `backends.${name}.tls: these certificates cannot be used: ${errorText(error)}`;
    throw new GatewayError('BAD_ARGUMENT', message, { cause: error });
  }
  return texts;
}

function makeHttp(name: string, backend: HttpBackendConfig, parts: UpstreamParts): HttpUpstream {
  const { clock, wheel, log, convertBytesMax } = parts;
  const { http: url, headers } = backend;
  const throttle = new LogThrottle(clock);
  const tell = droppedTeller(name, parts);
  const tellState = stateTeller(name, parts);
  return new HttpUpstream(
    {
      name,
      url,
      headers,
      tls: clientTlsOf(['backends', name, 'tls'], backend.tls),
      convertBytesMax,
      clock,
      wheel,
    },
    {
      onState: (state, why) => {
        tellState(url, state, why);
      },
      onTrouble: (kind, route, why) => {
        const left = throttle.allow(kind);
        if (left !== null) log.warn({ backend: name, route, why, ...left }, 'call failed');
      },
      onUntold: (why, pausedMs) => {
        const paused = pausedMs > 0 && { notAgainForMs: pausedMs };
        tell('untold', why, { kind: String(pausedMs), ...paused });
      },
    },
  );
}

function makeIpc(name: string, { ipc }: IpcBackendConfig, parts: UpstreamParts): IpcUpstream {
  const { clock, wheel, metrics, convertBytesMax } = parts;
  const path = ipc.replace(/^unix:(\/\/)?/, '');
  const tell = droppedTeller(name, parts);
  const tellState = stateTeller(name, parts);
  return new IpcUpstream(
    { name, path, convertBytesMax, clock, wheel },
    makeUncounted(name, parts),
    {
      onState: (state, why) => {
        tellState(ipc, state, why);
      },
      onLateReply: () => {
        metrics.add('pith_late_replies_total', ['ipc']);
      },
      onTrouble: (kind, why) => {
        tell(kind === 'untold' ? 'untold' : 'line', why, { kind });
      },
    },
  );
}

function makeDialIn(
  name: string,
  { dial_in: { token }, dead_after: deadAfterMs }: DialInBackendConfig,
  parts: UpstreamParts,
): DialInUpstream {
  const { gatewayId, version, clock, wheel, metrics } = parts;
  const tell = droppedTeller(name, parts);
  return new DialInUpstream(
    { name, token, deadAfterMs, gatewayId, version, clock, wheel },
    makeBackendCommands(name, parts),
    {
      onState: stateTeller(name, parts),
      onTrouble: (kind, why) => {
        tell('frame', why, { kind });
      },
      onLateReply: () => {
        metrics.add('pith_late_replies_total', ['dial_in']);
      },
    },
  );
}
