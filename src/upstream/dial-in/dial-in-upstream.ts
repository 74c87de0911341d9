/**
 * A backend that cannot be dialled: its processes come to the gateway and open the Link themselves. A session
 * keeps to one of them while it is there, and moves only with nothing in flight.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

import { type Clock, within } from '../../clock.ts';
import { type Failure, failure, isFailure } from '../../errors.ts';
import { tooMuch } from '../../protocol/convert.ts';
import type { Lane } from '../../session/lane.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import type { Call } from '../call.ts';
import { type ClientSpan, grpcSpan } from '../client-span.ts';
import { ConnectCall } from '../connect-call.ts';
import type { BackendCommands } from '../backend-commands.ts';
import { notAReply, takePush, takeVerb } from '../link/backend-commands.ts';
import {
  encodeClosed,
  encodeConnectOr,
  encodeSession,
  encodeSessionOr,
} from '../../contract/gateway-frames.ts';
import type { ConnectAsk, Upstream, UpstreamInfo } from '../upstream.ts';
import { FactsCache } from '../facts-cache.ts';
import { PooledSession } from '../pool/pooled-session.ts';
import type { AttachStream, Ending } from './attach-stream.ts';
import { Attached, type AttachedEvents } from './attached.ts';
import type { Accepted } from '../../contract/commands.ts';
import { type ClosedSession, forwarded, type SessionFacts } from '../../contract/facts.ts';

/** Links of one backend at a time; the next one is refused. */
export const ATTACHED_MAX = 64;
/** A backend may ask for more time once, by at most this. */
const EXTEND_MS_MAX = 300_000;
const STOPPING = 'the gateway is stopping';

