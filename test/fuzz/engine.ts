/**
 * The loop: changes inputs that are kept, runs the target, and keeps what reaches something new. Reading the counters
 * costs more than most targets, so half of the inputs run in batches, and those of a batch that reached a new block
 * run again one by one.
 */
import { Script } from 'node:vm';

import fc from 'fast-check';

import type { Chance } from '../border/chance.ts';
import { takeAllocated } from './allocations.ts';
import { type Coverage, pointOf, type Sample } from './coverage.ts';
import { mutated } from './mutators.ts';
import type { Pool } from './mutate-bytes.ts';
import { shrunk } from './shrink.ts';
import { ALLOCATED, Broken, BYTES_MAX, mostOf, STEPS, type Target } from './target.ts';

/** Inputs of one batch, of which the counters are read once. */
const BATCH = 64;
/** Inputs of a group, which is a batch or single inputs, have this long together: only what hangs takes half of it. */
const HANG_MS = 20_000;
/** Fresh inputs by fast-check, among the changed ones. */
const FRESH_PART = 0.05;
const FINDINGS_MAX = 8;
const HANGS = 'hangs';
/** Bytes of the longest input that is kept. */
export const KEPT_BYTES_MAX = 4_096;

type Entry = { readonly bytes: Buffer; isFavoured: boolean };

export type Finding = {
  /** The same fault has the same key. */
  readonly key: string;
  readonly text: string;
  readonly input: Buffer;
  /** Executions until then. */
  readonly executions: number;
};

declare global {
  var fuzzGroup: (() => void) | undefined;
}
const group = new Script('fuzzGroup()');

export class Engine {
  readonly findings: Finding[] = [];
  executions = 0;
  /** When a new block was last reached. [performance.now] */
  lastNewAt = performance.now();
  /** The most that an input cost, in parts of what it may. */
  readonly worst = { steps: 0, allocated: 0 };
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #chance: Chance;
  readonly #pool: Pool;
  readonly #entries: Entry[] = [];
  readonly #features = new Set<number>();
  readonly #points = new Set<number>();
  /** By feature: the shortest input that has it. */
  readonly #best = new Map<number, Entry>();
  #favoured: Entry[] = [];
  #isStale = true;
  #fresh: (string | Uint8Array)[] = [];
  /** What runs now: it is at fault if the group hangs. */
  #current: Buffer = Buffer.alloc(0);

  constructor(target: Target, coverage: Coverage, chance: Chance, word: () => Uint8Array) {
    this.#target = target;
    this.#coverage = coverage;
    this.#chance = chance;
    const other = (): Buffer => this.#pick();
    this.#pool = { chance, word, other };
  }

  get edges(): number {
    return this.#points.size;
  }

  get features(): number {
    return this.#features.size;
  }

  get kept(): readonly Buffer[] {
    return this.#entries.map(({ bytes }) => bytes);
  }

  /** Runs inputs as they are, and keeps those that reach something new. */
  async add(inputs: readonly Buffer[]): Promise<void> {
    for (let at = 0; at < inputs.length; at += BATCH)
      await this.#singles(inputs.slice(at, at + BATCH));
  }

