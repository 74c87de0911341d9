/** Replies to messages over the bus: where they may be sent, and that they fit. */
import { errorJson } from '../contract/json-shapes.ts';
import { type Failure, isFailure } from '../errors.ts';
import type { NatsMessage } from '../upstream/nats/nats-connection.ts';
import { send } from '../upstream/nats/outgoing.ts';
import { answersTo } from '../upstream/nats/subjects.ts';
import type { BusParts } from './bus-parts.ts';
import type { Incomplete } from './change-outcome.ts';
import { HeaderBlock } from '../upstream/nats/header-block.ts';

/** The longest reply, even where the server takes longer messages: it is read in one turn of the event loop. */
export const REPLY_BYTES_MAX = 1_048_576;
/** Characters of an error's text in a header. */
export const ERROR_TEXT_MAX = 1_024;

export class Replies {
  readonly #parts: BusParts;

  constructor(parts: BusParts) {
    this.#parts = parts;
  }

  /** The most bytes that a reply may have. */
  get bytesMax(): number {
    return Math.min(this.#parts.connector.payloadBytesMax, REPLY_BYTES_MAX);
  }

  /**
   * Replies, if a reply is wanted, and on a subject where gateways may reply. `asked`: gateways send such messages,
   * so a gateway may get the reply, which then names this one. A reply that does not fit becomes an error that says so.
   */
  send(message: Pick<NatsMessage, 'subject' | 'reply'>, asked: boolean, answer: object): void {
    const { subject, reply } = message;
    if (!reply) return;
    const to = answersTo(reply);
    if (to === null || (to === 'gateway' && !asked)) {
      const why = `replies are sent to inboxes under _INBOX. only, not to ${reply.slice(0, 128)}`;
      this.#parts.report.refused('REPLY_SUBJECT', subject, why);
      return;
    }
    const more = to === 'gateway' ? { gateway: this.#parts.gatewayId } : {};
    const unsent = this.#publish(reply, answer, more);
    if (unsent === null) return;
    this.#parts.report.refused('UNANSWERED', subject, unsent.message);
    if (unsent.reason === 'TOO_LARGE') this.#publish(reply, unsent, more);
  }

  #publish(subject: string, answer: object, more: object): Failure | null {
    const { connector } = this.#parts;
    if (!isFailure(answer)) {
      const payload = Buffer.from(JSON.stringify({ ...answer, ...more }));
      return send(connector, { subject, payload });
    }
    const { changed = 0, version } = answer as Partial<Incomplete>;
    const json = { ...errorJson(answer), ...(changed > 0 && { changed, version }), ...more };
    const payload = Buffer.from(JSON.stringify(json));
    return send(connector, { subject, payload, headers: errorHeaders(answer) });
  }
}

/** The headers of an error, as NATS services send them. */
function errorHeaders({ code, message }: Failure): HeaderBlock {
  const text = message.slice(0, ERROR_TEXT_MAX).replace(/[^\x20-\x7e]/g, '?');
  return new HeaderBlock(`Nats-Service-Error-Code: ${code}\r\nNats-Service-Error: ${text}\r\n`);
}
