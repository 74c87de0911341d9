/** The watches on this gateway: for its own callers, and for those of other gateways. */
import { inBackground } from '../background.ts';
import { nextTurn } from '../clock.ts';
import { namesNobody, type Push, type Target } from '../contract/commands.ts';
import type { Failure } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import { PacketType } from '../protocol/packet.ts';
import type { MessageWatch } from '../relay/message-watch.ts';
import type { RelayCall } from '../relay/relay-call.ts';
import { CLOSE_REASONS } from '../session/close-reason.ts';
import { matcherOf } from '../session/changes.ts';
import type { PacketWatch, PlainPacket, PushFate } from '../session/packet-watch.ts';
import type { Registry } from '../session/registry.ts';
import type { SessionEnd } from '../session/session-report.ts';
import type { Session } from '../session/session.ts';
import type { Drop } from '../session/state.ts';
import { Watch, type WatchParts, type WatchSpec } from './watch.ts';

/** Watches at once: a session has a bit for each. */
export const WATCHES_MAX = 30;
/** Sessions that are looked at in one turn of the event loop when a watch of all begins. */
const SESSIONS_PER_TURN = 2_000;

const PACKETS: Readonly<Record<number, PlainPacket>> = {
  [PacketType.HANDSHAKE]: 'handshake',
  [PacketType.HANDSHAKE_ACK]: 'handshake_ack',
  [PacketType.HEARTBEAT]: 'heartbeat',
};

const FATES: Readonly<Record<PushFate, string>> = {
  taken: '',
  dropped: 'dropped: the client reads too slowly',
  full: 'not sent: no room in the outbox',
  closed: 'not sent: the session is closed',
  unencodable: 'not sent: it cannot be encoded for this client',
};

export type WatchesParts = WatchParts & { readonly registry: Registry };

export class Watches implements PacketWatch, MessageWatch {
  isOn = false;
  readonly #parts: WatchesParts;
  /** By the number of its bit. */
  readonly #watches: (Watch | null)[] = Array.from({ length: WATCHES_MAX }, () => null);

  constructor(parts: WatchesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#watches.filter((watch) => watch !== null).length;
  }

  /** null: there are enough. @param take Is given each event, encoded; it must not end the watch. */
  begin(spec: WatchSpec, take: (event: Buffer) => void): Watch | null {
    const slot = this.#watches.indexOf(null);
    if (slot < 0) return null;
    const watch = new Watch(spec, 1 << slot, selectorOf(spec.target), this.#parts, take);
    this.#watches[slot] = watch;
    this.isOn = true;
    inBackground(this.#lookAtAll(watch, slot), () => {});
    return watch;
  }

  /** Harmless when it has ended. */
  end(watch: Watch): void {
    const slot = this.#watches.indexOf(watch);
    if (slot < 0) return;
    this.#watches[slot] = null;
    this.isOn = this.#watches.some((one) => one !== null);
    for (const session of this.#parts.registry.all()) session.watchers &= ~watch.bit;
  }

  /** Those that come meanwhile are considered when they do. */
  async #lookAtAll(watch: Watch, slot: number): Promise<void> {
    const { registry, clock } = this.#parts;
    const { target } = watch.spec;
    // Of all, those that are there already would be all that it shows at first.
    const tells = !isOfAll(target);
    let looked = 0;
    for (const session of registry.all()) {
      watch.consider(session, tells);
      if (++looked % SESSIONS_PER_TURN > 0) continue;
      await nextTurn(clock);
      if (this.#watches[slot] !== watch) return;
    }
  }

  /** Those whose bit is set. */
  #of(bits: number): Watch[] {
    return this.#watches.filter((watch): watch is Watch => ((watch?.bit ?? 0) & bits) !== 0);
  }

  // ---- what they are told ---------------------------------------------------------------------------------

  consider(session: Session): void {
    if (session.state === 'closed') return;
    for (const watch of this.#watches) watch?.consider(session);
  }

  came(session: Session, type: number, bytes: number): void {
    const kind = PACKETS[type];
    if (kind === undefined) return;
    const shown = { kind, direction: 'in', ...(kind === 'handshake' && { bytes }) } as const;
    for (const watch of this.#of(session.watchers)) watch.packet(session, shown);
  }

  went(session: Session, kind: PlainPacket): void {
    const code = kind === 'handshake' ? { code: 200 } : {};
    for (const watch of this.#of(session.watchers))
      watch.packet(session, { kind, direction: 'out', ...code });
  }

  dropped(session: Session, why: Drop): void {
    for (const watch of this.#of(session.watchers))
      watch.packet(session, { kind: 'unreadable', direction: 'in', reason: why });
  }

  pushed(session: Session, { route, body }: Push, fate: PushFate): void {
    for (const watch of this.#of(session.watchers)) watch.pushed(session, route, body, FATES[fate]);
  }

  closed(session: Session, { reason, details, cause, lastedMs: tookMs }: SessionEnd): void {
    const code = details.code || CLOSE_REASONS[reason].webSocketCode;
    const note = [details.text, cause].filter((text) => text !== '').join(': ');
    for (const watch of this.#of(session.watchers)) {
      watch.packet(session, { kind: 'closed', reason, code, note, tookMs });
      watch.sessions--;
    }
    session.watchers = 0;
  }

  received(call: RelayCall): void {
    for (const watch of this.#of(call.session.watchers))
      if (watch.received(call)) call.watchers |= watch.bit;
  }

  refused(session: Session, message: Message, why: Failure, backend: string): void {
    for (const watch of this.#of(session.watchers)) watch.refused(session, message, why, backend);
  }

  own(session: Session, message: Message): void {
    for (const watch of this.#of(session.watchers)) watch.own(session, message);
  }

  answered(call: RelayCall, body: Uint8Array): void {
    for (const watch of this.#of(call.session.watchers)) watch.answered(call, body);
  }

  failed(call: RelayCall, why: Failure): void {
    for (const watch of this.#of(call.session.watchers)) watch.failed(call, why);
  }

  /** Of a request its answer has told everything, unless there is none. */
  done(call: RelayCall, outcome: string): void {
    if (!call.answersClient || (call.wantsAnswer && outcome !== 'client_gone')) return;
    for (const watch of this.#of(call.session.watchers)) watch.done(call, outcome);
  }
}

function isOfAll(target: Target): boolean {
  return target.all === true || namesNobody(target);
}

/** Whether a target means a session; empty: it means all. */
export function selectorOf(target: Target): (session: Session) => boolean {
  const { sids = [], uids = [], groups = [], exceptSids = [], exceptUids = [], where } = target;
  const isAll = isOfAll(target);
  const [sidSet, uidSet] = [new Set(sids), new Set(uids)];
  const [noSids, noUids] = [new Set(exceptSids), new Set(exceptUids)];
  const holds = where === undefined ? null : matcherOf(where);
  const isNamed = ({ sid, uid, groups: joined }: Session): boolean =>
    sidSet.has(sid) || (uid !== '' && uidSet.has(uid)) || groups.some((group) => joined.has(group));
  return (session) =>
    (isAll || isNamed(session)) &&
    !noSids.has(session.sid) &&
    (session.uid === '' || !noUids.has(session.uid)) &&
    (holds === null || holds(session.data));
}
