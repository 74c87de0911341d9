/** The healthy instances of one service, by blocking queries: each waits at the agent until something has changed. */
import type { ConsulService } from '../config/consul-service.ts';
import { type ConsulAgent, refusalOf } from './agent.ts';
import { type Instances, readInstances } from './instances.ts';

/** How long the agent may hold a query. [Consul: at most 10 minutes] */
export const QUERY_WAIT_MS = 300_000;
/** [Consul: up to a sixteenth is added to the wait, so that queries do not end together]; and some time to answer. */
const QUERY_LATE_MS = QUERY_WAIT_MS / 16 + 10_000;

export class ServiceQuery {
  readonly #agent: ConsulAgent;
  readonly #path: string;
  /** 0: answered at once. */
  #index = 0;

  constructor(agent: ConsulAgent, service: ConsulService) {
    this.#agent = agent;
    this.#path = pathOf(service);
  }

  /**
   * The instances, once they may differ from the last ones: the first query is answered at once, and so is the one
   * after an error.
   *
   * @throws {Error} Consul cannot be asked, or its answer cannot be used.
   */
  async next(signal: AbortSignal): Promise<Instances> {
    const index = this.#index;
    // What has changed by the time that an error is over is in the first answer, whatever its index.
    this.#index = 0;
    const answer = await this.#agent.ask({
      method: 'GET',
      path: index === 0 ? this.#path : `${this.#path}&index=${index}&wait=${QUERY_WAIT_MS}ms`,
      waitMs: QUERY_WAIT_MS + QUERY_LATE_MS,
      signal,
    });
    const refusal = refusalOf(answer);
    if (refusal !== null) throw new Error(refusal);
    const instances = readInstances(answer.text);
    this.#index = nextIndex(index, answer.index);
    return instances;
  }
}

/** From where the next query waits. An index that went back means another state of the servers: begin anew. */
export function nextIndex(last: number, said: number): number {
  return said < last ? 0 : said;
}

function pathOf({ name, tags, dc }: ConsulService): string {
  const query = new URLSearchParams({ passing: '1' });
  for (const tag of tags) query.append('tag', tag);
  if (dc !== '') query.append('dc', dc);
  return `/v1/health/service/${encodeURIComponent(name)}?${query}`;
}