  /** Until so many executions, that time [performance.now], or so many findings. */
  async fuzz(executions: number, until: number, findingsMax = Infinity): Promise<void> {
    const last = this.executions + executions;
    const isOver = (): boolean =>
      this.executions >= last || performance.now() >= until || this.findings.length >= findingsMax;
    while (!isOver() && !this.#hangs) {
      const inputs = Array.from({ length: BATCH }, () => this.#next());
      if (this.#chance.is(0.5)) await this.#batch(inputs);
      else await this.#singles(inputs.slice(0, BATCH / 8));
    }
  }

  /** Of what is kept, the shortest first, those that reach a block that none before them reached; at most `count`. */
  async fewest(count: number): Promise<Buffer[]> {
    const points = new Set<number>();
    const chosen: Buffer[] = [];
    for (const input of this.kept.toSorted((a, b) => a.length - b.length)) {
      if (chosen.length === count) break;
      this.#coverage.take();
      await this.#run(input);
      const before = points.size;
      for (const feature of this.#coverage.take().features) points.add(pointOf(feature));
      if (points.size > before) chosen.push(input);
    }
    return chosen;
  }

  /** Each further input that hangs would take HANG_MS. */
  get #hangs(): boolean {
    return this.findings.some(({ key }) => key === HANGS);
  }

  #next(): Buffer {
    const { fresh, forms, bytesMax = BYTES_MAX } = this.#target;
    if (fresh !== undefined && this.#chance.is(FRESH_PART)) return this.#made(fresh);
    return mutated(this.#pick(), forms, this.#pool, bytesMax);
  }

  #made(fresh: fc.Arbitrary<string | Uint8Array>): Buffer {
    if (this.#fresh.length === 0) {
      this.#fresh = fc.sample(fresh, { numRuns: BATCH, seed: this.#chance.int(0, 2 ** 31) });
    }
    return Buffer.from(this.#fresh.pop()!);
  }

  #pick(): Buffer {
    if (this.#entries.length === 0) return Buffer.alloc(0);
    if (this.#isStale) {
      for (const entry of this.#entries) entry.isFavoured = false;
      for (const entry of this.#best.values()) entry.isFavoured = true;
      this.#favoured = this.#entries.filter(({ isFavoured }) => isFavoured);
      this.#isStale = false;
    }
    const from = this.#chance.is(0.8) ? this.#favoured : this.#entries;
    // What was found last leads on more often.
    const at = this.#chance.int(0, from.length - 1);
    return from[this.#chance.is(0.5) ? Math.max(at, this.#chance.int(0, from.length - 1)) : at]!
      .bytes;
  }

  async #singles(inputs: readonly Buffer[]): Promise<void> {
    let at = 0;
    while (at < inputs.length) {
      this.#forget();
      await this.#guarded(
        () => this.#one(inputs[at++]!),
        () => at < inputs.length,
      );
    }
  }

  /** What ran before and between is not the input's. */
  #forget(): void {
    this.#coverage.take();
    takeAllocated();
  }

  async #batch(inputs: readonly Buffer[]): Promise<void> {
    this.#forget();
    let at = 0;
    let isFaulty = false;
    try {
      await this.#guarded(
        () => this.#run(inputs[at++]!),
        () => at < inputs.length,
        true,
      );
    } catch {
      isFaulty = true;
    }
    const { features, steps } = this.#coverage.take();
    const bytes = inputs.reduce((sum, one) => sum + one.length, 0);
    const costly =
      steps > mostOf(this.#target.steps, STEPS, bytes) ||
      takeAllocated() > mostOf(this.#target.allocated, ALLOCATED, bytes);
    const isNew = features.some((feature) => !this.#points.has(pointOf(feature)));
    if (isFaulty || costly || isNew) await this.#singles(inputs.slice(0, at));
    if (isFaulty) await this.#batch(inputs.slice(at));
  }

  /** Calls `step` while there is more, within HANG_MS where it is synchronous. What it throws is a finding, or thrown on. */
  async #guarded(
    step: () => void | Promise<void>,
    isMore: () => boolean,
    isThrown = false,
  ): Promise<void> {
    const cpu = process.cpuUsage();
    try {
      if (this.#target.isAsync === true) {
        while (isMore()) await step();
        return;
      }
      globalThis.fuzzGroup = () => {
        while (isMore()) void step();
      };
      group.runInThisContext({ timeout: HANG_MS });
    } catch (error) {
      // On a busy machine the time is over before anything has hung.
      if (isTimeout(error) && usedMs(cpu) < HANG_MS / 2) return;
      if (isThrown) throw error;
      await this.#found(this.#current, error);
    }
  }

  #run(input: Buffer): void | Promise<void> {
    this.#current = input;
    this.executions++;
    // A copy: a target that writes into its input must not change what is kept.
    return this.#target.run(Buffer.from(input));
  }

  #one(input: Buffer): void | Promise<void> {
    const done = this.#run(input);
    if (done === undefined) return this.#judge(input);
    return done.then(() => this.#judge(input));
  }

  #judge(input: Buffer): void {
    const sample = this.#coverage.take();
    this.#weigh(input, sample, takeAllocated());
    this.#keepIfNew(input, sample.features);
  }

  /** @throws {Broken} if the input cost more than it may. */
  #weigh(input: Buffer, { steps }: Sample, allocated: number): void {
    const stepsMax = mostOf(this.#target.steps, STEPS, input.length);
    const allocatedMax = mostOf(this.#target.allocated, ALLOCATED, input.length);
    this.worst.steps = Math.max(this.worst.steps, steps / stepsMax);
    this.worst.allocated = Math.max(this.worst.allocated, allocated / allocatedMax);
    if (steps > stepsMax)
      throw new Broken(
        `too many steps · ${steps} of at most ${stepsMax} for ${input.length} bytes`,
      );
    if (allocated > allocatedMax) {
      throw new Broken(
        `too much memory · ${allocated} bytes of at most ${allocatedMax} for ${input.length}`,
      );
    }
  }

  #keepIfNew(input: Buffer, features: readonly number[]): void {
    let entry: Entry | null = null;
    for (const feature of features) {
      const point = pointOf(feature);
      if (!this.#points.has(point)) {
        this.#points.add(point);
        this.lastNewAt = performance.now();
      }
      const isNew = !this.#features.has(feature);
      if (isNew) this.#features.add(feature);
      if (input.length > KEPT_BYTES_MAX) continue;
      if (
        !isNew &&
        this.#best.has(feature) &&
        this.#best.get(feature)!.bytes.length <= input.length
      )
        continue;
      // Copied, since an input may be a view of a larger one.
      entry ??= { bytes: Buffer.from(input), isFavoured: true };
      this.#best.set(feature, entry);
    }
    if (entry === null) return;
    this.#entries.push(entry);
    this.#isStale = true;
  }

  /** Takes a finding down, made as short as it can be. */
  async #found(input: Buffer, error: unknown): Promise<void> {
    const key = keyOf(error);
    if (this.findings.length >= FINDINGS_MAX || this.findings.some((one) => one.key === key))
      return;
    // Taken first: an input that hangs is found again while it is made shorter, and never is shorter.
    const index =
      this.findings.push({
        key,
        text: textOf(error),
        input: Buffer.from(input),
        executions: this.executions,
      }) - 1;
    if (isTimeout(error)) return;
    const { bytes, error: last } = await shrunk(input, error, async (one) => {
      const thrown = await this.#errorOf(one);
      return thrown !== undefined && keyOf(thrown) === key ? thrown : undefined;
    });
    const { executions } = this.findings[index]!;
    this.findings[index] = { key, text: textOf(last), input: bytes, executions };
  }

  async #errorOf(input: Buffer): Promise<unknown> {
    this.#forget();
    try {
      let isOver = false;
      const step = (): void | Promise<void> => {
        isOver = true;
        return this.#one(input);
      };
      await this.#guarded(step, () => !isOver, true);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

function usedMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function isTimeout(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

/** What is wrong, without what is particular to the input. */
export function keyOf(error: unknown): string {
  if (isTimeout(error)) return HANGS;
  if (error instanceof Broken) return error.message.split(' · ')[0]!;
  if (!(error instanceof Error)) return String(error);
  const where = /\/src\/[\w./-]+\.ts:\d+/.exec(error.stack ?? '')?.[0] ?? '';
  return `${error.name} at ${where}`;
}

function textOf(error: unknown): string {
  if (error instanceof Broken) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
