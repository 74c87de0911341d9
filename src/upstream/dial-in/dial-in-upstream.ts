/**
 * A backend that cannot be dialled: its processes come to the gateway and open the Link themselves. They are the
 * endpoints of a pool as addresses are, but for what makes them come and go.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../../clock.ts';
import type { ClosedSession } from '../../contract/facts.ts';
import type { Random } from '../../random.ts';
import type { Lane } from '../../session/lane.ts';
import type { Call } from '../call.ts';
import { type ClientSpan, grpcSpan } from '../client-span.ts';
import { EndpointPool } from '../pool/endpoint-pool.ts';
import type { LinkParts, LinkTransport } from '../link/link-transport.ts';
import { type LinkSession, LinkUpstream, type LinkUpstreamOptions } from '../link/link-upstream.ts';
import { addressOf } from '../pool/pooled-session.ts';
import type { UpstreamInfo } from '../upstream.ts';
import type { AttachStream, Ending } from './attach-stream.ts';
import { AttachedLink } from './attached-link.ts';
import { Returning } from './returning.ts';

/** Links of one backend at a time; the next one is refused. */
export const ATTACHED_MAX = 64;
const STOPPING = 'the gateway is stopping';

export type DialInOptions = LinkUpstreamOptions & {
  readonly name: string;
  /** What a backend has to show; '': nothing. */
  readonly token: string;
  /** Milliseconds of silence after which a process that is attached is given up; 0: never. */
  readonly deadAfterMs: number;
  readonly clock: Clock;
  readonly random: Random;
};

export class DialInUpstream extends LinkUpstream {
  readonly name: string;
  readonly deadAfterMs: number;
  readonly #token: string;
  readonly #tokenDigest: Buffer;
  readonly #parts: LinkParts;
  readonly #returning: Returning;
  #closed = false;

  constructor(options: DialInOptions, parts: LinkParts) {
    const pool = new EndpointPool<LinkTransport>(
      {
        url: options.name,
        weights: {},
        links: 1,
        ageMs: 0,
        balance: options.balance,
        clock: options.clock,
        wheel: parts.wheel,
        random: options.random,
      },
      parts.commands.report,
      null,
    );
    super(pool, options);
    this.name = options.name;
    this.deadAfterMs = options.deadAfterMs;
    this.#token = options.token;
    this.#tokenDigest = digest(options.token);
    this.#parts = parts;
    this.#returning = new Returning(
      parts.wheel,
      parts.commands.report.waits('takeover'),
      (call) => {
        this.send(call);
      },
    );
  }

  // ---- those who had attached to the process before -------------------------------------------------------

  /** This process takes over from another: who had attached to that one will attach here. */
  awaitReturn(): void {
    this.#returning.begin();
  }

  override knownAt(lane: Lane, places: readonly string[]): void {
    this.#returning.expect(lane, places);
  }

  override send(call: Call): void {
    if (this.#returning.awaits(call.lane)) this.#returning.keep(call);
    else super.send(call);
  }

  protected override away(call: Call): void {
    this.#returning.keep(call);
  }

  override forget(backendSession: LinkSession, closed: ClosedSession): void {
    super.forget(backendSession, closed);
    this.#returning.ended(backendSession.lane, () => this.endOf(closed));
  }

  // ---- who may attach -------------------------------------------------------------------------------------

  /** Why a backend that shows `token` may not attach; null: it may. */
  refusalOf(token: string): Ending | null {
    const { name } = this;
    // Of equal length, so that the time it takes says nothing. Without a configured token any will do.
    if (this.#token !== '' && !timingSafeEqual(digest(token), this.#tokenDigest)) {
      const what = token === '' ? 'no token' : 'a wrong token';
      const text = `${what} for backend ${name}: send backends.${name}.dial_in.token in hello.token`;
      return { how: 'unauthenticated', text };
    }
    if (this.#closed) return { how: 'stopping', text: STOPPING };
    if (this.pool.list.length >= ATTACHED_MAX) {
      const text = `backend ${name} has ${ATTACHED_MAX} links already; end one of them`;
      return { how: 'full', text };
    }
    return null;
  }

  /** Takes a stream over. @param first Its first message, which begins with the hello. */
  attach(stream: AttachStream, first: Buffer): void {
    stream.watch(this.deadAfterMs);
    const endpoint = this.pool.attach(
      stream.peer,
      (owner) => new AttachedLink(owner, stream, this.#parts),
    );
    stream.take(first);
    if (!endpoint.serves) return;
    this.#returning.cameBack(
      endpoint.instance,
      (lane, places) => super.knownAt(lane, places),
      (event) => endpoint.transport.tell('closed', event),
    );
  }

  // ---- for the gateway ------------------------------------------------------------------------------------

  whereTo({ lane }: Call): Readonly<Record<string, string>> {
    return { method: '/pith.v1.Gateway/Attach', ...addressOf(lane) };
  }

  clientSpan(): ClientSpan {
    return grpcSpan('pith.v1.Gateway/Attach', {});
  }

  info(): UpstreamInfo {
    const { list } = this.pool;
    const healthy = list.filter(({ isWell }) => isWell).length;
    return { ...this.pool.count(), kind: 'dial_in', addresses: list.length, healthy };
  }

  close(ms: number): Promise<void> {
    this.#closed = true;
    this.#returning.end();
    return this.pool.close(ms, STOPPING);
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
