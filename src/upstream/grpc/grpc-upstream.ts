/**
 * A backend that serves `pith.v1.Backend`: which session goes which way. A session keeps to one way, that is to
 * one address and one link, while that serves, and moves only with nothing in flight, so an instance sees its
 * messages in order.
 */
import { type Failure, failure, isFailure } from '../../errors.ts';
import { hash, instanceFor } from '../../routing/route-table.ts';
import type { Lane } from '../../session/lane.ts';
import type { Session } from '../../session/session.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call } from '../call.ts';
import { type ClientSpan, grpcSpan, serverOf } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import { FactsCache } from '../facts-cache.ts';
import { Balancer, type Policy } from '../pool/balancer.ts';
import type { BackendCommands } from '../backend-commands.ts';
import { notAReply, takePush, takeVerb } from '../link/backend-commands.ts';
import {
  encodeClosed,
  encodeConnectOr,
  encodeSession,
  encodeSessionOr,
} from '../../contract/gateway-frames.ts';
import { UnaryCall } from './unary-calls.ts';
import type { Endpoint } from '../pool/endpoint.ts';
import { EndpointPool, type EndpointPoolOptions } from '../pool/endpoint-pool.ts';
import type { Accepted } from '../../contract/commands.ts';
import { type ClosedSession, forwarded, type SessionFacts } from '../../contract/facts.ts';
import { PooledSession } from '../pool/pooled-session.ts';

/** A backend may ask for more time once, by at most this. */
export const EXTEND_MS_MAX = 300_000;

export type GrpcUpstreamOptions = Omit<EndpointPoolOptions, 'spreads'> & {
  readonly name: string;
  readonly balance: Policy;
  /** With `hash`: `uid` or `data.<key>`; where that is empty the sid counts. */
  readonly hashBy: string;
};

class GrpcPeer extends PooledSession<Endpoint> {
  readonly facts = new FactsCache(factsOf);
  readonly #upstream: GrpcUpstream;

  constructor(lane: Lane, upstream: GrpcUpstream) {
    super(lane);
    this.#upstream = upstream;
  }

  forget(closed: ClosedSession): void {
    this.#upstream.forget(this, closed);
  }
}

export class GrpcUpstream implements Upstream {
  readonly #options: GrpcUpstreamOptions;
  readonly #commands: BackendCommands;
  readonly #balancer: Balancer;
  readonly #ways: EndpointPool;
  readonly #server: ClientSpan['attributes'];
  /** Compiled from `hashBy`; null: no hash. */
  readonly #key: readonly { readonly field: string }[] | null;

