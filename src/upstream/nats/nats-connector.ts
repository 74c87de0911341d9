/**
 * The gateway's one connection to NATS, for the bus and for backends on NATS. As long as the gateway runs it is made
 * again whenever it ends, whatever the reason.
 */
import { Backoff } from '../../backoff.ts';
import { inBackground } from '../../background.ts';
import { type Clock, sleep, within } from '../../clock.ts';
import { errorText, GatewayError } from '../../errors.ts';
import type { Random } from '../../random.ts';
import {
  type DialNats,
  type DialOptions,
  ended,
  type NatsConnection,
  type NatsPublishOptions,
  type NatsSubscription,
  type OnMessage,
} from './nats-connection.ts';
import { isExpected, type NatsReport } from './nats-report.ts';
import { NatsTraffic } from './nats-traffic.ts';
import { type ConnectionListener, ConnectionState } from './connection-state.ts';
import { Servers } from './servers.ts';
import { type Subscribing, WantedSubscriptions } from './wanted-subscriptions.ts';

export type NatsOptions = DialOptions & {
  /** It subscribes to nothing before `open`: until then another process is the gateway. Default: false. */
  readonly waits?: boolean | undefined;
  /** URLs, at least one. */
  readonly servers: readonly string[];
  readonly dial: DialNats;
  readonly clock: Clock;
  readonly random: Random;
};

/** Bytes that were published and not yet taken by NATS; beyond it publishing is refused. */
export const NATS_UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** Beyond this many, requests wait in the gateway, where they can be withdrawn when they time out. */
export const NATS_AHEAD_BYTES_MAX = 1024 * 1024;
/**
 * Between one attempt and the next: at first, and at most. A gateway that was cut off for less than 6 s is not lost: the
 * second between two signs of life, those 6 s and this wait are less than LOST_AFTER_MS of `bus/watched-gateways.ts`.
 */
const AGAIN_MS = 250;
export const NATS_AGAIN_MS_MAX = 450;
/** A connection that lasted less than this does not count as a success: the next attempt waits longer. */
const STEADY_MS = 5_000;
/** Bytes of one message, while no server has announced another size. */
const PAYLOAD_BYTES_MAX = 1_048_576;
/** After a steady connection to one of several servers was lost, another is tried this soon at the latest: a crowd spreads. */
const OTHER_SERVER_MS = 20;
/** How long a connection that was left stays open, for answers that are on their way to it. */
const LEFT_MS = 1_000;

export class NatsConnector {
  readonly #options: NatsOptions;
  readonly #report: NatsReport;
  readonly #state: ConnectionState;
  readonly subscriptions: WantedSubscriptions;
  readonly #servers: Servers;
  #nc: NatsConnection | null = null;
  #closing = false;
  /** Settles when the server of a connection announces that it will end it. */
  readonly #sentAway = new WeakMap<NatsConnection, Promise<void>>();
  /** The server of the connection that was used last has announced it. */
  #isSentAway = false;
  /** What was published must be with the present server before more is published to the next one. */
  #isMoving = false;
  readonly traffic = new NatsTraffic();
  /** Connections in place of which another is used. */
  readonly #left = new Set<NatsConnection>();
  readonly #backoff: Backoff;
  readonly #opened = Promise.withResolvers<void>();

  constructor(options: NatsOptions, report: NatsReport) {
    this.#options = options;
    this.#report = report;
    this.#backoff = new Backoff(AGAIN_MS, NATS_AGAIN_MS_MAX, options.random);
    this.#state = new ConnectionState(options.clock);
    this.#servers = new Servers(options.servers, options.random);
    this.subscriptions = new WantedSubscriptions(options.clock);
    if (options.waits !== true) this.open();
  }

  listen(listener: ConnectionListener): void {
    this.#state.listen(listener);
  }

  /** True while connected. Publishing is refused otherwise, so callers check first. */
  get up(): boolean {
    return this.#state.up;
  }

  /** True from when a connection is made, before it is up: what is subscribed now, `flush` confirms. */
  get canConfirm(): boolean {
    return this.#nc?.isClosed === false;
  }

  /** True while a connection was lost only just now, so that what is to be sent had better wait. */
  get mayBeBack(): boolean {
    return this.#state.mayBeBack;
  }

  /** True once the first connection was made, which is all that readiness needs. */
  get everUp(): boolean {
    return this.#state.everUp;
  }

