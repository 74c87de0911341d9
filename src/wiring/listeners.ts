/** Makes the listeners for clients, and a session of every connection that they take. */
import { readFileSync } from 'node:fs';

import type { SessionCommands } from '../bus/session-commands.ts';
import { parseAddress, parseHostPort, parseListenUrl } from '../config/address.ts';
import type { Capacity } from '../config/auto-limits.ts';
import type { Config } from '../config/schema.ts';
import { PACKET_HEAD_BYTES } from '../protocol/packet.ts';
import type { Dialect } from '../dialect/wire.ts';
import type { Relay } from '../relay/relay.ts';
import type { Fanouts } from '../session/fanouts.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { Registry } from '../session/registry.ts';
import { Unfinished } from '../session/unfinished.ts';
import { Session } from '../session/session.ts';
import type { FrozenClient } from '../session/frozen.ts';
import type { SessionLimits, SessionParts } from '../session/session-parts.ts';
import type { SnapshotJoins } from '../session/snapshot-joins.ts';
import { AcceptPace } from '../transport/accept-pace.ts';
import { AddressLimit } from '../transport/address-limit.ts';
import type { ClientListener, ListenerOptions } from '../transport/listener.ts';
import { listenOrExplain } from '../transport/port.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import type { Accept, Adopted } from '../transport/transport.ts';
import type { Backends } from '../reload/backends.ts';
import type { ControlPorts } from './control.ts';
import { makeListenerDialects } from './dialects.ts';
import { ConnectAuth, type Tokens } from '../auth/connect-auth.ts';
import { EntryRules } from '../auth/entry-rules.ts';
import type { BlockList } from '../orders/block-list.ts';
import type { Maintenance } from '../orders/maintenance.ts';
import type { Resume } from '../resume/resume.ts';
import { SessionReport } from '../session/session-report.ts';
import type { Shared } from './shared.ts';
import type { Watches } from '../watch/watches.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';

export type ListenersParts = Shared & {
  readonly outboxes: Outboxes;
  readonly fanouts: Fanouts;
  readonly registry: Registry;
  readonly sessionCommands: SessionCommands;
  readonly joins: SnapshotJoins;
  readonly relay: Relay;
  readonly backends: Pick<Backends, 'asked'>;
  readonly capacity: Capacity;
  /** null: clients need no tokens. */
  readonly tokens: Tokens | null;
  readonly blocks: BlockList;
  readonly maintenance: Maintenance;
  /** What operators look at. */
  readonly watches: Watches;
  /** null: clients get no tokens to come back with. */
  readonly resume: Resume | null;
};

export type Listeners = {
  /** One for each entry of `listen`, in its order. */
  readonly all: readonly ClientListener[];
  /** Of all sessions, those that are open too, and of connections that come. */
  setLimits(config: Config): void;
  /** Connections of clients, those that are no sessions yet included. */
  connections(): number;
  /** Connections so far, in this process and those before it. */
  readonly ever: { sessions: number };
  /** Makes a session of a client that is another process's, as new as any; it is not read from, and has no deadline. */
  readonly adopt: Adopt;
};

/** `counts` are for what the other process will have read and written. */
type Adopt = (handle: RawHandle, client: FrozenClient) => { session: Session; counts: Adopted };

