/** The healthy instances of one service, by blocking queries: each waits at the agent until something has changed. */
import type { ConsulService } from '../config/consul-service.ts';
import { type ConsulAgent, refusalOf } from './agent.ts';
import { type Instances, readInstances } from './instances.ts';

/** How long the agent may hold a query. [Consul: at most 10 minutes] */
export const QUERY_WAIT_MS = 300_000;
/** Up to a sixteenth of the wait, which Consul adds so that queries do not end together, and time to answer. */
const QUERY_LATE_MS = QUERY_WAIT_MS / 16 + 10_000;

export class ServiceQuery {
  readonly #agent: ConsulAgent;
  readonly #path: string;
  /** 0: the query is answered immediately. */
  #index = 0;

  constructor(agent: ConsulAgent, service: ConsulService) {
    this.#agent = agent;
    this.#path = pathOf(service);
  }

  /**
   * The instances, as soon as they may have changed: the first query is answered immediately, and so is the one after an
   * error.
   *
   * @throws {Error} Consul cannot be reached, or its answer cannot be used.
   */
  async next(signal: AbortSignal): Promise<Instances> {
    const index = this.#index;
    // After an error the next answer must be immediate: it has everything that changed meanwhile.
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

/** The index for the next query. An index that went back means that the servers' state was replaced: start over. */
export function nextIndex(last: number, index: number): number {
  return index < last ? 0 : index;
}

function pathOf({ name, tags, dc }: ConsulService): string {
  const query = new URLSearchParams({ passing: '1' });
  for (const tag of tags) query.append('tag', tag);
  if (dc !== '') query.append('dc', dc);
  return `/v1/health/service/${encodeURIComponent(name)}?${query}`;
}