  constructor(options: GrpcUpstreamOptions, commands: BackendCommands, report: BackendReport) {
    const { balance, hashBy } = options;
    this.#options = options;
    this.#server = serverOf(options.url);
    this.#commands = commands;
    this.#balancer = new Balancer(balance);
    this.#key = balance === 'hash' ? [{ field: hashBy }] : null;
    const spreads = balance === 'round_robin' || balance === 'least_in_flight';
    this.#ways = new EndpointPool(
      { ...options, spreads },
      {
        convertBytesMax: commands.convertBytesMax,
        onState: (address, state, why) => {
          report.state(address, state, why);
        },
        onLateReply: () => {
          report.lateReply();
        },
        onTrouble: (kind, why) => {
          report.dropped('frame', why, kind);
        },
        onExtend: (call, timeoutMs) => {
          if (call.extended) return;
          call.extended = true;
          options.wheel.set(call, Math.min(timeoutMs, EXTEND_MS_MAX));
        },
        onPush: (link, id, push, bytes) => {
          takePush(this.#commands, { link, id, bytes }, push);
        },
        onVerb: (link, id, verb, bytes) => {
          takeVerb(this.#commands, { link, id, bytes }, verb);
        },
      },
    );
  }

  /** Handle calls have no order among themselves. */
  get oneAtATime(): boolean {
    return this.#ways.someHandle;
  }

  async start(): Promise<void> {
    await this.#ways.start();
  }

  send(call: Call): void {
    const peer = this.#peerOf(call.lane);
    const way = this.#wayFor(call, peer);
    if (way === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    const session = peer.facts.of(call);
    if (isFailure(session)) {
      call.fail(session);
      return;
    }
    way.send(call, {
      session,
      route: call.route,
      notify: !call.wantsAnswer,
      body: call.body,
      seq: call.seq,
      timeoutMs: call.leftMs(this.#options.wheel.now()),
      to: call.instance,
      trace: call.trace,
    });
  }

  async connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    const call = new ConnectCall(ask, this, this.#options.wheel, notAReply);
    const bytes = encodeConnectOr(ask);
    const isSayable = !isFailure(bytes);
    const peer = this.#peerOf(ask.lane);
    const way = call.ended || !isSayable ? null : this.#wayFor(call, peer);
    if (!isSayable) call.fail(bytes);
    else if (way === null) call.fail(failure('BACKEND_AWAY'));
    else way.connect(call, bytes);
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) {
      way?.sessions.forget(peer);
      peer.endpoint = null;
    }
    return outcome;
  }

  forget(peer: GrpcPeer, closed: ClosedSession): void {
    const place = peer.endpoint;
    peer.endpoint = null;
    const { session, reason, code, lastedMs } = closed;
    let event: Buffer | null = null;
    const told = new Set<string>();
    // First where its messages went; that may be given up already, and no longer listed.
    for (const way of place === null ? this.#ways.list : [place, ...this.#ways.list]) {
      if (!way.sessions.forget(peer)) continue;
      // Endpoints of one address usually lead to one instance, which hears of it once.
      const who = `${way.name} ${way.instance}`;
      if (told.has(who)) continue;
      told.add(who);
      event ??= encodeClosed({ session: encodeSession(session, null), reason, code, lastedMs });
      way.sessionClosed(event);
    }
  }

  whereTo(): Readonly<Record<string, string>> {
    return { method: `/pith.v1.Backend/${this.#ways.someHandle ? 'Handle' : 'Link'}` };
  }

  clientSpan({ pending }: Call): ClientSpan {
    // Decided with the endpoint: on a Link a request waits in its table, a notify nowhere.
    const method = pending instanceof UnaryCall ? 'Handle' : 'Link';
    return grpcSpan(`pith.v1.Backend/${method}`, this.#server);
  }

  info(): UpstreamInfo {
    return { kind: 'grpc', ...this.#ways.count() };
  }

  async close(ms: number): Promise<void> {
    await this.#ways.close(ms);
  }

  // ---- where to -----------------------------------------------------------------------------------------

  #peerOf(lane: Lane): GrpcPeer {
    return lane.peer instanceof GrpcPeer ? lane.peer : (lane.peer = new GrpcPeer(lane, this));
  }

  #wayFor(call: Call, peer: GrpcPeer): Endpoint | null {
    const place = peer.endpoint;
    if (call.instance !== '') {
      const named = this.#wayTo(call.instance, place, call.session);
      if (named !== null) return visit(named, call, peer);
      if (call.target.otherwise === 'error') return null;
    }
    if (place !== null && place.serves) {
      // What needs no order heeds a goaway at once; the rest moves when nothing is in flight.
      if (call.unordered && !place.welcomes) return visit(this.#pick(call) ?? place, call, peer);
      if (this.#key === null || !this.#moves(call, peer, place)) return place;
    }
    const next = this.#pick(call);
    // A notify may outlive its session, which nobody will forget a second time.
    if (next === null || call.session.state === 'closed') return next;
    place?.release(peer);
    next.take(peer);
    peer.version = call.session.version;
    peer.epoch = this.#ways.epoch;
    return next;
  }

  /** Several ways may lead to an instance: the session's own, or always the same one of the others. */
  #wayTo(instance: string, place: Endpoint | null, session: Session): Endpoint | null {
    if (place !== null && place.instance === instance && place.isOpen) return place;
    const { list } = this.#ways;
    const start = this.#options.links === 1 ? 0 : hash(session.sid) % Math.max(1, list.length);
    for (let i = 0; i < list.length; i++) {
      const way = list[(start + i) % list.length]!;
      if (way.instance === instance && way.isOpen) return way;
    }
    return null;
  }

  #pick(call: Call): Endpoint | null {
    return this.#balancer.pick(this.#ways.list, this.#keyOf(call.session));
  }

  #keyOf(session: Session): string {
    if (this.#key === null) return '';
    return instanceFor(this.#key, session) || session.sid;
  }

  /** True: the session's key, or the ways, have changed, so it belongs elsewhere, and may go there now. */
  #moves({ lane, session }: Call, peer: GrpcPeer, place: Endpoint): boolean {
    if (peer.version === session.version && peer.epoch === this.#ways.epoch) return false;
    peer.version = session.version;
    peer.epoch = this.#ways.epoch;
    const best = this.#balancer.pick(this.#ways.list, this.#keyOf(session));
    if (best === null || best === place) return false;
    // The message that asks is in flight itself.
    if (lane.inFlight <= 1) return true;
    lane.holdUntilEmpty(() => {
      place.release(peer);
    });
    return false;
  }
}

/** For this message only; but the backend will hear of the session's end. */
function visit(way: Endpoint, call: Call, peer: GrpcPeer): Endpoint {
  if (call.session.state !== 'closed') way.sessions.know(peer);
  return way;
}

function factsOf(session: SessionFacts, forward: readonly string[]): Buffer | Failure {
  return encodeSessionOr(session, forwarded(session.data, forward));
}
