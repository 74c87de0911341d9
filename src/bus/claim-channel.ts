/** The way of claims over NATS, to the gateways that hold a uid. */
import { readObject } from '../contract/json-shapes.ts';
import type { Failure } from '../errors.ts';
import { send } from '../upstream/nats/outgoing.ts';
import type { ClaimChannel, HeldBy } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import type { PendingRequest, RequestMany } from './request-many.ts';

export class NatsClaimChannel implements ClaimChannel {
  readonly #parts: BusParts;
  readonly #requests: RequestMany;

  constructor(parts: BusParts, requests: RequestMany) {
    this.#parts = parts;
    this.#requests = requests;
  }

  get up(): boolean {
    return this.#parts.connector.up;
  }

  publish(uid: string, json: object): void {
    const { connector, report } = this.#parts;
    const subject = this.#subject(uid);
    const unsent = send(connector, { subject, payload: bytesOf(json) });
    // Without a bus there is nobody to tell: it is said again once there is one.
    if (unsent !== null && unsent.reason !== 'BUS_AWAY')
      report.refused(unsent.reason, subject, unsent.message);
  }

  ask(
    uid: string,
    json: object,
    waitMs: number,
    take: (answer: HeldBy) => boolean,
  ): PendingRequest | Failure {
    return this.#requests.send({
      subject: this.#subject(uid),
      payload: bytesOf(json),
      waitMs,
      take: ({ data }) => {
        const fields = fieldsOf(data);
        const gateway = fields?.['gateway'];
        return typeof gateway === 'string' && take({ gateway, fields: fields! });
      },
    });
  }

  #subject(uid: string): string {
    return this.#parts.subjects.everyVerb('user', uid).replace(/\*$/, 'claim');
  }
}

function bytesOf(json: object): Buffer {
  return Buffer.from(JSON.stringify(json));
}

/** null: it cannot be read. */
function fieldsOf(data: Uint8Array): Record<string, unknown> | null {
  try {
    return readObject(data);
  } catch {
    return null;
  }
}
