/** What several gateways have counted of the same, added up. What is not of the form that it should have is left out. */
import { isObject } from '../protocol/exact-json.ts';
import type { Row } from './fleet-status.ts';

/** Series of a history, and rules, that are added up; there are fewer. */
export const SUMS_MAX = 1_000;
/** Outcomes of one rule. */
const OUTCOMES_MAX = 100;
const NAME_CHARS_MAX = 256;

type LatencyJson = { bounds: number[]; counts: number[]; sum: number };

/** A RouteStatus in JSON. */
export type RouteJson = {
  match: string;
  backends: string[];
  outcomes: Record<string, number>;
  latency: LatencyJson;
};

/** In the order in which they come: the called gateway's first. */
export function sumOfRoutes(rows: readonly Row[]): RouteJson[] {
  const sums = new Map<string, RouteJson>();
  for (const { json } of rows) {
    const { match, backends, outcomes, latency } = json;
    if (!isName(match)) continue;
    let sum = sums.get(match);
    if (sum === undefined) {
      if (sums.size >= SUMS_MAX) continue;
      sum = { match, backends: namesOf(backends), outcomes: {}, latency: NONE() };
      sums.set(match, sum);
    }
    addOutcomes(sum.outcomes, outcomes);
    addLatency(sum.latency, latency);
  }
  return [...sums.values()];
}

const NONE = (): LatencyJson => ({ bounds: [], counts: [], sum: 0 });

function addOutcomes(to: Record<string, number>, outcomes: unknown): void {
  if (!isObject(outcomes)) return;
  for (const [name, count] of Object.entries(outcomes)) {
    const known = Object.hasOwn(to, name) ? to[name]! : 0;
    if (isName(name) && isCount(count) && (known > 0 || Object.keys(to).length < OUTCOMES_MAX))
      to[name] = known + count;
  }
}

function addLatency(to: LatencyJson, latency: unknown): void {
  if (!isObject(latency)) return;
  const { bounds, counts, sum } = latency;
  if (!areNumbers(bounds) || !areCounts(counts) || counts.length !== bounds.length + 1) return;
  if (to.counts.length === 0) Object.assign(to, { bounds, counts: counts.map(() => 0) });
  // A release with other bounds counts otherwise.
  if (bounds.some((bound, i) => bound !== to.bounds[i])) return;
  for (const [i, count] of counts.entries()) to.counts[i]! += count;
  if (typeof sum === 'number' && sum >= 0) to.sum += sum;
}

/** One series of a History. */
export type SeriesJson = { kind: string; name: string; values: number[] };
export type HistoryJson = { startMs: number; stepMs: number; series: SeriesJson[] };

/** By the steps of the called gateway, whose rows come first; those of others are put where their clocks say. */
export function sumOfHistories(
  rows: readonly Row[],
  own: { startMs: number; stepMs: number; steps: number },
): HistoryJson {
  const { startMs, stepMs, steps } = own;
  const sums = new Map<string, SeriesJson>();
  for (const { json } of rows) {
    const { kind, name, values, start_ms: start, step_ms: step } = json;
    if (!isName(kind) || !isName(name) || !areCounts(values) || step !== stepMs) continue;
    if (typeof start !== 'number') continue;
    const key = `${kind} ${name}`;
    let sum = sums.get(key);
    if (sum === undefined) {
      if (sums.size >= SUMS_MAX) continue;
      sum = { kind, name, values: Array.from({ length: steps }, () => 0) };
      sums.set(key, sum);
    }
    const later = Math.round((start - startMs) / stepMs);
    for (const [i, value] of values.entries()) {
      const at = i + later;
      if (at >= 0 && at < steps) sum.values[at]! += value;
    }
  }
  return { startMs, stepMs, series: [...sums.values()] };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_CHARS_MAX;
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(isName).slice(0, OUTCOMES_MAX) : [];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function areCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= SUMS_MAX && value.every(isCount);
}

function areNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}
