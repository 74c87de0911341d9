/**
 * The gateway's one connection to NATS, for the bus and for backends on NATS. As long as the gateway runs it is made
 * again whenever it ends, whatever the reason.
 */
import {
  type NatsConnectionImpl,
  type Payload,
  PermissionViolationError,
  type PublishOptions,
  type Status,
  type Subscription,
  type SubscriptionOptions,
} from 'nats';

import { Backoff } from '../../backoff.ts';
import { inBackground } from '../../background.ts';
import { type Clock, sleep } from '../../clock.ts';
import { errorText, GatewayError } from '../../errors.ts';
import { dial, ENDED, type DialOptions, reasonOf, socketOf } from './dial.ts';
import type { NatsReport } from './nats-report.ts';
import { NEAR_MISS_QUEUE, STREAM_NAMES } from './subjects.ts';

export type NatsOptions = DialOptions & { readonly clock: Clock };

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
/** Between one attempt and the next: at first, and at most. */
const AGAIN_MS = 250;
const AGAIN_MS_MAX = 2_000;
/** A connection that lasted less than this does not count as a success: the next attempt waits longer. */
const STEADY_MS = 5_000;
/** Other servers of the cluster that are remembered, by the names that the server gives. */
const DISCOVERED_MAX = 64;

/** How a subscriber is called; the message's data is a view. */
export type OnMessage = (...args: Parameters<NonNullable<SubscriptionOptions['callback']>>) => void;

type Wanted = {
  readonly subject: string;
  readonly options: SubscriptionOptions;
  /** On the present connection; null: there is none. */
  live: Subscription | null;
};

export class NatsConnector {
  readonly #options: NatsOptions;
  readonly #report: NatsReport;
  readonly #listeners: ConnectionListener[] = [];
  readonly #firstUp = Promise.withResolvers<void>();
  readonly #wanted = new Set<Wanted>();
  #discovered: readonly string[] = [];
  #nc: NatsConnectionImpl | null = null;
  #up = false;
  #everUp = false;
  #closing = false;
  readonly #backoff = new Backoff(AGAIN_MS, AGAIN_MS_MAX);

  constructor(options: NatsOptions, report: NatsReport) {
    this.#options = options;
    this.#report = report;
  }

  listen(listener: ConnectionListener): void {
    this.#listeners.push(listener);
  }

  /** Resolves at the first connection. */
  get firstUp(): Promise<void> {
    return this.#firstUp.promise;
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
    return this.#nc?.info?.max_payload ?? 1_048_576;
  }

  get serverVersion(): string {
    return this.#nc?.info?.version ?? '';
  }

