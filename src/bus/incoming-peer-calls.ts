/** Calls of other gateways to this one, carried out and answered. `gateway-peers.ts` is the other end. */
import { inBackground } from '../background.ts';
import { ShapeError, textOf, textsOf } from '../contract/json.ts';
import {
  type ErrorJson,
  errorJson,
  readClose,
  readGroups,
  readJoin,
  readObject,
  readTarget,
} from '../contract/json-shapes.ts';
import type { PushCount } from '../contract/commands.ts';
import { errorText, isFailure } from '../errors.ts';
import type { NatsMessage, OnMessage } from '../upstream/nats/nats-connection.ts';
import { type ControlApi, type PeerReply, STATUS_KINDS } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import type { Gate } from './gate.ts';
import type { GatewayPeers } from './gateway-peers.ts';
import { readPeerPush } from './peer-push-codec.ts';
import { presenceJson, readPeerReply } from './peer-reply.ts';
import type { NatsLineageNews } from './lineage-news.ts';
import type { NatsOrderChannel } from './order-channel.ts';
import type { PeerWatches } from './peer-watches.ts';
import type { Replies } from './replies.ts';
import { cursorRefusal } from './push-cursors.ts';
import { type SessionCommands } from './session-commands.ts';
import { pageOf, readPage, rowsThatFit } from './session-pages.ts';

export type IncomingPeerCallsParts = BusParts & {
  readonly sessionCommands: SessionCommands;
  readonly replies: Replies;
  readonly peers: GatewayPeers;
  /** null: this gateway has none. */
  readonly gate: Gate | null;
  readonly lineages: NatsLineageNews;
  readonly orders: NatsOrderChannel;
  readonly statusOf: ControlApi['status'];
  /** null: none are made here. */
  readonly watches: PeerWatches | null;
};

/** What is answered, as JSON. */
type Outcome = Omit<PeerReply, 'gateway' | 'failure' | 'presence' | 'ended' | 'orders'> &
  Partial<ErrorJson> & { presence?: unknown[]; ended?: unknown[]; orders?: unknown[] };

export class IncomingPeerCalls {
  readonly #parts: IncomingPeerCallsParts;

  constructor(parts: IncomingPeerCallsParts) {
    this.#parts = parts;
  }

