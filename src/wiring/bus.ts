/** Makes the bus, and what is done over it: commands to the sessions of this gateway, and to those of the whole fleet. */
import { readFileSync } from 'node:fs';

import type { Bus } from '../bus/bus.ts';
import { EmbeddedBus } from '../bus/embedded-bus.ts';
import { Gate, type GateParts } from '../bus/gate.ts';
import { FleetCommands } from '../bus/fleet-commands.ts';
import { FleetWatches } from '../bus/fleet-watches.ts';
import { NatsBus } from '../bus/nats-bus.ts';
import { SessionCommands } from '../bus/session-commands.ts';
import { UidRule } from '../bus/uid-rule.ts';
import type { Capacity } from '../config/auto-limits.ts';
import { advertisedAddresses } from '../config/gates.ts';
import { parseBus, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import type { EventView } from '../contract/event-json.ts';
import { parseResumeKey } from '../config/resume-keys.ts';
import type { Random } from '../random.ts';
import { Resume } from '../resume/resume.ts';
import { Fanouts } from '../session/fanouts.ts';
import type { Outboxes } from '../session/outboxes.ts';
import type { LiveTokens } from '../reload/live-tokens.ts';
import { Registry } from '../session/registry.ts';
import { SnapshotJoins } from '../session/snapshot-joins.ts';
import { readClientTls } from '../transport/pem.ts';
import type { NatsTls } from '../upstream/nats/nats-connection.ts';
import { NatsConnector } from '../upstream/nats/nats-connector.ts';
import { NatsReport } from '../upstream/nats/nats-report.ts';
import type { NatsTraffic } from '../upstream/nats/nats-traffic.ts';
import { NatsAnswers } from '../upstream/nats/nats-answers.ts';
import { TurnShare } from '../turn-share.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import { keysForBus } from '../config/event-keys.ts';
import type { Placement } from '../placement/placement.ts';
import { makeMayShowBodies } from './control.ts';
import { makePlacement } from './placement.ts';
import type { Orders } from '../orders/orders.ts';
import { Watches } from '../watch/watches.ts';
import { makeOrders, makeRules, type Rules } from './orders.ts';
import { PushTraces } from '../telemetry/push-traces.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { Shared } from './shared.ts';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_LETTERS = 10;

/** NATS as the gateway uses it. */
export type Nats = {
  readonly connector: NatsConnector;
  /** That of the backends: the same, unless `nats.split` gives them one of their own. */
  readonly requests: NatsConnector;
  readonly report: NatsReport;
  readonly answers: NatsAnswers;
  readonly bus: NatsBus;
};

export type BusParts = {
  readonly bus: Bus;
  /** null: no backend is one. */
  readonly gate: Gate | null;
  /** null: no server at all. */
  readonly nats: Nats | null;
  readonly registry: Registry;
  readonly fanouts: Fanouts;
  readonly sessionCommands: SessionCommands;
  readonly fleetCommands: FleetCommands;
  /** null: clients get no tokens to come back with. */
  readonly resume: Resume | null;
  readonly joins: SnapshotJoins;
  /** Where newcomers should go. */
  readonly placement: Placement;
  readonly orders: Orders;
  /** What operators look at, here and of the whole fleet. */
  readonly watches: Watches;
  readonly fleetWatches: FleetWatches;
} & Rules;

export type MakeBusParts = Shared & {
  readonly capacity: Capacity;
  readonly outboxes: Outboxes;
  /** null: clients need no tokens. */
  readonly liveTokens: LiveTokens | null;
  /** null: no traces. */
  readonly tracing: Tracing | null;
};

/** Events on the bus tell what routes to backends on NATS forward, and what is configured besides. */
export function makeEventView(config: Config): EventView {
  return { data: keysForBus(config), groups: config.events.groups };
}

/** `prefix`, and letters that no other gateway has. */
export function makeGatewayId(prefix: string, random: Random): string {
  let letters = '';
  // 248 is the largest multiple of 62 in a byte: no letter is likelier than another.
  while (letters.length < RANDOM_LETTERS)
    for (const byte of random.bytes(16)) if (byte < 248) letters += BASE62[byte % 62];
  return `${prefix}-${letters.slice(0, RANDOM_LETTERS)}`;
}

export function makeBus(shared: MakeBusParts): BusParts {
  const { config, gatewayId, clock, outboxes } = shared;
  const { data: dataBytesMax, groups: groupsMax, group_ttl: groupTtlMs } = config.sessions;
  const address = parseBus(config.bus);
  const nats = address.kind === 'nats' ? makeNats(address.servers, shared) : null;
  const gate = makeGate(shared, nats, () => {
    const { size } = registry;
    const noKeys = shared.liveTokens?.notReady ?? '';
    const isOpen = bus.notReady === '' && placement.elsewhere === '' && noKeys === '';
    return { sessions: size, room: isOpen ? shared.capacity.connections - size : 0 };
  });
  const bus = nats?.bus ?? new EmbeddedBus(gate);
  const registry = new Registry(gatewayId, bus.subscriptions, bus.events);
  const rules = makeRules(shared);
  const limits = { dataBytesMax, groupsMax, uidRefusal: rules.blocks.uidRefusal };
  const uids = makeUidRule(shared, registry, bus);
  const replay = nats?.bus.replay ?? undefined;
  const { per_turn: perTurn, waiting: waitingBytesMax } = config.limits.fanout;
  const fanouts = new Fanouts(clock, outboxes, { perTurn, waitingBytesMax });
  const made = { ...shared, registry, fanouts, uids, replay };
  const watches = new Watches({
    ...{ gatewayId, clock, registry },
    mayShowBodies: makeMayShowBodies(shared),
  });
  const pushTraces = shared.tracing && new PushTraces(shared.tracing, clock);
  const sessionCommands = new SessionCommands({
    ...{ ...made, limits, groupTtlMs, pushTraces },
    watching: watches,
  });
  const orders = makeOrders({ ...made, ...rules });
  nats?.bus.attachOrders(orders);
  nats?.bus.attach(registry, sessionCommands, { gate, uids, watches });
  const placement = makePlacement({ ...shared, nats, registry });
  const fleetCommands = new FleetCommands(gatewayId, sessionCommands, bus, config.log.client_ip);
  const fleetWatches = new FleetWatches({ ...shared, watches, channel: bus.watching });
  const resume = makeResume(shared, { bus, nats, registry, sessionCommands });
  const bytesMax = config.limits.outbox;
  const joins = new SnapshotJoins({ ...shared, registry, sessionCommands, bytesMax });
  return {
    ...{ bus, gate, nats, registry, fanouts, sessionCommands, fleetCommands, resume, joins },
    ...{ ...rules, orders, placement, watches, fleetWatches },
  };
}

function makeResume(
  shared: Shared,
  parts: Pick<BusParts, 'bus' | 'nats' | 'registry' | 'sessionCommands'>,
): Resume | null {
  const { window: windowMs, keys } = shared.config.sessions.resume;
  if (windowMs === 0) return null;
  const { bus, nats } = parts;
  const resume = new Resume({
    ...shared,
    ...parts,
    ...{ windowMs, keys: keys.map(parseResumeKey), peers: bus.peers, news: bus.lineages },
    replay: nats?.bus.replay ?? undefined,
  });
  nats?.bus.attachLineages(resume);
  return resume;
}

function makeGate(shared: Shared, nats: Nats | null, load: GateParts['load']): Gate | null {
  const backend = Object.values(shared.config.backends).find((one) => one.kind === 'gate');
  if (backend === undefined) return null;
  const addresses = advertisedAddresses(backend);
  const publish = (payload: Buffer): void => nats?.bus.publishGate(payload);
  return new Gate({ ...shared, addresses, load, publish });
}

/** undefined: a uid may have any number of sessions. */
function makeUidRule(shared: Shared, registry: Registry, bus: Bus): UidRule | undefined {
  const { sessions_per_uid: policy, max_sessions_per_uid: max } = shared.config.auth;
  const sessionsMax = policy === 'many' ? max : 1;
  if (sessionsMax === 0) return undefined;
  const uids = new UidRule({
    ...shared,
    limit: { refuses: policy === 'refuse_new', sessionsMax },
    registry,
    channel: bus.claims,
    peers: bus.peers,
    events: bus.events,
  });
  uids.claims.start();
  return uids;
}

/** undefined: neither `bus` nor `nats.tls` asks for it. */
export function makeNatsTls(config: Config): NatsTls | undefined {
  const address = parseBus(config.bus);
  const { handshake_first: handshakeFirst, ...files } = config.nats.tls;
  const isAsked = handshakeFirst || Object.values(files).some((value) => value !== '');
  if (address.kind === 'embedded' || (!address.tls && !isAsked)) return undefined;
  return {
    read: () => readClientTls(files, (path) => readFileSync(path, 'utf8')),
    handshakeFirst,
    hosts: address.servers.map((server) => parseHostPort(server).host),
  };
}

/** @param name '': the only connection, or that of the bus. */
function makeConnector(servers: readonly string[], name: string, shared: Shared) {
  const { config, gatewayId, clock, random, network } = shared;
  const { creds, user, password, token, nkey, prefix } = config.nats;
  const share = new TurnShare(clock, config.limits.fanout.per_turn);
  const { inboxPrefix } = new Subjects(prefix, gatewayId);
  const isNeeded = Object.values(config.backends).some(({ kind }) => kind === 'nats');
  const log = name === '' ? shared.log : shared.log.child({ connection: name });
  const report = new NatsReport({ ...shared, log, servers, isNeeded });
  const who = { gatewayId, name, creds, user, password, token, nkey, tls: makeNatsTls(config) };
  const connector = new NatsConnector(
    {
      ...who,
      servers,
      dial: network.dialNats,
      clock,
      random,
      inboxPrefix,
      share,
      waits: shared.successor !== undefined,
    },
    report,
  );
  return { connector, report, share };
}

function makeNats(servers: readonly string[], shared: Shared): Nats {
  const { config, gatewayId, clock, metrics } = shared;
  const { connector, report, share } = makeConnector(servers, '', shared);
  const { split, prefix } = config.nats;
  // With a share of its own in each turn of the event loop, too.
  const requests = split ? makeConnector(servers, 'requests', shared).connector : connector;
  if (split) metrics.watch('pith_bus_requests_up', [], () => (requests.up ? 1 : 0));
  const subjects = new Subjects(prefix, gatewayId);
  const convertBytesMax = config.limits.convert;
  const parts = { ...shared, connector, requests, subjects, convertBytesMax, report, share };
  const { window: windowMs, replay } = config.sessions.resume;
  const bus = new NatsBus(
    parts,
    makeEventView(config),
    replay ? { windowMs, outboxBytesMax: config.limits.outbox } : null,
  );
  const { streams } = bus;
  const answers = new NatsAnswers({ clock, connector: requests, subjects, streams, report });
  const all = new Set([connector, requests]);
  const sum = (bytes: (traffic: NatsTraffic) => number): number =>
    [...all].reduce((total, { traffic }) => total + bytes(traffic), 0);
  metrics.watch('pith_bus_bytes_total', ['received'], () => sum((one) => one.receivedBytes));
  metrics.watch('pith_bus_bytes_total', ['sent'], () => sum((one) => one.publishedBytes));
  metrics.watch('pith_bus_unsent_bytes', [], () => answers.unsentBytes);
  metrics.watch('pith_events_waiting', [], () => bus.events.queue.size);
  if (bus.replay !== null) metrics.watch('pith_replays_waiting', [], () => bus.replay!.waiting);
  return { connector, requests, report, answers, bus };
}