export type DialInOptions = {
  readonly name: string;
  /** What a backend has to show; '': nothing. */
  readonly token: string;
  /** Milliseconds of silence after which a process that is attached is given up; 0: never. */
  readonly deadAfterMs: number;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

class DialInPeer extends PooledSession<Attached> {
  readonly facts = new FactsCache(factsOf);
  readonly #upstream: DialInUpstream;

  constructor(lane: Lane, upstream: DialInUpstream) {
    super(lane);
    this.#upstream = upstream;
  }

  forget(closed: ClosedSession): void {
    this.#upstream.forget(this, closed);
  }
}

export class DialInUpstream implements Upstream {
  readonly oneAtATime = false;
  readonly #options: DialInOptions;
  readonly #commands: BackendCommands;
  readonly #report: BackendReport;
  readonly #tokenDigest: Buffer;
  readonly #attachedEvents: AttachedEvents;
  #attached: Attached[] = [];
  #turn = 0;
  #closed = false;

  constructor(options: DialInOptions, commands: BackendCommands, report: BackendReport) {
    this.#options = options;
    this.#commands = commands;
    this.#report = report;
    this.#tokenDigest = digest(options.token);
    this.#attachedEvents = this.#makeEvents();
  }

  get name(): string {
    return this.#options.name;
  }

  get deadAfterMs(): number {
    return this.#options.deadAfterMs;
  }

  /** Backends come when they come. */
  async start(): Promise<void> {}

  // ---- the door -------------------------------------------------------------------------------------------

  /** Why a backend that shows `token` may not attach; null: it may. */
  refusalOf(token: string): Ending | null {
    const { name } = this.#options;
    // Of equal length, so that the time it takes says nothing. Without a configured token any will do.
    if (this.#options.token !== '' && !timingSafeEqual(digest(token), this.#tokenDigest)) {
      const what = token === '' ? 'no token' : 'a wrong token';
      const text = `${what} for backend ${name}: send backends.${name}.dial_in.token in hello.token`;
      return { how: 'unauthenticated', text };
    }
    if (this.#closed) return { how: 'stopping', text: STOPPING };
    if (this.#attached.length >= ATTACHED_MAX) {
      const text = `backend ${name} has ${ATTACHED_MAX} links already; end one of them`;
      return { how: 'full', text };
    }
    return null;
  }

  /** Takes a stream over. @param first Its first message, which begins with the hello. */
  attach(stream: AttachStream, first: Buffer): void {
    const { gatewayId, version, wheel } = this.#options;
    const attached = new Attached(stream, wheel, this.#attachedEvents);
    stream.watch(this.#options.deadAfterMs);
    this.#attached.push(attached);
    attached.link.hello(gatewayId, version);
    stream.take(first);
  }

  // ---- messages -------------------------------------------------------------------------------------------

  send(call: Call): void {
    const peer = this.#peerOf(call.lane);
    const attached = this.#placeFor(call, peer);
    if (attached === null) {
      call.fail(failure('BACKEND_AWAY'));
      return;
    }
    if (call.body.length > attached.bodyBytesMax) {
      call.fail(tooMuch('BAD_BODY', 'the body', call.body.length, attached.bodyBytesMax));
      return;
    }
    const session = peer.facts.of(call);
    if (isFailure(session)) {
      call.fail(session);
      return;
    }
    attached.link.request(call, {
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
    const attached = call.ended || !isSayable ? null : this.#placeFor(call, peer);
    if (!isSayable) call.fail(bytes);
    else if (attached === null) call.fail(failure('BACKEND_AWAY'));
    else attached.link.connect(call, bytes);
    const outcome = await call.outcome;
    // A session that a backend has refused was never its own: it does not hear of the end.
    if (call.refused && !ask.refresh) {
      attached?.sessions.forget(peer);
      peer.endpoint = null;
    }
    return outcome;
  }

  forget(peer: DialInPeer, { session, reason, code, lastedMs }: ClosedSession): void {
    peer.endpoint = null;
    let event: Buffer | null = null;
    for (const attached of this.#attached) {
      if (!attached.sessions.forget(peer)) continue;
      event ??= encodeClosed({ session: encodeSession(session, null), reason, code, lastedMs });
      attached.sessionClosed(event);
    }
  }

  whereTo(): Readonly<Record<string, string>> {
    return { method: '/pith.v1.Gateway/Attach' };
  }

  clientSpan(): ClientSpan {
    return grpcSpan('pith.v1.Gateway/Attach', {});
  }

  info(): UpstreamInfo {
    const healthy = this.#attached.filter(({ serves }) => serves).length;
    return { kind: 'dial_in', addresses: this.#attached.length, healthy };
  }

  async close(ms: number): Promise<void> {
    this.#closed = true;
    const all = [...this.#attached];
    for (const attached of all) attached.stop(STOPPING);
    const ended = Promise.all(all.map((attached) => attached.ended));
    await within(this.#options.clock, ms, ended, []);
    for (const attached of all) attached.destroy(STOPPING);
  }

  // ---- where to -------------------------------------------------------------------------------------------

  #peerOf(lane: Lane): DialInPeer {
    return lane.peer instanceof DialInPeer ? lane.peer : (lane.peer = new DialInPeer(lane, this));
  }

  #placeFor(call: Call, peer: DialInPeer): Attached | null {
    if (call.instance !== '') {
      const named = this.#attached.find(
        (attached) => attached.welcomes && attached.instance === call.instance,
      );
      if (named !== undefined) return visit(named, call, peer);
      if (call.target.otherwise === 'error') return null;
    }
    const place = peer.endpoint;
    if (place !== null && place.serves) {
      // What needs no order heeds a goaway at once; the rest moves when nothing is in flight.
      const elsewhere = call.unordered && !place.welcomes ? this.#next() : null;
      return elsewhere === null ? place : visit(elsewhere, call, peer);
    }
    const next = this.#next();
    // A notify may outlive its session, which nobody will forget a second time.
    if (next === null || call.session.state === 'closed') return next;
    place?.sessions.forget(peer);
    peer.endpoint = next;
    next.sessions.add(peer);
    return next;
  }

  /** Round robin over those that take new sessions. */
  #next(): Attached | null {
    const all = this.#attached;
    for (let i = 0; i < all.length; i++) {
      const attached = all[(this.#turn + i) % all.length]!;
      if (!attached.welcomes) continue;
      this.#turn = (this.#turn + i + 1) % all.length;
      return attached;
    }
    return null;
  }

  // ---- what attached backends say -------------------------------------------------------------------------

  #makeEvents(): AttachedEvents {
    return {
      convertBytesMax: this.#commands.convertBytesMax,
      onAttached: ({ peer, instance }) => {
        this.#report.state(peer, 'attached', instance === '' ? '' : `instance ${instance}`);
      },
      onLeaving: ({ peer }, why) => {
        this.#report.state(peer, 'leaving', why);
      },
      onEnd: (attached, why) => {
        this.#attached = this.#attached.filter((other) => other !== attached);
        this.#report.state(attached.peer, 'away', why);
      },
      onLateReply: () => {
        this.#report.lateReply();
      },
      onTrouble: (kind, why) => {
        this.#report.dropped('frame', why, kind);
      },
      onExtend: (call, timeoutMs) => {
        if (call.extended) return;
        call.extended = true;
        this.#options.wheel.set(call, Math.min(timeoutMs, EXTEND_MS_MAX));
      },
      onPush: (link, id, push, bytes) => {
        takePush(this.#commands, { link, id, bytes }, push);
      },
      onVerb: (link, id, verb, bytes) => {
        takeVerb(this.#commands, { link, id, bytes }, verb);
      },
    };
  }
}

/** For this message only; but the backend will hear of the session's end. */
function visit(attached: Attached, call: Call, peer: DialInPeer): Attached {
  if (call.session.state !== 'closed') attached.sessions.know(peer);
  return attached;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function factsOf(session: SessionFacts, forward: readonly string[]): Buffer | Failure {
  return encodeSessionOr(session, forwarded(session.data, forward));
}
