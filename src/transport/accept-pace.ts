/**
 * How many connections are begun a second, on all ports for clients together. Beyond it they wait, in the order in which
 * they came: after a crash thousands come back at once, and each costs a handshake, while those who are here want to play.
 * The first seconds after the first one have less, as the program is slowest then.
 */
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel, WHEEL_TICK_MS } from '../timer-wheel.ts';

/** A connection that has its turn now or later. */
export interface Arrival {
  /** It waited, and has its turn now. */
  begin(): void;
}

/** The rate begins at this share of what it may be, and doubles every second. */
const FIRST_SHARE = 1 / 8;
const DOUBLED_EVERY_MS = 1_000;
/** What may come at once after a rest, as a share of what may come in a second. */
const BURST_SHARE = 1 / 5;
/** At most one line about waiting connections in this time. */
const LINE_EVERY_MS = 10_000;

export type AcceptPaceParts = { readonly wheel: TimerWheel; readonly log: Log };

export class AcceptPace {
  /** Connections that had to wait, since the start. */
  delayed = 0;
  readonly #wheel: TimerWheel;
  readonly #log: Log;
  #perSecond: number;
  readonly #waiting = new Set<Arrival>();
  readonly #turn: Timeout;
  #tokens: number;
  #tokensAt = 0;
  /** NaN: no connection has come yet. */
  #begunAt = Number.NaN;
  #saidAt = -Infinity;

  /** @param perSecond `limits.accepts_per_second`. */
  constructor({ wheel, log }: AcceptPaceParts, perSecond: number) {
    this.#wheel = wheel;
    this.#log = log;
    this.#perSecond = perSecond;
    this.#tokens = this.#burst;
    this.#turn = new Timeout(() => {
      this.#letIn();
    });
  }

  /** Connections that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** May be set at any time. */
  set perSecond(perSecond: number) {
    this.#refill();
    this.#perSecond = perSecond;
  }

  /** True: it has its turn at once. False: its `begin` will be called, unless it leaves. */
  enter(arrival: Arrival): boolean {
    this.#refill();
    if (this.#waiting.size === 0 && this.#tokens >= 1) {
      this.#tokens--;
      return true;
    }
    this.delayed++;
    this.#waiting.add(arrival);
    if (this.#waiting.size === 1) {
      this.#wheel.set(this.#turn, WHEEL_TICK_MS);
      this.#say();
    }
    return false;
  }

  /** It does not wait any more. Harmless if it did not. */
  leave(arrival: Arrival): void {
    this.#waiting.delete(arrival);
    if (this.#waiting.size === 0) this.#wheel.cancel(this.#turn);
  }

  #letIn(): void {
    this.#refill();
    for (const arrival of this.#waiting) {
      if (this.#tokens < 1) break;
      this.#tokens--;
      this.#waiting.delete(arrival);
      arrival.begin();
    }
    if (this.#waiting.size > 0) this.#wheel.set(this.#turn, WHEEL_TICK_MS);
  }

  get #burst(): number {
    return Math.max(1, this.#perSecond * BURST_SHARE);
  }

  #refill(): void {
    const now = this.#wheel.now();
    if (Number.isNaN(this.#begunAt)) {
      this.#begunAt = now;
      this.#tokensAt = now;
    }
    const share = Math.min(1, FIRST_SHARE * 2 ** ((now - this.#begunAt) / DOUBLED_EVERY_MS));
    const more = ((now - this.#tokensAt) * share * this.#perSecond) / 1_000;
    this.#tokens = Math.min(this.#burst, this.#tokens + more);
    this.#tokensAt = now;
  }

  #say(): void {
    const now = this.#wheel.now();
    if (now < this.#saidAt + LINE_EVERY_MS) return;
    this.#saidAt = now;
    const what = `limits.accepts_per_second is ${this.#perSecond}; in the first seconds it is less`;
    this.#log.warn({ what }, 'new connections wait for their turn');
  }
}
