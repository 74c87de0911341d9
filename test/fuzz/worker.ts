/** One target in a process of its own, for as long as it is told: `run.ts` starts it, and hears what came of it. */
import '../support/sound-json-parse.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Chance } from '../border/chance.ts';
import { countAllocations } from './allocations.ts';
import { CACHE, CORPUS, CORPUS_FILES_MAX, readInputs, writeInputs } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { Engine, type Finding } from './engine.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';
import { wordsOf } from './tokens.ts';

export type Order = {
  readonly target: string;
  readonly seed: string;
  /** Whichever comes first; Infinity is written as null. */
  readonly executions: number | null;
  readonly ms: number | null;
  /** A file to run, and nothing else. */
  readonly replay?: string;
  /** It ends with the first finding. */
  readonly isFirstEnough?: boolean;
  /** Reads what others kept in .cache/fuzz, and writes what it keeps there; and the fewest that reach the same to test/fuzz/corpus. */
  readonly keep: 'nothing' | 'cache' | 'corpus';
};

export type Report = {
  readonly target: string;
  readonly executions: number;
  readonly ms: number;
  /** What the inputs that were there reached, and what is reached now. */
  readonly edgesBefore: number;
  readonly edges: number;
  readonly features: number;
  /** Since the last new block, of the time of this run; null: none was new. */
  readonly newEdgeMs: number | null;
  readonly kept: number;
  readonly worst: { readonly steps: number; readonly allocated: number };
  /** Of those that were kept from other runs. */
  readonly executionsBefore: number;
  /** `input` in base64. */
  readonly findings: readonly (Omit<Finding, 'input'> & { readonly input: string })[];
};

async function main(order: Order): Promise<Report> {
  const entry = TARGETS[order.target];
  if (entry === undefined) throw new Error(`there is no target ${order.target}`);
  const coverage = new Coverage();
  await entry.preload();
  coverage.start();
  const target = await entry.load();
  const seeds = target.seeds.map((seed) => Buffer.from(seed));
  for (const seed of seeds) await runs(target, Buffer.from(seed));
  const chance = new Chance(order.seed);
  const word = wordsOf(coverage.files(), target.tokens ?? [], chance);
  const engine = new Engine(target, coverage, chance, word);
  countAllocations();
  if (order.replay === undefined) {
    const cached = order.keep === 'nothing' ? [] : readInputs(join(CACHE, order.target));
    await engine.add([...seeds, ...readInputs(join(CORPUS, order.target)), ...cached]);
    if (engine.executions === 0) throw new Error(`${order.target} has no seeds`);
  } else {
    await engine.add([readFileSync(order.replay)]);
  }
  const edgesBefore = engine.edges;
  const start = performance.now();
  const before = engine.executions;
  if (order.replay === undefined) {
    const findingsMax = order.isFirstEnough === true ? 1 : Infinity;
    await engine.fuzz(order.executions ?? Infinity, start + (order.ms ?? Infinity), findingsMax);
  }
  const end = performance.now();
  if (order.keep !== 'nothing') writeInputs(join(CACHE, order.target), engine.kept);
  if (order.keep === 'corpus') {
    writeInputs(join(CORPUS, order.target), await engine.fewest(CORPUS_FILES_MAX));
  }
  return {
    target: order.target,
    executions: engine.executions - before,
    ms: end - start,
    edgesBefore,
    edges: engine.edges,
    features: engine.features,
    newEdgeMs: engine.edges === edgesBefore ? null : end - engine.lastNewAt,
    kept: engine.kept.length,
    worst: engine.worst,
    executionsBefore: before,
    findings: engine.findings.map((finding) => ({
      ...finding,
      input: finding.input.toString('base64'),
    })),
  };
}

/** A seed may be what breaks the target: then it is found when it is added. */
async function runs(target: Target, input: Buffer): Promise<void> {
  try {
    await target.run(input);
  } catch {
    return;
  }
}

const report = await main(JSON.parse(process.argv[2]!) as Order);
process.send?.(report);
