/** The bus over NATS: its parts, and when they begin and end. */
import type { EventView } from '../contract/event-json.ts';
import type { Registry } from '../session/registry.ts';
import type { ConnectionListener } from '../upstream/nats/connection-state.ts';
import type { OnMessage } from '../upstream/nats/nats-connection.ts';
import { CONTROL_QUEUE, NEAR_MISS_QUEUE } from '../upstream/nats/subjects.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { Bus, ControlApi } from './bus.ts';
import { IncomingControl } from './incoming-control.ts';
import { EndpointStats, MicroService, type ServiceFacts } from './micro-service.ts';
import type { BusParts } from './bus-parts.ts';
import { NatsClaimChannel } from './claim-channel.ts';
import { type GatewayState, NatsEvents } from './events.ts';
import type { Gate } from './gate.ts';
import { GatewayWatch } from './gateway-watch.ts';
import { GatewayPeers } from './gateway-peers.ts';
import { IncomingMessages } from './incoming-messages.ts';
import { NatsKeepChannel } from './keep-channel.ts';
import { NatsRequestsBySid } from './requests-by-sid.ts';
import { IncomingPeerCalls } from './incoming-peer-calls.ts';
import { PeerWatches } from './peer-watches.ts';
import { Replay, type ReplayOptions } from './replay.ts';
import { NatsOrderChannel } from './order-channel.ts';
import { type Known, NatsLineageNews } from './lineage-news.ts';
import { Replies } from './replies.ts';
import { RequestMany } from './request-many.ts';
import type { SessionCommands } from './session-commands.ts';
import type { Orders } from '../orders/orders.ts';
import { StreamWatch } from './stream-watch.ts';
import { NatsSubscriptions } from './subscriptions.ts';
import type { UidRule } from './uid-rule.ts';
import { NatsWatchChannel } from './watch-channel.ts';
import type { Watches } from '../watch/watches.ts';

/** What else a bus works with. */
type Attached = {
  /** null: no backend is one. */
  readonly gate?: Gate | null;
  /** Absent: a uid may have any number of sessions. */
  readonly uids?: UidRule | undefined;
  /** null: what sessions do is not shown to other gateways. */
  readonly watches?: Watches | null;
};

export class NatsBus implements Bus, ConnectionListener {
  readonly subscriptions: NatsSubscriptions;
  readonly peers: GatewayPeers;
  readonly bySid: NatsRequestsBySid;
  readonly events: NatsEvents;
  /** Which gateways are lost. */
  readonly watch: GatewayWatch;
  /** Which subjects of the gateway a stream captures. */
  readonly streams: StreamWatch;
  readonly claims: NatsClaimChannel;
  readonly keeping: NatsKeepChannel;
  /** null: kept pushes come only to who is there. */
  readonly replay: Replay | null;
  readonly lineages: NatsLineageNews;
  readonly orders: NatsOrderChannel;
  readonly watching: NatsWatchChannel;
  readonly #parts: BusParts;
  #uids: UidRule | undefined;
  #incoming!: IncomingMessages;
  #replies!: Replies;
  #gate: Gate | null = null;
  /** null: none are made here. */
  #peerWatches: PeerWatches | null = null;
  /** null: Control is not served over NATS. */
  #control: IncomingControl | null = null;
  #api: ControlApi | null = null;

  /** @param view What events tell of a session. @param replay null: there is none. */
  constructor(
    parts: BusParts,
    view: EventView = { data: [], groups: false },
    replay: ReplayOptions | null = null,
  ) {
    this.#parts = parts;
    this.events = new NatsEvents(parts, view);
    const requests = new RequestMany(parts);
    this.peers = new GatewayPeers(parts, requests, () => {
      this.#uids?.claims.sayAll();
      this.lineages.onNew();
      this.orders.onNew();
    });
    this.watch = new GatewayWatch(parts, this.events, this.peers, () => {
      this.#uids?.claims.sayAll();
      this.orders.onNew();
    });
    this.orders = new NatsOrderChannel(parts, this.peers);
    this.lineages = new NatsLineageNews(parts, this.peers);
    this.watching = new NatsWatchChannel(parts, requests, this.peers);
    this.claims = new NatsClaimChannel(parts, requests);
    this.keeping = new NatsKeepChannel(parts, requests);
    this.bySid = new NatsRequestsBySid(parts, requests);
    this.streams = new StreamWatch(parts, requests);
    this.replay = replay === null ? null : new Replay(parts, requests, replay);
    this.subscriptions = new NatsSubscriptions(
      parts,
      (error, message) => {
        this.#incoming.onVerb(error, message);
      },
      (error, message) => {
        this.#incoming.onNearMiss(error, message);
      },
    );
    parts.connector.listen(this);
  }

  get name(): string {
    return `nats ${this.#parts.connector.serverVersion}`.trim();
  }

  get up(): boolean {
    return this.#parts.connector.up;
  }

