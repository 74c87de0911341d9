/** How exports to a collector go: counted, and logged when they begin to fail, once in a while, and when they are over. */
import type { Clock } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { Log } from './log.ts';
import type { InstrumentName, Metrics, Series } from './metrics.ts';

/** How often an unreachable collector is logged, in milliseconds. */
const LOG_AGAIN_MS = 60_000;

export type ExportReportParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** As OpenTelemetry's exporters say it; code 0: all went well. */
type Result = { readonly code: number; readonly error?: Error };

export class ExportReport {
  readonly #parts: ExportReportParts;
  readonly #what: string;
  readonly #collector: string;
  readonly #exported: Series;
  readonly #failed: Series;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #lost = 0;

  /** @param what For the log. @param collector Where they go. */
  constructor(what: string, name: InstrumentName, collector: URL, parts: ExportReportParts) {
    this.#parts = parts;
    this.#what = what;
    this.#collector = collector.host;
    this.#exported = parts.metrics.series(name, ['exported']);
    this.#failed = parts.metrics.series(name, ['failed']);
  }

  /** An export of so many has ended. */
  done({ code, error }: Result, count: number): void {
    const { clock, log } = this.#parts;
    const collector = this.#collector;
    if (code === 0) {
      this.#exported.add(count);
      if (this.#lost > 0) log.info({ collector, lost: this.#lost }, `${this.#what} exported again`);
      this.#lost = 0;
      this.#loggedAt = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#failed.add(count);
    this.#lost += count;
    if (clock.now() - this.#loggedAt < LOG_AGAIN_MS) return;
    this.#loggedAt = clock.now();
    const fields = { collector, lost: this.#lost, why: errorText(error) };
    log.warn(fields, `${this.#what} cannot be exported`);
  }
}
