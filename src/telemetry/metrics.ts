/**
 * Counters, gauges and histograms, in one table; rendered as Prometheus text. What is counted per message is kept by
 * whoever counts it, so that counting is an addition.
 */
import { Histogram } from './histogram.ts';
import { type Instrument, type InstrumentName, INSTRUMENTS } from './instruments.ts';
import { rendered, type Sample } from './samples.ts';

export type { InstrumentName };

/** A value that is read when somebody looks. */
type Read = () => number;
type ReadAll = () => Iterable<readonly [labels: string[], value: number]>;

/** One counter with its labels; keep it where it is counted often. */
export class Series {
  value = 0;

  add(by = 1): void {
    this.value += by;
  }
}

export class Metrics {
  readonly #counts = new Map<InstrumentName, Map<string, Series>>();
  readonly #reads = new Map<InstrumentName, Map<string, Read>>();
  readonly #lists = new Map<InstrumentName, ReadAll>();
  readonly #histograms = new Map<InstrumentName, Map<string, Histogram>>();

  /** The counter of these label values, in the order of the table. */
  series(name: InstrumentName, labels: readonly string[]): Series {
    return entry(this.#counts, name, labels, () => new Series());
  }

  /** The histogram of these label values. */
  histogram(name: InstrumentName, labels: readonly string[]): Histogram {
    return entry(this.#histograms, name, labels, () => new Histogram(INSTRUMENTS[name].buckets));
  }

  /** Takes a histogram that is kept elsewhere, with the buckets of the table. */
  adopt(name: InstrumentName, labels: readonly string[], kept: Histogram): void {
    labelled(this.#histograms, name).set(keyOf(labels), kept);
  }

  add(name: InstrumentName, labels: readonly string[], by = 1): void {
    this.series(name, labels).add(by);
  }

  /** What a counter stands at. */
  count(name: InstrumentName, labels: readonly string[]): number {
    const key = keyOf(labels);
    return this.#counts.get(name)?.get(key)?.value ?? this.#reads.get(name)?.get(key)?.() ?? 0;
  }

  /** What is counted under a name, each with its labels. */
  *values(name: InstrumentName): Generator<readonly [labels: string[], value: number]> {
    for (const [key, { value }] of this.#counts.get(name) ?? []) yield [key.split('\u0000'), value];
    for (const [key, read] of this.#reads.get(name) ?? []) yield [key.split('\u0000'), read()];
    yield* this.#lists.get(name)?.() ?? [];
    const { kind, labels } = INSTRUMENTS[name] as Instrument;
    // A counter that appears with its first event has no increase that an alert could see.
    const isMissing = labels.length === 0 && !this.#counts.has(name) && !this.#reads.has(name);
    if (kind === 'counter' && isMissing) yield [[], 0];
  }

  /** The histograms under a name, each with its labels. */
  *histograms(name: InstrumentName): Generator<readonly [labels: string[], kept: Histogram]> {
    for (const [key, one] of this.#histograms.get(name) ?? []) yield [key.split('\u0000'), one];
  }

  /** Registers what is read when the metrics are: a gauge, or a counter that is kept elsewhere. */
  watch(name: InstrumentName, labels: readonly string[], read: Read): void {
    labelled(this.#reads, name).set(keyOf(labels), read);
  }

  /** Registers gauges whose labels are known only when they are read. */
  watchAll(name: InstrumentName, read: ReadAll): void {
    this.#lists.set(name, read);
  }

  /** It is not read any more. */
  unwatch(name: InstrumentName, labels: readonly string[]): void {
    this.#reads.get(name)?.delete(keyOf(labels));
  }

  /** What all stand at, in the order of the table. */
  samples(): Sample[] {
    const samples: Sample[] = [];
    for (const name of Object.keys(INSTRUMENTS) as InstrumentName[]) {
      // What has no labels has none, and not an empty one.
      const count = (INSTRUMENTS[name] as Instrument).labels.length;
      for (const [labels, value] of this.values(name))
        samples.push({ name, labels: labels.slice(0, count), value });
      for (const [labels, one] of this.histograms(name))
        samples.push({
          name,
          labels: labels.slice(0, count),
          counts: [...one.counts],
          sum: one.sum,
        });
    }
    return samples;
  }

  /** For Prometheus. */
  render(): string {
    return rendered(this.samples());
  }
}

type Family<T> = Map<InstrumentName, Map<string, T>>;

function keyOf(labels: readonly string[]): string {
  return labels.join('\u0000');
}

function labelled<T>(family: Family<T>, name: InstrumentName): Map<string, T> {
  let all = family.get(name);
  if (all === undefined) {
    all = new Map();
    family.set(name, all);
  }
  return all;
}

function entry<T>(
  family: Family<T>,
  name: InstrumentName,
  labels: readonly string[],
  make: () => T,
): T {
  const all = labelled(family, name);
  const key = keyOf(labels);
  let one = all.get(key);
  if (one === undefined) {
    one = make();
    all.set(key, one);
  }
  return one;
}
