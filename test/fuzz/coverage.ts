/**
 * What of src/ has run, by V8's own block counters. [node:inspector, Profiler.startPreciseCoverage] It must start before
 * the code is loaded: only functions compiled later have counters for their blocks.
 */
import { type Profiler, Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';

const SOURCE = new URL('../../src/', import.meta.url).href;
/** Generated code is not ours to test. */
const LEFT_OUT = `${SOURCE}gen/`;

/** Counts up to which a feature is told apart: 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, more. */
const BUCKETS = 8;

/** A function of which some block has run. */
type Known = {
  /** Where blocks begin or end, in order, and the number of each. */
  readonly offsets: number[];
  readonly ids: number[];
};

export type Sample = {
  /** Points that ran, each with the bucket of its count: `point * 8 + bucket`. */
  readonly features: readonly number[];
  /** Blocks executed. */
  readonly steps: number;
};

export class Coverage {
  readonly #session = new Session();
  readonly #scripts = new Map<string, Map<string, Known>>();
  #points = 0;

  start(): void {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** The files of src/ that have run since the last call. */
  files(): string[] {
    return this.#scriptsRun().map(({ url }) => fileURLToPath(url));
  }

  /** What has run since the last call. A block that V8 merges with its neighbours is no point until they differ. */
  take(): Sample {
    const features: number[] = [];
    let steps = 0;
    for (const { url, functions } of this.#scriptsRun()) {
      let script = this.#scripts.get(url);
      if (script === undefined) this.#scripts.set(url, (script = new Map()));
      for (const { ranges } of functions) {
        const key = `${ranges[0]!.startOffset}-${ranges[0]!.endOffset}`;
        let known = script.get(key);
        if (known === undefined) script.set(key, (known = { offsets: [], ids: [] }));
        steps += this.#add(known, ranges, features);
      }
    }
    return { features, steps };
  }

  #scriptsRun(): Profiler.ScriptCoverage[] {
    const { result } = this.#post('Profiler.takePreciseCoverage') as {
      result: Profiler.ScriptCoverage[];
    };
    return result.filter(({ url }) => url.startsWith(SOURCE) && !url.startsWith(LEFT_OUT));
  }

  #add(known: Known, ranges: readonly Profiler.CoverageRange[], features: number[]): number {
    const segments = flattened(ranges);
    let steps = 0;
    for (const [offset, count] of segments) {
      steps += count;
      this.#learn(known, offset);
    }
    let at = 0;
    for (let i = 0; i < known.offsets.length; i++) {
      while (at + 1 < segments.length && segments[at + 1]![0] <= known.offsets[i]!) at++;
      const count = segments[at]![1];
      if (count > 0) features.push(known.ids[i]! * BUCKETS + bucketOf(count));
    }
    return steps;
  }

  #learn(known: Known, offset: number): void {
    const { offsets, ids } = known;
    let at = 0;
    while (at < offsets.length && offsets[at]! < offset) at++;
    if (offsets[at] === offset) return;
    offsets.splice(at, 0, offset);
    ids.splice(at, 0, this.#points++);
  }

  #post(method: string, params: object = {}): unknown {
    let result: unknown;
    // In one process the answer comes before `post` returns.
    this.#session.post(method, params, (error, answer) => {
      if (error !== null) throw error;
      result = answer;
    });
    return result;
  }
}

/** Nested ranges as a list of offsets with the count from there on. The last one ends the function. */
function flattened(ranges: readonly Profiler.CoverageRange[]): [offset: number, count: number][] {
  const segments: [number, number][] = [];
  const open: Profiler.CoverageRange[] = [];
  const put = (offset: number, count: number): void => {
    const last = segments.at(-1);
    if (last?.[0] === offset) last[1] = count;
    else segments.push([offset, count]);
  };
  const close = (before: number): void => {
    while (open.length > 0 && open.at(-1)!.endOffset <= before) {
      const { endOffset } = open.pop()!;
      if (open.length > 0) put(endOffset, open.at(-1)!.count);
    }
  };
  for (const range of ranges) {
    close(range.startOffset);
    put(range.startOffset, range.count);
    open.push(range);
  }
  close(Infinity);
  return segments;
}

function bucketOf(count: number): number {
  if (count < 4) return count - 1;
  if (count < 8) return 3;
  if (count < 16) return 4;
  if (count < 32) return 5;
  return count < 128 ? 6 : 7;
}

/** The point of a feature. */
export function pointOf(feature: number): number {
  return Math.floor(feature / BUCKETS);
}
