/** Which target is fuzzed next: each once, however long that takes, then in turn the one with the latest find and the one with the least time. */
import type { Report } from './worker.ts';

const SLICE_MS = { min: 1_000, max: 30_000 };
/** Part of the time that is spent on everybody once. */
const FIRST_PART = 0.6;

export type Slice = { readonly target: string; readonly ms: number; readonly number: number };

/** What came of one target, in all. */
export type Row = {
  readonly target: string;
  executions: number;
  ms: number;
  edgesBefore: number;
  edges: number;
  /** Of this target's own time, since it last reached a new block. */
  dryMs: number;
  kept: number;
  steps: number;
  allocated: number;
  findings: number;
};

type State = Row & { slices: number; isRunning: boolean; rate: number };

export class Schedule {
  readonly #states: Map<string, State>;
  readonly #limit: { ms?: number; dryMs?: number };
  readonly #start = performance.now();
  readonly #jobs: number;
  /** What a worker has taken beyond its time, to load and to run what is kept; the last one's. */
  #beyondMs = 1_000;
  #lastNewAt = performance.now();
  #turn = 0;

  /** @param limit For how long, or until so long nothing new came. */
  constructor(names: readonly string[], limit: { ms?: number; dryMs?: number }, jobs: number) {
    this.#limit = limit;
    this.#jobs = jobs;
    this.#states = new Map(names.map((target) => [target, newState(target)]));
  }

  /** null: the time is over, and everybody had a turn. */
  next(): Slice | null {
    const left = this.#leftMs();
    const free = [...this.#states.values()].filter((state) => !state.isRunning);
    if (free.length === 0) return null;
    const state = this.#pick(free);
    const isFirst = state.slices === 0;
    if (left <= 0 && !isFirst) return null;
    state.isRunning = true;
    const ms = this.#sliceMs(left);
    return { target: state.target, ms: isFirst ? ms : Math.min(ms, left), number: state.slices };
  }

  /** So long that everybody gets a turn in the first part of the time, with what a worker takes beside. */
  #sliceMs(left: number): number {
    const all = this.#limit.ms ?? this.#limit.dryMs!;
    const fresh = [...this.#states.values()].filter(({ slices }) => slices === 0).length;
    if (fresh === 0) return bounded((2 * all * FIRST_PART * this.#jobs) / this.#states.size);
    const forFirst = Math.max(0, left - all * (1 - FIRST_PART));
    return bounded((forFirst * this.#jobs) / fresh - this.#beyondMs);
  }

  #pick(free: readonly State[]): State {
    const fresh = free.find(({ slices }) => slices === 0);
    if (fresh !== undefined) return fresh;
    const byRate = free.toSorted((a, b) => b.rate - a.rate);
    const byTime = free.toSorted((a, b) => a.ms - b.ms);
    return this.#turn++ % 2 === 0 && byRate[0]!.rate > 0 ? byRate[0]! : byTime[0]!;
  }

  #leftMs(): number {
    const now = performance.now();
    if (this.#limit.ms !== undefined) return this.#limit.ms - (now - this.#start);
    return this.#limit.dryMs! - (now - this.#lastNewAt);
  }

  /** @param tookMs From the slice's start to its report. */
  done(report: Report, tookMs: number): void {
    this.#beyondMs = Math.max(0, tookMs - report.ms);
    const state = this.#states.get(report.target)!;
    state.isRunning = false;
    if (state.slices === 0) state.edgesBefore = report.edgesBefore;
    state.slices++;
    state.executions += report.executions;
    state.ms += report.ms;
    const fresh = report.edges - Math.max(state.edges, state.edgesBefore);
    state.edges = Math.max(state.edges, report.edges);
    state.rate = Math.max(0, fresh) / Math.max(1, report.ms);
    state.dryMs = report.newEdgeMs ?? state.dryMs + report.ms;
    if (fresh > 0) this.#lastNewAt = performance.now();
    state.kept = report.kept;
    state.steps = Math.max(state.steps, report.worst.steps);
    state.allocated = Math.max(state.allocated, report.worst.allocated);
    state.findings += report.findings.length;
  }

  rows(): readonly Row[] {
    return [...this.#states.values()].filter(({ slices }) => slices > 0);
  }
}

function newState(target: string): State {
  return {
    target,
    executions: 0,
    ms: 0,
    edgesBefore: 0,
    edges: 0,
    dryMs: 0,
    kept: 0,
    steps: 0,
    allocated: 0,
    findings: 0,
    slices: 0,
    isRunning: false,
    rate: 0,
  };
}

function bounded(ms: number): number {
  return Math.min(SLICE_MS.max, Math.max(SLICE_MS.min, ms));
}
