/**
 * The gateway's one connection to NATS, for the bus and for backends on NATS. As long as the gateway runs it is made
 * again whenever it ends, whatever the reason.
 */
import { Backoff } from '../../backoff.ts';
import { inBackground } from '../../background.ts';
import { type Clock, nextTurn, sleep } from '../../clock.ts';
import { errorText, GatewayError } from '../../errors.ts';
import type { Random } from '../../random.ts';
import {
  type DialNats,
  type DialOptions,
  ENDED,
  type NatsConnection,
  type NatsPublishOptions,
  type NatsRefusal,
  type NatsSubscription,
  type OnMessage,
} from './nats-connection.ts';
import type { NatsReport } from './nats-report.ts';
import { NEAR_MISS_QUEUE, STREAM_NAMES } from './subjects.ts';

export type NatsOptions = DialOptions & {
  /** URLs, at least one. */
  readonly servers: readonly string[];
  readonly dial: DialNats;
  readonly clock: Clock;
  readonly random: Random;
};

/** A part that acts when the state of the connection changes. */
export interface ConnectionListener {
  /** Connected; `first`: for the first time. */
  onUp?(first: boolean): void;
  /** The connection is lost, or was closed by the gateway. */
  onDown?(): void;
  /** NATS has taken what it was given: there is room again. */
  onRoom?(): void;
}

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
/** Subscriptions that a new connection makes in one turn of the event loop: one or two milliseconds. */
export const SUBSCRIPTIONS_PER_TURN = 500;
/** A connection that lasted less than this does not count as a success: the next attempt waits longer. */
const STEADY_MS = 5_000;
/** Bytes of one message, as long as no server has announced another size. */
const PAYLOAD_BYTES_MAX = 1_048_576;
/** Other servers of the cluster that are remembered, by the names that the server gives. */
const DISCOVERED_MAX = 64;

type Wanted = {
  readonly subject: string;
  readonly subscriber: OnMessage;
  /** '': every gateway gets each message. */
  readonly queue: string;
  /** On the present connection; null: there is none. */
  live: NatsSubscription | null;
};

export class NatsConnector {
  readonly #options: NatsOptions;
  readonly #report: NatsReport;
  readonly #listeners: ConnectionListener[] = [];
  readonly #wanted = new Set<Wanted>();
  #discovered: readonly string[] = [];
  #nc: NatsConnection | null = null;
  #up = false;
  #everUp = false;
  #closing = false;
  /** The server of the present connection has announced that it ends it. */
  #sentAway = false;
  readonly #backoff: Backoff;

  constructor(options: NatsOptions, report: NatsReport) {
    this.#options = options;
    this.#report = report;
    this.#backoff = new Backoff(AGAIN_MS, NATS_AGAIN_MS_MAX, options.random);
  }

  listen(listener: ConnectionListener): void {
    this.#listeners.push(listener);
  }

  /** True while connected. Publishing is refused otherwise, so callers check first. */
  get up(): boolean {
    return this.#up;
  }

  /** True once the first connection was made, which is all that readiness needs. */
  get everUp(): boolean {
    return this.#everUp;
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

  /** Connects, and reconnects for as long as the gateway runs, in the background. */
  start(): void {
    inBackground(this.#run(), (error) => {
      this.#report.error(`the gateway no longer tries to connect: ${errorText(error)}`);
    });
  }

  /** Subscribes for the life of the gateway, to this connection and every later one. */
  always(subject: string, onMessage: OnMessage, queue = ''): void {
    this.#want(subject, onMessage, queue);
  }

