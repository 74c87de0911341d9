/** The control port: pith.v1.Control, pith.v1.Gateway, health and reflection over gRPC. */
import { fileURLToPath } from 'node:url';
import {
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { HealthImplementation } from 'grpc-health-check';

import { type Clock, within } from '../clock.ts';
import type { PortAddress } from '../transport/port.ts';
import { ATTACH_MESSAGE_BYTES_MAX } from '../upstream/dial-in/attach-stream.ts';
import type { Access } from './access.ts';
import type { Attach } from './attach.ts';
import { attachByGrpc, GATEWAY, GATEWAY_SERVICE } from './attach-grpc.ts';
import { GrpcPort } from './grpc-port.ts';
import { grpcHandlers, inBytes, MESSAGE_BYTES_MAX } from './grpc-handlers.ts';
import type { MakePort } from './http.ts';
import { answerReflection, type ReflectionRequest } from './reflection.ts';
import { JsonApi } from './json-api.ts';
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
/** How long open streams may take to end when the server stops, in milliseconds. */
const SHUTDOWN_MS = 500;
/** How long a connection may be silent if no backend has `dead_after`. */
const DEAD_AFTER_MS = 30_000;
/** A connection without a call for this long is closed; gRPC clients reconnect for their next call. */
const IDLE_MS = 300_000;
/** Concurrent calls on one connection. */
const STREAMS_MAX = 1_000;

export type ServerParts = ControlParts & {
  /** Who may call, on each of the two ports. */
  readonly access: Readonly<Record<'control' | 'admin', Access>>;
  /** `admin.hosts`. */
  readonly hosts?: readonly string[];
};

export class ControlServer {
  /** The same methods over HTTP, for the admin port. */
  readonly api: JsonApi;
  readonly #grpcPort: GrpcPort;
  readonly #server: Server;
  readonly #health = new HealthImplementation({ '': 'NOT_SERVING', [CONTROL]: 'NOT_SERVING' });
  readonly #clock: Clock;

  /** @param attach Where backends attach; null: none do. */
  constructor(parts: ServerParts, clock: Clock, makePort: MakePort, attach: Attach | null = null) {
    this.#clock = clock;
    const { access } = parts;
    this.#grpcPort = new GrpcPort(makePort, { access: access.control, roleOf: roleOfPath });
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length':
        attach === null ? MESSAGE_BYTES_MAX : ATTACH_MESSAGE_BYTES_MAX,
      ...pings(attach === null ? DEAD_AFTER_MS : attach.deadAfterMs),
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.max_concurrent_streams': STREAMS_MAX,
      interceptors: [this.#grpcPort.onCall],
    });
    if (attach !== null)
      this.#server.addService(GATEWAY_SERVICE, {
        Attach: attachByGrpc(attach, (peer) => {
          this.#grpcPort.settle(peer);
        }),
      });
    const services = loadServices();
    const methods = controlMethods(parts);
    const definitions = services(CONTROL).service;
    this.#server.addService(
      inBytes(definitions),
      grpcHandlers(definitions, methods, {
        log: parts.log,
        clock,
        callerOf: (metadata) => this.#grpcPort.callerOf(metadata),
      }),
    );
    this.#health.addToServer(this.#server);
    this.api = new JsonApi({
      methods,
      access: access.admin,
      hosts: parts.hosts ?? [],
      log: parts.log,
      clock,
      service: CONTROL,
      definitions,
      convertBytesMax: parts.convertBytesMax,
    });
    const gateway = attach === null ? [] : [GATEWAY];
    const served = [CONTROL, HEALTH, REFLECTION.v1, REFLECTION.v1alpha, ...gateway].sort();
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
  }

  /** Rejects with the operating system's error. */
  async listen(address: PortAddress): Promise<void> {
    this.#grpcPort.serve(this.#server.createConnectionInjector(ServerCredentials.createInsecure()));
    await this.#grpcPort.port.listen(address);
  }

  /** The actual port; 0 on a Unix socket. */
  get port(): number {
    return this.#grpcPort.port.address?.port ?? 0;
  }

  get certificateExpiresAt(): number | null {
    return this.#grpcPort.port.certificateExpiresAt;
  }

  reloadCertificate(): void {
    this.#grpcPort.port.reloadCertificate();
  }

  /** @param takesNewcomers Of the gateway, the service `''`; that of Control is `serving`. */
  setServing(serving: boolean, takesNewcomers = serving): void {
    this.#health.setStatus('', takesNewcomers ? 'SERVING' : 'NOT_SERVING');
    this.#health.setStatus(CONTROL, serving ? 'SERVING' : 'NOT_SERVING');
  }

  async close(): Promise<void> {
    this.#grpcPort.port.closeWaiting();
    this.#server.tryShutdown(() => {});
    // Waits for open streams, such as a health Watch, and so is bounded.
    await within(this.#clock, SHUTDOWN_MS, this.#grpcPort.port.ended(), undefined);
    this.#server.forceShutdown();
    await this.#grpcPort.port.close();
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
