/**
 * Questions to other gateways over NATS: an own inbox, a number per question that nobody can guess, a bound in
 * time. Off the hot path: promises are fine here.
 */
import { randomBytes } from 'node:crypto';

import type { CancelTimer, Clock } from '../clock.ts';
import { type Failure, failure } from '../errors.ts';
import type { NatsReport } from '../upstream/nats/nats-report.ts';
import type { NatsConnector, OnMessage } from '../upstream/nats/connection.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { Subjects } from '../upstream/nats/subjects.ts';
import { type HeaderBlock, saysNobody } from '../upstream/nats/header-block.ts';

/** Questions under way; beyond it the next is refused. */
const ASKS_MAX = 4_096;
/** 96 bits. */
const NUMBER_BYTES = 12;

type Received = Parameters<OnMessage>[1];

export type ManyRequest = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: HeaderBlock;
  readonly waitMs: number;
  /** Hears each answer; true: that is enough. It keeps no more of them than it can bound. */
  take(answer: Received): boolean;
};

/** over: it was enough, or the time is up · nobody: the server says that nobody listens. */
export type Outcome = 'over' | 'nobody';

/** A question under way. */
export type PendingRequest = {
  readonly ended: Promise<Outcome>;
  /** What came until now is enough. */
  end(): void;
};

type Ask = ManyRequest & { done(outcome: Outcome): void };

export class RequestMany {
  readonly #connector: NatsConnector;
  readonly #subjects: Subjects;
  readonly #clock: Clock;
  readonly #report: NatsReport;
  readonly #requests = new Map<string, Ask>();

  /** @param onStray An answer came to a request that is not under way, or not any more. */
  constructor(connector: NatsConnector, subjects: Subjects, clock: Clock, report: NatsReport) {
    this.#connector = connector;
    this.#subjects = subjects;
    this.#clock = clock;
    this.#report = report;
    connector.always(subjects.asked, this.#onAnswer);
  }

  /** Sends a request. A Failure: the question has not left. */
  ask(question: ManyRequest): PendingRequest | Failure {
    if (this.#requests.size >= ASKS_MAX)
      return failure('OVERLOADED', `${ASKS_MAX} questions to other gateways are under way`);
    const { subject, payload, headers, waitMs } = question;
    const reply = this.#subjects.ask(randomBytes(NUMBER_BYTES).toString('base64url'));
    const refused = send(this.#connector, {
      subject,
      payload,
      reply,
      ...(headers !== undefined && { headers }),
    });
    if (refused !== null) return refused;
    let cancel: CancelTimer = () => {};
    let resolve!: (outcome: Outcome) => void;
    const ended = new Promise<Outcome>((settle) => {
      resolve = settle;
    });
    const done = (outcome: Outcome): void => {
      cancel();
      this.#requests.delete(reply);
      resolve(outcome);
    };
    const end = (): void => {
      done('over');
    };
    cancel = this.#clock.setTimer(waitMs, end);
    this.#requests.set(reply, { ...question, done });
    return { ended, end };
  }

  readonly #onAnswer: OnMessage = (error, message) => {
    if (error !== null) return;
    const ask = this.#requests.get(message.subject);
    if (ask === undefined) this.#report.lateReply('bus');
    else if (saysNobody(message)) ask.done('nobody');
    else if (ask.take(message)) ask.done('over');
  };
}
