/** The buckets of the benchmark's latencies. */
import { describe, expect, test } from 'vitest';

import {
  highest,
  highestOf,
  indexOf,
  percentile,
  type Histogram,
} from '../bench/peers/histogram.ts';

describe('buckets', () => {
  test.each([
    // Up to 255 each value has its own.
    [0, 0, 0],
    [1, 1, 1],
    [127, 127, 127],
    [128, 128, 128],
    [255, 255, 255],
    // Then two share one, then four, and so on.
    [256, 256, 257],
    [257, 256, 257],
    [511, 383, 511],
    [512, 384, 515],
    [1_000, 506, 1_003],
    [1_000_000, 1_780, 1_003_519],
    [20_000_000, 2_328, 20_054_015],
    [2 ** 40, 4_352, 2 ** 40 + 2 ** 33 - 1],
    [2 ** 53 - 1, 6_015, 2 ** 53 - 1],
  ])('%i is in bucket %i, whose highest value is %i', (value, index, top) => {
    expect(indexOf(value)).toBe(index);
    expect(highestOf(index)).toBe(top);
  });

  test('are 0.8 % wide at most, and have no gaps', () => {
    for (let index = 1; index < 5_000; index++) {
      const from = highestOf(index - 1) + 1;
      expect(indexOf(from)).toBe(index);
      expect(indexOf(highestOf(index))).toBe(index);
      expect((highestOf(index) - from) / Math.max(128, from)).toBeLessThan(1 / 128);
    }
  });
});

describe('percentiles', () => {
  // 90 of 100, 9 of 200, 1 of 1,000.
  const histogram: Histogram = [
    [100, 90],
    [200, 9],
    [506, 1],
  ];

  test.each([
    [0, 100],
    [50, 100],
    [90, 100],
    [90.1, 200],
    [99, 200],
    [99.1, 1_003],
    [100, 1_003],
  ])('the %d %% is %i', (percent, value) => {
    expect(percentile(histogram, percent)).toBe(value);
  });

  test('of nothing there are none', () => {
    expect(percentile([], 50)).toBeNaN();
    expect(highest([])).toBeNaN();
  });

  test('the highest is that of the last bucket', () => {
    expect(highest(histogram)).toBe(1_003);
  });
});
