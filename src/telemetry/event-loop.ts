/** How late the event loop is: everything else waits as long. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;

/** A timer of Node's own, which does not keep the process alive. */
export class EventLoopLag {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delays.enable();
  }

  stop(): void {
    this.#delays.disable();
  }

  /** Seconds; `percent` of the looks since `forget` were not later than this. */
  percentile(percent: number): number {
    if (this.#delays.count === 0) return 0;
    // Node measures from one look to the next.
    return Math.max(0, this.#delays.percentile(percent) / 1e9 - RESOLUTION_MS / 1e3);
  }

  forget(): void {
    this.#delays.reset();
  }
}
