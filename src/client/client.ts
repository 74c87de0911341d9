/**
 * A client for Pith, and for Pomelo's, Pinus's, Pitaya's and Nano's own servers, in browsers and Node: requests as
 * promises, pushes, and automatic reconnection. A request is sent at most once: it is never repeated automatically.
 */
import { Backoff, mayReconnect, STABLE_MS } from './backoff.ts';
import { ClientError, errorOfAnswer, isFailure, ownError } from './client-error.ts';
import { NUMBER_MAX } from './clock.ts';
import { Connection } from './connection.ts';
import { type Handshake, type Kick, ownSys } from './handshake.ts';
import { DefinitionCache } from './definition-cache.ts';
import { Listeners, type Off } from './listeners.ts';
import { ID_MAX } from './messages.ts';
import {
  type ClientOptions,
  expectInRange,
  type Options,
  type RequestOptions,
  withDefaults,
} from './options.ts';
import { movePlace, type Place, type Placed } from './place.ts';
import { Received } from './received.ts';
import type { ClientState, StateChange } from './state.ts';

export type { ReconnectOptions } from './backoff.ts';
export { ClientError, type OwnReason } from './client-error.ts';
export type { ClientClock } from './clock.ts';
export type { Handshake, Kick } from './handshake.ts';
export type { ClientCache } from './definition-cache.ts';
export type { Off } from './listeners.ts';
export type { ClientOptions, RequestOptions } from './options.ts';
export type { Received } from './received.ts';
export type { ClientState, StateChange } from './state.ts';
export type { Dial, Transport, TransportEvents } from './transport.ts';
export { webSocket, type WebSocketLike } from './websocket.ts';
export type { Dialect } from './wire.ts';

type PendingRequest = {
  readonly route: string;
  readonly settle: (outcome: Received | ClientError) => void;
};

export class PithClient {
  declare readonly url: string;
  readonly #options: Options;
  readonly #definitions: DefinitionCache;
  readonly #backoff: Backoff;
  readonly #pending = new Map<number, PendingRequest>();
  /** By route; `*`: all routes. */
  readonly #onPush = new Map<string, Listeners<[body: never, push: Received]>>();
  readonly #onState = new Listeners<[StateChange]>();
  readonly #onKick = new Listeners<[Kick]>();
  readonly #onError = new Listeners<[ClientError]>();
  #state: ClientState = 'idle';
  #connection: Connection | null = null;
  /** Pending calls of `connect()`. */
  readonly #callers: ((error: ClientError | null) => void)[] = [];
  #handshake: Handshake | null = null;
  #place: Place = { resume: '', cursor: 0 };
  #lastId = 0;
  #openedMs = 0;
  #cancelRetry: () => void = () => {};

