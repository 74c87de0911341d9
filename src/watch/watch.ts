/** One look at the packets of this gateway's sessions: which it shows, how many a second, and what of them. */
import type { Clock } from '../clock.ts';
import type { Target } from '../contract/commands.ts';
import { type Failure, isOwnReason } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import { refOf } from '../ref.ts';
import type { RelayCall } from '../relay/relay-call.ts';
import { isReserved } from '../routing/reserved.ts';
import { patternMatches } from '../routing/route-table.ts';
import type { Session } from '../session/session.ts';
import { encodeWatchEvent, type WatchEvent } from './watch-event.ts';

/** What is to be watched. */
export type WatchSpec = {
  /** Empty: every session. */
  readonly target: Target;
  /** Only messages of these routes, as in `match`; '': every packet. */
  readonly route: string;
  readonly bodies: boolean;
  /** Packets a second on each gateway. */
  readonly perSecond: number;
};

export type WatchParts = {
  readonly gatewayId: string;
  readonly clock: Clock;
  /** `admin.watch_bodies`, as it is now. */
  readonly mayShowBodies: () => boolean;
};

/** What is said of a packet or a session; the watch adds where and when. */
export type Shown = Omit<WatchEvent, 'gateway' | 'atWall'>;

/** The most packets a second that a watch may show of a gateway. */
export const PER_SECOND_MAX = 1_000;

const SECOND_MS = 1_000;
/** The code of an answer that is no error. */
const OK_CODE = 200;

export class Watch {
  readonly spec: WatchSpec;
  /** Its bit in the `watchers` of sessions and calls. */
  readonly bit: number;
  /** How many sessions it sees. */
  sessions = 0;
  readonly #parts: WatchParts;
  readonly #take: (event: Buffer) => void;
  readonly #selects: (session: Session) => boolean;
  readonly #startedAt: number;
  #secondSince: number;
  #inSecond = 0;
  #overRate = 0;

  /** @param take Is given each event, encoded. */
  constructor(
    spec: WatchSpec,
    bit: number,
    selects: (session: Session) => boolean,
    parts: WatchParts,
    take: (event: Buffer) => void,
  ) {
    this.spec = spec;
    this.bit = bit;
    this.#selects = selects;
    this.#parts = parts;
    this.#take = take;
    this.#startedAt = parts.clock.now();
    this.#secondSince = this.#startedAt;
  }

  // ---- sessions -------------------------------------------------------------------------------------------

