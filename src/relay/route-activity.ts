/** What comes of messages by the rule that they match: counted as long as somebody asks for it. */
import { Histogram } from '../telemetry/histogram.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** How long it is counted after somebody has asked. */
export const COUNTED_MS = 60_000;
/** From a backend on the same machine to the default timeout, in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class RouteCounts {
  /** By outcome: ok, client_gone, BACKEND, or a reason of ours. */
  readonly outcomes = new Map<string, number>();
  readonly latency = new Histogram(SECONDS);

  add(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}

export class RouteActivity {
  /** Looked at for each message; the other methods are called only while it is true. */
  isOn = false;
  readonly #wheel: TimerWheel;
  readonly #off: Timeout;
  readonly #counts = new Map<string, RouteCounts>();
  #since = 0;

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
    this.#off = new Timeout(() => {
      this.isOn = false;
      this.#counts.clear();
    });
  }

  /** Begins to count, or goes on. */
  asked(): void {
    if (!this.isOn) this.#since = this.#wheel.now();
    this.isOn = true;
    this.#wheel.set(this.#off, COUNTED_MS);
  }

  /** For how long it has counted, in milliseconds. */
  get countedMs(): number {
    return this.isOn ? this.#wheel.now() - this.#since : 0;
  }

  /** @param match As the rule has it; '': no rule matched. `ms`: from the request to its answer; null: a notify. */
  done(match: string, outcome: string, ms: number | null): void {
    let counts = this.#counts.get(match);
    if (counts === undefined) {
      counts = new RouteCounts();
      this.#counts.set(match, counts);
    }
    counts.add(outcome);
    if (ms !== null) counts.latency.observe(ms / 1_000);
  }

  /** undefined: nothing has come. */
  of(match: string): RouteCounts | undefined {
    return this.#counts.get(match);
  }
}