  /**
   * @param url `ws://` or `wss://`; with `tcp()` as `dial`, `tcp://host:port` or `tls://host:port`.
   * @throws {RangeError} An option is out of range.
   */
  constructor(url: string, options: ClientOptions = {}) {
    this.url = url;
    this.#options = withDefaults(options);
    this.#definitions = new DefinitionCache(options.cache, url);
    this.#backoff = new Backoff(options.reconnect || {});
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The last handshake that was accepted; null: none yet. */
  get handshake(): Handshake | null {
    return this.#handshake;
  }

  /**
   * Connects; before the first success it tries only once. In `reconnecting` it tries immediately, which is useful when
   * a browser fires `online`. Resolves when open; rejects with a `ClientError`. Aborting closes the client.
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
        this.#setState({ state: 'connecting' });
      }
      // A listener may have closed it; an attempt may be in progress.
      if (this.#callers.length > 0 && this.#connection === null) this.#dial();
    });
  }

  /**
   * Sends a request and resolves with the answer's body. A Uint8Array is sent unchanged; if the server's protobuf
   * definitions cover the route, the body is encoded with them; otherwise it is sent as JSON, `{}` for none.
   *
   * Rejects with a `ClientError`: the server's error (flag or `error`; see also `throwOnError`), TIMEOUT, LOST as soon as
   * the connection is lost, NOT_OPEN without one, TOO_MANY, BUFFER_FULL, TOO_LONG, BAD_ROUTE, BAD_BODY.
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

  /** Like `request`, but resolves with any answer, errors included, and its bytes. */
  ask(route: string, body?: unknown, options: RequestOptions = {}): Promise<Received> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs = this.#options.timeoutMs } = options;
      signal?.throwIfAborted();
      expectInRange('timeoutMs', timeoutMs);
      if (this.#pending.size >= this.#options.inFlightMax) {
        throw ownError('TOO_MANY', `${this.#pending.size} requests are already pending`);
      }
      const id = this.#nextId();
      const [connection, data] = this.#encode(id, route, body);
      const settle = (outcome: Received | Error): void => {
        cancel();
        signal?.removeEventListener('abort', abort);
        this.#pending.delete(id);
        if (outcome instanceof Received) resolve(outcome);
        else reject(outcome);
      };
      const abort = (): void => {
        settle(signal!.reason as Error);
      };
      const cancel = this.#options.clock.setTimer(timeoutMs, () => {
        settle(ownError('TIMEOUT', `${route} was not answered in ${timeoutMs} ms`));
      });
      signal?.addEventListener('abort', abort, { once: true });
      this.#pending.set(id, { route, settle });
      connection.send(data);
    });
  }

  /**
   * Sends a message that is not answered.
   *
   * @throws {ClientError} NOT_OPEN, BUFFER_FULL, TOO_LONG, BAD_ROUTE, BAD_BODY.
   */
  notify(route: string, body?: unknown): void {
    const [connection, data] = this.#encode(0, route, body);
    connection.send(data);
  }

  /** True if a body for this route is sent as pomelo-protobuf, unless it is bytes. Known once open. */
  encodesProtobuf(route: string): boolean {
    return this.#connection?.encodesProtobuf(route) ?? false;
  }

  /** Calls the listener with the body of every push on a route; `*`: on all routes. */
  onPush<T = unknown>(route: string, listener: (body: T, push: Received) => void): Off {
    let listeners = this.#onPush.get(route);
    if (listeners === undefined) this.#onPush.set(route, (listeners = new Listeners()));
    return listeners.add(listener);
  }

  onState(listener: (change: StateChange) => void): Off {
    return this.#onState.add(listener);
  }

  /** The server is ending the session; `closed` follows, or `reconnecting` if it gave a time to retry or is draining. */
  onKick(listener: (kick: Kick) => void): Off {
    return this.#onKick.add(listener);
  }

  /** Messages that were lost because they could not be read, and errors that belong to no request. */
  onError(listener: (error: ClientError) => void): Off {
    return this.#onError.add(listener);
  }

  /** Fails pending requests with CLOSED, sends unsent data and closes. Resolves when done, within a second. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closeThen(resolve);
    });
  }

  #closeThen(done: () => void): void {
    const why = ownError('CLOSED', 'the client was closed');
    const connection = this.#connection;
    this.#connection = null;
    this.#failPending(why);
    if (this.#state !== 'closed') this.#setState({ state: 'closed' });
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
        definitions: this.#definitions,
        sys: { ...ownSys(dialect), ...sys },
        pith: this.#options.resume ? this.#place : undefined,
      },
      {
        onOpen: (handshake) => {
          this.#handshake = handshake;
          this.#openedMs = this.#options.clock.now();
          const { resume = '', resumed } = (handshake.user as Placed)?.pith ?? {};
          this.#place.resume = resume;
          this.#setState({ state: 'open', ...(resumed && { resumed }) });
          this.#answerCallers(null);
        },
        routeOf: (id) => this.#pending.get(id)?.route,
        onAnswer: (id, answer) => {
          this.#pending.get(id)?.settle(answer);
        },
        onPush: this.#push,
        onKick: this.#onKick.emit,
        onProblem: this.#onError.emit,
        onEnd: (error) => {
          if (this.#connection === connection) this.#onEnded(error);
        },
      },
    );
    this.#connection = connection;
    connection.open();
  }

  #onEnded(error: ClientError): void {
    this.#connection = null;
    this.#failPending(error);
    const { clock, reconnect } = this.#options;
    const isStable = clock.now() - this.#openedMs >= STABLE_MS;
    if (this.#state === 'open' && isStable) this.#backoff.reset();
    const isRetried = this.#state !== 'connecting' && reconnect && mayReconnect(error);
    const waitMs = isRetried ? this.#backoff.next() : null;
    if (waitMs === null) {
      this.#setState({ state: 'closed', error });
      return;
    }
    const retryInMs = Math.min(waitMs + error.retryAfterMs, NUMBER_MAX);
    this.#cancelRetry = clock.setTimer(retryInMs, () => {
      this.#dial();
    });
    this.#setState({ state: 'reconnecting', error, retryInMs });
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % ID_MAX) + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #encode(id: number, route: string, body: unknown): [Connection, Uint8Array | string] {
    const connection = this.#connection;
    if (connection === null || !connection.isOpen) {
      const why = this.#state === 'open' ? 'closing' : this.#state;
      throw ownError('NOT_OPEN', `not connected: ${why}`);
    }
    if (route === '') throw ownError('BAD_ROUTE', 'the route is empty');
    const data = connection.encode(id, route, body);
    const { bufferedBytes } = connection;
    if (bufferedBytes > 0 && bufferedBytes + data.length > this.#options.bufferedBytesMax) {
      throw ownError('BUFFER_FULL', `${bufferedBytes} bytes are already pending`);
    }
    return [connection, data];
  }

  readonly #push = (push: Received): void => {
    const listeners = [this.#onPush.get(push.route), this.#onPush.get('*')];
    let body: unknown;
    try {
      // A body without a listener is not decoded.
      if (movePlace(this.#place, push) || !listeners.some((one) => one?.size)) return;
      body = this.#options.raw ? push.bytes : push.body;
    } catch (error) {
      this.#onError.emit(error as ClientError);
      return;
    }
    for (const one of listeners) one?.emit(body as never, push);
  };

  /** Fails everything that is pending, and cancels a reconnection. */
  #failPending(why: ClientError): void {
    this.#cancelRetry();
    for (const { settle } of [...this.#pending.values()]) settle(why);
    this.#answerCallers(why);
  }

  #answerCallers(error: ClientError | null): void {
    for (const answer of this.#callers.splice(0)) answer(error);
  }

  #setState(change: StateChange): void {
    this.#state = change.state;
    // Whoever connects again after that has another session.
    if (change.state === 'closed') this.#place = { resume: '', cursor: 0 };
    this.#onState.emit(change);
  }
}
