/** The results of a run, as they are kept: every sample, what was left out, and where and when it was. */
import { highest, percentile } from './histogram.ts';
import type { Load } from './generator.ts';

/** One load on one system in one round. Times are in microseconds. */
export type LoadSample = {
  readonly kind: 'load';
  readonly round: number;
  readonly system: string;
  /** `1000x1`, `200x10`, `paced30`, `paced50`, `paced80`, `hop-NAME`, `slow`, `cast`, `sip`, `hung`. */
  readonly load: string;
  /** Requests a second that were asked for; 0: as fast as answers come. */
  readonly rate: number;
  /** Answers (pushes, of a cast) a second. */
  readonly perSecond: number;
  /** CPU of the front for each of them, as the scheduler counted it; the same in ticks of utime and stime. */
  readonly frontUs: number;
  readonly frontTicksUs: number;
  /** The same of all processes. */
  readonly allUs: number;
  /** Of a core, that the front used. */
  readonly frontCore: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly generatorCore: number;
  /** Of the machine's time, that its host gave to others. */
  readonly steal: number;
  readonly wrong: number;
  readonly lost: number;
  readonly unanswered: number;
  readonly skipped: number;
  readonly slowClosed: number;
  /** Bytes by which the front has grown; 0: not looked at. */
  readonly grownBytes: number;
  /** Why it does not count; empty: it does. */
  readonly void: string;
};

export type MemorySample = {
  readonly kind: 'memory';
  readonly round: number;
  readonly system: string;
  readonly tls: boolean;
  readonly restBytes: number;
  readonly perConnection: number;
  /** From the start of the front's first process to the first answer of a backend through it; with TLS 0. */
  readonly startMs: number;
};

export type Sample = LoadSample | MemorySample;

export type SystemInfo = {
  readonly name: string;
  readonly what: string;
  readonly versions: string;
  /** Measure → why it can't be measured. */
  readonly none: Readonly<Record<string, string>>;
  /** Why it was not measured at all; empty: it was. */
  readonly leftOut: string;
};

export type Results = {
  /** ISO 8601, of its begin. */
  readonly date: string;
  readonly minutes: number;
  readonly rounds: number;
  /** Rounds in which memory, slow and hung backends, slow readers and variants were measured. */
  readonly sideRounds: number;
  readonly seconds: number;
  readonly idleConnections: number;
  readonly idleTls: number;
  readonly quick: boolean;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMiB: number;
    readonly kernel: string;
    readonly node: string;
    readonly go: string;
    readonly gcc: string;
    /** Of one minute, when it began and when it ended; the run's own load is in the second. */
    readonly loadBefore: number;
    readonly loadAfter: number;
  };
  /** Of the product, as git describes it. */
  readonly revision: string;
  readonly systems: readonly SystemInfo[];
  /** Requests a second; what 30, 50 and 80 % are of. */
  readonly peaks: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly samples: readonly Sample[];
};

const US = 1_000;

/** What a load's counts come to. */
export function sampleOf(
  load: Load,
  about: {
    round: number;
    system: string;
    load: string;
    rate: number;
    steal: number;
    grownBytes: number;
  },
): LoadSample {
  const done = load.pushed || load.answered;
  const per = (us: number): number => round(us / Math.max(1, done), 3);
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const at = (percent: number): number => round(percentile(load.histogram, percent) / US, 1);
  const sample = {
    kind: 'load' as const,
    ...about,
    steal: round(about.steal, 4),
    perSecond: round(done / load.secs, 1),
    frontUs: per(load.sched_us[0] ?? 0),
    frontTicksUs: per(load.stat_us[0] ?? 0),
    allUs: per(sum(load.sched_us)),
    frontCore: round((load.sched_us[0] ?? 0) / 1e6 / load.secs, 3),
    p50: at(50),
    p99: at(99),
    p999: at(99.9),
    max: round(highest(load.histogram) / US, 1),
    generatorCore: round(load.core, 3),
    wrong: load.wrong,
    lost: load.lost,
    unanswered: load.unanswered,
    skipped: load.skipped,
    slowClosed: load.slow_closed,
  };
  return { ...sample, void: whyVoid(sample, done) };
}

/** A generator above this measures itself. */
export const GENERATOR_CORE_MAX = 0.9;

/**
 * Loads that are meant to be too much for some (`slow`, `hung`, paced at a rate that another system bears) are not void
 * for answers that did not come: their latencies say so.
 */
function whyVoid(
  sample: Pick<LoadSample, 'load' | 'rate' | 'generatorCore' | 'wrong' | 'lost' | 'unanswered'>,
  done: number,
): string {
  if (sample.generatorCore > GENERATOR_CORE_MAX)
    return `the generator used ${sample.generatorCore.toFixed(2)} of a core`;
  if (sample.load === 'slow' || sample.load === 'hung') return '';
  if (done === 0) return 'no answer';
  if (sample.wrong > 0) return `${sample.wrong} wrong answers, errors or lost connections`;
  if (sample.lost > 0) return `${sample.lost} pushes lost`;
  if (sample.rate === 0 && sample.unanswered > 0)
    return `${sample.unanswered} requests without an answer`;
  return '';
}

export function round(value: number, digits: number): number {
  return Number.isFinite(value) ? Number(value.toFixed(digits)) : 0;
}
