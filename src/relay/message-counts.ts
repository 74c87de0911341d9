/** What is counted of each message, by its backend and by its rule: found without making a label list or a key. */
import type { Histogram } from '../telemetry/histogram.ts';
import type { InstrumentName, Metrics, Series } from '../telemetry/metrics.ts';
import type { Call } from '../upstream/call.ts';

/** Rules that are counted by their own `match`; those that come after them count as `_OVERFLOW`. */
export const COUNTED_RULES_MAX = 500;

type Names = { readonly total: InstrumentName; readonly duration: InstrumentName };

const OF_BACKEND: Names = {
  total: 'pith_requests_total',
  duration: 'pith_request_duration_seconds',
};
const OF_ROUTE: Names = {
  total: 'pith_route_requests_total',
  duration: 'pith_route_duration_seconds',
};

class Counts {
  readonly #metrics: Metrics;
  readonly #total: InstrumentName;
  readonly #label: string;
  readonly #outcomes = new Map<string, Series>();
  readonly #durations: Histogram;
  /** The outcome that came last, which is nearly always the next one too. */
  #outcome = '';
  #series: Series | null = null;

  constructor(metrics: Metrics, { total, duration }: Names, label: string) {
    this.#metrics = metrics;
    this.#total = total;
    this.#label = label;
    this.#durations = metrics.histogram(duration, [label]);
  }

  count(call: Call, outcome: string, seconds: number): void {
    if (outcome !== this.#outcome) {
      this.#outcome = outcome;
      this.#series = this.#seriesOf(outcome);
    }
    this.#series!.value++;
    if (call.wantsAnswer) this.#durations.observe(seconds);
  }

  #seriesOf(outcome: string): Series {
    let series = this.#outcomes.get(outcome);
    if (series === undefined) {
      series = this.#metrics.series(this.#total, [this.#label, outcome]);
      this.#outcomes.set(outcome, series);
    }
    return series;
  }
}

export class MessageCounts {
  readonly #metrics: Metrics;
  /** By the backend's ordinal. */
  readonly #backends: Counts[] = [];
  /** By `match`. Rules that a reload has taken out stay, as counters have to. */
  readonly #rules = new Map<string, Counts>();
  /** The same by the rule's ordinal, as far as it is of that `match`: others come with a reload. */
  readonly #byOrdinal: { readonly match: string; readonly counts: Counts }[] = [];

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(name: string): void {
    this.#backends.push(new Counts(this.#metrics, OF_BACKEND, name));
  }

  count(call: Call, outcome: string, ms: number): void {
    const { backendOrdinal, match, ordinal } = call.target;
    const seconds = ms / 1_000;
    this.#backends[backendOrdinal]!.count(call, outcome, seconds);
    let rule = this.#byOrdinal[ordinal];
    if (rule?.match !== match) {
      rule = { match, counts: this.#rules.get(match) ?? this.#addRule(match) };
      this.#byOrdinal[ordinal] = rule;
    }
    rule.counts.count(call, outcome, seconds);
  }

  #addRule(match: string): Counts {
    const label = this.#rules.size < COUNTED_RULES_MAX ? match : '_OVERFLOW';
    let counts = this.#rules.get(label);
    if (counts === undefined) {
      counts = new Counts(this.#metrics, OF_ROUTE, label);
      this.#rules.set(label, counts);
    }
    return counts;
  }
}
