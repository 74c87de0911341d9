/**
 * A client of Pith, and of Pomelo's, Pinus's, Pitaya's and Nano's own servers, for browsers and Node: requests as
 * promises, pushes, and coming back after a loss. A request is sent once or not at all, never again by itself.
 */
import { Backoff, STABLE_MS } from './backoff.ts';
import { ClientError, errorOfAnswer, isObject, ownError } from './client-error.ts';
import { NUMBER_MAX } from './clock.ts';
import { Connection } from './connection.ts';
import type { Handshake, Kick } from './handshake.ts';
import { Learned } from './learned.ts';
import { Listeners, type Off } from './listeners.ts';
import { ID_MAX } from './messages.ts';
import { type ClientOptions, expectInRange, type Options, withDefaults } from './options.ts';
import type { Received } from './received.ts';
import { CLIENT_VERSION } from './version.ts';
import type { Dialect } from './wire.ts';

export type { ReconnectOptions } from './backoff.ts';
export { ClientError, type OwnReason } from './client-error.ts';
export type { ClientClock } from './clock.ts';
export type { Handshake, Kick } from './handshake.ts';
export type { ClientCache } from './learned.ts';
export type { Off } from './listeners.ts';
export type { ClientOptions } from './options.ts';
export type { Received } from './received.ts';
export type { Dial, Transport, TransportEvents } from './transport.ts';
export { webSocket, type WebSocketLike } from './websocket.ts';
export type { Dialect } from './wire.ts';

/**
 * `idle` before the first `connect()`; `reconnecting` while it waits to come back, and tries; `closed` by
 * `close()`, by a kick or a refusal, or when there are no tries left. `connect()` leads out of it.
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';

export type StateChange = {
  readonly state: ClientState;
  /** Why; undefined: nothing went wrong. */
  readonly error?: ClientError;
  /** In `reconnecting`: how long until the next try. */
  readonly retryInMs?: number;
};

export type RequestOptions = {
  /** Default: the client's. */
  readonly timeoutMs?: number;
  /** Stops the waiting; the promise rejects with the signal's reason. What was sent stays sent. */
  readonly signal?: AbortSignal;
  /** Default: the client's. */
  readonly raw?: boolean;
  /** Default: the client's. */
  readonly throwOnError?: boolean;
};

type Waiting = {
  readonly route: string;
  readonly settle: (outcome: Received | ClientError) => void;
};

/** Reasons of an end after which another try makes sense. */
const PASSING: readonly string[] = ['LOST', 'UNREACHABLE', 'TIMEOUT'];
/** How Pith's kick reads when it drains: the next gateway is there. */
const DRAINING = 'draining';
const UNAVAILABLE = 503;

export class PithClient {
  readonly url: string;
  readonly #options: Options;
  readonly #learned: Learned;
  readonly #backoff: Backoff;
  readonly #waiting = new Map<number, Waiting>();
  /** By route; `*` hears all. */
  readonly #onPush = new Map<string, Listeners<[body: never, push: Received]>>();
  readonly #onState = new Listeners<[StateChange]>();
  readonly #onKick = new Listeners<[Kick]>();
  readonly #onError = new Listeners<[ClientError]>();
  #state: ClientState = 'idle';
  #connection: Connection | null = null;
  /** Who waits in `connect()`. */
  readonly #callers: ((error: ClientError | null) => void)[] = [];
  #handshake: Handshake | null = null;
  #lastId = 0;
  #openedMs = 0;
  #cancelRetry: () => void = () => {};