/** @throws {Error} when a Pomelo project's files cannot be used. */
export function makeListeners(parts: ListenersParts): Listeners {
  const { config, clock, log, wheel, metrics, registry, capacity, blocks } = parts;
  // Warnings about a project's files are given when the configuration is read.
  const dialects = makeListenerDialects(config, clock, () => {});
  const throttle = new LogThrottle(clock);
  const { connections } = config.limits;
  if (connections !== 'auto' && connections > capacity.connections) {
    const what = 'limits.connections is more than there are file descriptors for: raise ulimit -n';
    log.warn({ connections, allowed: capacity.connections, what }, 'connections are limited');
  }
  const tellsRefs = (): boolean => parts.live.config.telemetry.refs;
  const report = new SessionReport({
    ...{ ...parts, events: registry.events, watching: parts.watches, tellsRefs },
  });
  const { gatewayId, relay, outboxes, fanouts, network } = parts;
  const unfinished = new Unfinished(capacity.unfinishedBytes);
  metrics.watch('pith_unfinished_bytes', [], () => unfinished.bytes);
  metrics.watch('pith_unfinished_limit_bytes', [], () => unfinished.bytesMax);
  const common = { gatewayId, wheel, relay, registry, report, outboxes, fanouts, unfinished };
  const ever = { sessions: 0 };
  const adopters: Adopt[] = [];
  const setters: ((config: Config) => void)[] = [];
  const opened = (): number => listeners.reduce((sum, one) => sum + one.waiting, registry.size);
  // Those that are not sessions yet have their place.
  const hasRoom = (): boolean => opened() < capacity.connections;
  const addressLimit = new AddressLimit(config.limits.connections_per_address, parts.worker);
  const pace = new AcceptPace(parts, config.limits.accepts_per_second);
  metrics.watch('pith_accepts_waiting', [], () => pace.waiting);
  metrics.watch('pith_accepts_delayed_total', [], () => pace.delayed);
  const mayAccept = (): boolean => hasRoom() || (fanouts.endOne() && hasRoom());
  const listeners: ClientListener[] = config.listen.map((listen, i) => {
    const { dialect, clientRules, needsKey } = dialects[i]!;
    const entry = new EntryRules({ ...parts, clientRules });
    const auth = new ConnectAuth({
      ...{ ...parts, entry, needsKey, asked: parts.backends.asked },
      bounds: makeBounds(config),
      ...{ handshakeMs: config.limits.handshake, throttle, tellsRefs },
      troubleOf: () => parts.troubles.of(config.auth.backend, clock.now()),
    });
    const limits = limitsOf(config, dialect);
    setters.push((next) => {
      // Sessions have the objects themselves.
      Object.assign(limits, { ...limitsOf(next, dialect), outbox: limits.outbox });
      Object.assign(limits.outbox, limitsOf(next, dialect).outbox);
    });
    const made = { ...common, auth, dialect, limits, listener: i };
    const accept: Accept = (connection) => {
      connection.counts = report.traffic.bytesOf(connection.transport);
      const session = new Session(made, connection, ++ever.sessions, clock.wallNow());
      registry.add(session);
      metrics.add('pith_connections_accepted_total', [connection.transport]);
      session.begin(config.auth.mode !== 'none');
      return session;
    };
    const listener = network.makeListener(optionsOf(config, listen), {
      ...parts,
      ...{ accept, mayAccept, addressLimit, pace },
      acceptor: parts.worker?.acceptorOf(`listen[${i}]`),
      isBlocked: (address: string) => blocks.refusesAddress(address),
    });
    adopters.push(makeAdopter(made, listener));
    return listener;
  });
  return {
    ...{ all: listeners, connections: opened, ever },
    adopt: (handle, client) => adopters[client.listener]!(handle, client),
    setLimits: (next) => {
      for (const set of setters) set(next);
      pace.perSecond = next.limits.accepts_per_second;
      addressLimit.max = next.limits.connections_per_address;
    },
  };
}

function makeAdopter(parts: SessionParts, listener: ClientListener): Adopt {
  return (handle, { n, transport, openedAtWall, remoteIp }) => {
    let session!: Session;
    const counts = { remoteAddress: remoteIp, readBytes: 0, sentBytes: 0 };
    listener.adopt?.(handle, transport, counts, (connection) => {
      connection.counts = parts.report.traffic.bytesOf(transport);
      session = new Session(parts, connection, n, openedAtWall);
      session.deadlines.stop();
      parts.registry.add(session);
      return session;
    });
    return { session, counts };
  };
}

/** What a handshake may be, for the log. */
function makeBounds({ limits: { convert, packet, json_depth: depth } }: Config): string {
  const bytes = packet <= convert ? `limits.packet (${packet}` : `limits.convert (${convert}`;
  return `${bytes} bytes) and limits.json_depth (${depth})`;
}

/** Each begins one to listen, in the order in which they should; clients come last. */
export function makeListenSteps(
  config: Config,
  ports: ControlPorts,
  listeners: readonly ClientListener[],
): (() => Promise<void>)[] {
  const step = (key: string, address: string, listen: () => Promise<void>) => () =>
    listenOrExplain(key, address, listen());
  const { health, admin, control } = config;
  return [
    step('health.listen', health.listen, () => ports.health.listen(parseHostPort(health.listen))),
    step('admin.listen', admin.listen, () => ports.admin.listen(parseHostPort(admin.listen))),
    step('control.listen', control.listen, () =>
      ports.control.listen(parseAddress(control.listen)),
    ),
    ...listeners.map((listener, i) =>
      step(`listen[${i}].url`, config.listen[i]!.url, () => listener.listen()),
    ),
  ];
}

function limitsOf(config: Config, dialect: Dialect): SessionLimits {
  const { auth, limits, sessions } = config;
  return {
    packetBytesMax: Math.min(limits.packet, dialect.packetBytesMax),
    handshakeMs: limits.handshake,
    ackMs: limits.ack,
    assembleMs: limits.assemble,
    heartbeatMs: config.heartbeat,
    bindMs: auth.bind_within,
    closeAfterMs: limits.slow.close_after,
    idleMs: limits.idle,
    maxAgeMs: sessions.max_age,
    inFlightMax: limits.in_flight_per_session,
    outbox: { bytesMax: limits.outbox, dropAfterMs: limits.slow.drop_after },
  };
}

function optionsOf(config: Config, listen: Config['listen'][number]): ListenerOptions {
  const { cert, key, ca, require_client_cert: requireClientCert } = listen.tls;
  const name = `listen[${config.listen.indexOf(listen)}].tls`;
  return {
    ...parseListenUrl(listen.url),
    packetBytesMax: config.limits.packet + PACKET_HEAD_BYTES,
    handshakeMs: config.limits.handshake,
    webSocketOnly: listen.dialect === 'json',
    path: listen.path,
    origins: listen.origins,
    proxies: { header: listen.proxy_protocol, trusted: listen.trusted_proxies },
    tls: cert === '' ? null : { cert, key, ca, requireClientCert, name, readFile },
  };
}

/** For the parts that read a file now and then, while the gateway runs. */
function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}
