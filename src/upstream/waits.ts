/** Calls that cannot be sent yet: how many there are, and how many there have been. */
import type { Metrics, Series } from '../telemetry/metrics.ts';

/**
 * What they wait for. takeover: the process that follows on a path, or that attaches to a gateway that was upgraded · subscriber: one on NATS · bus: the connection to
 * NATS, or room on it · connection: a free one to an HTTP backend · credit: that a Link's backend takes more.
 */
export type WaitsFor = 'takeover' | 'subscriber' | 'bus' | 'connection' | 'credit';

export class Waits {
  readonly #now: Series;
  readonly #ever: Series;

  constructor(metrics: Metrics, what: WaitsFor) {
    this.#now = metrics.series('pith_calls_waiting', [what]);
    this.#ever = metrics.series('pith_calls_waited_total', [what]);
  }

  begin(): void {
    this.#now.add();
    this.#ever.add();
  }

  end(): void {
    this.#now.add(-1);
  }
}
