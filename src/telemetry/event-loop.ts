/** The lag of the event loop, which delays everything else. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;

/**
 * How late the event loop was, each time that it could have looked at a clock since the last reset. Node measures it with
 * a timer of its own: nothing runs in JavaScript, and the process is not kept alive.
 */
export class LagSamples {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delays.enable();
  }

  stop(): void {
    this.#delays.disable();
  }

  reset(): void {
    this.#delays.reset();
  }

  get count(): number {
    return this.#delays.count;
  }

  /** The least lag of all samples, in milliseconds: one stall, as of the garbage collector, does not raise it. */
  get leastMs(): number {
    return this.#lagMs(this.#delays.min);
  }

  /** The lag that so many percent of the samples do not exceed, in milliseconds. */
  percentileMs(percent: number): number {
    return this.#lagMs(this.#delays.percentile(percent));
  }

  /** Node measures the whole time between two samples. */
  #lagMs(nanoseconds: number): number {
    return this.count === 0 ? 0 : Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  }
}

export class EventLoopLag {
  /** Reset by each scrape. */
  readonly scraped = new LagSamples();
  /** Reset by whoever decides by them whether the gateway has too much to do. */
  readonly recent = new LagSamples();

  start(): void {
    this.scraped.start();
    this.recent.start();
  }

  stop(): void {
    this.scraped.stop();
    this.recent.stop();
  }
}
