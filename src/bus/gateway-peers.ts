/**
 * The other gateways: who there is, and calls that concern them all. Between gateways only, under
 * `pith.fleet.>`; each answers every call, so that one that is silent is noticed.
 */
import type { Clock } from '../clock.ts';
import {
  errorJson,
  durationText,
  readClose,
  readObject,
  readTarget,
  targetJson,
} from '../contract/json-shapes.ts';
import { errorText, type Failure, isFailure } from '../errors.ts';
import type { Close, Push, Target } from '../contract/commands.ts';
import type { NatsReport } from '../upstream/nats/nats-report.ts';
import type { NatsConnector, OnMessage } from '../upstream/nats/connection.ts';
import { pushLines, readPush } from '../contract/headers.ts';
import { send, tooLargeFor } from '../upstream/nats/outgoing.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';
import type { Replies } from './replies.ts';
import type { PendingRequest, RequestMany } from './request-many.ts';
import type { PeerReply, PeerReplies, PeerCall, Page } from './bus.ts';
import type { SessionCommands } from './session-commands.ts';
import { readPeerReply } from './peer-reply.ts';
import { KnownGateways } from './known-gateways.ts';
import { pageOf, readPage } from './session-pages.ts';
import { HeaderBlock, readHeaders } from '../upstream/nats/header-block.ts';
import { ShapeError } from '../contract/json.ts';

/** Greetings are answered within this time. */
const HELLO_WAIT_MS = 1_000;
/** So long a call waits for gateways that nobody knows of, once all that are known have answered. */
const UNKNOWN_WAIT_MS = 250;
/** Replies to one call, all together; what comes beyond is as if it had not come in time. */
const ANSWERS_BYTES_MAX = 67_108_864;
/** Kept free in a call: its answer repeats the names in it, and says a little more. */
const ANSWER_MARGIN_BYTES = 1_024;

type Verb = 'hello' | 'bye' | 'push' | 'kick' | 'list';

export type GatewayPeersParts = {
  readonly gatewayId: string;
  readonly connector: NatsConnector;
  readonly subjects: Subjects;
  readonly clock: Clock;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  readonly requests: RequestMany;
  readonly replies: Replies;
  readonly sessionCommands: SessionCommands;
  readonly report: NatsReport;
};

export class GatewayPeers {
  readonly #parts: GatewayPeersParts;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #sessionCommands: SessionCommands;
  readonly #known: KnownGateways;

