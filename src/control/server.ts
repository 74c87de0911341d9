/** The gRPC server of the control port: pith.v1.Control, pith.v1.Gateway, health and reflection. */
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type ConnectionInjector,
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { HealthImplementation } from 'grpc-health-check';

import { ATTACH_MESSAGE_BYTES_MAX } from '../upstream/dial-in/attach-stream.ts';
import type { Access } from './access.ts';
import type { Attach } from './attach.ts';
import { attachByGrpc, GATEWAY, GATEWAY_SERVICE } from './attach-grpc.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { grpcHandlers, inBytes } from './grpc-handlers.ts';
import { answerReflection, type ReflectionRequest } from './reflection.ts';
import { type Role, ruleOf } from './roles.ts';
import { CONTROL, controlMethods, type ControlParts } from './service.ts';

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));
const REFLECTION = {
  v1: 'grpc.reflection.v1.ServerReflection',
  v1alpha: 'grpc.reflection.v1alpha.ServerReflection',
};
const HEALTH = 'grpc.health.v1.Health';
/** Probes come without a token, and backends that attach have their own. */
const NEEDS_NO_TOKEN: readonly string[] = [HEALTH, GATEWAY];
/** A connection without a call for this long is closed; gRPC clients reconnect for their next call. */
const IDLE_MS = 300_000;
/** Concurrent calls on one connection. */
const STREAMS_MAX = 1_000;

export type ServerParts = ControlParts & {
  /** Who may call. */
  readonly access: Access;
  /** Where backends attach. */
  readonly attach: Attach;
  /** Whoever may call, by the peer that gRPC names, is not crowded out any more. */
  readonly settle: (peer: string) => void;
};

export class ControlServer {
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #health = new HealthImplementation({ '': 'NOT_SERVING', [CONTROL]: 'NOT_SERVING' });

  constructor(parts: ServerParts) {
    const { access, attach, clock, settle } = parts;
    const calls = new GrpcCalls({ access, roleOf: roleOfPath }, settle);
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': ATTACH_MESSAGE_BYTES_MAX,
      ...pings(attach.deadAfterMs),
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.max_concurrent_streams': STREAMS_MAX,
      interceptors: [calls.onCall],
    });
    this.#server.addService(GATEWAY_SERVICE, { Attach: attachByGrpc(attach, settle) });
    const services = loadServices();
    const methods = controlMethods(parts);
    const definitions = services(CONTROL).service;
    this.#server.addService(
      inBytes(definitions),
      grpcHandlers(definitions, methods, {
        log: parts.log,
        clock,
        callerOf: (metadata) => calls.callerOf(metadata),
      }),
    );
    this.#health.addToServer(this.#server);
    const served = [CONTROL, HEALTH, REFLECTION.v1, REFLECTION.v1alpha, GATEWAY].sort();
    for (const name of [REFLECTION.v1, REFLECTION.v1alpha]) {
      this.#server.addService(services(name).service, {
        ServerReflectionInfo(call: {
          on(event: string, fn: (request: ReflectionRequest) => void): void;
          write(answer: object): void;
          end(): void;
        }) {
          call.on('data', (request) => {
            call.write(answerReflection(request, served));
          });
          call.on('end', () => {
            call.end();
          });
        },
      });
    }
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Serves a connection that somebody else has accepted. */
  take(socket: Socket): void {
    this.#injector.injectConnection(socket);
  }

  /** @param takesNewcomers Of the gateway, the service `''`; that of Control is `serving`. */
  setServing(serving: boolean, takesNewcomers = serving): void {
    this.#health.setStatus('', takesNewcomers ? 'SERVING' : 'NOT_SERVING');
    this.#health.setStatus(CONTROL, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** Takes no more calls. Those in progress go on, until `cutOff`. */
  stop(): void {
    this.#server.tryShutdown(() => {});
  }

  cutOff(): void {
    this.#server.forceShutdown();
  }
}

/** @param path `/service/method` */
function roleOfPath(path: string): Role | null {
  const [, service = '', method = ''] = path.split('/');
  if (NEEDS_NO_TOKEN.includes(service)) return null;
  return service === CONTROL ? ruleOf(method).role : 'read';
}

/** Connections are pinged, which keeps middleboxes from dropping them; one that does not answer is closed. */
function pings(deadAfterMs: number): ServerOptions {
  if (deadAfterMs === 0) return {};
  const everyMs = Math.round(deadAfterMs / 3);
  return {
    'grpc.keepalive_time_ms': everyMs,
    'grpc.keepalive_timeout_ms': deadAfterMs - everyMs,
  };
}

function loadServices(): (name: string) => ServiceClientConstructor {
  const files = [
    'pith/v1/control.proto',
    'grpc/reflection/v1/reflection.proto',
    'grpc/reflection/v1alpha/reflection.proto',
  ];
  const definition = loadSync(files, {
    includeDirs: [PROTO_DIR],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const root = loadPackageDefinition(definition);
  return (name) => {
    let at: GrpcObject | ServiceClientConstructor = root;
    for (const part of name.split('.'))
      at = (at as GrpcObject)[part] as GrpcObject | ServiceClientConstructor;
    return at as ServiceClientConstructor;
  };
}