  readonly onCall: OnMessage = (error, message) => {
    if (error !== null) return;
    const { subjects, report } = this.#parts;
    const call = subjects.parse(message.subject);
    if (call === null) return;
    let outcome: Outcome | Promise<Outcome> = {};
    try {
      outcome = this.#run(call.verb, message);
    } catch (problem) {
      // Another version's call that we can't read: the reply says that we are here, and no more.
      if (!(problem instanceof ShapeError)) throw problem;
      report.refused('BAD_ARGUMENT', message.subject, errorText(problem));
    }
    if (!(outcome instanceof Promise)) this.#answer(message, outcome);
    else
      inBackground(this.#settled(message, outcome), (problem) => {
        report.error(`a call of another gateway failed: ${errorText(problem)}`);
      });
  };

  async #settled(message: NatsMessage, outcome: Promise<Outcome>): Promise<void> {
    this.#answer(message, await outcome);
  }

  #answer(message: NatsMessage, outcome: Outcome): void {
    this.#parts.replies.send(message, true, { gateway: this.#parts.gatewayId, ...outcome });
  }

  #run(verb: string, message: NatsMessage): Outcome | Promise<Outcome> {
    const { peers, gate, sessionCommands, replies } = this.#parts;
    switch (verb) {
      case 'hello':
        peers.hear(readPeerReply(message.data), false, message.subject);
        return { knows: peers.recent };
      case 'bye':
        this.#left(readPeerReply(message.data)?.gateway ?? '');
        return {};
      case 'gate':
        gate?.hear(this.#fieldsOf(message));
        return {};
      case 'push':
        return this.#push(message);
      case 'kick': {
        const fields = this.#fieldsOf(message);
        if (fields['gateway'] === this.#parts.gatewayId) return {};
        const sessions = sessionCommands.select(readTarget(fields['target']));
        const by = fields['by'] === 'operator' ? ({ by: 'operator' } as const) : {};
        const closed = sessionCommands.closeAll(sessions, { ...readClose(fields), ...by });
        return closed instanceof Promise ? closed.then((count) => ({ closed: count })) : { closed };
      }
      case 'list': {
        const fields = this.#fieldsOf(message);
        const page = readPage(fields['limit'], fields['after']);
        const sessions = sessionCommands.select(readTarget(fields['target']));
        const part = pageOf(sessions, page, replies.bytesMax);
        return isFailure(part) ? errorJson(part) : part;
      }
      case 'find':
        return this.#find(this.#fieldsOf(message));
      case 'status':
        return this.#status(this.#fieldsOf(message));
      case 'join':
      case 'leave':
        return this.#changeGroups(verb, message);
      case 'presence': {
        const uids = textsOf(this.#fieldsOf(message)['uids'], 'uids');
        const here = sessionCommands.presence(uids, replies.bytesMax);
        return { did: verb, presence: presenceJson(here) };
      }
      case 'groups': {
        const { prefix, limit, after } = this.#fieldsOf(message);
        const page = readPage(limit, after);
        const here = sessionCommands.groups(textOf(prefix, 'prefix'), page, replies.bytesMax);
        return { did: verb, ...here };
      }
      case 'why': {
        const about = textOf(this.#fieldsOf(message)['about'], 'about');
        return { did: verb, ...sessionCommands.why(about, replies.bytesMax) };
      }
      case 'resume':
      case 'ended':
      case 'lineages':
        return this.#parts.lineages.onCall(verb, this.#fieldsOf(message));
      case 'watch':
        return this.#parts.watches?.onCall(this.#fieldsOf(message), message) ?? {};
      case 'orders':
        return this.#parts.orders.onCall(this.#fieldsOf(message));
      default:
        return {};
    }
  }

  /** A page of the sessions that match a search, or with what they are doing. */
  #find(fields: Record<string, unknown>): Outcome {
    const { sessionCommands, replies } = this.#parts;
    const { search, stats } = fields;
    if (fields['gateway'] === this.#parts.gatewayId) return {};
    const page = {
      ...readPage(fields['limit'], fields['after']),
      ...(search !== undefined && { search: textOf(search, 'search') }),
      stats: stats === true,
    };
    const sessions = sessionCommands.select(readTarget(fields['target']));
    const part = pageOf(sessions, page, replies.bytesMax);
    return { did: 'find', ...(isFailure(part) ? errorJson(part) : part) };
  }

  /** What this gateway tells of itself, as much as fits. */
  #status(fields: Record<string, unknown>): Outcome {
    const { gatewayId, replies, statusOf } = this.#parts;
    if (fields['gateway'] === gatewayId) return {};
    const kind = STATUS_KINDS.find((one) => one === fields['kind']);
    // Of a later release: to whoever asks, this gateway does not know it.
    if (kind === undefined) return {};
    const { rows, more } = rowsThatFit(statusOf(kind, fields), replies.bytesMax);
    return { did: 'status', status: rows, ...(more && { more }) };
  }

  #left(gateway: string): void {
    this.#parts.peers.left(gateway);
    this.#parts.gate?.left(gateway);
  }

  #changeGroups(verb: 'join' | 'leave', message: NatsMessage): Outcome | Promise<Outcome> {
    const { sessionCommands } = this.#parts;
    const fields = this.#fieldsOf(message);
    if (fields['gateway'] === this.#parts.gatewayId) return {};
    const sessions = sessionCommands.select(readTarget(fields['target']));
    const patch = verb === 'join' ? readJoin(fields) : { leave: readGroups(fields) };
    return sessionCommands.changeGroups(sessions, patch).then(({ changed, refused, failure }) => ({
      ...{ did: verb, changed, refused },
      ...(failure !== null && errorJson(failure)),
    }));
  }

  #fieldsOf({ data }: NatsMessage): Record<string, unknown> {
    return readObject(data, this.#parts.convertBytesMax);
  }

  #push(message: NatsMessage): Outcome | Promise<Outcome> {
    const { gatewayId, sessionCommands } = this.#parts;
    const push = readPeerPush(message, gatewayId);
    if (push === null) return {};
    const { target } = push;
    const refused = sessionCommands.check({ ...push, target: null }) ?? cursorRefusal(push, target);
    if (refused !== null) throw new ShapeError(refused.message);
    const here = sessionCommands.namesHere(target);
    const outcome = ({ delivered, dropped, refused }: PushCount): Outcome => ({
      ...{ delivered, dropped, refused },
      ...here,
    });
    const count = sessionCommands.pushCounted(push);
    return count instanceof Promise ? count.then(outcome) : outcome(count);
  }
}