  /** It is there, or is different now. @param tells Whether that is shown. */
  consider(session: Session, tells = true): void {
    const isSeen = (session.watchers & this.bit) !== 0;
    if (this.#selects(session) === isSeen) return;
    session.watchers ^= this.bit;
    this.sessions += isSeen ? -1 : 1;
    if (tells) this.packet(session, { kind: isSeen ? 'unseen' : 'seen' });
  }

  /** Something else than a message; with a route only messages are wanted. */
  packet(session: Session, shown: Shown): void {
    if (this.spec.route !== '' || !this.#mayShow()) return;
    this.#show(session, { ref: refOf(session.sid, 0), ...shown });
  }

  // ---- messages -------------------------------------------------------------------------------------------

  /** Whether it is shown, so that what becomes of it is, too. */
  received(call: RelayCall): boolean {
    const { session, clientRoute, body } = call;
    if (!this.#wants(clientRoute) || !this.#mayShow()) return false;
    this.#show(session, {
      ...messageOf(call),
      ...{ kind: call.wantsAnswer ? 'request' : 'notify', direction: 'in', bytes: body.length },
      ...this.#body(clientRoute, body),
    });
    return true;
  }

  refused(session: Session, message: Message, why: Failure, backend: string): void {
    if (!this.#wants(message.route) || !this.#mayShow()) return;
    const { kind, ...came } = cameOf(session, message);
    this.#show(session, { ...came, kind, bytes: message.body.length });
    const outcome = { ...failureOf(why), ...(backend !== '' && { backend }), tookMs: 0 };
    if (message.wantsAnswer) this.#show(session, { ...came, ...outcome, ...ANSWER });
    else this.#show(session, { ...came, ...outcome, ...DONE });
  }

  /** What the gateway itself answers holds secrets. */
  own(session: Session, message: Message): void {
    if (!this.#wants(message.route) || !this.#mayShow()) return;
    const note = 'answered by the gateway itself';
    const { sid } = session;
    const came = { ...cameOf(session, message), ref: refOf(sid, 0) };
    this.#show(session, { ...came, bytes: message.body.length, note });
  }

  answered(call: RelayCall, body: Uint8Array): void {
    if (!this.#followsUp(call)) return;
    this.#show(call.session, {
      ...this.#outcome(call),
      ...{ ...ANSWER, code: OK_CODE, bytes: body.length },
      ...this.#body(call.clientRoute, body),
    });
  }

  failed(call: RelayCall, why: Failure): void {
    if (!this.#followsUp(call)) return;
    const { body } = why;
    this.#show(call.session, {
      ...this.#outcome(call),
      ...{ ...ANSWER, ...failureOf(why, call.why) },
      ...(body !== null && { bytes: body.length, ...this.#body(call.clientRoute, body) }),
    });
  }

  /** @param outcome `ok`, or the reason. */
  done(call: RelayCall, outcome: string): void {
    if (!this.#followsUp(call)) return;
    const reason = outcome === 'ok' ? '' : outcome;
    this.#show(call.session, { ...this.#outcome(call), ...DONE, reason });
  }

  pushed(session: Session, route: string, body: Uint8Array, note: string): void {
    if (!this.#wants(route) || !this.#mayShow()) return;
    this.#show(session, {
      ...{ kind: 'push', direction: 'out', route, bytes: body.length, note },
      ...this.#body(route, body),
    });
  }

  /** An answer comes with its request; one whose request came before the watch counts by itself. */
  #followsUp(call: RelayCall): boolean {
    if ((call.watchers & this.bit) !== 0) return true;
    return call.startedAt < this.#startedAt && this.#wants(call.clientRoute) && this.#mayShow();
  }

  #outcome(call: RelayCall): Partial<Shown> {
    const { startedAt, turnAt, target, upstream, retries, state } = call;
    const { match: rule, backend } = target;
    const address = Object.values(upstream.whereTo?.(call) ?? {}).join(' ');
    const tookMs = this.#parts.clock.now() - startedAt;
    const waitedMs = state === 'waiting' ? tookMs : turnAt - startedAt;
    return { ...messageOf(call), rule, backend, address, waitedMs, tookMs, retries };
  }

  #wants(route: string): boolean {
    return this.spec.route === '' || patternMatches(this.spec.route, route);
  }

  #body(route: string, body: Uint8Array): { readonly body?: Uint8Array } {
    const isShown = this.spec.bodies && this.#parts.mayShowBodies() && !isReserved(route);
    return isShown ? { body } : {};
  }

  // ---- the stream -----------------------------------------------------------------------------------------

  /** Says what was left out so far. @param unread Events that could not be passed on. */
  tellSkipped(unread = 0): void {
    const overRate = this.#overRate;
    if (overRate + unread === 0) return;
    this.#overRate = 0;
    this.#give({ kind: 'skipped', overRate, unread });
  }

  #mayShow(): boolean {
    const now = this.#parts.clock.now();
    if (now - this.#secondSince >= SECOND_MS) {
      this.#secondSince = now;
      this.#inSecond = 0;
      this.tellSkipped();
    }
    if (this.#inSecond >= this.spec.perSecond) {
      this.#overRate++;
      return false;
    }
    this.#inSecond++;
    return true;
  }

  #show({ sid, uid }: Session, shown: Shown): void {
    this.#give({ sid, uid, ...shown });
  }

  #give(shown: Shown): void {
    const { gatewayId: gateway, clock } = this.#parts;
    this.#take(encodeWatchEvent({ gateway, atWall: clock.wallNow(), ...shown }));
  }
}

const ANSWER = { kind: 'response', direction: 'out' } as const;
const DONE = { kind: 'done', direction: '' } as const;

function messageOf({ session, clientRoute, rawId, seq, wantsAnswer }: RelayCall): Partial<Shown> {
  const id = wantsAnswer ? session.wire.idOf(rawId) : 0;
  return { ref: refOf(session.sid, seq), route: clientRoute, id };
}

/** A message that reached no backend: it has the last number. */
function cameOf(session: Session, { route, rawId, wantsAnswer }: Message): Shown {
  return {
    kind: wantsAnswer ? 'request' : 'notify',
    direction: 'in',
    ref: refOf(session.sid, session.seq),
    route,
    id: wantsAnswer ? session.wire.idOf(rawId) : 0,
  };
}

/** The words of a backend may be about the player, as its bodies are. */
function failureOf({ code, reason, message, detail }: Failure, cause = ''): Partial<Shown> {
  return { code, reason, note: isOwnReason(reason) ? cause || detail || message : '' };
}
