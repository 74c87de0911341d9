/**
 * The other gateways: who there is, and calls that concern them all. Between gateways only, under
 * `pith.fleet.>`; each answers every call, so that one that is silent is noticed.
 */
import {
  readClose,
  readObject,
  readTarget,
  ShapeError,
  targetJson,
} from '../contract/json-shapes.ts';
import type { Close, Push, Target } from '../session/commands.ts';
import type { NatsConnector, OnMessage } from '../upstream/nats/connection.ts';
import {
  HeaderBlock,
  HeaderError,
  pushLines,
  readHeaders,
  readPush,
} from '../upstream/nats/headers.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';
import type { Asks } from './asks.ts';
import type { FleetAnswer, FleetAnswers, Page } from './bus.ts';
import type { Delivery } from './delivery.ts';
import { listed } from './reach.ts';

/** A gateway that was silent this often in a row is forgotten until it is heard of again. */
const SILENCES_MAX = 3;
/** Sessions in one gateway's answer; it must fit in one NATS message. */
const LISTED_MAX = 1_000;

type Verb = 'hello' | 'bye' | 'push' | 'kick' | 'list';

export class Fleet {
  readonly #gatewayId: string;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #asks: Asks;
  readonly #delivery: Delivery;
  /** Known gateways, and how often each was silent in a row. */
  readonly #others = new Map<string, number>();

