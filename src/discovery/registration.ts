/**
 * The gateway as a service in Consul. It looks again and again whether the agent still knows it, since an agent that
 * was restarted may have forgotten; what fails is told and tried again, and the gateway serves meanwhile.
 */
import { type CancelTimer, type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import {
  AGAIN_MS_MAX,
  AGAIN_MS_MIN,
  type Answer,
  type Ask,
  type ConsulAgent,
  refusalOf,
} from './agent.ts';
import { Backoff } from '../backoff.ts';
import { checkIdOf, type ServiceFacts, serviceEntry, TTL_MS } from './service-entry.ts';

/** How often it looks; a ttl check is renewed as often. */
export const LOOK_EVERY_MS = TTL_MS / 3;
/** How long one question to the agent may take. */
export const ANSWER_MS = 3_000;
/** How long the drain waits for the maintenance mode to be set. */
const MAINTENANCE_MS = 1_000;
/** How long the stop waits for the deregistration. */
const LEAVE_MS = 2_000;

export type RegistrationParts = {
  readonly agent: ConsulAgent;
  readonly clock: Clock;
  readonly log: Log;
  readonly facts: ServiceFacts;
  /** Why the gateway should get no new clients; empty when it is ready. */
  readonly notReady: () => readonly string[];
};

export class Registration {
  readonly #agent: ConsulAgent;
  readonly #clock: Clock;
  readonly #facts: ServiceFacts;
  readonly #notReady: () => readonly string[];
  readonly #log: Log;
  readonly #backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX);
  #cancelTimer: CancelTimer = () => {};
  /** The look that is under way, or the last one. */
  #look: Promise<void> = Promise.resolve();
  /** The agent was told at least once, though perhaps without an answer. */
  #told = false;
  #registered = false;
  #trouble = '';
  #stopping = false;

  constructor(parts: RegistrationParts) {
    this.#agent = parts.agent;
    this.#clock = parts.clock;
    this.#facts = parts.facts;
    this.#notReady = parts.notReady;
    this.#log = parts.log;
  }

  /** Begins, and goes on in the background. */
  start(): void {
    this.#look = this.#lookOnce();
  }

  /** Says that the gateway is stopping, to those who choose by health. It looks no more then. Bounded in time. */
  maintain(): Promise<void> {
    return this.#last('maintenance', '?enable=true&reason=draining', MAINTENANCE_MS);
  }

  /** Takes the service out. Bounded in time; where it fails, the agent does it later by itself. */
  leave(): Promise<void> {
    return this.#last('deregister', '', LEAVE_MS);
  }

  /** Stops looking, and says one more thing if the agent may know the service at all. */
  async #last(verb: string, query: string, ms: number): Promise<void> {
    this.#stopping = true;
    this.#cancelTimer();
    // What is under way is not aborted: the agent might do it anyway, and later than this.
    await within(this.#clock, ms, this.#look, undefined);
    if (!this.#told) return;
    const path = `/v1/agent/service/${verb}/${encodeURIComponent(this.#facts.id)}${query}`;
    try {
      const answer = await this.#agent.ask({ method: 'PUT', path, waitMs: ms });
      // It is gone already.
      if (answer.status === 404) return;
      must(answer);
      if (verb === 'deregister')
        this.#log.info({ service: this.#facts.name }, 'deregistered from consul');
    } catch (error) {
      this.#warn(`${verb}: ${errorText(error)}`);
    }
  }

  async #lookOnce(): Promise<void> {
    let waitMs = LOOK_EVERY_MS;
    try {
      await this.#registerIfUnknown();
      if (this.#facts.check === 'ttl') await this.#renew();
      this.#backoff.reset();
      if (this.#trouble !== '')
        this.#log.info({ service: this.#facts.name }, 'consul takes our registration again');
      this.#trouble = '';
    } catch (error) {
      waitMs = Math.min(this.#backoff.next(), LOOK_EVERY_MS);
      const why = errorText(error);
      if (why !== this.#trouble) this.#warn(why);
      this.#trouble = why;
    }
    if (this.#stopping) return;
    this.#cancelTimer = this.#clock.setTimer(waitMs, () => {
      this.start();
    });
  }

  async #registerIfUnknown(): Promise<void> {
    const path = `/v1/agent/service/${encodeURIComponent(this.#facts.id)}`;
    // Asked before the first time too: the connection shows which address of ours the agent sees.
    const known = await this.#ask({ method: 'GET', path });
    if (known.status !== 404) {
      must(known);
      return;
    }
    this.#told = true;
    const body = serviceEntry(this.#facts, this.#agent.localAddress);
    must(await this.#ask({ method: 'PUT', path: '/v1/agent/service/register', body }));
    const { name: service, check } = this.#facts;
    if (this.#registered)
      this.#log.warn({ service, check }, 'consul had forgotten us; registered again');
    else this.#log.info({ service, check }, 'registered in consul');
    this.#registered = true;
  }

  #warn(why: string): void {
    this.#log.warn(
      { service: this.#facts.name, why },
      'Consul rejected our registration; retrying',
    );
  }

  async #renew(): Promise<void> {
    const why = this.#notReady();
    const path = `/v1/agent/check/update/${encodeURIComponent(checkIdOf(this.#facts.id))}`;
    const body = { Status: why.length === 0 ? 'passing' : 'critical', Output: why.join('; ') };
    must(await this.#ask({ method: 'PUT', path, body }));
  }

  #ask(ask: Pick<Ask, 'method' | 'path' | 'body'>): Promise<Answer> {
    return this.#agent.ask({ ...ask, waitMs: ANSWER_MS });
  }
}

function must(answer: Answer): void {
  const refusal = refusalOf(answer);
  if (refusal !== null) throw new Error(refusal);
}