  /** The same until it is unsubscribed. */
  subscribe(subject: string, onMessage: OnMessage, queue = ''): NatsSubscription {
    const wanted = this.#want(subject, onMessage, queue);
    return {
      unsubscribe: () => {
        this.#wanted.delete(wanted);
        wanted.live?.unsubscribe();
      },
    };
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
    if (this.#nc === null || this.#nc.isClosed) return;
    if (this.#up) await this.#nc.drain();
    else await this.#nc.close();
  }

  // ---- the life of a connection -------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#closing) {
      this.#sentAway = false;
      try {
        const nc = await this.#options.dial(this.#options, this.#toTry());
        if (this.#closing) await nc.close();
        else await this.#use(nc);
      } catch (error) {
        if (!this.#closing) this.#report.notConnected(errorText(error));
      }
      // A server in lame duck mode spreads out its clients itself, and the others are there for them.
      if (!this.#sentAway) await sleep(this.#options.clock, this.#backoff.next());
    }
  }

  /** Configured servers come before those that a server has named. */
  #toTry(): string[] {
    const { servers, random } = this.#options;
    const more = this.#discovered.filter((server) => !servers.includes(server));
    return [...shuffled(servers, random), ...shuffled(more, random)];
  }

  /** Resolves when a connection that was usable has ended. Rejects when it never became usable. */
  async #use(nc: NatsConnection): Promise<void> {
    const { clock } = this.#options;
    const { server } = nc;
    let upAt = Infinity;
    this.#nc = nc;
    try {
      this.#listen(nc);
      await this.#subscribeAll(nc);
      await Promise.race([nc.flush(), ended(nc)]);
      this.#setUp(nc);
      upAt = clock.now();
      const error = await nc.closed();
      this.#setDown(`disconnected from ${server}${error === null ? '' : `: ${error.message}`}`);
    } finally {
      this.#nc = null;
      for (const wanted of this.#wanted) wanted.live = null;
      if (nc.otherServers.length > 0) this.#discovered = nc.otherServers.slice(0, DISCOVERED_MAX);
      // However the connection ended: those who wait for a round trip are released, and so is the socket.
      nc.discard();
      if (clock.now() - upAt > STEADY_MS) this.#backoff.reset();
    }
  }

  #listen(nc: NatsConnection): void {
    const { server } = nc;
    nc.listen({
      onRoom: () => {
        for (const listener of this.#listeners) listener.onRoom?.();
      },
      onStale: () => {
        this.#setDown(`${server} has stopped answering`);
      },
      onLameDuck: () => {
        this.#sentAway = true;
        this.#report.error(`${server} is about to stop (lame duck mode)`);
      },
      onError: (what, refused) => {
        if (!isExpected(refused)) this.#report.error(what);
      },
    });
  }

  #setUp({ server, serverVersion }: NatsConnection): void {
    const first = !this.#everUp;
    this.#up = true;
    this.#everUp = true;
    this.#report.connected(first, server, serverVersion);
    for (const listener of this.#listeners) listener.onUp?.(first);
  }

  #setDown(why: string): void {
    if (!this.#up) return;
    this.#up = false;
    for (const listener of this.#listeners) listener.onDown?.();
    if (!this.#closing) this.#report.lost(why);
  }

  // ---- subscriptions ------------------------------------------------------------------------------------

  #want(subject: string, onMessage: OnMessage, queue: string): Wanted {
    const wanted: Wanted = { subject, subscriber: this.#guarded(onMessage), queue, live: null };
    this.#wanted.add(wanted);
    if (this.#nc !== null && !this.#nc.isClosed) this.#subscribe(wanted);
    return wanted;
  }

  /** What a new connection needs, a part in each turn: a gateway has one for each of its users and groups. */
  async #subscribeAll(nc: NatsConnection): Promise<void> {
    let left = SUBSCRIPTIONS_PER_TURN;
    // What is added meanwhile is subscribed by then, and what is removed is not met.
    for (const wanted of this.#wanted) {
      if (wanted.live !== null) continue;
      if (left-- === 0) {
        await nextTurn(this.#options.clock);
        left = SUBSCRIPTIONS_PER_TURN - 1;
      }
      if (nc.isClosed) return;
      if (wanted.live === null && this.#wanted.has(wanted)) this.#subscribe(wanted);
    }
  }

  #subscribe(wanted: Wanted): void {
    const { subject, subscriber, queue } = wanted;
    wanted.live = this.#nc!.subscribe(subject, subscriber, queue);
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

/**
 * Listing streams and subscribing to near misses are optional: permissions need not allow them. A gateway that may not
 * subscribe to near misses reports that itself.
 */
function isExpected(refused: NatsRefusal | null): boolean {
  if (refused === null) return false;
  return refused.subject === STREAM_NAMES || refused.queue === NEAR_MISS_QUEUE;
}

/** Rejects when the connection ends: a round trip may stay open then. */
async function ended(nc: NatsConnection): Promise<never> {
  throw (await nc.closed()) ?? new Error(ENDED);
}

function shuffled(names: readonly string[], random: Random): string[] {
  return names
    .map((name) => ({ name, at: random.number() }))
    .sort((a, b) => a.at - b.at)
    .map(({ name }) => name);
}
