/**
 * Refuses new requests while the event loop lags, so that what is in flight, heartbeats and pushes get their turn.
 *
 * Nothing is measured per message: a message finds the refusal, or null. One stall, as of the garbage collector or of a
 * machine that was suspended, is one late sample among others; only a lag in each of several samples counts.
 */
import type { CancelTimer, Clock } from '../clock.ts';
import { type Failure, failure } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';

/** What the event loop's lag was since the last reset. */
export interface LagWindow {
  /** Samples, of which there are fewer the more it lags. */
  readonly count: number;
  /** Milliseconds. */
  readonly leastMs: number;
  /** Milliseconds. */
  percentileMs(percent: number): number;
  reset(): void;
}

/** How often it is looked at. */
export const LAG_LOOK_MS = 500;
/** With fewer samples than these, the next look decides. */
const SAMPLES_MIN = 3;
/** Requests are taken again once half of the samples are below this share of the limit. */
const CALM = 0.5;
/** When a client that was refused may try again. */
const RETRY_AFTER_MS = 1_000;
const BUSY = 'this gateway has too much to do; try again';

export type SheddingParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** null: nothing is known about it, and nothing is refused. */
  readonly lag: LagWindow | null;
};

export class Shedding {
  /** Why no new request is taken now; null: they are. */
  refusal: Failure | null = null;
  readonly #parts: SheddingParts;
  #limitMs: number;
  #isStarted = false;
  #cancelTimer: CancelTimer | null = null;
  #since = 0;

  /** @param limitMs `limits.event_loop_lag`; 0: nothing is refused. */
  constructor(parts: SheddingParts, limitMs: number) {
    this.#parts = parts;
    this.#limitMs = limitMs;
  }

  /** Begins to look, once the start is over: that is one long turn. */
  start(): void {
    this.#isStarted = true;
    this.setLimit(this.#limitMs);
  }

  stop(): void {
    this.#isStarted = false;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.refusal = null;
  }

  /** May be set at any time; milliseconds. */
  setLimit(limitMs: number): void {
    this.#limitMs = limitMs;
    const { lag } = this.#parts;
    if (!this.#isStarted || lag === null) return;
    if (limitMs === 0) {
      this.#cancelTimer?.();
      this.#cancelTimer = null;
      if (this.refusal !== null) this.#end();
    } else if (this.#cancelTimer === null) {
      lag.reset();
      this.#lookLater(lag);
    }
  }

  #lookLater(lag: LagWindow): void {
    this.#cancelTimer = this.#parts.clock.setTimer(LAG_LOOK_MS, () => {
      this.#look(lag);
      this.#lookLater(lag);
    });
  }

  #look(lag: LagWindow): void {
    if (lag.count < SAMPLES_MIN) return;
    const { leastMs } = lag;
    const isCalm = lag.percentileMs(50) < CALM * this.#limitMs;
    lag.reset();
    if (this.refusal === null && leastMs > this.#limitMs) this.#begin(Math.round(leastMs));
    else if (this.refusal !== null && isCalm) this.#end();
  }

  #begin(lagMs: number): void {
    const { clock, log } = this.#parts;
    this.#since = clock.now();
    const why = `the event loop lags by ${lagMs} ms, and limits.event_loop_lag is ${this.#limitMs} ms`;
    this.refusal = { ...failure('OVERLOADED', BUSY, RETRY_AFTER_MS), detail: why };
    log.warn({ lagMs, why }, 'overloaded: new requests are refused');
  }

  #end(): void {
    const { clock, log } = this.#parts;
    this.refusal = null;
    const lastedMs = Math.round(clock.now() - this.#since);
    log.info({ lastedMs }, 'no longer overloaded: new requests are taken');
  }
}
