/** Messages to this gateway over NATS: verbs for its sessions, batches of pushes, and subjects that match no verb. */
import { asBuffer } from '../bytes.ts';
import { inBackground } from '../background.ts';
import { ShapeError } from '../contract/json.ts';
import { decodePush, PUSHES_MAX } from '../contract/protobuf-shapes.ts';
import { WireError, WireReader } from '../contract/protobuf-wire.ts';
import { errorText, type Failure, failure, isFailure } from '../errors.ts';
import type { Push, PushCount } from '../contract/commands.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { NatsMessage, OnMessage } from '../upstream/nats/nats-connection.ts';
import { KEPT_VERB, type Scope } from '../upstream/nats/subjects.ts';
import type { BusParts } from './bus-parts.ts';
import type { Replay } from './replay.ts';
import type { Replies } from './replies.ts';
import type { SessionCommands } from './session-commands.ts';
import type { NatsSubscriptions } from './subscriptions.ts';
import type { UidRule } from './uid-rule.ts';
import { runVerb, type VerbAnswer } from './session-verbs.ts';
import { readHeaders } from '../upstream/nats/header-block.ts';

export type IncomingMessagesParts = BusParts & {
  readonly registry: Registry;
  readonly sessionCommands: SessionCommands;
  readonly subscriptions: NatsSubscriptions;
  readonly replies: Replies;
  /** Absent: a uid may have any number of sessions. */
  readonly uids?: UidRule | undefined;
  /** null: a kept push is one like any other. */
  readonly replay: Replay | null;
};

/** What a verb other than a push costs besides its message, which costs 1. */
const VERB_COST = 2;
/** What it costs to find each of many sessions, and to have it wait for its turn. */
const SESSION_COST = 1 / 64;
const KEEP_IN_BATCH = 'push.keep in a batch: publish to pith.keep.user.<uid> instead';
const DEAF =
  'verbs with a wrong number of tokens are not noticed: allow gateways the subscriptions of deploy/nats/permissions.conf';

export class IncomingMessages {
  readonly #parts: IncomingMessagesParts;
  /** The server does not allow the gateway to subscribe to near misses, and that was reported. */
  #isDeaf = false;

  constructor(parts: IncomingMessagesParts) {
    this.#parts = parts;
  }

  readonly onVerb: OnMessage = (error, message) => {
    if (error !== null) {
      this.#parts.report.error(error.message);
      return;
    }
    const {
      subjects,
      subscriptions,
      replies,
      sessionCommands,
      convertBytesMax,
      gatewayId,
      replay,
    } = this.#parts;
    const to = subjects.parse(message.subject);
    if (to === null || to.scope === 'fleet') return;
    if (to.scope === 'user' && to.verb === 'claim') {
      this.#onClaim(message);
      return;
    }
    const sessions = this.#sessions(to.scope, to.name, message.subject);
    // Only gateways that hold a match answer, so "no responders" means that no one is online.
    if (sessions === null) return;
    const isKept = to.scope === 'user' && to.verb === KEPT_VERB;
    if (isKept && replay !== null) {
      replay.onKept(sessions, message);
      return;
    }
    const { share } = this.#parts;
    if (to.verb !== 'push') share.spend(VERB_COST);
    if (sessions.length > 1) share.spend(sessions.length * SESSION_COST);
    const answer =
      sessions.length === 0 && to.scope === 'session'
        ? failure('NO_SESSION')
        : runVerb(
            {
              ...to,
              scope: to.scope,
              verb: isKept ? 'push' : to.verb,
              group: to.scope === 'group' ? (subscriptions.nameOf(message.subject) ?? '') : '',
              sessions,
              headers: () => readHeaders(message),
              body: message.data,
              gatewayId,
              convertBytesMax,
              answerBytesMax: replies.bytesMax,
            },
            sessionCommands,
          );
    // These two, and no others, are sent by gateways on behalf of Control.
    const asked = to.scope === 'session' && (to.verb === 'patch' || to.verb === 'get');
    this.#answerWith(message, asked, answer);
  };

