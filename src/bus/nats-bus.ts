/** The reply bus over NATS: its parts put together, and the way to the other gateways. */
import type { Clock } from '../clock.ts';
import { readObject, type SessionJson } from '../contract/json-shapes.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Close, Patch, Push, Target } from '../contract/commands.ts';
import type { SubscriptionKind, Registry } from '../session/registry.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { NatsReport } from '../upstream/nats/nats-report.ts';
import type { ConnectionListener, NatsConnector } from '../upstream/nats/connection.ts';
import { pushLines } from '../contract/headers.ts';
import { send } from '../upstream/nats/outgoing.ts';
import { NEAR_MISS_QUEUE, type Subjects } from '../upstream/nats/subjects.ts';
import { Replies } from './replies.ts';
import { RequestMany } from './request-many.ts';
import type { Bus, PeerCall, Page } from './bus.ts';
import type { Changes, SessionCommands } from './session-commands.ts';
import { readErrorOf } from './peer-reply.ts';
import { GatewayPeers } from './gateway-peers.ts';
import { IncomingMessages } from './incoming-messages.ts';
import { CONFIRM_MS_MAX, NatsSubscriptions } from './subscriptions.ts';
import { failureOf } from './fleet-commands.ts';
import { StreamWatch } from './stream-watch.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';

/** Between two greetings: with others, and while nobody else is known, when somebody may have come back unheard. */
const HELLO_EVERY_MS = 15_000;
const HELLO_ALONE_MS = 1_000;
/** Targets of a push that go out on subjects of their own; beyond it the whole fleet is asked. */
const SUBJECTS_PER_PUSH_MAX = 64;

export type NatsBusParts = {
  readonly gatewayId: string;
  readonly connector: NatsConnector;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  readonly report: NatsReport;
};

export class NatsBus implements Bus, ConnectionListener {
  readonly #parts: NatsBusParts;
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #requests: RequestMany;
  readonly #subscriptions: NatsSubscriptions;
  readonly #replies: Replies;
  readonly #helloAgain: Timeout;
  /** Which subjects of ours a stream captures. */
  readonly streams: StreamWatch;
  #incoming!: IncomingMessages;
  #peers!: GatewayPeers;

