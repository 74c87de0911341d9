/**
 * Latencies as the generator counts them: buckets that are 1/128 of a power of two wide, so that a percentile is at most
 * 0.8 % too high, whatever its size. `gen/gen.c` has the same indices.
 */

/** Sub-buckets of a power of two, as a power of two. */
const SUB_BITS = 7;
const SUBS = 2 ** SUB_BITS;

/** Bucket and count, by rising bucket. */
export type Histogram = readonly (readonly [index: number, count: number])[];

/** The bucket of a value from 0 to 2^53. */
export function indexOf(value: number): number {
  let shift = 0;
  while (value >= 2 ** (SUB_BITS + 1 + shift)) shift++;
  return shift * SUBS + Math.floor(value / 2 ** shift);
}

/** The highest value of a bucket. */
export function highestOf(index: number): number {
  if (index < 2 * SUBS) return index;
  const shift = Math.floor(index / SUBS) - 1;
  return (index - shift * SUBS + 1) * 2 ** shift - 1;
}

export function countOf(histogram: Histogram): number {
  return histogram.reduce((sum, [, count]) => sum + count, 0);
}

/**
 * The value that this share of all values does not exceed; NaN for an empty histogram.
 *
 * @param percent 0 to 100.
 */
export function percentile(histogram: Histogram, percent: number): number {
  const rank = Math.max(1, Math.ceil((countOf(histogram) * percent) / 100));
  let seen = 0;
  for (const [index, count] of histogram) {
    seen += count;
    if (seen >= rank) return highestOf(index);
  }
  return Number.NaN;
}

/** Of the highest bucket; NaN if there is none. */
export function highest(histogram: Histogram): number {
  const last = histogram.at(-1);
  return last === undefined ? Number.NaN : highestOf(last[0]);
}
