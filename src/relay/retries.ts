/**
 * Sends a message again whose backend was unreachable, where the route, or the method that it calls, is idempotent. Not
 * at once, not often, and never more than a share of all messages: a backend that comes back must not drown in what it
 * missed.
 */
import type { Failure } from '../errors.ts';
import type { Random } from '../random.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { RelayCall } from './relay-call.ts';

/** How often one message is sent again, not counting the first time. */
export const RETRIES_MAX = 2;
/** Milliseconds before the first, at most; twice that before the second. Each waits a random part of it. */
export const BACKOFF_MS = 100;
/** Messages that may be sent again, for each that is sent. */
export const BUDGET_SHARE = 0.2;
/** The budget of a backend: its maximum, and what it starts with. */
export const BUDGET_MAX = 100;

const AGAIN = new Set(['BACKEND_AWAY', 'BUS_AWAY']);

export class Retries {
  /** Messages that were sent again, each time, and those for which the budget had nothing left. */
  sentAgain = 0;
  noBudget = 0;
  readonly #wheel: TimerWheel;
  readonly #random: Random;
  /** By the backend's ordinal: how many more may be sent again. */
  readonly #budgets: number[] = [];

  constructor(wheel: TimerWheel, random: Random) {
    this.#wheel = wheel;
    this.#random = random;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(): void {
    this.#budgets.push(BUDGET_MAX);
  }

  /** A message is sent for the first time. */
  began(backendOrdinal: number): void {
    const budget = this.#budgets[backendOrdinal]! + BUDGET_SHARE;
    this.#budgets[backendOrdinal] = Math.min(BUDGET_MAX, budget);
  }

  /** True: the message will be sent again, and has not failed yet. */
  again(call: RelayCall, why: Failure): boolean {
    const { target, state, retries, session } = call;
    if (!call.idempotent || state !== 'sent' || retries >= RETRIES_MAX) return false;
    if (!AGAIN.has(why.reason) || session.state === 'closed') return false;
    // The backend itself has answered: when to come again, or what to tell the client.
    if (why.retryAfterMs > 0 || why.body !== null) return false;
    const ordinal = target.backendOrdinal;
    const waitMs = this.#random.number() * BACKOFF_MS * 2 ** retries;
    if (this.#budgets[ordinal]! < 1) {
      this.noBudget++;
      return false;
    }
    if (this.#wheel.now() + waitMs >= call.deadline) return false;
    this.#budgets[ordinal]!--;
    this.sentAgain++;
    call.retries++;
    call.trace?.failedOnce(why.reason);
    call.state = 'retrying';
    const { generation } = call;
    const timeout = new Timeout(() => {
      // Answered with an error meanwhile, or its client has gone: the slot may serve another message by now.
      if (call.generation !== generation || call.state !== 'retrying') return;
      call.state = 'sent';
      call.upstream.send(call);
    });
    this.#wheel.set(timeout, waitMs);
    return true;
  }
}