  constructor(parts: NatsBusParts) {
    const { connector, subjects, clock } = parts;
    this.#parts = parts;
    this.#connector = connector;
    this.#subjects = subjects;
    this.#requests = new RequestMany(connector, subjects, clock, parts.report);
    this.#replies = new Replies(parts);
    this.#subscriptions = new NatsSubscriptions(connector, subjects, clock, (error, message) => {
      this.#incoming.onVerb(error, message);
    });
    this.streams = new StreamWatch(this.#requests, subjects, clock, parts.report);
    this.#helloAgain = new Timeout(() => {
      this.#hello();
    });
    connector.listen(this);
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

  /** Breaks the construction cycle: the registry needs the bus for its interest, the bus the registry for its sessions. */
  attach(registry: Registry, sessionCommands: SessionCommands): void {
    const parts = {
      ...this.#parts,
      requests: this.#requests,
      replies: this.#replies,
      sessionCommands,
    };
    this.#incoming = new IncomingMessages({
      ...parts,
      registry,
      subscriptions: this.#subscriptions,
    });
    this.#peers = new GatewayPeers(parts);
  }

  start(): void {
    const { onVerb, onBatch, onNearMiss } = this.#incoming;
    this.#connector.always(this.#subjects.ownSessions, onVerb);
    this.#connector.always(this.#subjects.all, onVerb);
    this.#connector.always(this.#subjects.ownBatches, onBatch);
    for (const subject of this.#subjects.nearMisses)
      this.#connector.always(subject, onNearMiss, NEAR_MISS_QUEUE);
  }

  onUp(first: boolean): void {
    if (first) this.streams.lookAtAll();
    this.#hello();
  }

  async close(): Promise<void> {
    this.#parts.wheel.cancel(this.#helloAgain);
    this.#peers.bye();
    await this.#connector.drain();
  }

  #hello(): void {
    if (this.#connector.up) this.#peers.hello();
    const alone = this.#peers.size === 0;
    this.#parts.wheel.set(this.#helloAgain, alone ? HELLO_ALONE_MS : HELLO_EVERY_MS);
  }

  add(kind: SubscriptionKind, name: string): Promise<void> | null {
    return this.#subscriptions.add(kind, name);
  }

  remove(kind: SubscriptionKind, name: string): void {
    this.#subscriptions.remove(kind, name);
  }

  // ---- out: the other gateways --------------------------------------------------------------------------

  push(target: Target, push: Push): Failure | null {
    if (!this.#connector.up) {
      this.#parts.report.refused(
        'BUS_AWAY',
        push.route,
        'a push reaches only sessions of this gateway',
      );
      return null;
    }
    const unsent = this.#pushElsewhere(target, push);
    if (unsent === null || unsent.reason === 'TOO_LARGE') return unsent;
    // NATS takes no more for a moment: the sessions of this gateway get theirs.
    this.#parts.report.refused(unsent.reason, push.route, unsent.message);
    return null;
  }

  #pushElsewhere(target: Target, push: Push): Failure | null {
    const subjects = this.#pushSubjects(target);
    if (subjects === null) return this.#peers.tell(target, push);
    const tooLarge = this.#peers.tooLarge({ ...target, sids: [], uids: [] }, push.body.length);
    if (tooLarge !== null) return tooLarge;
    const headers = new HeaderBlock(pushLines({ ...push, target }, null));
    for (const subject of subjects) {
      const unsent = send(this.#connector, { subject, payload: push.body, headers });
      if (unsent !== null) return unsent;
    }
    return null;
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

  pushCounted(target: Target, push: Push, waitMs: number): PeerCall {
    return this.#peers.push(target, push, waitMs);
  }

  kick(target: Target, close: Close, waitMs: number): PeerCall {
    return this.#peers.kick(target, close, waitMs);
  }

  list(target: Target, page: Page, waitMs: number): PeerCall {
    return this.#peers.list(target, page, waitMs);
  }

  patchSession(sid: string, patch: Patch, waitMs: number): Promise<Changes | Failure> | Failure {
    const { uid, set, join, leave, ifVersion } = patch;
    const json = { uid, set, join, leave, if_version: ifVersion };
    // Longer than other questions: the other gateway answers when the change is confirmed.
    return this.#askSession(sid, 'patch', json, waitMs + CONFIRM_MS_MAX, ({ changed, version }) =>
      typeof changed === 'number' && typeof version === 'number' ? { changed, version } : null,
    );
  }

  getSession(sid: string, waitMs: number): Promise<SessionJson | Failure> | Failure {
    return this.#askSession(sid, 'get', {}, waitMs, ({ sessions }) => {
      const first = Array.isArray(sessions) ? (sessions[0] as SessionJson | undefined) : undefined;
      return first?.sid === sid ? first : null;
    });
  }

  /** Asks the gateway that holds the session. `read` gives what it answered; null: that is no answer. */
  #askSession<T extends object>(
    sid: string,
    verb: string,
    json: object,
    waitMs: number,
    read: (fields: Record<string, unknown>) => T | null,
  ): Promise<T | Failure> | Failure {
    const subject = this.#subjects.session(sid, verb);
    if (subject === null)
      return failure('BAD_ARGUMENT', `${JSON.stringify(sid.slice(0, 128))} is no sid`);
    const gateway = sid.slice(0, sid.lastIndexOf('.'));
    let answer: T | Failure | null = null;
    const pending = this.#requests.ask({
      subject,
      payload: Buffer.from(JSON.stringify(json)),
      waitMs,
      take: ({ data }) => {
        answer = readFrom(gateway, data, read);
        return answer !== null;
      },
    });
    if (isFailure(pending)) return pending;
    return pending.ended.then((outcome) => {
      if (answer !== null) return answer;
      return outcome === 'nobody'
        ? failure('NO_SESSION')
        : failure('TIMEOUT', 'the gateway that holds the session did not answer');
    });
  }
}

/** null: it is not that gateway's answer. */
function readFrom<T extends object>(
  gateway: string,
  data: Uint8Array,
  read: (fields: Record<string, unknown>) => T | null,
): T | Failure | null {
  try {
    const fields = readObject(data);
    if (fields['gateway'] !== gateway) return null;
    const error = readErrorOf(fields['error']);
    return error === null ? read(fields) : failureOf(error);
  } catch {
    return null;
  }
}
