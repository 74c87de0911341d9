/** Which servers are tried, and in which order. */
import type { Random } from '../../random.ts';
import type { NatsConnection } from './nats-connection.ts';

/** Other servers of the cluster that are remembered, by the names that the server gives. */
const DISCOVERED_MAX = 64;

export class Servers {
  readonly #configured: readonly string[];
  readonly #random: Random;
  #discovered: readonly string[] = [];

  /** @param configured URLs, at least one. */
  constructor(configured: readonly string[], random: Random) {
    this.#configured = configured;
    this.#random = random;
  }

  /** What the server of this connection has named. */
  learn({ otherServers }: NatsConnection): void {
    if (otherServers.length > 0) this.#discovered = otherServers.slice(0, DISCOVERED_MAX);
  }

  /** Those that are known. */
  get count(): number {
    return this.toTry().length;
  }

  /** Configured servers come before those that a server has named. */
  toTry(): string[] {
    const more = this.#discovered.filter((server) => !this.#configured.includes(server));
    return [...this.#shuffled(this.#configured), ...this.#shuffled(more)];
  }

  #shuffled(names: readonly string[]): string[] {
    return names
      .map((name) => ({ name, at: this.#random.number() }))
      .sort((a, b) => a.at - b.at)
      .map(({ name }) => name);
  }
}
