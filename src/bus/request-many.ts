/**
 * Requests over NATS that several may answer: other gateways, or JetStream. Off the hot path: promises are fine here.
 *
 * Not the client library's `requestMany`: its inboxes have no `.ask.`, by which permissions and other gateways tell a
 * gateway's from a backend's, its numbers can be guessed from one another, and it neither bounds nor counts late replies.
 */
import type { CancelTimer } from '../clock.ts';
import { type Failure, failure } from '../errors.ts';
import type { NatsMessage, OnMessage } from '../upstream/nats/nats-connection.ts';
import { type HeaderBlock, saysNobody } from '../upstream/nats/header-block.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { BusParts } from './bus-parts.ts';

/** Requests under way; beyond it the next is refused. */
const REQUESTS_MAX = 4_096;
/** 96 random bits: anyone who knows a request's number can answer it. */
const NUMBER_BYTES = 12;

export type ManyRequest = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: HeaderBlock;
  readonly waitMs: number;
  /** Called with each reply; true: no more are needed. It bounds what it keeps of them. */
  take(reply: NatsMessage): boolean;
};

/** over: no more replies are needed, or the time is up · nobody: the server reports that there are no subscribers. */
export type Outcome = 'over' | 'nobody';

export type PendingRequest = {
  readonly ended: Promise<Outcome>;
  /** No more replies are needed. */
  end(): void;
};

type Open = { readonly request: ManyRequest; end(outcome: Outcome): void };

export class RequestMany {
  readonly #parts: BusParts;
  /** By the subject of their replies. */
  readonly #open = new Map<string, Open>();

  constructor(parts: BusParts) {
    this.#parts = parts;
    parts.connector.always(parts.subjects.asked, this.#onReply);
  }

  /** A Failure: the request was not sent. */
  send(request: ManyRequest): PendingRequest | Failure {
    const { connector, subjects, clock, random } = this.#parts;
    if (this.#open.size >= REQUESTS_MAX)
      return failure('OVERLOADED', `${REQUESTS_MAX} requests to other gateways are under way`);
    const { subject, payload, headers, waitMs } = request;
    const reply = subjects.ask(random.bytes(NUMBER_BYTES).toString('base64url'));
    const unsent = send(connector, { subject, payload, reply, ...(headers && { headers }) });
    if (unsent !== null) return unsent;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    let cancel: CancelTimer = () => {};
    const end = (outcome: Outcome): void => {
      cancel();
      this.#open.delete(reply);
      resolve(outcome);
    };
    cancel = clock.setTimer(waitMs, () => {
      end('over');
    });
    this.#open.set(reply, { request, end });
    return {
      ended: promise,
      end: () => {
        end('over');
      },
    };
  }

  readonly #onReply: OnMessage = (error, message) => {
    if (error !== null) return;
    const open = this.#open.get(message.subject);
    if (open === undefined) this.#parts.report.lateReply('bus');
    else if (saysNobody(message)) open.end('nobody');
    else if (open.request.take(message)) open.end('over');
  };
}
