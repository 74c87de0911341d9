/** What the samples of a run come to: medians with the least and the most, ratios made within a round, and the aims. */
import type { LoadSample, MemorySample, Results } from './results.ts';

export type Stat = {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
};

/** Null of no numbers. Of an even count the median is the mean of the two in the middle. */
export function statOf(numbers: readonly number[]): Stat | null {
  if (numbers.length === 0) return null;
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, count: sorted.length };
}

/** One load of one system. */
export type Of = readonly [system: string, load: string];

export class Summary {
  readonly results: Results;

  constructor(results: Results) {
    this.results = results;
  }

  /** The samples that count. */
  loads([system, load]: Of): LoadSample[] {
    return this.results.samples.filter(
      (sample): sample is LoadSample =>
        sample.kind === 'load' &&
        sample.system === system &&
        sample.load === load &&
        sample.void === '',
    );
  }

  load(of: Of, pick: (sample: LoadSample) => number): Stat | null {
    return statOf(this.loads(of).map(pick));
  }

  memory(system: string, tls: boolean, pick: (sample: MemorySample) => number): Stat | null {
    const samples = this.results.samples.filter(
      (sample): sample is MemorySample =>
        sample.kind === 'memory' && sample.system === system && sample.tls === tls,
    );
    return statOf(samples.map(pick));
  }

  /** Of two loads, what `combine` makes of the two samples of each round that has both. */
  within(one: Of, other: Of, combine: (one: LoadSample, other: LoadSample) => number): Stat | null {
    const others = new Map(this.loads(other).map((sample) => [sample.round, sample]));
    return statOf(
      this.loads(one).flatMap((sample) => {
        const base = others.get(sample.round);
        return base === undefined ? [] : [combine(sample, base)];
      }),
    );
  }

  /** CPU of the front for each request, as a part of another's. */
  cpuRatio(one: Of, other: Of): Stat | null {
    return this.within(one, other, (a, b) => a.frontUs / b.frontUs);
  }

  /** Why a cell is empty. */
  why(system: string, measure: string): string {
    return this.results.systems.find(({ name }) => name === system)?.none[measure] ?? '';
  }

  /** Samples that don't count, with the reason. */
  voids(): string[] {
    return this.results.samples.flatMap((sample) =>
      sample.kind === 'load' && sample.void !== ''
        ? [`round ${sample.round + 1}, ${sample.system}, ${sample.load}: ${sample.void}`]
        : [],
    );
  }
}

export type Aim = {
  readonly figure: string;
  readonly value: Stat | null;
  /** At most this; absent: it is only shown. */
  readonly aim?: number;
  readonly digits: number;
  readonly unit: string;
};

const LINK = 'pith-link-ws';
const NATS = 'pith-nats-ws';
const FLOOR = 'ws-floor';
const ONE = '1000x1';
const MIB = 2 ** 20;
const KB = 1_000;
const MS = 1_000;

/** Figures that have an aim, and what is shown beside them. */
export function aimsOf(summary: Summary): Aim[] {
  const ratio = (figure: string, one: Of, other: Of, aim: number): Aim => {
    return { figure, value: summary.cpuRatio(one, other), aim, digits: 2, unit: '×' };
  };
  const added = (
    figure: string,
    system: string,
    base: string,
    pick: (sample: LoadSample) => number,
    aim?: number,
  ): Aim => {
    const difference = (a: LoadSample, b: LoadSample): number => (pick(a) - pick(b)) / MS;
    const value = summary.within([system, 'paced50'], [base, `hop-${system}`], difference);
    return { figure, value, ...(aim === undefined ? {} : { aim }), digits: 2, unit: 'ms' };
  };
  const p99 = (sample: LoadSample): number => sample.p99;
  const p999 = (sample: LoadSample): number => sample.p999;
  const rest = summary.memory(LINK, false, ({ restBytes }) => restBytes / MIB);
  const idle = summary.memory(LINK, false, ({ perConnection }) => perConnection / KB);
  const idleTls = summary.memory(LINK, true, ({ perConnection }) => perConnection / KB);
  const ready = summary.memory(LINK, false, ({ startMs }) => startMs);
  return [
    ratio('Link, WebSocket, 1,000 × 1, to bare ws', [LINK, ONE], [FLOOR, ONE], 1),
    ratio('Link, WebSocket, 200 × 10, to bare ws', [LINK, '200x10'], [FLOOR, '200x10'], 0.45),
    ratio('Link, TCP, 1,000 × 1, to bare ws', ['pith-link-tcp', ONE], [FLOOR, ONE], 0.8),
    ratio('NATS, WebSocket, 1,000 × 1, to bare ws', [NATS, ONE], [FLOOR, ONE], 1.2),
    ratio('Link, a push to 1,000, to bare ws', [LINK, 'cast'], ['ws-floor-cast', 'cast'], 1.05),
    ratio('NATS, a push to 1,000, to bare ws', [NATS, 'cast'], ['ws-floor-cast', 'cast'], 1.05),
    ratio('Link, to Pitaya', [LINK, ONE], ['pitaya-ws', ONE], 0.25),
    ratio('Link, to Centrifugo', [LINK, ONE], ['centrifugo-ws', ONE], 0.3),
    ratio('Link, to Pinus', [LINK, ONE], ['pinus-ws', ONE], 0.33),
    ratio('Link, to Nano as documented', [LINK, ONE], ['nano-ws', ONE], 0.1),
    added('Link, p99 added to a Go echo', LINK, 'go-floor', p99, 2),
    added('NATS, p99 added to its backend asked directly', NATS, 'nats-direct', p99, 2),
    added('Link, p99.9 less that of bare ws', LINK, FLOOR, p999),
    added('NATS, p99.9 less that of bare ws', NATS, FLOOR, p999),
    { figure: 'resident at rest', value: rest, aim: 85, digits: 0, unit: 'MiB' },
    { figure: 'an idle session', value: idle, aim: 10, digits: 1, unit: 'KB' },
    { figure: 'an idle session with TLS', value: idleTls, digits: 1, unit: 'KB' },
    { figure: 'first answer after the start', value: ready, aim: 300, digits: 0, unit: 'ms' },
  ];
}
