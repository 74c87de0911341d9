/** A backend that serves `pith.v1`, whichever side opened the connections to it. */
import { encodeClosed, encodeLost } from '../../contract/event-frames.ts';
import { encodeConnectOr, encodeSessionOr } from '../../contract/gateway-frames.ts';
import type { Accepted } from '../../contract/commands.ts';
import {
  type ClosedSession,
  forwarded,
  type LostGateway,
  type SessionFacts,
} from '../../contract/facts.ts';
import { type Failure, failure, isFailure } from '../../errors.ts';
import type { Lane } from '../../session/lane.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import type { ClientSpan } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import { FactsCache } from '../facts-cache.ts';
import type { EndpointPool } from '../pool/endpoint-pool.ts';
import { PooledSession } from '../pool/pooled-session.ts';
import { type AffinityOptions, oneOfEach, SessionAffinity } from '../pool/session-affinity.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import type { LinkTransport } from './link-transport.ts';

export class LinkSession extends PooledSession<LinkTransport> {
  readonly facts = new FactsCache(factsOf);
  readonly #upstream: LinkUpstream;

  constructor(lane: Lane, upstream: LinkUpstream) {
    super(lane);
    this.#upstream = upstream;
  }

  get places(): readonly string[] {
    return this.#upstream.placesOf(this);
  }

  forget(closed: ClosedSession): void {
    this.#upstream.forget(this, closed);
  }
}

export type LinkUpstreamOptions = AffinityOptions & {
  /** Keys of a session's data that its end tells; absent: none. */
  readonly closedData?: () => readonly string[];
};

export abstract class LinkUpstream implements Upstream {
  protected readonly pool: EndpointPool<LinkTransport>;
  readonly #affinity: SessionAffinity<LinkTransport>;
  readonly #wheel: TimerWheel;
  readonly #closedData: () => readonly string[];

  constructor(pool: EndpointPool<LinkTransport>, options: LinkUpstreamOptions) {
    this.pool = pool;
    this.#closedData = options.closedData ?? (() => []);
    this.#wheel = pool.wheel;
    this.#affinity = new SessionAffinity(options, pool);
  }

  get oneAtATime(): boolean {
    return !this.pool.keepsOrder;
  }

  abstract clientSpan(call: Call): ClientSpan;
  abstract whereTo(call: Call): Readonly<Record<string, string>>;
  abstract info(): UpstreamInfo;

  start(): Promise<void> {
    return this.pool.start();
  }

  send(call: Call): void {
    const backendSession = this.#sessionOf(call.lane);
    const endpoint = this.#affinity.endpointFor(call, backendSession);
    if (endpoint === null) {
      this.away(call);
      return;
    }
    const what = call instanceof ConnectCall ? call.encoded : backendSession.facts.of(call);
    if (isFailure(what)) call.fail(what);
    else endpoint.transport.carrier.request(call, what);
  }

  /** There is nowhere to send it. */
  protected away(call: Call): void {
    call.fail(failure('BACKEND_AWAY'));
  }

  async connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#wheel, notAReply);
    const request = encodeConnectOr(ask);
    if (isFailure(request)) call.fail(request);
    else if (!call.ended) {
      call.encoded = request;
      this.send(call);
    }
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) {
      const backendSession = this.#sessionOf(ask.lane);
      backendSession.endpoint?.sessions.forget(backendSession);
      backendSession.endpoint = null;
    }
    return outcome;
  }

  placesOf(backendSession: LinkSession): readonly string[] {
    return this.#affinity.placesOf(backendSession);
  }

  knownAt(lane: Lane, places: readonly string[]): void {
    this.#affinity.keepTo(this.#sessionOf(lane), places);
  }

  forget(backendSession: LinkSession, closed: ClosedSession): void {
    const had = this.#affinity.forget(backendSession);
    if (had.length === 0) return;
    const event = this.endOf(closed);
    for (const { transport } of had) transport.tell('closed', event);
  }

  protected endOf(closed: ClosedSession): Buffer {
    return encodeClosed(closed, this.#closedData());
  }

  gatewayLost(lost: LostGateway, isSpeaker: boolean): void {
    const event = encodeLost(lost);
    // Those that are dialled are so by every gateway; one that has attached may be attached here alone.
    const told = this.pool.list.filter(
      ({ serves, spec }) => serves && (isSpeaker || !spec.isDialled),
    );
    for (const { transport } of oneOfEach(told)) transport.tell('lost', event);
  }

  abstract close(ms: number): Promise<void>;

  #sessionOf(lane: Lane): LinkSession {
    return lane.backendSession instanceof LinkSession
      ? lane.backendSession
      : (lane.backendSession = new LinkSession(lane, this));
  }
}

function factsOf(session: SessionFacts, forward: readonly string[]): Buffer | Failure {
  return encodeSessionOr(session, forwarded(session.data, forward));
}

/** On a Link the answer to Connect is a frame of its own. */
function notAReply(): Failure {
  return failure('BAD_REPLY', 'the backend answered Connect as if it were a request');
}