  constructor(parts: GatewayPeersParts) {
    this.#parts = parts;
    this.#connector = parts.connector;
    this.#subjects = parts.subjects;
    this.#sessionCommands = parts.sessionCommands;
    this.#known = new KnownGateways(parts.gatewayId, parts.clock);
    parts.connector.always(parts.subjects.fleet('*'), this.#onCall);
  }

  /** How many other gateways are known. */
  get size(): number {
    return this.#known.size;
  }

  /** Says who we are; the answers say who is there. */
  hello(): void {
    this.#parts.requests.ask({
      subject: this.#subjects.fleet('hello'),
      payload: this.#name(),
      waitMs: HELLO_WAIT_MS,
      take: ({ data, subject }) => {
        this.#hear(readPeerReply(data), true, subject);
        return false;
      },
    });
  }

  bye(): void {
    send(this.#connector, { subject: this.#subjects.fleet('bye'), payload: this.#name() });
  }

  #name(): Buffer {
    return Buffer.from(JSON.stringify({ gateway: this.#parts.gatewayId }));
  }

  push(target: Target, push: Push, waitMs: number): PeerCall {
    const headers = this.#pushHeaders(target, push);
    if (isFailure(headers)) return headers;
    return this.#call('push', push.body, waitMs, headers);
  }

  kick(target: Target, close: Close, waitMs: number): PeerCall {
    const tooLarge = this.tooLarge(target);
    if (tooLarge !== null) return tooLarge;
    const { reason, code, kick, retryAfterMs } = close;
    const json = {
      target: targetJson(target),
      reason,
      code,
      kick,
      retry_after: durationText(retryAfterMs),
    };
    return this.#call('kick', Buffer.from(JSON.stringify(json)), waitMs);
  }

  list(target: Target, page: Page, waitMs: number): PeerCall {
    const tooLarge = this.tooLarge(target);
    if (tooLarge !== null) return tooLarge;
    const json = { target: targetJson(target), ...page };
    return this.#call('list', Buffer.from(JSON.stringify(json)), waitMs);
  }

  /** The same to the other gateways without waiting for anybody. */
  tell(target: Target, push: Push): Failure | null {
    const headers = this.#pushHeaders(target, push);
    if (isFailure(headers)) return headers;
    return send(this.#connector, {
      subject: this.#subjects.fleet('push'),
      payload: push.body,
      headers,
    });
  }

  #pushHeaders(target: Target, push: Push): HeaderBlock | Failure {
    return (
      this.tooLarge(target, push.body.length) ??
      new HeaderBlock(pushLines(push, targetJson(target)))
    );
  }

  /** Before a target is written: writing one that fits nowhere would be work for nothing. */
  tooLarge(target: Target, bodyBytes = 0): Failure | null {
    let bytes = ANSWER_MARGIN_BYTES + JSON.stringify(target.where ?? {}).length;
    for (const names of [
      target.sids,
      target.uids,
      target.groups,
      target.exceptSids,
      target.exceptUids,
    ])
      for (const name of names ?? []) bytes += name.length + 3;
    return tooLargeFor(this.#connector, bodyBytes, bytes);
  }

  /** Published whoever is known: what is not known may be there anyway. */
  #call(verb: Verb, payload: Uint8Array, waitMs: number, headers?: HeaderBlock): PeerCall {
    const missing = new Set(this.#known.names());
    if (!this.#connector.up) return Promise.resolve(this.#ended([], missing));
    const tooLarge = tooLargeFor(
      this.#connector,
      payload.length + ANSWER_MARGIN_BYTES,
      headers?.bytes ?? 0,
    );
    if (tooLarge !== null) return tooLarge;
    const outgoing = {
      subject: this.#subjects.fleet(verb),
      payload,
      ...(headers !== undefined && { headers }),
    };
    if (waitMs === 0) {
      const refused = send(this.#connector, outgoing);
      return refused ?? Promise.resolve({ answers: [], silentGateways: [] });
    }
    const answers = new Map<string, PeerReply>();
    let waitForUnknown = this.#known.mayBeMore;
    let bytes = 0;
    const pending = this.#parts.requests.ask({
      ...outgoing,
      waitMs,
      take: ({ data, subject }) => {
        const answer = readPeerReply(data);
        bytes += data.length;
        if (answer !== null && this.#hear(answer, true, subject)) {
          if (!answers.has(answer.gateway)) answers.set(answer.gateway, answer);
          missing.delete(answer.gateway);
        }
        return bytes > ANSWERS_BYTES_MAX || (missing.size === 0 && !waitForUnknown);
      },
    });
    if (isFailure(pending)) return pending;
    const cancel = this.#parts.clock.setTimer(Math.min(waitMs, UNKNOWN_WAIT_MS), () => {
      waitForUnknown = false;
      if (missing.size === 0) pending.end();
    });
    return this.#gathered(pending, answers, missing, cancel);
  }

  async #gathered(
    pending: PendingRequest,
    answers: ReadonlyMap<string, PeerReply>,
    missing: ReadonlySet<string>,
    cancel: () => void,
  ): Promise<PeerReplies> {
    await pending.ended;
    cancel();
    return this.#ended(answers.values(), missing);
  }

  #ended(answers: Iterable<PeerReply>, missing: ReadonlySet<string>): PeerReplies {
    for (const gateway of missing) this.#known.silent(gateway);
    return { answers: [...answers], silentGateways: [...missing] };
  }

  /** True when the answer names a gateway that we can keep in mind. */
  #hear(answer: PeerReply | null, answered: boolean, subject: string): boolean {
    if (answer === null || answer.gateway === this.#parts.gatewayId) return false;
    if (this.#known.heard(answer.gateway, answered)) return true;
    this.#parts.report.refused('GATEWAYS', subject, 'a name that is none, or too many gateways');
    return false;
  }

  readonly #onCall: OnMessage = (error, message) => {
    if (error !== null) return;
    const call = this.#subjects.parse(message.subject);
    if (call === null) return;
    let answer: PeerReply;
    try {
      answer = { gateway: this.#parts.gatewayId, ...this.#run(call.verb, message) };
    } catch (problem) {
      // Another version's call that we can't read: say that we are here, and no more.
      if (!(problem instanceof ShapeError)) throw problem;
      this.#parts.report.refused('BAD_ARGUMENT', message.subject, errorText(problem));
      answer = { gateway: this.#parts.gatewayId };
    }
    this.#parts.replies.send(message, true, answer);
  };

  #run(verb: string, message: Parameters<OnMessage>[1]): Omit<PeerReply, 'gateway'> {
    switch (verb) {
      case 'hello':
        this.#hear(readPeerReply(message.data), false, message.subject);
        return {};
      case 'bye':
        this.#known.left(readPeerReply(message.data)?.gateway ?? '');
        return {};
      case 'push':
        return this.#onPush(message);
      case 'kick': {
        const fields = readObject(message.data, this.#parts.convertBytesMax);
        const sessions = this.#sessionCommands.select(readTarget(fields['target']));
        return { closed: this.#sessionCommands.close(sessions, readClose(fields)) };
      }
      case 'list': {
        const fields = readObject(message.data, this.#parts.convertBytesMax);
        const page = readPage(fields['limit'], fields['after']);
        const sessions = this.#sessionCommands.select(readTarget(fields['target']));
        const part = pageOf(sessions, page, this.#parts.replies.bytesMax);
        return isFailure(part) ? errorJson(part) : part;
      }
      default:
        return {};
    }
  }

  #onPush(message: Parameters<OnMessage>[1]): Omit<PeerReply, 'gateway'> {
    const headers = readHeaders(message);
    const target = readTarget(readObject(Buffer.from(headers.get('pith-target') ?? '')));
    const push = { ...readPush(headers, message.data), target };
    const refused = this.#sessionCommands.check({ ...push, target: null });
    if (refused !== null) throw new ShapeError(refused.message);
    const sessions = this.#sessionCommands.select(target);
    const count = this.#sessionCommands.push(sessions, push);
    const uids = new Set(sessions.map((session) => session.uid));
    const sids = new Set(sessions.map((session) => session.sid));
    return {
      ...count,
      uids: (target.uids ?? []).filter((uid) => uids.has(uid)),
      sids: (target.sids ?? []).filter((sid) => sids.has(sid)),
    };
  }
}
