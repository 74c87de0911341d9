/** The reply bus over NATS: subscriptions for this gateway's sessions, users and groups, and the way to others. */
import { inBackground } from '../background.ts';
import { type Clock, within } from '../clock.ts';
import { readObject, type SessionJson } from '../contract/json-shapes.ts';
import { decodePush } from '../contract/shapes.ts';
import { WireError, WireReader } from '../contract/wire.ts';
import { errorText, type Failure, failure } from '../errors.ts';
import type { Close, Patch, Push, Target } from '../session/commands.ts';
import type { InterestKind, Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import { Alarm, type TimerWheel } from '../timer-wheel.ts';
import type { NatsConnector, OnMessage } from '../upstream/nats/connection.ts';
import { HeaderBlock, pushLines, readHeaders } from '../upstream/nats/headers.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';
import { Asks } from './asks.ts';
import type { Bus, Changes, FleetAnswers, Page } from './bus.ts';
import type { Delivery } from './delivery.ts';
import { Fleet } from './fleet.ts';
import { checkStreams } from './stream-check.ts';
import { runVerb, type VerbAnswer, verbReply } from './verbs.ts';

/** How long a change may wait for its subscription's confirmation before it is answered without. */
export const CONFIRM_MS_MAX = 2_000;
const HELLO_EVERY_MS = 15_000;
/** Targets of a push that go out on subjects of their own; beyond it the whole fleet is asked. */
const SUBJECTS_PER_PUSH_MAX = 64;

type Watched = { readonly name: string; unsubscribe(): void; confirmed: Promise<void> | null };

export type NatsBusParts = {
  readonly gatewayId: string;
  readonly connector: NatsConnector;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  onError(what: string): void;
};

export class NatsBus implements Bus {
  readonly #parts: NatsBusParts;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #asks: Asks;
  /** By the subject that is subscribed. */
  readonly #watched = new Map<string, Watched>();
  readonly #helloAgain: Alarm;
  #confirming: Promise<void> | null = null;
  #registry!: Registry;
  #delivery!: Delivery;
  #fleet!: Fleet;

  constructor(parts: NatsBusParts) {
    this.#parts = parts;
    this.#connector = parts.connector;
    this.#subjects = parts.subjects;
    this.#asks = new Asks(parts.connector, parts.subjects, parts.clock);
    this.#helloAgain = new Alarm(() => {
      this.#hello();
    });
  }

  get name(): string {
    return `nats ${this.#connector.serverVersion}`.trim();
  }

  get up(): boolean {
    return this.#connector.up;
  }

  get everUp(): boolean {
    return this.#connector.everUp;
  }

  /** Ties the knot: the registry needs the bus for its interest, the bus the registry for its sessions. */
  attach(registry: Registry, delivery: Delivery): void {
    this.#registry = registry;
    this.#delivery = delivery;
    this.#fleet = new Fleet(
      this.#parts.gatewayId,
      this.#connector,
      this.#subjects,
      this.#asks,
      delivery,
    );
  }

  start(): void {
    this.#connector.always(this.#subjects.ownSessions, this.#onVerb);
    this.#connector.always(this.#subjects.all, this.#onVerb);
    this.#connector.always(this.#subjects.ownBatches, this.#onBatch);
  }

  /** The connection is there, for the first time or again. */
  onUp(first: boolean): void {
    if (first) {
      for (const [subject, watched] of this.#watched)
        watched.unsubscribe = this.#subscribe(subject);
      inBackground(
        checkStreams(this.#connector, this.#subjects, this.#asks, (what) => {
          this.#parts.onError(what);
        }),
        this.#failed('whether a stream captures subjects of the gateway is not known'),
      );
    }
    this.#hello();
  }

  async close(): Promise<void> {
    this.#parts.wheel.cancel(this.#helloAgain);
    this.#fleet.bye();
    await this.#connector.drain();
  }

  #hello(): void {
    if (this.#connector.up)
      inBackground(this.#fleet.hello(), this.#failed('the other gateways were not greeted'));
    this.#parts.wheel.set(this.#helloAgain, HELLO_EVERY_MS);
  }

  // ---- interest -----------------------------------------------------------------------------------------

  add(kind: InterestKind, name: string): Promise<void> | null {
    const subject = this.#subjects.everyVerb(kind, name);
    const known = this.#watched.get(subject);
    if (known !== undefined) return known.confirmed;
    const watched: Watched = { name, unsubscribe: this.#subscribe(subject), confirmed: null };
    this.#watched.set(subject, watched);
    if (!this.#connector.up) return null;
    watched.confirmed = this.#confirm().then(() => {
      watched.confirmed = null;
    });
    return watched.confirmed;
  }

  remove(kind: InterestKind, name: string): void {
    const subject = this.#subjects.everyVerb(kind, name);
    this.#watched.get(subject)?.unsubscribe();
    this.#watched.delete(subject);
  }

  #subscribe(subject: string): () => void {
    const subscription = this.#connector.subscribe(subject, this.#onVerb);
    return () => {
      subscription?.unsubscribe();
    };
  }

  /** One round trip to the server for all that was subscribed in this turn. Never rejects. */
  #confirm(): Promise<void> {
    this.#confirming ??= this.#flushTurn();
    return this.#confirming;
  }

  async #flushTurn(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.#confirming = null;
    // A connection that breaks meanwhile subscribes anew when it is back: nothing is gained by waiting for that.
    const flushed = this.#connector.flush().catch(() => {});
    await within(this.#parts.clock, CONFIRM_MS_MAX, flushed, undefined);
  }

  #failed(what: string): (error: unknown) => void {
    return (error) => {
      this.#parts.onError(`${what}: ${errorText(error)}`);
    };
  }

  // ---- in: verbs ----------------------------------------------------------------------------------------

  readonly #onVerb: OnMessage = (error, message) => {
    if (error !== null) {
      this.#parts.onError(error.message);
      return;
    }
    const to = this.#subjects.parse(message.subject);
    if (to === null || to.scope === 'fleet') return;
    const sessions = this.#sessions(to.scope, to.name, message.subject);
    // Only those that hold a match answer: "no responders" then means that nobody is online.
    if (sessions === null) return;
    const { headers, data: body, reply } = message;
    const answer =
      sessions.length === 0 && to.scope === 'session'
        ? failure('NO_SESSION')
        : runVerb(
            { scope: to.scope, verb: to.verb, sessions, headers: readHeaders(headers), body },
            this.#delivery,
          );
    if (answer instanceof Promise)
      inBackground(this.#settled(answer, reply), this.#failed('a verb was not answered'));
    else if (reply) this.#reply(reply, answer);
  };

  /** A verb must not end the gateway, whatever goes wrong in it. */
  async #settled(answer: Promise<VerbAnswer>, reply: string | undefined): Promise<void> {
    const settled = await answer.catch((error: unknown) => {
      this.#parts.onError(`a verb failed: ${errorText(error)}`);
      return failure('INTERNAL');
    });
    if (reply) this.#reply(reply, settled);
  }

  /** Those of this gateway that a subject means; null: not ours to answer. */
  #sessions(scope: string, name: string, subject: string): readonly Session[] | null {
    if (scope === 'session') {
      const session = this.#registry.bySid(name);
      return session === undefined ? [] : [session];
    }
    if (scope === 'all') return [...this.#registry.all()];
    const watched = this.#watched.get(`${subject.slice(0, subject.lastIndexOf('.'))}.*`);
    if (watched === undefined) return null;
    const members =
      scope === 'user' ? this.#registry.byUid(watched.name) : this.#registry.byGroup(watched.name);
    return members.size === 0 ? null : [...members];
  }

  #reply(subject: string, answer: VerbAnswer): void {
    const { lines, body } = verbReply(answer);
    if (!this.#connector.up) return;
    try {
      const options = lines === '' ? {} : { headers: new HeaderBlock(lines).asHeaders() };
      this.#connector.publish(subject, body, options);
    } catch (error) {
      this.#parts.onError(`an answer of ${body.length} bytes: ${errorText(error)}`);
    }
  }

  readonly #onBatch: OnMessage = (error, message) => {
    if (error !== null) return;
    const { data } = message;
    try {
      const batch = new WireReader(Buffer.from(data.buffer, data.byteOffset, data.length));
      while (batch.next()) {
        if (batch.field !== 1) {
          batch.skip();
          continue;
        }
        const push = decodePush(batch.message());
        if (push.target !== null && this.#delivery.check(push) === null) {
          this.#delivery.push(this.#delivery.select(push.target), push);
        }
      }
    } catch (problem) {
      if (!(problem instanceof WireError)) throw problem;
      this.#parts.onError(`a PushBatch could not be read: ${problem.message}`);
    }
  };

  // ---- out: the other gateways --------------------------------------------------------------------------

  push(target: Target, push: Push): void {
    if (!this.#connector.up) return;
    const subjects = this.#pushSubjects(target);
    try {
      if (subjects === null) {
        this.#fleet.tell(target, push);
        return;
      }
      const headers = new HeaderBlock(pushLines({ ...push, target }, null)).asHeaders();
      for (const subject of subjects) this.#connector.publish(subject, push.body, { headers });
    } catch (error) {
      this.#parts.onError(
        `a push of ${push.body.length} bytes to ${push.route}: ${errorText(error)}`,
      );
    }
  }

  /** Subjects that reach each session meant exactly once; null: only the whole fleet does. */
  #pushSubjects(target: Target): string[] | null {
    const { all, sids = [], uids = [], groups = [] } = target;
    if (all) return [this.#subjects.all.replace(/\*$/, 'push')];
    const kinds = Number(sids.length > 0) + Number(uids.length > 0) + Number(groups.length > 0);
    // A session may be in two groups, or be meant by its sid and its user: one subject each would reach it twice.
    if (kinds !== 1 || groups.length > 1 || sids.length + uids.length > SUBJECTS_PER_PUSH_MAX)
      return null;
    const verb = (subject: string): string => subject.replace(/\*$/, 'push');
    if (groups.length === 1) return [verb(this.#subjects.everyVerb('group', groups[0]!))];
    if (uids.length > 0)
      return [...new Set(uids)].map((uid) => verb(this.#subjects.everyVerb('user', uid)));
    return [...new Set(sids)]
      .map((sid) => this.#subjects.session(sid, 'push'))
      .filter((subject) => subject !== null);
  }

  pushCounted(target: Target, push: Push, waitMs: number): Promise<FleetAnswers> {
    return this.#fleet.push(target, push, waitMs);
  }

  kick(target: Target, close: Close, waitMs: number): Promise<FleetAnswers> {
    return this.#fleet.kick(target, close, waitMs);
  }

  list(target: Target, page: Page, waitMs: number): Promise<FleetAnswers> {
    return this.#fleet.list(target, page, waitMs);
  }

  async patchSession(sid: string, patch: Patch, waitMs: number): Promise<Changes | Failure> {
    const { uid, set, join, leave, ifVersion } = patch;
    const json = { uid, set, join, leave, if_version: ifVersion };
    // Longer than other questions: the other gateway answers when the change is confirmed.
    const answer = await this.#askSession(sid, 'patch', json, waitMs + CONFIRM_MS_MAX);
    return 'retryAfterMs' in answer ? (answer as Failure) : (answer as Changes);
  }

  async getSession(sid: string, waitMs: number): Promise<SessionJson | Failure> {
    const answer = await this.#askSession(sid, 'get', {}, waitMs);
    if ('retryAfterMs' in answer) return answer as Failure;
    return (answer['sessions'] as SessionJson[] | undefined)?.[0] ?? failure('NO_SESSION');
  }

  async #askSession(
    sid: string,
    verb: string,
    json: object,
    waitMs: number,
  ): Promise<Record<string, unknown> | Failure> {
    const subject = this.#subjects.session(sid, verb);
    if (subject === null) return failure('BAD_ARGUMENT', `${JSON.stringify(sid)} is no sid`);
    if (!this.#connector.up) return failure('BUS_AWAY');
    const payload = Buffer.from(JSON.stringify(json));
    const { messages, nobody } = await this.#asks.ask(
      (reply) => this.#connector.publish(subject, payload, { reply }),
      waitMs,
      () => true,
    );
    const message = messages[0];
    if (message === undefined)
      return nobody
        ? failure('NO_SESSION')
        : failure('TIMEOUT', 'the gateway that holds the session did not answer');
    const fields = readObject(message.data);
    const error = fields['error'] as { code: number; reason: string; msg: string } | undefined;
    if (error === undefined) return fields;
    return { ...failure('INTERNAL', error.msg), code: error.code, reason: error.reason };
  }
}