  /**
   * @param url `ws://` or `wss://`; with `tcp()` as `dial`, `tcp://host:port` or `tls://host:port`.
   * @throws {RangeError} an option is out of its range.
   */
  constructor(url: string, options: ClientOptions = {}) {
    this.url = url;
    this.#options = withDefaults(options);
    this.#learned = new Learned(options.cache, url);
    this.#backoff = new Backoff(options.reconnect || {});
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The last answer to a handshake; null before. */
  get handshake(): Handshake | null {
    return this.#handshake;
  }

  /**
   * Connects, once: it does not try again by itself before the first success. In `reconnecting` it tries at once,
   * as is good when a browser comes `online`. Resolves when open; rejects with a `ClientError`. Aborting closes.
   */
  connect(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      signal?.throwIfAborted();
      if (this.#state === 'open') {
        resolve();
        return;
      }
      const abort = (): void => {
        this.#closeThen(() => {});
      };
      signal?.addEventListener('abort', abort);
      this.#callers.push((error) => {
        signal?.removeEventListener('abort', abort);
        if (error === null) resolve();
        else reject(signal?.aborted ? (signal.reason as Error) : error);
      });
      if (this.#state !== 'connecting' && this.#state !== 'reconnecting') {
        this.#backoff.reset();
        this.#become({ state: 'connecting' });
      }
      // A listener may have closed it; a try may be under way.
      if (this.#callers.length > 0 && this.#connection === null) this.#dial();
    });
  }

  /**
   * Asks, and resolves with the answer's body. A body that is a Uint8Array is sent as it is; where the server's
   * definitions know the route it is encoded by them; else it is JSON, `{}` for none.
   *
   * Rejects with a `ClientError`: the server's error (flag or `error`; see also `throwOnError`), TIMEOUT, LOST the
   * moment the connection ends, NOT_OPEN when there is none, TOO_MANY, BUFFER_FULL, TOO_LONG, BAD_ROUTE, BAD_BODY.
   */
  async request<T = unknown>(
    route: string,
    body?: unknown,
    options: RequestOptions = {},
  ): Promise<T> {
    const { raw, throwOnError } = { ...this.#options, ...options };
    const answer = await this.ask(route, body, options);
    if (answer.isError) throw errorOfAnswer(answer.body);
    if (raw) return answer.bytes as T;
    const value = answer.body;
    if (throwOnError && isFailure(value)) throw errorOfAnswer(value);
    return value as T;
  }

  /** As `request`, but resolves with whatever answer comes, errors too, and its bytes. */
  ask(route: string, body?: unknown, options: RequestOptions = {}): Promise<Received> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs = this.#options.timeoutMs } = options;
      signal?.throwIfAborted();
      expectInRange('timeoutMs', timeoutMs);
      if (this.#waiting.size >= this.#options.inFlightMax) {
        throw ownError('TOO_MANY', `${this.#waiting.size} requests wait already`);
      }
      const id = this.#nextId();
      const [connection, data] = this.#encode(id, route, body);
      const finish = (): void => {
        cancel();
        signal?.removeEventListener('abort', abort);
        this.#waiting.delete(id);
      };
      const abort = (): void => {
        finish();
        reject(signal!.reason as Error);
      };
      const settle = (outcome: Received | ClientError): void => {
        finish();
        if (outcome instanceof ClientError) reject(outcome);
        else resolve(outcome);
      };
      const cancel = this.#options.clock.setTimer(timeoutMs, () => {
        settle(ownError('TIMEOUT', `${route} was not answered in ${timeoutMs} ms`));
      });
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.set(id, { route, settle });
      connection.send(data);
    });
  }

  /**
   * Sends without an answer.
   *
   * @throws {ClientError} NOT_OPEN, BUFFER_FULL, TOO_LONG, BAD_ROUTE, BAD_BODY.
   */
  notify(route: string, body?: unknown): void {
    const [connection, data] = this.#encode(0, route, body);
    connection.send(data);
  }

  /** True: a body for this route goes out in pomelo-protobuf, unless it is bytes. Known once open. */
  encodesProtobuf(route: string): boolean {
    return this.#connection?.encodesProtobuf(route) ?? false;
  }

  /** Calls the listener with the body of every push of a route; `*`: of all. */
  onPush<T = unknown>(route: string, listener: (body: T, push: Received) => void): Off {
    let listeners = this.#onPush.get(route);
    if (listeners === undefined) this.#onPush.set(route, (listeners = new Listeners()));
    return listeners.add(listener);
  }

  onState(listener: (change: StateChange) => void): Off {
    return this.#onState.add(listener);
  }

  /** The server ends the session on purpose; `closed` follows, or `reconnecting` if it named a time to come back. */
  onKick(listener: (kick: Kick) => void): Off {
    return this.#onKick.add(listener);
  }

  /** A message that was lost because it could not be read, and errors that belong to no request. */
  onError(listener: (error: ClientError) => void): Off {
    return this.#onError.add(listener);
  }

  /** Fails what waits with CLOSED, sends what is unsent, closes. Resolves when it is done, within a second. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closeThen(resolve);
    });
  }

  #closeThen(done: () => void): void {
    const why = ownError('CLOSED', 'the client was closed');
    const connection = this.#connection;
    this.#connection = null;
    this.#settleDown(why);
    if (this.#state !== 'closed') this.#become({ state: 'closed' });
    if (connection === null) done();
    else connection.close(why, done);
  }

  #dial(): void {
    this.#cancelRetry();
    const { dialect, sys } = this.#options;
    const connection: Connection = new Connection(
      {
        ...this.#options,
        url: this.url,
        learned: this.#learned,
        sys: { ...ownSys(dialect), ...sys },
      },
      {
        onOpen: (handshake) => {
          this.#handshake = handshake;
          this.#openedMs = this.#options.clock.now();
          this.#become({ state: 'open' });
          this.#answerCallers(null);
        },
        routeOf: (id) => this.#waiting.get(id)?.route,
        onAnswer: (id, answer) => {
          this.#waiting.get(id)?.settle(answer);
        },
        onPush: (push) => {
          this.#push(push);
        },
        onKick: (kick) => {
          this.#onKick.emit(kick);
        },
        onProblem: (error) => {
          this.#onError.emit(error);
        },
        onEnd: (error) => {
          if (this.#connection === connection) this.#ended(error);
        },
      },
    );
    this.#connection = connection;
    connection.open();
  }

  #ended(error: ClientError): void {
    this.#connection = null;
    this.#settleDown(error);
    if (this.#state === 'connecting') {
      this.#become({ state: 'closed', error });
      return;
    }
    const isStable = this.#options.clock.now() - this.#openedMs >= STABLE_MS;
    if (this.#state === 'open' && isStable) this.#backoff.reset();
    this.#comeBack(error);
  }

  #comeBack(error: ClientError): void {
    const waitMs = this.#mayComeBack(error) ? this.#backoff.next() : null;
    if (waitMs === null) {
      this.#become({ state: 'closed', error });
      return;
    }
    const retryInMs = Math.min(waitMs + error.retryAfterMs, NUMBER_MAX);
    this.#cancelRetry = this.#options.clock.setTimer(retryInMs, () => {
      this.#dial();
    });
    this.#become({ state: 'reconnecting', error, retryInMs });
  }

  #mayComeBack({ reason, code, body, retryAfterMs }: ClientError): boolean {
    if (this.#options.reconnect === false) return false;
    if (PASSING.includes(reason) || retryAfterMs > 0) return true;
    if (reason === 'KICKED') return isObject(body) && body['reason'] === DRAINING;
    return reason === 'REFUSED' && code === UNAVAILABLE;
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % ID_MAX) + 1;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }

  #encode(id: number, route: string, body: unknown): [Connection, Uint8Array | string] {
    const connection = this.#connection;
    if (connection === null || !connection.isOpen) {
      const why = this.#state === 'open' ? 'closing' : this.#state;
      throw ownError('NOT_OPEN', `there is no connection: ${why}`);
    }
    if (route === '') throw ownError('BAD_ROUTE', 'a route is expected');
    const data = connection.encode(id, route, body);
    const { bufferedBytes } = connection;
    if (bufferedBytes > 0 && bufferedBytes + data.length > this.#options.bufferedBytesMax) {
      throw ownError('BUFFER_FULL', `${bufferedBytes} bytes wait already`);
    }
    return [connection, data];
  }

  #push(push: Received): void {
    const listeners = [this.#onPush.get(push.route), this.#onPush.get('*')];
    // A body that nobody wants is not read.
    if (listeners.every((one) => one === undefined || one.size === 0)) return;
    let body: unknown;
    try {
      body = this.#options.raw ? push.bytes : push.body;
    } catch (error) {
      this.#onError.emit(error as ClientError);
      return;
    }
    for (const one of listeners) one?.emit(body as never, push);
  }

  /** Nothing and nobody waits any more. */
  #settleDown(why: ClientError): void {
    this.#cancelRetry();
    for (const { settle } of [...this.#waiting.values()]) settle(why);
    this.#answerCallers(why);
  }

  #answerCallers(error: ClientError | null): void {
    for (const answer of this.#callers.splice(0)) answer(error);
  }

  #become(change: StateChange): void {
    this.#state = change.state;
    this.#onState.emit(change);
  }
}

/** What the client says of itself, in the words that the dialect's servers read. */
function ownSys(dialect: Dialect): Record<string, unknown> {
  const [type, version] = ['pith-client', CLIENT_VERSION];
  return dialect === 'pitaya'
    ? { platform: type, libVersion: version, clientBuildNumber: '1', clientVersion: version }
    : { type, version };
}

function isFailure(body: unknown): boolean {
  if (!isObject(body)) return false;
  return Number(body['code']) >= 400 && typeof body['reason'] === 'string';
}
