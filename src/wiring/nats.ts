/** Makes what speaks NATS: the bus, and what backends on NATS are asked and answer by. Loaded where there is a server. */
import { readFileSync } from 'node:fs';

import { NatsBus } from '../bus/nats-bus.ts';
import { parseBus, parseHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { readClientTls } from '../transport/pem.ts';
import { TurnShare } from '../turn-share.ts';
import { NatsAnswers } from '../upstream/nats/nats-answers.ts';
import type { NatsTls } from '../upstream/nats/nats-connection.ts';
import { NatsConnector } from '../upstream/nats/nats-connector.ts';
import { NatsReport } from '../upstream/nats/nats-report.ts';
import type { NatsTraffic } from '../upstream/nats/nats-traffic.ts';
import { Subjects } from '../upstream/nats/subjects.ts';
import { makeEventView } from './event-view.ts';
import type { Shared } from './shared.ts';

/** NATS as the gateway uses it. */
export type Nats = {
  readonly connector: NatsConnector;
  /** That of the backends: the same, unless `nats.split` gives them one of their own. */
  readonly requests: NatsConnector;
  readonly report: NatsReport;
  readonly answers: NatsAnswers;
  readonly bus: NatsBus;
};

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

export function makeNats(servers: readonly string[], shared: Shared): Nats {
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
