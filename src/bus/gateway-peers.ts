/**
 * The other gateways: which there are, and calls to all of them. Between gateways only, under `pith.fleet.>`; each
 * answers every call, so a silent one is noticed. `incoming-peer-calls.ts` is the other end.
 */
import type { Close, Push, Target } from '../contract/commands.ts';
import { publisherLine, pushLines } from '../contract/headers.ts';
import { durationText, targetJson } from '../contract/json-shapes.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { LineagePlace } from '../resume/lineages.ts';
import { Timeout } from '../timer-wheel.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';
import { send, tooLargeFor } from '../upstream/nats/outgoing.ts';
import type {
  GroupChange,
  Page,
  PeerCall,
  PeerReplies,
  PeerReply,
  Peers,
  StatusKind,
} from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import { GATEWAYS_MAX, KnownGateways } from './known-gateways.ts';
import { peerPushHeaders } from './peer-push-codec.ts';
import { readPeerReply } from './peer-reply.ts';
import { pushSubjects } from './push-subjects.ts';
import type { RequestMany } from './request-many.ts';

/** Between two greetings: with others; and while no other is known, since one may have come back unnoticed. */
const HELLO_EVERY_MS = 15_000;
const HELLO_ALONE_MS = 1_000;
/** How long an answer to a greeting counts: one that was stopped for a moment answers when it goes on. */
const HELLO_WAIT_MS = 15_000;
/** How long after its own connection a gateway may not have heard of another that is there. */
const NEW_MS = 60_000;
/** How long a call waits for gateways that are not known, once all known ones have answered. */
const UNKNOWN_WAIT_MS = 250;
/** Replies to one call, all together; those beyond are treated as late. */
const REPLIES_BYTES_MAX = 67_108_864;
/** Kept free in a call: its reply repeats the names in it, and adds a little. */
const REPLY_MARGIN_BYTES = 1_024;

export class GatewayPeers implements Peers {
  readonly #parts: BusParts;
  readonly #requests: RequestMany;
  readonly #known: KnownGateways;
  readonly #helloAgain: Timeout;
  /** Until then there may be gateways of which nothing has been heard. A time of the clock. */
  #newUntil = 0;
  readonly #onNew: () => void;

