/** What the samples of a benchmark come to. */
import { describe, expect, test } from 'vitest';

import type { Load } from '../bench/peers/generator.ts';
import { sampleOf } from '../bench/peers/results.ts';
import { aimsOf, statOf, Summary } from '../bench/peers/summary.ts';
import { terminalTables } from '../bench/peers/table.ts';
import { load, memory, resultsWith } from '../support/bench-results.ts';

describe('statistics', () => {
  test.each([
    [[3], { median: 3, min: 3, max: 3, count: 1 }],
    [[5, 1, 4, 2, 3], { median: 3, min: 1, max: 5, count: 5 }],
    [[4, 1, 2, 3], { median: 2.5, min: 1, max: 4, count: 4 }],
  ])('of %j', (numbers, stat) => {
    expect(statOf(numbers)).toEqual(stat);
  });

  test('there are none of no numbers', () => {
    expect(statOf([])).toBeNull();
  });
});

describe('a ratio', () => {
  test('is made in each round, and then its median is taken', () => {
    // The machine is half as fast in the second round.
    const summary = new Summary(
      resultsWith([
        ...[10, 20, 10].map((frontUs, round) => load('a', '1000x1', { round, frontUs })),
        ...[20, 50, 25].map((frontUs, round) => load('b', '1000x1', { round, frontUs })),
      ]),
    );
    expect(summary.cpuRatio(['a', '1000x1'], ['b', '1000x1'])).toEqual({
      median: 0.4,
      min: 0.4,
      max: 0.5,
      count: 3,
    });
  });

  test('leaves out a round in which either is void', () => {
    const summary = new Summary(
      resultsWith([
        load('a', '1000x1', { round: 0, frontUs: 10 }),
        load('a', '1000x1', { round: 1, frontUs: 10 }),
        load('b', '1000x1', { round: 0, frontUs: 10, void: 'the generator used 0.95 of a core' }),
        load('b', '1000x1', { round: 1, frontUs: 40 }),
      ]),
    );
    expect(summary.cpuRatio(['a', '1000x1'], ['b', '1000x1'])?.count).toBe(1);
    expect(summary.cpuRatio(['a', '1000x1'], ['c', '1000x1'])).toBeNull();
    expect(summary.voids()).toEqual(['round 1, b, 1000x1: the generator used 0.95 of a core']);
  });
});

const COUNTED: Load = {
  ...{ secs: 2, answered: 1_000, pushed: 0, casts: 0, sent: 1_000, skipped: 0, wrong: 0 },
  ...{ lost: 0, unanswered: 0, slow_closed: 0, core: 0.25 },
  sched_us: [30_000, 10_000, 5_000],
  stat_us: [40_000, 10_000, 0],
  histogram: [
    [506, 990],
    [1_780, 10],
  ],
};
const ABOUT = { round: 0, system: 'a', load: '1000x1', rate: 0, steal: 0.01, grownBytes: 0 };

describe('a sample', () => {
  test('has what was counted, for each answer', () => {
    expect(sampleOf(COUNTED, ABOUT)).toMatchObject({
      ...{ perSecond: 500, frontUs: 30, frontTicksUs: 40, allUs: 45, frontCore: 0.015 },
      ...{ p50: 1, p99: 1, p999: 1_003.5, max: 1_003.5, generatorCore: 0.25, void: '' },
    });
  });

  test('of a broadcast is for each delivery', () => {
    const cast = sampleOf({ ...COUNTED, pushed: 10_000 }, { ...ABOUT, load: 'cast' });
    expect(cast).toMatchObject({ perSecond: 5_000, frontUs: 3 });
  });

  test.each<[string, Partial<Load>, string]>([
    ['1000x1', { core: 0.91 }, 'the generator used 0.91 of a core'],
    ['1000x1', { core: 0.9 }, ''],
    ['1000x1', { wrong: 2 }, '2 wrong answers, errors or lost connections'],
    ['cast', { lost: 7, pushed: 1 }, '7 pushes lost'],
    ['1000x1', { unanswered: 3 }, '3 requests without an answer'],
    ['1000x1', { answered: 0 }, 'no answer'],
    // What a frozen system answers is nothing, and that is the figure.
    ['hung', { answered: 0, unanswered: 3, wrong: 1 }, ''],
    ['hung', { core: 0.95 }, 'the generator used 0.95 of a core'],
  ])('of %s with %j is void: “%s”', (name, counted, why) => {
    expect(sampleOf({ ...COUNTED, ...counted }, { ...ABOUT, load: name }).void).toBe(why);
  });

  test('of a paced load is not void for what came late: its latencies say so', () => {
    const late = sampleOf({ ...COUNTED, unanswered: 3 }, { ...ABOUT, load: 'paced80', rate: 500 });
    expect(late.void).toBe('');
  });
});

describe('the aims', () => {
  const results = resultsWith([
    load('pith-link-ws', '1000x1', { frontUs: 19 }),
    load('ws-floor', '1000x1', { frontUs: 20 }),
    load('pith-nats-ws', '1000x1', { frontUs: 30 }),
    load('pith-link-ws', 'paced50', { p99: 3_500, p999: 9_000 }),
    load('go-floor', 'hop-pith-link-ws', { p99: 1_000 }),
    load('ws-floor', 'hop-pith-link-ws', { p999: 4_000 }),
    memory('pith-link-ws', { restBytes: 84 * 2 ** 20, perConnection: 10_100, startMs: 280 }),
  ]);

  test.each([
    ['Link, WebSocket, 1,000 × 1, to bare ws', 0.95, 1],
    ['NATS, WebSocket, 1,000 × 1, to bare ws', 1.5, 1.2],
    ['Link, p99 added to a Go echo', 2.5, 2],
    ['Link, p99.9 less that of bare ws', 5, undefined],
    ['resident at rest', 84, 85],
    ['an idle session', 10.1, 10],
    ['first answer after the start', 280, 300],
  ])('%s: %d, at most %d', (figure, median, aim) => {
    const found = aimsOf(new Summary(results)).find((one) => one.figure === figure)!;
    expect(found.value?.median).toBeCloseTo(median, 6);
    expect(found.aim).toBe(aim);
  });

  test('say which are met', () => {
    const lines = terminalTables(results).split('\n');
    const line = (begin: string): string => lines.find((one) => one.startsWith(begin))!;
    expect(line('Link, WebSocket, 1,000 × 1')).toMatch(/0\.95 × +≤ 1 × +met$/);
    expect(line('NATS, WebSocket, 1,000 × 1')).toMatch(/1\.50 × +≤ 1\.2 × +missed$/);
    expect(line('Link, to Pitaya')).toMatch(/– +≤ 0\.25 ×\s*$/);
  });
});