  get notReady(): string {
    const { connector, requests } = this.#parts;
    if (!connector.everUp) return 'not connected to the bus yet';
    if (requests?.everUp === false) return 'not connected to NATS for backends yet';
    if (!this.lineages.isReady) return 'fetching which sessions have ended';
    if (!this.orders.isReady) return 'fetching what operators have ordered';
    return this.replay?.problem ?? '';
  }

  get ready(): Promise<void> {
    return Promise.all([this.lineages.ready, this.orders.ready]).then(() => {});
  }

  /** Completes the construction: the registry needs the bus's subscriptions, the bus needs the registry's sessions. */
  attach(
    registry: Registry,
    sessionCommands: SessionCommands,
    { gate = null, uids, watches = null }: Attached = {},
  ): void {
    this.#gate = gate;
    this.#uids = uids;
    this.watch.attach(registry);
    this.replay?.attach(registry, sessionCommands);
    const replies = new Replies(this.#parts);
    this.#replies = replies;
    const { subscriptions, peers, replay, lineages, orders } = this;
    const more = { registry, sessionCommands, subscriptions, replies, uids, replay };
    this.#incoming = new IncomingMessages({ ...this.#parts, ...more });
    const statusOf: ControlApi['status'] = (kind, fields) => this.#api?.status(kind, fields) ?? [];
    this.#peerWatches = watches && new PeerWatches({ ...this.#parts, replies, watches });
    const calls = new IncomingPeerCalls({
      ...{ ...this.#parts, ...more, peers, gate, lineages, orders, statusOf },
      watches: this.#peerWatches,
    });
    this.#parts.connector.always(this.#parts.subjects.fleet('*'), calls.onCall);
  }

  /** Where lineages are kept; without it others are told nothing. */
  attachLineages(known: Known): void {
    this.lineages.attach(known);
  }

  /** What operators order, for the other gateways; without it others are told nothing. */
  attachOrders(orders: Orders): void {
    this.orders.attach(orders);
  }

  serve(api: ControlApi, facts: () => ServiceFacts): void {
    this.#api = api;
    const { connector, subjects } = this.#parts;
    const replies = this.#replies;
    const stats = { control: new EndpointStats(), gateway: new EndpointStats() };
    const endpoints = [
      { name: 'control', subject: subjects.control, queue: CONTROL_QUEUE, stats: stats.control },
      { name: 'gateway', subject: subjects.own, queue: '', stats: stats.gateway },
    ];
    this.#control = new IncomingControl({ ...this.#parts, replies, stats }, api);
    connector.always(subjects.control, this.#control.onFleetCall, {
      queue: CONTROL_QUEUE,
    });
    new MicroService({ ...this.#parts, replies, endpoints, facts }).start();
  }

  /** Batches of pushes, and methods of Control. */
  readonly #onOwn: OnMessage = (error, message) => {
    if (error !== null || message.subject.endsWith('.push') || this.#control === null)
      this.#incoming.onBatch(error, message);
    else this.#control.onOwnCall(message);
  };

  start(): void {
    const { connector, subjects } = this.#parts;
    const { onVerb, onNearMiss } = this.#incoming;
    connector.always(subjects.ownSessions, onVerb);
    connector.always(subjects.all, onVerb);
    connector.always(subjects.own, this.#onOwn);
    for (const subject of subjects.nearMisses)
      connector.always(subject, onNearMiss, { queue: NEAR_MISS_QUEUE });
  }

  tell(state: GatewayState): void {
    this.events.gateway(state);
    this.#gate?.setReady(state === 'ready');
  }

  onUp(first: boolean): void {
    if (first) this.streams.lookAtAll();
    this.peers.onUp();
    this.events.queue.restart();
    this.watch.start();
    this.#catchUp(first);
  }

  onMoved(): void {
    this.peers.onUp();
    this.#catchUp(false);
  }

  /** With what was missed while nothing reached this gateway. */
  #catchUp(first: boolean): void {
    this.#uids?.claims.sayAll();
    this.replay?.onUp(first);
    this.lineages.onUp();
    this.orders.onUp();
  }

  onRoom(): void {
    this.events.queue.pump();
  }

  /** Another process is this gateway from now on: nothing more is said here of one's own accord. */
  beStill(): void {
    this.watch.stop();
    this.peers.stop();
    this.#peerWatches?.stop();
    this.orders.stop();
  }

  /** To the gates of the other gateways; while the server is away it is lost. */
  publishGate(payload: Buffer): void {
    const { connector, subjects } = this.#parts;
    send(connector, { subject: subjects.fleet('gate'), payload });
  }

  async close(): Promise<void> {
    this.watch.stop();
    this.#peerWatches?.stop();
    this.orders.stop();
    this.peers.leave();
    const { connector, requests = connector } = this.#parts;
    // Mostly they are one, which is not drained twice.
    await Promise.all([...new Set([connector, requests])].map((one) => one.drain()));
  }
}