  /** Largest message that the server takes, headers included; 1 MiB until it announces another size. */
  get payloadBytesMax(): number {
    return this.#nc?.payloadBytesMax ?? PAYLOAD_BYTES_MAX;
  }

  get serverVersion(): string {
    return this.#nc?.serverVersion ?? '';
  }

  /** Bytes that were published and that the operating system has not taken yet. */
  get unsentBytes(): number {
    return this.#nc?.unsentBytes ?? 0;
  }

  /** False: what has an order, requests and events, is not to be published now; `onRoom` or `onUp` follows. */
  get hasRoom(): boolean {
    return this.up && !this.#isMoving && this.unsentBytes < NATS_AHEAD_BYTES_MAX;
  }

  /** Connects, and reconnects for as long as the gateway runs, in the background. */
  start(): void {
    inBackground(this.#run(), (error) => {
      this.#report.error(`the gateway no longer tries to connect: ${errorText(error)}`);
    });
  }

  /** Subscribes to everything, if it has waited with that. */
  open(): void {
    this.#opened.resolve();
  }

  /** Another connection; whoever asks for it closes it. */
  aside(): Promise<NatsConnection> {
    return this.#options.dial(this.#options, this.#servers.toTry());
  }

  /** Subscribes for the life of the gateway, to this connection and every later one. */
  always(subject: string, onMessage: OnMessage, how: Subscribing = {}): void {
    this.subscriptions.want(subject, this.#guarded(onMessage), how);
  }

  /** The same until it is unsubscribed. */
  subscribe(subject: string, onMessage: OnMessage, queue = ''): NatsSubscription {
    return this.subscriptions.want(subject, this.#guarded(onMessage), { queue });
  }

  /** Resolves when the server has taken everything before; rejects when the connection breaks. */
  async flush(): Promise<void> {
    await this.#nc?.flush();
  }

  /**
   * Sends one message; it is lost when the connection breaks.
   * @throws GatewayError BUS_AWAY without a connection, OVERLOADED when NATS does not take what it has been given;
   * and another error when the message is larger than the server takes.
   */
  publish(subject: string, payload: Uint8Array, options?: NatsPublishOptions): void {
    if (this.#nc === null) throw new GatewayError('BUS_AWAY');
    if (this.unsentBytes + payload.length > NATS_UNSENT_BYTES_MAX)
      throw new GatewayError('OVERLOADED', 'NATS does not read what it is sent');
    this.#nc.publish(subject, payload, options);
  }

  /** Closes the connection: what was received is still handled, and what was published is still sent. */
  async drain(): Promise<void> {
    this.#closing = true;
    this.#state.close();
    for (const left of this.#left) left.discard();
    if (this.#nc === null || this.#nc.isClosed) return;
    if (this.up) await this.#nc.drain();
    else await this.#nc.close();
  }

  // ---- the life of a connection -------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#closing) {
      this.#isSentAway = false;
      const nc = await this.#dial();
      const wasSteady = nc !== null && (await this.#use(nc));
      // A server in lame duck mode spreads out its clients itself, and the others are there for them.
      if (!this.#isSentAway) await sleep(this.#options.clock, this.#pauseMs(wasSteady));
    }
  }

  #pauseMs(wasSteady: boolean): number {
    if (!wasSteady || this.#servers.count === 1) return this.#backoff.next();
    return this.#options.random.number() * OTHER_SERVER_MS;
  }

  /** null: no server took it, which is reported, or the gateway has been told to stop. */
  async #dial(): Promise<NatsConnection | null> {
    try {
      const nc = await this.#options.dial(this.#options, this.#servers.toTry());
      if (!this.#closing) return nc;
      await nc.close();
    } catch (error) {
      if (!this.#closing) this.#report.notConnected(errorText(error));
    }
    return null;
  }

  /** Until the connection has ended, and those that followed it. True: it was usable for long. */
  async #use(first: NatsConnection): Promise<boolean> {
    const { clock } = this.#options;
    let upAt = Infinity;
    this.#nc = first;
    try {
      this.#listen(first);
      await Promise.race([this.#opened.promise, ended(first)]);
      await this.subscriptions.subscribeAll(first);
      await Promise.race([first.flush(), ended(first)]);
      this.#setUp(first);
      upAt = clock.now();
      for (let nc: NatsConnection | null = first; nc !== null;) nc = await this.#successorOf(nc);
      const { server } = this.#nc;
      const error = await this.#nc.closed();
      this.#setDown(`disconnected from ${server}${error === null ? '' : `: ${error.message}`}`);
    } catch (error) {
      if (!this.#closing) this.#report.notConnected(errorText(error));
    }
    this.#servers.learn(this.#nc);
    // However the connection ended: those who wait for a round trip are released, and so is the socket.
    this.subscriptions.forget(this.#nc);
    this.#nc.discard();
    this.#nc = null;
    const wasSteady = clock.now() - upAt > STEADY_MS;
    if (wasSteady) this.#backoff.reset();
    return wasSteady;
  }

  #listen(nc: NatsConnection): void {
    const { server } = nc;
    this.traffic.follow(nc);
    const sentAway = Promise.withResolvers<void>();
    this.#sentAway.set(nc, sentAway.promise);
    nc.listen({
      onRoom: () => {
        this.#state.hasRoom();
      },
      onStale: () => {
        if (this.#nc === nc) this.#setDown(`${server} has stopped answering`);
      },
      onLameDuck: () => {
        if (this.#nc === nc) this.#isSentAway = true;
        sentAway.resolve();
      },
      onError: (what, refused) => {
        if (!isExpected(refused)) this.#report.error(what);
      },
    });
  }

  // ---- from a server that is about to stop to another ---------------------------------------------------

  /** What is used in place of a connection whose server is about to stop; null: the connection has ended. */
  async #successorOf(old: NatsConnection): Promise<NatsConnection | null> {
    const { clock } = this.#options;
    const isOver = old.closed().then(() => true);
    await Promise.race([isOver, this.#sentAway.get(old)]);
    this.#isSentAway = !old.isClosed;
    if (!old.isClosed) this.#report.sentAway(old.server);
    // The server itself takes nobody any more, so it may be among those that are tried.
    while (!old.isClosed && !this.#closing) {
      this.#servers.learn(old);
      const next = await this.#dial();
      if (next !== null && (await this.#moveTo(next, old))) return next;
      await within(clock, this.#backoff.next(), isOver, false);
    }
    await isOver;
    return null;
  }

  /**
   * Requests wait meanwhile, so that all that were sent to the old server are there before the new one gets any. False: one
   * of the two has ended, and it is still the old one that is used.
   */
  async #moveTo(next: NatsConnection, old: NatsConnection): Promise<boolean> {
    const oneEnds = Promise.race([ended(old), ended(next)]);
    const trip = (nc: NatsConnection): Promise<void> => Promise.race([nc.flush(), oneEnds]);
    try {
      this.#listen(next);
      this.subscriptions.double(next);
      await trip(next);
      this.#isMoving = true;
      await trip(old);
    } catch {
      const hasWaited = this.#isMoving;
      this.#isMoving = false;
      this.subscriptions.undouble();
      next.discard();
      if (hasWaited && this.up) this.#state.hasRoom();
      return false;
    }
    this.#isMoving = false;
    this.#nc = next;
    this.#isSentAway = false;
    this.#state.hasRoom();
    // If one of them ends, what is left is subscribed below, or on a connection after that.
    await this.subscriptions.move(old, next, () => trip(old)).catch(() => {});
    this.subscriptions.forget(old);
    await this.subscriptions.subscribeAll(next);
    this.#report.moved(old.server, next);
    this.#state.moved();
    inBackground(this.#leave(old), (error) => {
      this.#report.error(errorText(error));
    });
    return true;
  }

  /** Answers may still be on their way to it. */
  async #leave(old: NatsConnection): Promise<void> {
    this.#left.add(old);
    await within(this.#options.clock, LEFT_MS, old.closed(), null);
    this.#left.delete(old);
    old.discard();
  }

  #setUp({ server, serverVersion }: NatsConnection): void {
    this.#report.connected(!this.everUp, server, serverVersion);
    this.#state.setUp();
  }

  #setDown(why: string): void {
    if (this.#state.setDown() && !this.#closing) this.#report.lost(why);
  }

  /** A message that cannot be handled must not end the subscription. */
  #guarded(onMessage: OnMessage): OnMessage {
    return (error, message) => {
      try {
        onMessage(error, message);
      } catch (problem) {
        this.#report.error(
          `a message on ${message.subject} could not be handled: ${errorText(problem)}`,
        );
      }
    };
  }
}
