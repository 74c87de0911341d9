/** Makes the ports that are not for clients: control, admin and health, and where backends attach. */
import { readFileSync } from 'node:fs';

import { inBackground } from '../background.ts';
import type { ControlApi } from '../bus/bus.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import type { FleetWatches } from '../bus/fleet-watches.ts';
import { parseAddress } from '../config/address.ts';
import type { Capacity } from '../config/auto-limits.ts';
import type { Config } from '../config/schema.ts';
import { Access, type AccessRules } from '../control/access.ts';
import type { Audit } from '../control/audit.ts';
import { Attach } from '../control/attach.ts';
import { ControlPort } from '../control/control-port.ts';
import { type Api, HttpServer, type MakePort, type Probes } from '../control/http.ts';
import type { JsonApi } from '../control/json-api.ts';
import type { FleetStatus } from '../control/fleet-status.ts';
import { WebPages } from '../control/web-pages.ts';
import { pagesOf } from '../config/web-pages.ts';
import type { BusApi } from '../control/bus-api.ts';
import type { OwnGateway } from '../control/gateway-methods.ts';
import { OperatorPort } from '../transport/operator-port.ts';
import type { Orders } from '../orders/orders.ts';
import type { PortAddress } from '../transport/port.ts';
import type { TlsEntryOptions } from '../transport/tls-entry.ts';
import type { Backends } from '../reload/backends.ts';
import type { Readiness } from '../placement/placement.ts';
import { rendered } from '../telemetry/samples.ts';
import type { Shared } from './shared.ts';

export type ControlParts = Shared & {
  readonly capacity: Capacity;
  readonly backends: Pick<Backends, 'dialIn'>;
  readonly fleetCommands: FleetCommands;
  /** The gateway itself, for its operators. */
  readonly own: OwnGateway;
  readonly access: OperatorAccess;
  readonly audit: Audit;
  readonly readiness: Readiness;
  readonly orders: Orders;
  /** What the gateways of the fleet tell of themselves. */
  readonly status: FleetStatus;
  readonly fleetWatches: FleetWatches;
  readonly drained: Promise<void>;
};

/** A port that is not for clients. */
export interface ServicePort {
  /** The actual one once it listens; 0 on a Unix socket. */
  readonly port: number;
  /** Rejects with the operating system's error. */
  listen(address: PortAddress): Promise<void>;
  /** When its certificate expires, in milliseconds since the Unix epoch; null: no TLS. */
  readonly certificateExpiresAt: number | null;
  /** Reads its certificate's files now instead of at the next check. */
  reloadCertificate(): void;
  /** Resolves once nothing is open here any more. */
  close(): Promise<void>;
}

export type ControlPorts = {
  readonly control: ServicePort & {
    /** What the health service answers: for Control, and for the gateway as clients should choose it. */
    setServing(serving: boolean, takesNewcomers?: boolean): void;
  };
  readonly admin: ServicePort;
  readonly health: ServicePort;
};

/** Who may call on the two ports of operators. */
export type OperatorAccess = Readonly<Record<'control' | 'admin', Access>>;

export function makeControlPorts(parts: ControlParts): ControlPorts {
  const { config, readiness, drained } = parts;
  const convertBytesMax = config.limits.convert;
  const attach = new Attach(() => parts.backends.dialIn, { ...parts, convertBytesMax });
  const served = { ...parts, attach, convertBytesMax, mayShowBodies: makeMayShowBodies(parts) };
  const control = new ControlPort({
    ...parts,
    makePort: makePort('control', parts),
    async makeServer(settle) {
      const { ControlServer } = await parts.kinds.need('controlServer');
      return new ControlServer({ ...served, access: parts.access.control, settle });
    },
    isNeeded: Object.values(config.backends).some(({ kind }) => kind === 'dial_in'),
  });
  const probes = {
    ...readiness,
    drained,
    metrics: makeMetricsText(parts),
  };
  return {
    control,
    admin: new HttpServer(probes, makePort('admin', parts), {
      attach,
      api: makeApi(served),
      web: makeWebPages(parts),
    }),
    health: new HttpServer(probes, makePort('health', parts)),
  };
}