  constructor(
    gatewayId: string,
    connector: NatsConnector,
    subjects: Subjects,
    asks: Asks,
    delivery: Delivery,
  ) {
    this.#gatewayId = gatewayId;
    this.#connector = connector;
    this.#subjects = subjects;
    this.#asks = asks;
    this.#delivery = delivery;
    connector.always(subjects.fleet('*'), this.#onCall);
  }

  /** How many other gateways are known. */
  get size(): number {
    return this.#others.size;
  }

  /** Says who we are; the answers say who is there. Resolves when they are in. */
  async hello(): Promise<void> {
    const payload = Buffer.from(JSON.stringify({ gateway: this.#gatewayId }));
    await this.#asks.ask(
      (reply) => this.#connector.publish(this.#subjects.fleet('hello'), payload, { reply }),
      1_000,
      // Heard as they come: a call made meanwhile must reach them.
      (messages) => {
        this.#hear(readAnswer(messages.at(-1)!.data));
        return false;
      },
    );
  }

  bye(): void {
    if (!this.#connector.up) return;
    const payload = Buffer.from(JSON.stringify({ gateway: this.#gatewayId }));
    this.#connector.publish(this.#subjects.fleet('bye'), payload);
  }

  push(target: Target, push: Push, waitMs: number): Promise<FleetAnswers> {
    return this.#call('push', push.body, waitMs, pushLines(push, targetJson(target)));
  }

  kick(target: Target, close: Close, waitMs: number): Promise<FleetAnswers> {
    const { reason, code, kick, retryAfterMs } = close;
    const json = {
      target: targetJson(target),
      reason,
      code,
      kick,
      retry_after: `${retryAfterMs / 1_000}s`,
    };
    return this.#call('kick', Buffer.from(JSON.stringify(json)), waitMs);
  }

  list(target: Target, page: Page, waitMs: number): Promise<FleetAnswers> {
    const json = { target: targetJson(target), ...page };
    return this.#call('list', Buffer.from(JSON.stringify(json)), waitMs);
  }

  /** The same to the other gateways without waiting for anybody. */
  tell(target: Target, push: Push): void {
    const headers = new HeaderBlock(pushLines(push, targetJson(target))).asHeaders();
    this.#connector.publish(this.#subjects.fleet('push'), push.body, { headers });
  }

  async #call(verb: Verb, payload: Uint8Array, waitMs: number, lines = ''): Promise<FleetAnswers> {
    if (this.#others.size === 0 || waitMs === 0) return { answers: [], silentGateways: [] };
    const expected = new Set(this.#others.keys());
    const options = lines === '' ? {} : { headers: new HeaderBlock(lines).asHeaders() };
    const { messages } = await this.#asks.ask(
      (reply) =>
        this.#connector.publish(this.#subjects.fleet(verb), payload, { ...options, reply }),
      waitMs,
      (so) => so.length >= expected.size,
    );
    const answers = messages
      .map((message) => readAnswer(message.data))
      .filter((answer) => answer !== null);
    for (const answer of answers) {
      this.#hear(answer);
      expected.delete(answer.gateway);
    }
    for (const silent of expected) this.#miss(silent);
    return { answers, silentGateways: [...expected] };
  }

  #hear(answer: { gateway: string } | null): void {
    if (answer !== null && answer.gateway !== '' && answer.gateway !== this.#gatewayId)
      this.#others.set(answer.gateway, 0);
  }

  #miss(gateway: string): void {
    const silences = (this.#others.get(gateway) ?? 0) + 1;
    if (silences >= SILENCES_MAX) this.#others.delete(gateway);
    else this.#others.set(gateway, silences);
  }

  readonly #onCall: OnMessage = (error, message) => {
    if (error !== null) return;
    const call = this.#subjects.parse(message.subject);
    if (call === null) return;
    let answer: FleetAnswer;
    try {
      answer = { gateway: this.#gatewayId, ...this.#run(call.verb, message) };
    } catch (problem) {
      // Another version's call that we can't read: say that we are here, and no more.
      if (!(problem instanceof ShapeError) && !(problem instanceof HeaderError)) throw problem;
      answer = { gateway: this.#gatewayId };
    }
    if (message.reply) this.#connector.publish(message.reply, Buffer.from(JSON.stringify(answer)));
  };

  #run(verb: string, message: Parameters<OnMessage>[1]): Omit<FleetAnswer, 'gateway'> {
    switch (verb) {
      case 'hello':
        this.#hear(readAnswer(message.data));
        return {};
      case 'bye':
        this.#others.delete(readAnswer(message.data)?.gateway ?? '');
        return {};
      case 'push':
        return this.#onPush(message);
      case 'kick': {
        const fields = readObject(message.data);
        const sessions = this.#delivery.select(readTarget(fields['target']));
        return { closed: this.#delivery.close(sessions, readClose(fields)) };
      }
      case 'list': {
        const fields = readObject(message.data);
        const { limit, after } = fields;
        const page = {
          limit: Math.min(typeof limit === 'number' ? limit : LISTED_MAX, LISTED_MAX),
          after: typeof after === 'string' ? after : '',
        };
        return this.#fitting(listed(this.#delivery.select(readTarget(fields['target'])), page));
      }
      default:
        return {};
    }
  }

  /** As many sessions as fit in one NATS message; the rest is on the next page. */
  #fitting(part: Pick<FleetAnswer, 'sessions' | 'more'>): Pick<FleetAnswer, 'sessions' | 'more'> {
    let { sessions = [], more = false } = part;
    while (
      sessions.length > 1 &&
      JSON.stringify(sessions).length > this.#connector.payloadBytesMax / 2
    ) {
      sessions = sessions.slice(0, sessions.length / 2);
      more = true;
    }
    return { sessions, more };
  }

  #onPush(message: Parameters<OnMessage>[1]): Omit<FleetAnswer, 'gateway'> {
    const headers = readHeaders(message.headers);
    const target = readTarget(readObject(Buffer.from(headers.get('pith-target') ?? '')));
    const sessions = this.#delivery.select(target);
    const count = this.#delivery.push(sessions, { ...readPush(headers, message.data), target });
    const uids = new Set(sessions.map((session) => session.uid));
    const sids = new Set(sessions.map((session) => session.sid));
    return {
      ...count,
      uids: (target.uids ?? []).filter((uid) => uids.has(uid)),
      sids: (target.sids ?? []).filter((sid) => sids.has(sid)),
    };
  }
}

function readAnswer(payload: Uint8Array): FleetAnswer | null {
  try {
    const fields = readObject(payload);
    return typeof fields['gateway'] === 'string' ? (fields as FleetAnswer) : null;
  } catch {
    return null;
  }
}
