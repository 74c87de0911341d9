/** Bytes from and to NATS, over all connections that were made one after the other. */
import { inBackground } from '../../background.ts';
import type { NatsConnection } from './nats-connection.ts';

export class NatsTraffic {
  readonly #open = new Set<NatsConnection>();
  #received = 0;
  #sent = 0;

  follow(nc: NatsConnection): void {
    this.#open.add(nc);
    const end = (): void => {
      this.#open.delete(nc);
      this.#received += nc.receivedBytes;
      this.#sent += nc.publishedBytes;
    };
    inBackground(nc.closed().then(end), end);
  }

  get receivedBytes(): number {
    let bytes = this.#received;
    for (const nc of this.#open) bytes += nc.receivedBytes;
    return bytes;
  }

  /** What was published, whether or not the server has read it. */
  get publishedBytes(): number {
    let bytes = this.#sent;
    for (const nc of this.#open) bytes += nc.publishedBytes;
    return bytes;
  }
}
