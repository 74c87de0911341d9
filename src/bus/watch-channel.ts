/** Watches over NATS: questions to the other gateways. `peer-watches.ts` answers them. */
import { isFailure } from '../errors.ts';
import { send, tooLargeFor } from '../upstream/nats/outgoing.ts';
import type { WatchChannel } from './bus.ts';
import type { BusParts } from './bus-parts.ts';
import type { GatewayPeers } from './gateway-peers.ts';
import type { PendingRequest, RequestMany } from './request-many.ts';
import { readWatchAnswer, type WatchAnswer } from './watch-words.ts';

export class NatsWatchChannel implements WatchChannel {
  readonly #parts: BusParts;
  readonly #requests: RequestMany;
  readonly #peers: Pick<GatewayPeers, 'hear' | 'names'>;

  constructor(parts: BusParts, requests: RequestMany, peers: Pick<GatewayPeers, 'hear' | 'names'>) {
    this.#parts = parts;
    this.#requests = requests;
    this.#peers = peers;
  }

  ask(fields: object, waitMs: number, take: (answer: WatchAnswer) => void): PendingRequest | null {
    const { connector, subjects, report } = this.#parts;
    if (!connector.up) return null;
    const payload = this.#payload(fields);
    const asked =
      tooLargeFor(connector, payload.length, 0) ??
      this.#requests.send({
        ...{ subject: subjects.fleet('watch'), payload, waitMs },
        take: ({ data, subject }) => {
          const answer = readWatchAnswer(data);
          if (answer !== null && this.#peers.hear({ gateway: answer.gateway }, true, subject))
            take(answer);
          return false;
        },
      });
    if (!isFailure(asked)) return asked;
    report.refused(asked.reason, 'watch', asked.message);
    return null;
  }

  leave(fields: object): void {
    const { connector, subjects } = this.#parts;
    if (connector.up)
      send(connector, { subject: subjects.fleet('watch'), payload: this.#payload(fields) });
  }

  names(): readonly string[] {
    return this.#peers.names();
  }

  #payload(fields: object): Buffer {
    return Buffer.from(JSON.stringify({ gateway: this.#parts.gatewayId, ...fields }));
  }
}
