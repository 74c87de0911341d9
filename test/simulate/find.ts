/** Finds a planted bug: a copy of the tree with it, seeds until one breaks a rule, that seed again, and shrunk. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { copyTree } from '../tools/copy-tree.ts';
import { ROUND_MS } from './faults.ts';
import { type Planted, plant } from './planted.ts';
import { CRASHED, type Run, type RunOptions, startRun } from './runs.ts';
import { shrink, type Shrunk } from './shrink.ts';

const HOURS_PER_ROUND = ROUND_MS / 3_600_000;
const GATEWAYS = 3;
const CLIENTS = 40;
/** Real time of a run: a hundred times what it takes where nothing else goes on. */
const RUN_MS_MAX = 600_000;
const TRIES_MAX = 80;
/** What a run needs of the tree. */
const PARTS = ['src', 'proto', 'test/simulate', 'package.json'];

export type Found = {
  /** null: no seed has found it. */
  readonly hit: { readonly options: RunOptions; readonly run: Run } | null;
  /** The same once more. */
  readonly again: Run | null;
  readonly small: Shrunk | null;
  /** Seeds that were tried, and those of them by which the tree breaks a rule without the bug too. */
  readonly seeds: number;
  readonly unsound: number;
};

export type FindOptions = {
  readonly seedsMax: number;
  /** Of faults, and the calm after them, in each run. */
  readonly rounds: number;
  /** Runs at a time. */
  readonly jobs: number;
  /** Whether the fewest faults are looked for; it takes many runs. */
  readonly shrinks: boolean;
};

const sound = new Map<string, Promise<Run>>();

/** The same without the bug; once for each seed. */
function playSound(root: string, options: RunOptions): Promise<Run> {
  let run = sound.get(options.seed);
  if (run === undefined) {
    ({ run } = startRun(root, options, RUN_MS_MAX));
    sound.set(options.seed, run);
  }
  return run;
}

export async function find(
  root: string,
  planted: Planted,
  { seedsMax, rounds, jobs, shrinks }: FindOptions,
): Promise<Found> {
  const copy = copyTree(root, 'planted', PARTS);
  try {
    const path = join(copy, planted.file);
    writeFileSync(path, plant(planted, readFileSync(path, 'utf8')));
    let unsound = 0;
    const seeds = seedsFor(planted, seedsMax);
    for (let from = 0; from < seeds.length; from += jobs) {
      const tried = seeds.slice(from, from + jobs).map((seed) => ({
        seed,
        hours: rounds * HOURS_PER_ROUND,
        gateways: GATEWAYS,
        clients: CLIENTS,
      }));
      const runs = await Promise.all(
        tried.map((options) => startRun(copy, options, RUN_MS_MAX).run),
      );
      for (const [i, run] of runs.entries()) {
        if (run.violations.length === 0) continue;
        const options = tried[i]!;
        const [broken] = (await playSound(root, options)).violations;
        if (broken?.rule === CRASHED)
          throw new Error(`seed ${options.seed} does not run without the bug: ${broken.what}`);
        if (broken !== undefined) {
          unsound++;
          continue;
        }
        const hit = { options, run };
        const again = await startRun(copy, options, RUN_MS_MAX).run;
        const small = shrinks ? await shrunk(copy, hit, jobs) : null;
        return { hit, again, small, seeds: from + i + 1, unsound };
      }
    }
    return { hit: null, again: null, small: null, seeds: seeds.length, unsound };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function seedsFor({ seed }: Planted, count: number): string[] {
  const seeds = Array.from({ length: count }, (_, i) => String(1 + i));
  return seed === undefined ? seeds : [seed, ...seeds];
}

function shrunk(
  copy: string,
  { options, run }: NonNullable<Found['hit']>,
  jobs: number,
): Promise<Shrunk> {
  const { rule, atMs } = run.violations[0]!;
  return shrink(
    { ...options, faults: run.faults },
    atMs,
    async (tried) => {
      const { violations } = await startRun(copy, tried, RUN_MS_MAX).run;
      return violations[0]?.rule === rule ? violations[0] : null;
    },
    { triesMax: TRIES_MAX, jobs },
  );
}