/** Control over HTTP, loaded for its first request. */
function makeApi(
  parts: ControlParts & { readonly convertBytesMax: number; readonly mayShowBodies: () => boolean },
): Api {
  const { access, config, kinds, log } = parts;
  let api: JsonApi | null = null;
  const load = async (): Promise<JsonApi> => {
    const { makeAdminApi } = await kinds.need('adminApi');
    return (api ??= makeAdminApi({ ...parts, access: access.admin, hosts: config.admin.hosts }));
  };
  return {
    handle(request, response, onLine) {
      if (api !== null) {
        api.handle(request, response, onLine);
        return;
      }
      const handled = load().then((made) => {
        // The client may have gone meanwhile.
        if (!response.destroyed) made.handle(request, response, onLine);
      });
      inBackground(handled, (error: unknown) => {
        log.error({ err: error }, 'the admin port cannot serve Control');
        response.destroy();
      });
    },
    settled: () => api?.settled() ?? Promise.resolve(),
  };
}

/** Of all workers, where there are several. */
function makeMetricsText({ config, metrics, worker }: ControlParts): Probes['metrics'] {
  if (!config.telemetry.metrics) return () => null;
  if (worker === undefined) return () => metrics.render();
  return async () => rendered(await worker.metricsOfAll(metrics.samples()));
}

function makeWebPages({ config: { admin }, access }: ControlParts): WebPages {
  return new WebPages({
    pages: pagesOf(admin),
    isGuarded: () => !access.admin.isOpen,
    hosts: admin.hosts,
  });
}

/** Control over NATS, made for its first call. */
export function makeBusApi(
  parts: Shared &
    Pick<ControlParts, 'audit' | 'fleetCommands' | 'fleetWatches' | 'orders' | 'own' | 'status'>,
): ControlApi {
  const { limits, bus_admin: servesOwn } = parts.config;
  const served = {
    ...{ ...parts, convertBytesMax: limits.convert },
    mayShowBodies: makeMayShowBodies(parts),
  };
  let api: BusApi | null = null;
  return {
    async call(...asked) {
      const { busApi } = await parts.kinds.need('busApi');
      api ??= busApi(served, servesOwn);
      return api.call(...asked);
    },
    status: (kind, fields) => parts.status.own(kind, fields),
  };
}

/** `admin.watch_bodies`, which a reload changes. */
export function makeMayShowBodies({ live }: Pick<Shared, 'live'>): () => boolean {
  return () => live.config.admin.watch_bodies;
}

/** Bounded in connections, and in the time that each has to show what it wants. */
function makePort(name: keyof ControlPorts, parts: ControlParts): MakePort {
  const { config, metrics, capacity } = parts;
  const { listen } = config[name];
  // On a Unix socket it is unknown which connection has made a call.
  const canCrowd = parseAddress(listen).kind === 'tcp';
  const tls = name === 'health' ? null : tlsOf(name, config);
  const options = {
    name: () => `${name}.listen ${listen}`,
    waitMs: config.limits.handshake,
    crowdedAt: canCrowd ? capacity.portCrowdedAt : Infinity,
    mayAccept: (open: number) => open < capacity.portConnections,
    label: name,
  };
  return (serve) => {
    const acceptor = parts.worker?.acceptorOf(name);
    const port = new OperatorPort(options, tls, { ...parts, acceptor }, serve);
    metrics.watch('pith_port_connections', [name], () => port.open);
    return port;
  };
}

/** null: no TLS. */
function tlsOf(name: 'control' | 'admin', { limits, ...config }: Config): TlsEntryOptions | null {
  const { spiffe, tls } = config[name];
  if (tls.cert === '') return null;
  return {
    ...tls,
    name: `${name}.tls`,
    requireClientCert: tls.require_client_cert,
    asksForCert: spiffe.length > 0,
    protocols: name === 'control' ? ['h2'] : ['http/1.1'],
    handshakeMs: limits.handshake,
    readFile: (path) => readFileSync(path, 'utf8'),
  };
}

/** `token` is one of `tokens` that may do everything. */
export function makeAccessRules(name: 'control' | 'admin', config: Config): AccessRules {
  const { token, tokens, spiffe } = config[name];
  const own = token === '' ? [] : [{ token, role: 'write', name: `${name}.token` } as const];
  return { tokens: [...own, ...tokens], spiffe };
}

export function makeAccess(shared: Shared): OperatorAccess {
  const { config } = shared;
  return {
    control: new Access('control', makeAccessRules('control', config), shared),
    admin: new Access('admin', makeAccessRules('admin', config), shared),
  };
}
