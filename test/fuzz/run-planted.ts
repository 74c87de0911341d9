/**
 * `make fuzz-planted` (ONLY=name, T=120): puts each of the planted bugs into a copy of the tree, and fuzzes its target
 * until it is found, from the corpus and the seeds. Prints the seconds, and fails when one is not found.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { copyTree } from '../tools/copy-tree.ts';
import { type PlantedInParser, PLANTED } from './planted.ts';
import { startWorker } from './start-worker.ts';
import { printColumns } from './table.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SECONDS = Number(process.env['T'] || 120);
const ONLY = process.env['ONLY'] ?? '';

type Outcome = {
  readonly planted: PlantedInParser;
  readonly cells: readonly string[];
  readonly isFound: boolean;
};

async function find(copy: string, planted: PlantedInParser): Promise<Outcome> {
  const { name, file, find: text, replace, target } = planted;
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(text).length !== 2) throw new Error(`${name}: its text is not once in ${file}`);
  writeFileSync(
    path,
    source.replace(text, () => replace),
  );
  const start = performance.now();
  const order = {
    target,
    seed: `planted ${name}`,
    executions: null,
    ms: SECONDS * 1_000,
    isFirstEnough: true,
    keep: 'nothing',
  } as const;
  const { findings, executionsBefore } = await startWorker(
    order,
    join(copy, 'test/fuzz/worker.ts'),
  );
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  writeFileSync(path, source);
  const [first] = findings;
  if (first === undefined)
    return { planted, cells: [name, target, '', '', 'NOT FOUND'], isFound: false };
  const isKept = first.executions <= executionsBefore;
  const said = first.text.split('\n')[0]!.slice(0, 60);
  return {
    planted,
    cells: [name, target, seconds, isKept ? 'kept' : String(first.executions), said],
    isFound: true,
  };
}

async function main(): Promise<number> {
  const wanted = PLANTED.filter(({ name }) => name.includes(ONLY));
  if (wanted.length === 0)
    throw new Error(
      `no planted bug is called ${ONLY}: ${PLANTED.map(({ name }) => name).join(', ')}`,
    );
  const copy = copyTree(ROOT, 'fuzz-planted');
  const outcomes: Outcome[] = [];
  try {
    for (const planted of wanted) {
      const outcome = await find(copy, planted);
      outcomes.push(outcome);
      if (!outcome.isFound)
        console.log(`NOT FOUND in ${SECONDS} s: ${planted.name}: ${planted.why} (${planted.file})`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  printColumns(
    [['bug', 'target', 'seconds', 'runs', 'what was found'], ...outcomes.map(({ cells }) => cells)],
    2,
  );
  const found = outcomes.filter(({ isFound }) => isFound).length;
  console.log(
    `${found} of ${outcomes.length} found; “kept” by an input of the corpus, others after so many runs`,
  );
  return found === outcomes.length ? 0 : 1;
}

process.exitCode = await main();
