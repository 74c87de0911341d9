/** What the gateway has counted during the last hour, step by step: for those who look only when something has happened. */
import type { Clock } from '../clock.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { InstrumentName, Metrics } from './metrics.ts';

/** The length of a step in milliseconds, and how many are kept. */
export const STEP_MS = 10_000;
export const STEPS = 360;
/** Counters that are followed; there are fewer close reasons, outcomes and reasons of refusals. */
const SERIES_MAX = 256;

/** What is followed, by the kind under which it is told. `by`: which of its labels is the name. */
const FOLLOWED: readonly {
  readonly kind: string;
  readonly metric: InstrumentName;
  readonly by: number;
  readonly without?: readonly string[];
}[] = [
  { kind: 'opened', metric: 'pith_connections_accepted_total', by: -1 },
  { kind: 'messages', metric: 'pith_requests_total', by: -1 },
  { kind: 'failed', metric: 'pith_requests_total', by: 1, without: ['ok', 'client_gone'] },
  { kind: 'refused', metric: 'pith_messages_refused_total', by: 0 },
  { kind: 'closed', metric: 'pith_sessions_closed_total', by: 0 },
];

export type HistoryParts = {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly metrics: Metrics;
  /** Open now. */
  readonly sessions: () => number;
};

export type HistorySeries = {
  readonly kind: string;
  readonly name: string;
  readonly values: readonly number[];
};

type Series = { readonly kind: string; readonly name: string; last: number; values: Float64Array };

export class History {
  readonly #parts: HistoryParts;
  readonly #series = new Map<string, Series>();
  readonly #again: Timeout;
  /** The step that is not over yet: steps since 1970. */
  #step: number;

  constructor(parts: HistoryParts) {
    this.#parts = parts;
    this.#step = this.#stepNow();
    this.#again = new Timeout(() => {
      this.#look();
      this.#lookAgain();
    });
  }

  start(): void {
    this.#lookAgain();
  }

  /** All steps, the oldest first; the last is not over yet. Counters that were 0 throughout are left out. */
  read(): { readonly startMs: number; readonly series: HistorySeries[] } {
    this.#look();
    const first = (this.#step + 1) % STEPS;
    const series = [...this.#series.values()]
      .filter(({ kind, values }) => kind === 'sessions' || values.some((value) => value !== 0))
      .map(({ kind, name, values }) => ({
        ...{ kind, name },
        values: [...values.subarray(first), ...values.subarray(0, first)],
      }));
    return { startMs: (this.#step - STEPS + 1) * STEP_MS, series };
  }

  #lookAgain(): void {
    const { clock, wheel } = this.#parts;
    wheel.set(this.#again, STEP_MS - (clock.wallNow() % STEP_MS));
  }

  /** What was counted since the last look belongs to the step in which that was. */
  #look(): void {
    for (const [key, { kind, name, total }] of this.#totals()) {
      const known = this.#series.get(key) ?? this.#follow(key, kind, name);
      if (known === null) continue;
      known.values[this.#step % STEPS]! += total - known.last;
      known.last = total;
    }
    this.#noteSessions();
    this.#advance();
    this.#noteSessions();
  }

  /** Not a count, but how many there are when the step ends. */
  #noteSessions(): void {
    const sessions = this.#series.get('sessions') ?? this.#follow('sessions', 'sessions', '');
    if (sessions === null) return;
    sessions.last = this.#parts.sessions();
    sessions.values[this.#step % STEPS] = sessions.last;
  }

  /** To the step of now; a wall clock that was set back waits for its own time to come again. */
  #advance(): void {
    const now = this.#stepNow();
    const from = Math.max(this.#step + 1, now - STEPS + 1);
    for (let step = from; step <= now; step++)
      for (const { kind, values, last } of this.#series.values())
        values[step % STEPS] = kind === 'sessions' ? last : 0;
    this.#step = Math.max(this.#step, now);
  }

  #totals(): Map<string, { kind: string; name: string; total: number }> {
    const totals = new Map<string, { kind: string; name: string; total: number }>();
    for (const { kind, metric, by, without = [] } of FOLLOWED) {
      for (const [labels, value] of this.#parts.metrics.values(metric)) {
        const name = by < 0 ? '' : (labels[by] ?? '');
        if (without.includes(name)) continue;
        const key = `${kind} ${name}`;
        const known = totals.get(key);
        if (known === undefined) totals.set(key, { kind, name, total: value });
        else known.total += value;
      }
    }
    return totals;
  }

  /** null: there are too many. */
  #follow(key: string, kind: string, name: string): Series | null {
    if (this.#series.size >= SERIES_MAX) return null;
    const series = { kind, name, last: 0, values: new Float64Array(STEPS) };
    this.#series.set(key, series);
    return series;
  }

  #stepNow(): number {
    return Math.floor(this.#parts.clock.wallNow() / STEP_MS);
  }
}
