/** Counts how many values fell into each bucket. Observing allocates nothing. */

export class Histogram {
  /** Ascending upper bounds; values above the last go into one more bucket. */
  readonly bounds: Float64Array;
  /** Values in each bucket, not cumulative. */
  readonly counts: Float64Array;
  readonly #sum = new Float64Array(1);

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at++;
    this.counts[at]!++;
    this.#sum[0]! += value;
  }

  get sum(): number {
    return this.#sum[0]!;
  }

  get count(): number {
    let count = 0;
    for (const one of this.counts) count += one;
    return count;
  }
}
