/** Calls of Control over NATS: for the whole fleet, which any one gateway answers, and for this gateway. */
import { inBackground } from '../background.ts';
import { errorText, type Failure, failure, isFailure } from '../errors.ts';
import type { NatsMessage, OnMessage } from '../upstream/nats/nats-connection.ts';
import type { ControlApi, ControlScope } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import type { Replies } from './replies.ts';
import type { EndpointStats } from './micro-service.ts';

/** Calls under way; each may hold a request and an answer. Beyond it the next is refused. */
export const BUS_CALLS_MAX = 64;

export type IncomingControlParts = BusParts & {
  readonly replies: Replies;
  readonly stats: Readonly<Record<ControlScope, EndpointStats>>;
};

export class IncomingControl {
  readonly #parts: IncomingControlParts;
  readonly #api: ControlApi;
  #underWay = 0;

  constructor(parts: IncomingControlParts, api: ControlApi) {
    this.#parts = parts;
    this.#api = api;
  }

  readonly onFleetCall: OnMessage = (error, message) => {
    if (error === null) this.#call('control', message);
    else this.#parts.report.error(error.message);
  };

  /** A message for this gateway that is no batch of pushes. */
  onOwnCall(message: NatsMessage): void {
    this.#call('gateway', message);
  }

  #call(scope: ControlScope, { subject, reply, data }: NatsMessage): void {
    // The message is gone once this returns.
    const asked = { subject, ...(reply !== undefined && { reply }) };
    const method = subject.slice(subject.lastIndexOf('.') + 1);
    if (this.#underWay >= BUS_CALLS_MAX) {
      this.#answer(asked, failure('OVERLOADED', `${BUS_CALLS_MAX} calls are under way`));
      return;
    }
    this.#underWay++;
    inBackground(this.#run(scope, method, Buffer.from(data), asked), (problem) => {
      this.#parts.report.error(`a call of Control could not be answered: ${errorText(problem)}`);
    });
  }

  async #run(scope: ControlScope, method: string, payload: Buffer, asked: Asked): Promise<void> {
    const { clock, stats } = this.#parts;
    const startedAt = clock.now();
    try {
      const answer = await this.#api.call(scope, method, payload, asked.reply ?? '');
      stats[scope].count(clock.now() - startedAt, isFailure(answer) ? answer.message : '');
      this.#answer(asked, answer);
    } finally {
      this.#underWay--;
    }
  }

  #answer(asked: Asked, answer: object | Failure): void {
    const { replies, report } = this.#parts;
    if (isFailure(answer)) report.refused(answer.reason, asked.subject, answer.message);
    replies.send(asked, false, answer);
  }
}

type Asked = Pick<NatsMessage, 'subject' | 'reply'>;
