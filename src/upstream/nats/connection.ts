/** The gateway's one connection to NATS: for the bus and for backends on NATS. */
import { readFileSync } from 'node:fs';
import {
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  type Payload,
  PermissionViolationError,
  type PublishOptions,
  type Subscription,
  type SubscriptionOptions,
} from 'nats';

import { inBackground } from '../../background.ts';
import { type Clock, sleep } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import { STREAM_NAMES } from './subjects.ts';

export type NatsOptions = {
  readonly servers: readonly string[];
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly inboxPrefix: string;
  /** Path of a credentials file; '' for none. So with the others. */
  readonly creds: string;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  readonly nkey: string;
};

export type NatsEvents = {
  /** Each time that the connection is there; `first` once. */
  onUp(first: boolean, server: string): void;
  onDown(why: string): void;
  onError(what: string): void;
};

/** Below this version nats-server has known holes; the gateway works from 2.9 on and warns. */
export const SAFE_SERVER_VERSION = '2.12.7';
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;
const PING_INTERVAL_MS = 20_000;

/** How a subscriber is called; the message's data is a view. */
export type OnMessage = (...args: Parameters<NonNullable<SubscriptionOptions['callback']>>) => void;

type Wanted = { readonly subject: string; readonly onMessage: OnMessage; readonly queue: string };

export class NatsConnector {
  readonly #options: NatsOptions;
  readonly #events: NatsEvents;
  readonly #wanted: Wanted[] = [];
  #nc: NatsConnection | null = null;
  #up = false;
  #everUp = false;
  #closing = false;

  constructor(options: NatsOptions, events: NatsEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** True while connected. What is published while it is false is lost, so callers look first. */
  get up(): boolean {
    return this.#up;
  }

  /** True once the first connection was made: readiness asks for this and no more. */
  get everUp(): boolean {
    return this.#everUp;
  }

  /** Largest message that the server takes, headers included; 1 MiB unless it said otherwise. */
  get payloadBytesMax(): number {
    return this.#nc?.info?.max_payload ?? 1_048_576;
  }

  get serverVersion(): string {
    return this.#nc?.info?.version ?? '';
  }

  /** Goes on trying for ever, in the background. */
  start(): void {
    inBackground(this.#connect(), (error) => {
      this.#events.onError(`NATS: ${errorText(error)}`);
    });
  }

  /** Subscribes for the life of the gateway, now or when the first connection is there. */
  always(subject: string, onMessage: OnMessage, queue = ''): void {
    const wanted = { subject, onMessage: this.#guarded(onMessage), queue };
    this.#wanted.push(wanted);
    if (this.#nc !== null) this.#subscribe(wanted);
  }

  /** Subscribes until unsubscribed; null before the first connection. It survives reconnections. */
  subscribe(subject: string, onMessage: OnMessage): Subscription | null {
    return this.#nc?.subscribe(subject, { callback: this.#guarded(onMessage) }) ?? null;
  }

  /** Resolves when the server has taken everything before; rejects when the connection breaks. */
  async flush(): Promise<void> {
    await this.#nc?.flush();
  }

  /** @throws when the payload is larger than the server takes. */
  publish(subject: string, payload: Payload, options?: PublishOptions): void {
    this.#nc?.publish(subject, payload, options);
  }

  /** Leaves in an orderly way: what was received is still handled, what was published is sent. */
  async drain(): Promise<void> {
    this.#closing = true;
    if (this.#nc === null || this.#nc.isClosed()) return;
    if (this.#up) await this.#nc.drain();
    else await this.#nc.close();
  }

  /** One message that cannot be handled must not end the subscription. */
  #guarded(onMessage: OnMessage): OnMessage {
    return (error, message) => {
      try {
        onMessage(error, message);
      } catch (problem) {
        this.#events.onError(
          `a message on ${message.subject} could not be handled: ${errorText(problem)}`,
        );
      }
    };
  }

  #subscribe({ subject, onMessage, queue }: Wanted): void {
    this.#nc!.subscribe(subject, { callback: onMessage, ...(queue !== '' && { queue }) });
  }

  /** The first connection is tried for ever; the reason of a failure is told when it changes. */
  async #connectFirst(): Promise<NatsConnection | null> {
    let told = '';
    while (!this.#closing) {
      try {
        return await connect(connectionOptions(this.#options));
      } catch (error) {
        const why = errorText(error);
        if (why !== told)
          this.#events.onError(`cannot connect to ${this.#options.servers.join(', ')}: ${why}`);
        told = why;
        await sleep(this.#options.clock, RECONNECT_WAIT_MS + RECONNECT_JITTER_MS * Math.random());
      }
    }
    return null;
  }

  async #connect(): Promise<void> {
    const nc = await this.#connectFirst();
    if (nc === null) return;
    if (this.#closing) {
      await nc.close();
      return;
    }
    this.#nc = nc;
    for (const wanted of this.#wanted) this.#subscribe(wanted);
    await nc.flush();
    this.#setUp(true);
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') this.#setDown(`disconnected from ${status.server}`);
      else if (status.type === 'reconnect') this.#setUp(false);
      else if (status.type === 'ldm')
        this.#events.onError(`${status.server} is going away (lame duck)`);
      else if (status.type === 'error' && !isExpected(status.error))
        this.#events.onError(status.error.message);
    }
    this.#setDown('the connection was closed');
  }

  #setUp(first: boolean): void {
    this.#up = true;
    this.#everUp = true;
    this.#events.onUp(first, this.#nc?.getServer() ?? '');
  }

  #setDown(why: string): void {
    if (!this.#up) return;
    this.#up = false;
    this.#events.onDown(why);
  }
}

/** Which streams there are may be asked where it is allowed; nobody has to allow it. */
function isExpected(error: Error): boolean {
  return error instanceof PermissionViolationError && error.subject === STREAM_NAMES;
}

function connectionOptions(options: NatsOptions): NodeConnectionOptions {
  const authenticator = [];
  if (options.creds !== '') authenticator.push(credsAuthenticator(readFileSync(options.creds)));
  if (options.nkey !== '') authenticator.push(nkeyAuthenticator(Buffer.from(options.nkey)));
  return {
    servers: [...options.servers],
    name: `pith/${options.gatewayId}`,
    inboxPrefix: options.inboxPrefix,
    // Our own pushes to the fleet must not come back to us.
    noEcho: true,
    maxReconnectAttempts: -1,
    // Credentials that were refused may be right again later: the gateway goes on trying.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    pingInterval: PING_INTERVAL_MS,
    // A stack per request would be the dearest thing that the gateway does.
    noAsyncTraces: true,
    ...(options.user !== '' && { user: options.user, pass: options.password }),
    ...(options.token !== '' && { token: options.token }),
    ...(authenticator.length > 0 && { authenticator }),
  };
}