  /** @param onNew A gateway is known now that was not. */
  constructor(parts: BusParts, requests: RequestMany, onNew: () => void = () => {}) {
    this.#parts = parts;
    this.#onNew = onNew;
    this.#requests = requests;
    this.#known = new KnownGateways(parts.gatewayId, parts.clock);
    this.#helloAgain = new Timeout(() => {
      this.greet();
    });
  }

  // ---- which there are ----------------------------------------------------------------------------------

  /** There is a connection, the first or another. */
  onUp(): void {
    this.#newUntil = this.#parts.clock.now() + NEW_MS;
    this.greet();
  }

  /** Says hello to the others, who answer; now, and again and again. */
  greet(): void {
    const { connector, subjects, wheel } = this.#parts;
    if (connector.up)
      this.#requests.send({
        subject: subjects.fleet('hello'),
        payload: this.#name(),
        waitMs: HELLO_WAIT_MS,
        take: ({ data, subject }) => {
          const reply = readPeerReply(data);
          if (this.hear(reply, true, subject)) this.#known.toldOf(reply?.knows ?? []);
          return false;
        },
      });
    wheel.set(this.#helloAgain, this.#known.size === 0 ? HELLO_ALONE_MS : HELLO_EVERY_MS);
  }

  stop(): void {
    this.#parts.wheel.cancel(this.#helloAgain);
  }

  /** Says goodbye. */
  leave(): void {
    const { connector, subjects } = this.#parts;
    this.stop();
    send(connector, { subject: subjects.fleet('bye'), payload: this.#name() });
  }

  #name(): Buffer {
    return Buffer.from(JSON.stringify({ gateway: this.#parts.gatewayId }));
  }

  /** A message names its gateway. @returns Whether it names another one that is known now. */
  hear(reply: PeerReply | null, answered: boolean, subject: string): boolean {
    if (reply === null || reply.gateway === this.#parts.gatewayId) return false;
    const { size } = this.#known;
    if (this.#known.heard(reply.gateway, answered)) {
      if (this.#known.size > size) this.#onNew();
      return true;
    }
    const why = `not the id of a gateway, or more than ${GATEWAYS_MAX} gateways`;
    this.#parts.report.refused('GATEWAYS', subject, why);
    return false;
  }

  /** The answer to a greeting: whom this gateway knows, since one that has just begun cannot. */
  get recent(): string[] {
    return this.#known.recentNames();
  }

  /** A gateway has announced that it is leaving. */
  left(gateway: string): void {
    this.#known.left(gateway);
  }

  /** All were told that it is lost: calls no longer wait for it. */
  lost(gateway: string): void {
    this.#known.lost(gateway);
  }

  /** Known gateways, and those that were lost a moment ago. */
  names(): string[] {
    return [...new Set([...this.#known.names(), ...this.#known.lostNames()])];
  }

  // ---- calls to all of them -----------------------------------------------------------------------------

  push(target: Target, push: Push): Failure | null {
    const { connector, report } = this.#parts;
    if (!connector.up) {
      report.refused('BUS_AWAY', push.route, 'a push reaches only sessions of this gateway');
      return null;
    }
    const unsent = this.#publish(target, push);
    if (unsent === null || unsent.reason === 'TOO_LARGE') return unsent;
    // NATS takes nothing more for a moment: sessions of this gateway still get the push.
    report.refused(unsent.reason, push.route, unsent.message);
    return null;
  }

  #publish(target: Target, push: Push): Failure | null {
    const { connector, subjects, gatewayId } = this.#parts;
    const own = pushSubjects(subjects, target);
    const toAll = own === null;
    const tooLarge = this.#tooLarge(toAll ? target : { ...target, sids: [], uids: [] }, push.body);
    if (tooLarge !== null) return tooLarge;
    const headers = toAll
      ? peerPushHeaders(target, push, gatewayId)
      : new HeaderBlock(pushLines({ ...push, target }, null) + publisherLine(gatewayId));
    for (const subject of own ?? [subjects.fleet('push')]) {
      const unsent = send(connector, { subject, payload: push.body, headers });
      if (unsent !== null) return unsent;
    }
    return null;
  }

  pushCounted(target: Target, push: Push, waitMs: number): PeerCall {
    return (
      this.#tooLarge(target, push.body) ??
      this.#call({
        verb: 'push',
        payload: push.body,
        waitMs,
        sids: target.sids,
        headers: peerPushHeaders(target, push, this.#parts.gatewayId),
      })
    );
  }

  kick(target: Target, close: Close, waitMs: number): PeerCall {
    const { reason, code, kick, retryAfterMs, by } = close;
    const fields = { reason, code, kick, retry_after: durationText(retryAfterMs), by };
    return this.#callJson('kick', target, fields, waitMs);
  }

  list(target: Target, page: Page, waitMs: number): PeerCall {
    if (page.search === undefined && page.stats !== true)
      return this.#callJson('list', target, page, waitMs);
    const fields = { target: targetJson(target), ...page };
    return this.#tooLarge(target) ?? this.#callNew('find', fields, waitMs, target.sids);
  }

  changeGroups({ verb, target, groups, ttlMs }: GroupChange, waitMs: number): PeerCall {
    const tooLarge = this.#tooLarge({
      ...target,
      exceptUids: [...(target.exceptUids ?? []), ...groups],
    });
    if (tooLarge !== null) return tooLarge;
    const fields = { target: targetJson(target), groups, ttl: ttlText(ttlMs) };
    return this.#callNew(verb, fields, waitMs, target.sids);
  }

  presence(uids: readonly string[], waitMs: number): PeerCall {
    return this.#tooLarge({ uids }) ?? this.#callNew('presence', { uids }, waitMs);
  }

  groups(prefix: string, page: Page, waitMs: number): PeerCall {
    return this.#callNew('groups', { prefix, ...page }, waitMs);
  }

  status(kind: StatusKind, fields: object, waitMs: number): PeerCall {
    return this.#callNew('status', { kind, ...fields }, waitMs);
  }

  why(about: string, waitMs: number): PeerCall {
    return this.#callNew('why', { about }, waitMs);
  }

  mayResume({ lineage, counter, sid }: LineagePlace, waitMs: number): PeerCall {
    return this.#callNew('resume', { lineage, counter, sid }, waitMs);
  }

  ended(of: string, after: number, waitMs: number): PeerCall {
    return this.#callNew('ended', { of, after }, waitMs);
  }

  orders(fields: object, waitMs: number): PeerCall {
    return this.#callNew('orders', fields, waitMs);
  }

  /** A call that gateways of older releases do not know: their answers name no call, and count as silence. */
  #callNew(verb: string, fields: object, waitMs: number, sids?: readonly string[]): PeerCall {
    return this.#call({ verb, payload: this.#payload(fields), waitMs, sids, isNew: true });
  }

  /** It names this gateway, which ignores it when NATS gives it back. */
  #payload(fields: object): Buffer {
    return Buffer.from(JSON.stringify({ gateway: this.#parts.gatewayId, ...fields }));
  }

  #callJson(verb: string, target: Target, fields: object, waitMs: number): PeerCall {
    const tooLarge = this.#tooLarge(target);
    if (tooLarge !== null) return tooLarge;
    return this.#call({
      verb,
      payload: this.#payload({ target: targetJson(target), ...fields }),
      waitMs,
      sids: target.sids,
    });
  }

  /** Looked at before a target is encoded: encoding one that cannot be sent would be wasted work. */
  #tooLarge(target: Target, body: Uint8Array = NOTHING): Failure | null {
    const { where, sids, uids, groups, exceptSids, exceptUids } = target;
    let bytes = REPLY_MARGIN_BYTES + JSON.stringify(where ?? {}).length;
    for (const names of [sids, uids, groups, exceptSids, exceptUids])
      for (const name of names ?? []) bytes += name.length + 3;
    return tooLargeFor(this.#parts.connector, body.length, bytes);
  }

  /** Published whichever gateways are known: others may exist. */
  #call({ verb, payload, waitMs, headers, sids = [], isNew = false }: PeerRequest): PeerCall {
    const { connector, subjects, clock } = this.#parts;
    const missing = new Set(this.#known.names());
    const unheard = this.#unheardOf(sids);
    if (!connector.up) return Promise.resolve(this.#ended([], [...missing, ...unheard]));
    const bytes = payload.length + REPLY_MARGIN_BYTES;
    const tooLarge = tooLargeFor(connector, bytes, headers?.bytes ?? 0);
    if (tooLarge !== null) return tooLarge;
    const message = { subject: subjects.fleet(verb), payload, ...(headers && { headers }) };
    if (waitMs === 0) return send(connector, message) ?? Promise.resolve(NOT_WAITED);
    const replies = new Map<string, PeerReply>();
    const unable = new Set<string>();
    const { mayBeMore } = this.#known;
    const lostBefore = this.#known.lostNames();
    let waitForUnknown = mayBeMore || unheard.size > 0;
    let repliesBytes = 0;
    const pending = this.#requests.send({
      ...message,
      waitMs,
      take: ({ data, subject }) => {
        const reply = readPeerReply(data);
        repliesBytes += data.length;
        if (reply !== null && this.hear(reply, true, subject)) {
          const { gateway } = reply;
          missing.delete(gateway);
          if (unheard.delete(gateway) && unheard.size === 0) waitForUnknown &&= mayBeMore;
          if (isNew && reply.did !== verb) unable.add(gateway);
          else if (!replies.has(gateway)) replies.set(gateway, reply);
        }
        return repliesBytes > REPLIES_BYTES_MAX || (missing.size === 0 && !waitForUnknown);
      },
    });
    if (isFailure(pending)) return pending;
    const cancel = clock.setTimer(Math.min(waitMs, UNKNOWN_WAIT_MS), () => {
      waitForUnknown = false;
      if (missing.size === 0) pending.end();
    });
    return pending.ended.then(() => {
      cancel();
      // One that greets meanwhile is not lost any more, and may not have answered this call either.
      const known = new Set(this.#known.names());
      const back = lostBefore.filter((gateway) => known.has(gateway) && !replies.has(gateway));
      const { answers, silentGateways } = this.#ended(
        replies.values(),
        [...missing, ...unheard],
        back,
      );
      return { answers, silentGateways: [...silentGateways, ...unable] };
    });
  }

  /** Gateways that these sids name, and that may be there although nothing has been heard of them. */
  #unheardOf(sids: readonly string[]): Set<string> {
    const { connector, clock } = this.#parts;
    const mayBeThere = !connector.up || clock.now() < this.#newUntil;
    return this.#known.unheardOf(mayBeThere ? sids : []);
  }

  /** @param back Gateways that have not answered, and were lost when the call began. */
  #ended(
    replies: Iterable<PeerReply>,
    missing: Iterable<string>,
    back: readonly string[] = [],
  ): PeerReplies {
    // Before these silences are counted: what they make lost is among `missing`.
    const lost = this.#known.lostNames();
    const silent = [...missing];
    for (const gateway of silent) this.#known.silent(gateway);
    return { answers: [...replies], silentGateways: [...new Set([...silent, ...lost, ...back])] };
  }
}

type PeerRequest = {
  readonly verb: string;
  readonly payload: Uint8Array;
  readonly waitMs: number;
  readonly headers?: HeaderBlock;
  /** Sessions that it is for: each names its gateway. */
  readonly sids?: readonly string[] | undefined;
  /** Gateways of older releases do not know it. */
  readonly isNew?: boolean;
};

function ttlText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : durationText(ms);
}

const NOTHING = Buffer.alloc(0);
const NOT_WAITED: PeerReplies = { answers: [], silentGateways: [] };