  /** Bytes that were published and that the operating system has not taken yet. */
  get unsentBytes(): number {
    const nc = this.#nc;
    if (nc === null) return 0;
    return nc.protocol.outbound.size() + (socketOf(nc)?.writableLength ?? 0);
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
  subscribe(subject: string, onMessage: OnMessage): { unsubscribe(): void } {
    const wanted = this.#want(subject, onMessage, '');
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
  publish(subject: string, payload: Payload, options?: PublishOptions): void {
    if (this.#nc === null) throw new GatewayError('BUS_AWAY');
    if (this.unsentBytes + payload.length > NATS_UNSENT_BYTES_MAX)
      throw new GatewayError('OVERLOADED', 'NATS does not read what it is sent');
    this.#nc.publish(subject, payload, options);
  }

  /** Closes the connection: what was received is still handled, and what was published is still sent. */
  async drain(): Promise<void> {
    this.#closing = true;
    if (this.#nc === null || this.#nc.isClosed()) return;
    if (this.#up) await this.#nc.drain();
    else await this.#nc.close();
  }

  // ---- the life of a connection -------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#closing) {
      try {
        const nc = await dial(this.#options, this.#discovered);
        if (this.#closing) await nc.close();
        else await this.#use(nc);
      } catch (error) {
        if (!this.#closing) this.#report.notConnected(reasonOf(error));
      }
      await sleep(this.#options.clock, this.#backoff.next());
    }
  }

  /** Resolves when a connection that was usable has ended. Rejects when it never became usable. */
  async #use(nc: NatsConnectionImpl): Promise<void> {
    const { clock } = this.#options;
    const server = nc.getServer();
    let upAt = Infinity;
    this.#nc = nc;
    try {
      inBackground(this.#listen(nc, server), (error) => {
        this.#report.error(errorText(error));
      });
      socketOf(nc)?.on('drain', () => {
        for (const listener of this.#listeners) listener.onRoom?.();
      });
      for (const wanted of this.#wanted) this.#subscribe(wanted);
      await Promise.race([nc.flush(), ended(nc)]);
      this.#setUp(server);
      upAt = clock.now();
      const error = await nc.closed();
      this.#setDown(
        `disconnected from ${server}${error instanceof Error ? `: ${error.message}` : ''}`,
      );
    } finally {
      this.#nc = null;
      for (const wanted of this.#wanted) wanted.live = null;
      // However the connection ended: those who wait for a round trip are released, and so is the socket.
      nc.protocol.resetOutbound();
      nc.protocol.transport.discard();
      if (clock.now() - upAt > STEADY_MS) this.#backoff.reset();
    }
  }

  /** Follows what the server says about itself while the connection lasts. */
  async #listen(nc: NatsConnectionImpl, server: string): Promise<void> {
    for await (const status of nc.status()) {
      this.#remember(nc);
      await this.#onStatus(status, nc, server);
    }
  }

  async #onStatus(status: Status, nc: NatsConnectionImpl, server: string): Promise<void> {
    if (status.type === 'staleConnection') {
      this.#setDown(`${server} has stopped answering`);
      // The library would wait until everything unsent has been sent.
      await nc.close();
    } else if (status.type === 'ldm') {
      this.#report.error(`${server} is about to stop (lame duck mode)`);
    } else if (status.type === 'error' && !isExpected(status.error)) {
      this.#report.error(status.error.message);
    }
  }

  /** The other servers of the cluster: they are tried too when this one is gone. */
  #remember(nc: NatsConnectionImpl): void {
    const urls = nc.info?.connect_urls;
    if (urls !== undefined) this.#discovered = urls.slice(0, DISCOVERED_MAX);
  }

  #setUp(server: string): void {
    const first = !this.#everUp;
    this.#up = true;
    this.#everUp = true;
    this.#remember(this.#nc!);
    this.#report.connected(first, server, this.serverVersion);
    for (const listener of this.#listeners) listener.onUp?.(first);
    this.#firstUp.resolve();
  }

  #setDown(why: string): void {
    if (!this.#up) return;
    this.#up = false;
    for (const listener of this.#listeners) listener.onDown?.();
    if (!this.#closing) this.#report.lost(why);
  }

  // ---- subscriptions ------------------------------------------------------------------------------------

  #want(subject: string, onMessage: OnMessage, queue: string): Wanted {
    const callback = this.#guarded(onMessage);
    const options = { callback, ...(queue !== '' && { queue }) };
    const wanted: Wanted = { subject, options, live: null };
    this.#wanted.add(wanted);
    if (this.#nc !== null && !this.#nc.isClosed()) this.#subscribe(wanted);
    return wanted;
  }

  #subscribe(wanted: Wanted): void {
    wanted.live = this.#nc!.subscribe(wanted.subject, wanted.options);
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
function isExpected(error: Error): boolean {
  if (!(error instanceof PermissionViolationError)) return false;
  return error.subject === STREAM_NAMES || error.queue === NEAR_MISS_QUEUE;
}

/** Rejects when the connection ends: the library leaves those who wait for a round trip waiting. */
async function ended(nc: NatsConnectionImpl): Promise<never> {
  const error = await nc.closed();
  throw error instanceof Error ? error : new Error(ENDED);
}
