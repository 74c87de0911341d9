/**
 * A backend on HTTP/1.1: one POST a message, over connections that are kept. What breaks is answered and never sent
 * again from here: the backend may have had it.
 */
import { Pool } from './undici.ts';

import { type Clock, within } from '../../clock.ts';
import { closedEventJson, lostJson } from '../../contract/event-json.ts';
import { connectJson, readConnectResponse } from '../../contract/json-shapes.ts';
import { type Failure, failure } from '../../errors.ts';
import { PACKET_BODY_BYTES_MAX } from '../../protocol/packet.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { ClientTls } from '../../transport/pem.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call, PendingCall } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import { type ConnectAsk, oneAddress, type Upstream, type UpstreamInfo } from '../upstream.ts';
import { CLOSED_IN_FLIGHT_MAX, ClosedEvents } from './closed-events.ts';
import { Exchange, type ExchangeLimits, ByteBudget, type Phase } from './exchange.ts';
import { connectorOf } from './interim.ts';
import { HttpAnswers } from './http-answers.ts';
import type { Lane } from '../../session/lane.ts';
import { HttpSessions } from './http-sessions.ts';
import { Paths } from './path.ts';
import { type Pairs, RequestHeaders } from './request-headers.ts';
import type { Trouble, Where } from './trouble.ts';
import { CallQueue } from '../call-queue.ts';
import type { Accepted } from '../../contract/commands.ts';
import type { ClosedSession, LostGateway } from '../../contract/facts.ts';

/** Requests in flight to one backend; each has a connection. */
export const HTTP_CONNECTIONS_MAX = 256;
/** Bytes of requests that wait for a connection; beyond it they are refused. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of answers that have begun and are not complete. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of an answer's headers. */
const HEADERS_BYTES_MAX = 64 * 1024;
const CONNECT_WAIT_MS = 5_000;
/**
 * How long an idle connection is kept, unless the backend says less in Keep-Alive: less than the shortest that is
 * common for servers (gunicorn: 2 s), so that none closes it just as we send. It is never longer, so that a backend
 * which says `Connection: close` for 2 s knows that no connection is left on which something may come.
 */
export const IDLE_MS = 1_500;
/** How long a busy connection is used: instances behind the same address get their share after that, wherever it leads by then. */
export const CONNECTION_MS = 60_000;

