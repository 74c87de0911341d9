/** What must not end the gateway: internal faults in background work, and steps of the shutdown that hang or fail. */
import { type Clock, within } from './clock.ts';
import { errorText } from './errors.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { LogThrottle } from './telemetry/log-throttle.ts';

export class Faults {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #throttle: LogThrottle;

  constructor(clock: Clock, log: Log, metrics: Metrics) {
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#throttle = new LogThrottle(clock);
  }

  /** Counts and logs the failure of background work. */
  readonly onFault = (error: unknown): void => {
    this.#metrics.add('pith_internal_errors_total', []);
    const err = error instanceof Error ? error : new Error(String(error));
    const more = this.#throttle.allow('fault');
    if (more !== null) this.#log.error({ err, ...more }, 'internal error');
  };

  /** One step of the stop: whatever becomes of it, the next one follows, after `ms` at the latest. */
  async step(what: string, ms: number, work: () => Promise<unknown>): Promise<void> {
    try {
      const ended = work().then(() => true);
      if (!(await within(this.#clock, ms, ended, false)))
        this.#log.warn({ what, ms }, 'shutdown step not finished in time; continuing');
    } catch (error) {
      this.#log.error({ what, why: errorText(error) }, 'shutdown step failed; continuing');
    }
  }
}
