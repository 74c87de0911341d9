/**
 * The gateway as a service in Consul. It checks periodically whether the agent still knows it, since an agent may forget
 * it after a restart; failures are logged and retried while the gateway serves.
 */
import { type CancelTimer, type Clock, within } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { Random } from '../random.ts';
import type { Readiness } from '../placement/placement.ts';
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

/** How often it checks; a ttl check is renewed as often. */
export const CHECK_EVERY_MS = TTL_MS / 3;
/** How long one request to the agent may take. */
export const ANSWER_MS = 3_000;
/** How long the drain waits for the maintenance mode to be set. */
const MAINTENANCE_MS = 1_000;
/** How long the stop waits for the deregistration. */
const LEAVE_MS = 2_000;

export type RegistrationParts = {
  readonly agent: ConsulAgent;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly facts: ServiceFacts;
  readonly readiness: Readiness;
};

/** What the log says where a last request fails. */
const FAILED = {
  maintenance: 'could not enter maintenance in Consul',
  deregister: 'could not deregister from Consul',
} as const;

export class Registration {
  readonly #agent: ConsulAgent;
  readonly #clock: Clock;
  readonly #facts: ServiceFacts;
  readonly #readiness: Readiness;
  readonly #log: Log;
  readonly #backoff: Backoff;
  #cancelTimer: CancelTimer = () => {};
  /** The check in progress, or the last one. */
  #check: Promise<void> = Promise.resolve();
  /** The gateway was registered at least once, though perhaps without an answer. */
  #isAnnounced = false;
  #registered = false;
  #trouble = '';
  #stopping = false;

  constructor(parts: RegistrationParts) {
    this.#agent = parts.agent;
    this.#clock = parts.clock;
    this.#facts = parts.facts;
    this.#readiness = parts.readiness;
    this.#log = parts.log;
    this.#backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX, parts.random);
  }

  /** Starts, and continues in the background. */
  start(): void {
    this.#check = this.#checkOnce();
  }

  /** Marks the gateway as stopping, for clients that choose by health. It stops checking. Bounded in time. */
  maintain(): Promise<void> {
    return this.#lastRequest('maintenance', '?enable=true&reason=draining', MAINTENANCE_MS);
  }

  /** Deregisters the service. Bounded in time; if it fails, the agent removes the service later. */
  leave(): Promise<void> {
    return this.#lastRequest('deregister', '', LEAVE_MS);
  }

  /** Stops checking, and makes one last request if the agent may know the service. */
  async #lastRequest(verb: keyof typeof FAILED, query: string, ms: number): Promise<void> {
    this.#stopping = true;
    this.#cancelTimer();
    // A request in progress is not aborted: the agent might carry it out anyway, and after this one.
    await within(this.#clock, ms, this.#check, undefined);
    if (!this.#isAnnounced) return;
    const path = `/v1/agent/service/${verb}/${encodeURIComponent(this.#facts.id)}${query}`;
    try {
      const answer = await this.#agent.ask({ method: 'PUT', path, waitMs: ms });
      // It is gone already.
      if (answer.status === 404) return;
      expectSuccess(answer);
      if (verb === 'deregister')
        this.#log.info({ service: this.#facts.name }, 'deregistered from Consul');
    } catch (error) {
      // Not tried again: `deregister_after` cleans up.
      const fields = { service: this.#facts.name, why: errorText(error) };
      this.#log.warn(fields, FAILED[verb]);
    }
  }

  async #checkOnce(): Promise<void> {
    let waitMs = CHECK_EVERY_MS;
    try {
      await this.#registerIfUnknown();
      if (this.#facts.check === 'ttl') await this.#renew();
      this.#backoff.reset();
      if (this.#trouble !== '')
        this.#log.info({ service: this.#facts.name }, 'Consul accepts our registration again');
      this.#trouble = '';
    } catch (error) {
      waitMs = Math.min(this.#backoff.next(), CHECK_EVERY_MS);
      const why = errorText(error);
      const fields = { service: this.#facts.name, why };
      if (why !== this.#trouble)
        this.#log.warn(fields, 'Consul rejected our registration; retrying');
      this.#trouble = why;
    }
    if (this.#stopping) return;
    this.#cancelTimer = this.#clock.setTimer(waitMs, () => {
      this.start();
    });
  }

  async #registerIfUnknown(): Promise<void> {
    const path = `/v1/agent/service/${encodeURIComponent(this.#facts.id)}`;
    // Asked even before the first registration: the connection shows which of our addresses the agent sees.
    const known = await this.#ask({ method: 'GET', path });
    if (known.status !== 404) {
      expectSuccess(known);
      return;
    }
    this.#isAnnounced = true;
    const body = serviceEntry(this.#facts, this.#agent.localAddress);
    expectSuccess(await this.#ask({ method: 'PUT', path: '/v1/agent/service/register', body }));
    const { name: service, check } = this.#facts;
    if (this.#registered)
      this.#log.warn({ service, check }, 'Consul had lost our registration; registered again');
    else this.#log.info({ service, check }, 'registered in Consul');
    this.#registered = true;
  }

  async #renew(): Promise<void> {
    const why = this.#readiness.notReady();
    const fault = this.#readiness.sendsElsewhere() ? 'warning' : 'critical';
    const path = `/v1/agent/check/update/${encodeURIComponent(checkIdOf(this.#facts.id))}`;
    const body = { Status: why.length === 0 ? 'passing' : fault, Output: why.join('; ') };
    expectSuccess(await this.#ask({ method: 'PUT', path, body }));
  }

  #ask(ask: Pick<Ask, 'method' | 'path' | 'body'>): Promise<Answer> {
    return this.#agent.ask({ ...ask, waitMs: ANSWER_MS });
  }
}

function expectSuccess(answer: Answer): void {
  const refusal = refusalOf(answer);
  if (refusal !== null) throw new Error(refusal);
}
