/**
 * Refuses new requests while the event loop lags, so that what is in flight, heartbeats and pushes get their turn: all at
 * first, until what has piled up is worked off, then the share that keeps the lag at half of its limit, which is what is
 * asked beyond what the gateway can do. Taking all again at once would only begin it anew.
 *
 * Nothing is measured per message. One stall, as of the garbage collector or of a machine that was suspended, is one late
 * sample among others; only a lag in each of several samples counts.
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

/** How often it is looked at, and how often while requests are refused. */
export const LAG_LOOK_MS = 500;
export const SHEDDING_LOOK_MS = 250;
/** With fewer samples than these, the next look decides. */
const SAMPLES_MIN = 3;
/** The share that is refused falls while half of the samples are below this share of the limit, and rises above it. */
const CALM = 0.5;
/** By how much in one look, for a lag that differs by the whole limit: without any lag all are taken after two seconds. */
const GAIN = 0.25;
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
  /** Of new requests, the share that is refused now; 0: all are taken. */
  share = 0;
  readonly #parts: SheddingParts;
  #limitMs: number;
  #isStarted = false;
  #cancelTimer: CancelTimer | null = null;
  #since = 0;
  #refusal: Failure | null = null;
  /** What is refused of the next request: the whole of it from 1 on. */
  #due = 0;

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
    this.share = 0;
  }

  /** Why the next new request is not taken; null: it is. */
  refuseNext(): Failure | null {
    if (this.share === 0) return null;
    this.#due += this.share;
    if (this.#due < 1) return null;
    this.#due--;
    return this.#refusal;
  }

  /** May be set at any time; milliseconds. */
  setLimit(limitMs: number): void {
    this.#limitMs = limitMs;
    const { lag } = this.#parts;
    if (!this.#isStarted || lag === null) return;
    if (limitMs === 0) {
      this.#cancelTimer?.();
      this.#cancelTimer = null;
      if (this.share > 0) this.#end();
    } else if (this.#cancelTimer === null) {
      lag.reset();
      this.#lookLater(lag);
    }
  }

  #lookLater(lag: LagWindow): void {
    const ms = this.share === 0 ? LAG_LOOK_MS : SHEDDING_LOOK_MS;
    this.#cancelTimer = this.#parts.clock.setTimer(ms, () => {
      this.#look(lag);
      this.#lookLater(lag);
    });
  }

  #look(lag: LagWindow): void {
    if (lag.count < SAMPLES_MIN) return;
    const { leastMs } = lag;
    const medianMs = lag.percentileMs(50);
    lag.reset();
    if (this.share === 0) {
      if (leastMs > this.#limitMs) this.#begin(Math.round(leastMs));
      return;
    }
    const change = GAIN * (medianMs / this.#limitMs - CALM);
    this.share = Math.min(1, Math.max(0, this.share + change));
    if (this.share === 0) this.#end();
  }

  #begin(lagMs: number): void {
    const { clock, log } = this.#parts;
    this.#since = clock.now();
    const why = `the event loop lags by ${lagMs} ms, and limits.event_loop_lag is ${this.#limitMs} ms`;
    this.#refusal = { ...failure('OVERLOADED', BUSY, RETRY_AFTER_MS), detail: why };
    this.share = 1;
    this.#due = 0;
    log.warn({ lagMs, why }, 'overloaded: new requests are refused');
  }

  #end(): void {
    const { clock, log } = this.#parts;
    this.share = 0;
    const lastedMs = Math.round(clock.now() - this.#since);
    log.info({ lastedMs }, 'no longer overloaded: new requests are taken');
  }
}