export type HttpUpstreamOptions = {
  readonly name: string;
  /** http or https; a path stands before all others. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: ClientTls;
  /** Keys of a session's data that its end tells; absent: none. */
  readonly closedData?: () => readonly string[];
  /** Bytes of an answer to Connect, which is parsed: `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

/** A request, and whom its answer is for. */
class CallExchange extends Exchange implements PendingCall {
  readonly call: Call;
  readonly #upstream: HttpUpstream;

  constructor(call: Call, upstream: HttpUpstream, where: Where, limits: ExchangeLimits) {
    super(where, limits);
    this.call = call;
    this.#upstream = upstream;
  }

  protected answered(): void {
    this.#upstream.answered(this);
  }

  protected failed(trouble: Trouble): void {
    this.#upstream.failed(this, trouble);
  }

  cancel(call: Call): void {
    call.pending = null;
    this.#upstream.cancelled(call, this.phase);
    this.abort();
  }
}

export class HttpUpstream implements Upstream, PendingCall {
  /** Requests over several connections have no order among themselves. */
  readonly oneAtATime = true;
  readonly #options: HttpUpstreamOptions;
  readonly #report: BackendReport;
  readonly #where: Where;
  readonly #pool: Pool;
  readonly #server: ClientSpan['attributes'];
  readonly #paths: Paths;
  readonly #headers: RequestHeaders;
  readonly #sessions: HttpSessions;
  readonly #answers: HttpAnswers;
  readonly #closedEvents: ClosedEvents;
  readonly #lostEvents: ClosedEvents;
  readonly #limits: ExchangeLimits = {
    answerBytesMax: PACKET_BODY_BYTES_MAX,
    held: new ByteBudget(HELD_BYTES_MAX),
  };
  readonly #waiting: CallQueue;
  #inFlight = 0;
  #starting = false;
  #away = false;
  /** Why it is away; '': it is not. */
  #why = '';
  #onIdle: () => void = () => {};

  constructor(options: HttpUpstreamOptions, report: BackendReport) {
    const { origin, pathname, hostname, port, protocol } = new URL(options.url);
    this.#options = options;
    this.#report = report;
    this.#waiting = new CallQueue(WAITING_BYTES_MAX, Infinity, report.waits('connection'));
    this.#where = { key: `backends.${options.name}.http`, url: origin };
    this.#server = {
      'server.address': hostname,
      'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
    };
    this.#paths = new Paths(pathname);
    this.#headers = new RequestHeaders(options.headers);
    this.#sessions = new HttpSessions(this, this.#headers);
    this.#answers = new HttpAnswers(this.#where, options.clock, report);
    this.#pool = new Pool(origin, {
      connections: HTTP_CONNECTIONS_MAX + CLOSED_IN_FLIGHT_MAX,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      clientTtl: CONNECTION_MS,
      maxHeaderSize: HEADERS_BYTES_MAX,
      // Each call has its own deadline, and ends by it.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: connectorOf({
        allowH2: false,
        timeout: CONNECT_WAIT_MS,
        ...options.tls,
      }),
    });
    const eventsParts = {
      ...{ pool: this.#pool, headers: this.#headers.own, where: this.#where },
      ...{ wheel: options.wheel, report },
    };
    this.#closedEvents = new ClosedEvents({
      ...eventsParts,
      path: this.#paths.own('/pith/closed'),
    });
    this.#lostEvents = new ClosedEvents({ ...eventsParts, path: this.#paths.own('/pith/lost') });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  send(call: Call): void {
    if (!(call instanceof ConnectCall)) {
      const path = this.#paths.of(call.route, call.target.path);
      if (this.#paths.isOwn(path)) {
        call.fail({ ...failure('NO_ROUTE'), detail: `${path} is the gateway's own path` });
        return;
      }
    }
    if (call.session.state !== 'closed') this.#sessions.of(call.lane).isKnown = true;
    if (this.#inFlight < HTTP_CONNECTIONS_MAX && this.#waiting.size === 0) {
      this.#dispatch(call);
    } else if (!this.#waiting.add(call, this, null)) {
      call.fail(failure('OVERLOADED', 'the backend is busy and its queue is full'));
    }
  }

  /** One that waits for a connection. */
  cancel(call: Call): void {
    this.#waiting.remove(call);
    this.cancelled(call, 'busy');
  }

  async connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#options.wheel, (body) =>
      readConnectResponse(body, this.#options.convertBytesMax),
    );
    call.route = 'pith.connect';
    if (!call.ended) {
      call.body = Buffer.from(JSON.stringify(connectJson(ask)));
      this.send(call);
    }
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) ask.lane.backendSession = null;
    return outcome;
  }

  knownAt(lane: Lane): void {
    this.#sessions.of(lane).isKnown = true;
  }

  tellClosed(closed: ClosedSession): void {
    this.#closedEvents.tell(() => closedEventJson(closed, this.#options.closedData?.() ?? []));
  }

  gatewayLost(lost: LostGateway, isSpeaker: boolean): void {
    if (isSpeaker) this.#lostEvents.tell(() => JSON.stringify(lostJson(lost)));
  }

  whereTo({ route, target }: Call): Readonly<Record<string, string>> {
    return { path: this.#where.url + this.#paths.of(route, target.path) };
  }

  clientSpan({ route, target }: Call): ClientSpan {
    const template = target.path === '' ? '' : this.#paths.own(target.path);
    return {
      name: template === '' ? 'POST' : `POST ${template}`,
      attributes: {
        'http.request.method': 'POST',
        'url.full': this.#where.url + this.#paths.of(route, target.path),
        ...(template !== '' && { 'url.template': template }),
        ...this.#server,
      },
    };
  }

  info(): UpstreamInfo {
    const { url: address } = this.#options;
    const [state, why, inFlight] = [this.#away ? 'away' : 'up', this.#why, this.#inFlight];
    return {
      kind: 'http',
      ...oneAddress({ address, state, why, inFlight, isHealthy: !this.#away }),
    };
  }

  async close(ms: number): Promise<void> {
    const quiet = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#inFlight === 0) resolve();
    });
    const all = Promise.all([quiet, this.#closedEvents.idle(), this.#lostEvents.idle()]).then(
      () => {},
    );
    await within(this.#options.clock, ms, all, undefined);
    this.#closedEvents.stop();
    this.#lostEvents.stop();
    await this.#pool.destroy();
  }

  /** Says what was missing, if it was its time that ended it. */
  cancelled(call: Call, phase: Phase | 'busy'): void {
    if (this.#options.wheel.now() < call.deadline) return;
    const ms = Math.round(call.deadline - call.startedAt);
    const why = `no answer from ${this.#where.url} in ${ms} ms: ${LATE[phase]}`;
    this.#report.trouble(call, `late ${phase}`, { reason: 'TIMEOUT', route: call.route }, why);
  }

  // ---- one request --------------------------------------------------------------------------------------

  #dispatch(call: Call): void {
    const exchange = new CallExchange(call, this, this.#where, this.#limits);
    call.pending = exchange;
    this.#inFlight++;
    const headers = this.#headersOf(call) as string[];
    this.#pool.dispatch(
      { method: 'POST', path: this.#pathOf(call), headers, body: call.body },
      exchange,
    );
  }

  #pathOf(call: Call): string {
    return call instanceof ConnectCall
      ? this.#paths.own('/pith/connect')
      : this.#paths.of(call.route, call.target.path);
  }

  #headersOf(call: Call): Pairs {
    const leftMs = call.leftMs(this.#options.wheel.now());
    return call instanceof ConnectCall
      ? [...this.#headers.own, 'Pith-Timeout-Ms', String(leftMs)]
      : this.#headers.of(call, this.#sessions.of(call.lane).headers.of(call), leftMs);
  }

  /** All of an answer is here. */
  answered(exchange: CallExchange): void {
    this.#setAway(null);
    const { call } = exchange;
    if (call.pending === exchange) {
      call.pending = null;
      call.trace?.tell('http.response.status_code', exchange.status);
      this.#answers.end(call, exchange, this.#pathOf(call));
    }
    this.#over();
  }

  /** There is no answer. */
  failed(exchange: CallExchange, trouble: Trouble): void {
    if (trouble.away && !exchange.cancelled) this.#setAway(trouble.why);
    const { call } = exchange;
    if (call.pending === exchange) {
      call.pending = null;
      if (exchange.status > 0) call.trace?.tell('http.response.status_code', exchange.status);
      this.#answers.fail(call, trouble);
    }
    this.#over();
  }

  /** A connection is free: what waits longest gets it. */
  #over(): void {
    this.#inFlight--;
    if (this.#starting) return;
    this.#starting = true;
    while (this.#inFlight < HTTP_CONNECTIONS_MAX) {
      const next = this.#waiting.take();
      if (next === null) break;
      this.#dispatch(next.call);
    }
    this.#starting = false;
    if (this.#inFlight === 0) this.#onIdle();
  }

  #setAway(why: string | null): void {
    if ((why !== null) === this.#away) return;
    this.#away = why !== null;
    this.#why = why ?? '';
    this.#report.state(this.#options.url, this.#away ? 'away' : 'connected', why ?? 'it answers');
  }
}

/** What was missing when the time was up. */
const LATE: Readonly<Record<Phase | 'busy', string>> = {
  busy: `all ${HTTP_CONNECTIONS_MAX} connections were busy`,
  unsent: 'there was no connection yet',
  sent: 'nothing came',
  begun: 'its head was not complete',
  headed: 'it began and did not end: one body is needed, no stream',
};