  /** Between gateways only. */
  #onClaim(message: NatsMessage): void {
    const { report, subscriptions, uids } = this.#parts;
    const uid = subscriptions.nameOf(message.subject);
    if (uid === undefined || uids === undefined) return;
    try {
      const answer = uids.onClaim(uid, message.data);
      if (answer instanceof Promise)
        inBackground(this.#settled(message, true, answer), (problem) => {
          report.error(`the answer to a claim could not be sent: ${errorText(problem)}`);
        });
      else if (answer !== null) this.#answer(message, true, answer);
    } catch (problem) {
      if (!(problem instanceof ShapeError)) throw problem;
      report.refused('BAD_ARGUMENT', message.subject, problem.message);
    }
  }

  /** Whatever goes wrong in a verb, the gateway goes on. */
  async #settled(message: NatsMessage, asked: boolean, answer: Promise<VerbAnswer>): Promise<void> {
    const settled = await answer.catch((error: unknown) => {
      this.#parts.report.error(`a verb failed: ${errorText(error)}`);
      return failure('INTERNAL');
    });
    this.#answer(message, asked, settled);
  }

  #answerWith(
    message: NatsMessage,
    asked: boolean,
    answer: VerbAnswer | Promise<VerbAnswer>,
  ): void {
    if (!(answer instanceof Promise)) this.#answer(message, asked, answer);
    else
      inBackground(this.#settled(message, asked, answer), (problem) => {
        this.#parts.report.error(`the answer to a verb could not be sent: ${errorText(problem)}`);
      });
  }

  #answer(message: NatsMessage, asked: boolean, answer: VerbAnswer): void {
    if (isFailure(answer))
      this.#parts.report.refused(answer.reason, message.subject, answer.message);
    this.#parts.replies.send(message, asked, answer);
  }

  /** The sessions of this gateway that a subject means; null: the message is not for this gateway. */
  #sessions(scope: Scope, token: string, subject: string): readonly Session[] | null {
    const { registry, subscriptions } = this.#parts;
    if (scope === 'session') {
      const session = registry.bySid(token);
      return session === undefined ? [] : [session];
    }
    if (scope === 'all') return [...registry.all()];
    const name = subscriptions.nameOf(subject);
    if (name === undefined) return null;
    const members = scope === 'user' ? registry.byUid(name) : registry.byGroup(name);
    return members.size === 0 ? null : [...members];
  }

  /** A subject with a wrong number of tokens, or a name that is not encoded: its publisher should know. */
  readonly onNearMiss: OnMessage = (error, message) => {
    if (error !== null) {
      if (!this.#isDeaf) this.#parts.report.refused('NEAR_MISSES', '', `${DEAF}: ${error.message}`);
      this.#isDeaf = true;
      return;
    }
    const why = `the subject ${message.subject} names nobody: a user or group is one token, a session two; encode names with characters other than A-Z a-z 0-9 _ -`;
    this.#answer(message, false, failure('BAD_ARGUMENT', why));
  };

  readonly onBatch: OnMessage = (error, message) => {
    if (error !== null) return;
    const pushes = readBatch(message.data, this.#parts.convertBytesMax);
    this.#answerWith(message, false, isFailure(pushes) ? pushes : this.#pushAll(pushes, message));
  };

  #pushAll(pushes: readonly Push[], { subject }: NatsMessage): PushCount | Promise<PushCount> {
    const { sessionCommands, report } = this.#parts;
    const total: PushCount = { delivered: 0, dropped: 0, refused: 0 };
    const add = (count: PushCount): void => {
      for (const outcome of ['delivered', 'dropped', 'refused'] as const)
        total[outcome] += count[outcome];
    };
    const later: Promise<void>[] = [];
    for (const push of pushes) {
      const refused =
        push.target === null
          ? failure('BAD_ARGUMENT', 'push.target is missing')
          : push.keep === true
            ? failure('BAD_ARGUMENT', KEEP_IN_BATCH)
            : sessionCommands.check(push);
      if (refused !== null) {
        report.refused(refused.reason, subject, refused.message);
        continue;
      }
      const count = sessionCommands.pushCounted(push);
      if (count instanceof Promise) later.push(count.then(add));
      else add(count);
    }
    return later.length === 0 ? total : Promise.all(later).then(() => total);
  }
}

/** All pushes of the batch; or why it is refused as a whole. */
function readBatch(data: Uint8Array, convertBytesMax: number): Push[] | Failure {
  const pushes: Push[] = [];
  try {
    const batch = new WireReader(asBuffer(data));
    while (batch.next()) {
      if (batch.field !== 1) {
        batch.skip();
        continue;
      }
      if (pushes.length === PUSHES_MAX)
        return failure('TOO_LARGE', `more than ${PUSHES_MAX} pushes in one batch`);
      pushes.push(decodePush(batch.message(), convertBytesMax));
    }
    return pushes;
  } catch (problem) {
    if (!(problem instanceof WireError)) throw problem;
    return failure('BAD_ARGUMENT', `a PushBatch could not be read: ${problem.message}`);
  }
}
