/**
 * Follows the healthy instances of one service by blocking queries: each waits at the agent until something has
 * changed since the last one's index. Never ends by itself; an error is told and tried again.
 */
import { inBackground } from '../background.ts';
import type { CancelTimer, Clock } from '../clock.ts';
import type { ConsulService } from '../config/consul-service.ts';
import { errorText } from '../errors.ts';
import { AGAIN_MS_MAX, AGAIN_MS_MIN, type ConsulAgent, refusalOf } from './agent.ts';
import { Backoff } from '../backoff.ts';
import { type Instances, readInstances } from './instances.ts';

/** How long the agent may hold a query. [Consul: at most 10 minutes] */
export const QUERY_WAIT_MS = 300_000;
/** [Consul: up to a sixteenth is added to the wait, so that queries do not end together]; and some time to answer. */
const QUERY_LATE_MS = QUERY_WAIT_MS / 16 + 10_000;
/** Between an answer and the next query, twice this at most: an index that moves on and on must not become a loop. */
export const PAUSE_MS = 100;

export type WatchEvents = {
  /** Each answer, whether it differs or not. */
  onInstances(instances: Instances): void;
  /** `again`: the same as the last time. */
  onTrouble(why: string, again: boolean): void;
  /** An answer after trouble. */
  onBack(): void;
};

export class ServiceWatch {
  readonly #agent: ConsulAgent;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #events: WatchEvents;
  readonly #backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX);
  readonly #stop = new AbortController();
  #cancelTimer: CancelTimer = () => {};
  /** 0: answered at once. */
  #index = 0;
  #trouble = '';

  constructor(agent: ConsulAgent, clock: Clock, service: ConsulService, events: WatchEvents) {
    this.#agent = agent;
    this.#clock = clock;
    this.#path = pathOf(service);
    this.#events = events;
  }

  start(): void {
    inBackground(this.#ask(), this.#failed);
  }

  close(): void {
    this.#cancelTimer();
    this.#stop.abort();
  }

  async #ask(): Promise<void> {
    const { signal } = this.#stop;
    const path =
      this.#index === 0 ? this.#path : `${this.#path}&index=${this.#index}&wait=${QUERY_WAIT_MS}ms`;
    let waitMs = PAUSE_MS * (1 + Math.random());
    try {
      const answer = await this.#agent.ask({
        method: 'GET',
        path,
        waitMs: QUERY_WAIT_MS + QUERY_LATE_MS,
        signal,
      });
      const refusal = refusalOf(answer);
      if (refusal !== null) throw new Error(refusal);
      const instances = readInstances(answer.text);
      if (signal.aborted) return;
      this.#index = nextIndex(this.#index, answer.index);
      this.#backoff.reset();
      if (this.#trouble !== '') this.#events.onBack();
      this.#trouble = '';
      this.#events.onInstances(instances);
    } catch (error) {
      if (signal.aborted) return;
      waitMs = this.#backoff.next();
      // What has changed meanwhile is in the first answer, whatever its index.
      this.#index = 0;
      const why = errorText(error);
      this.#events.onTrouble(why, why === this.#trouble);
      this.#trouble = why;
    }
    this.#askIn(waitMs);
  }

  #askIn(waitMs: number): void {
    this.#cancelTimer = this.#clock.setTimer(waitMs, () => {
      inBackground(this.#ask(), this.#failed);
    });
  }

  /** Whatever has ended it, it goes on. */
  readonly #failed = (error: unknown): void => {
    if (this.#stop.signal.aborted) return;
    this.#askIn(this.#backoff.next());
    this.#events.onTrouble(errorText(error), false);
  };
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
