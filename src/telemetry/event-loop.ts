/** The lag of the event loop, which delays everything else. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;

/** Uses Node's own monitor, which does not keep the process alive. */
export class EventLoopLag {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delays.enable();
  }

  stop(): void {
    this.#delays.disable();
  }

  /** A percentile of the lag since the last reset, in seconds. */
  percentile(percent: number): number {
    if (this.#delays.count === 0) return 0;
    // Node measures the whole time between two samples.
    return Math.max(0, this.#delays.percentile(percent) / 1e9 - RESOLUTION_MS / 1e3);
  }

  reset(): void {
    this.#delays.reset();
  }
}
