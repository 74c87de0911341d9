// Changes rows of the tables that are the contract, one at a time, in a copy of the tree, and tells which changes
// no unit test sees: `make mutants` (N=20, SEED=…, ONLY=src/bus). Exits with 1 if one survived. The tables are in mutable-tables.ts.

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { copyTree } from './copy-tree.ts';
import { mutationsOf, type Mutant, rowsOf, TABLES } from './mutable-tables.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COUNT = Number(process.env['N'] ?? 20);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
/** Part of a path: only tables of such files. */
const ONLY = process.env['ONLY'] ?? '';
/** They change nothing that they share, and are looked at for every mutant. */
const TABLE_TESTS = ['--no-isolate', '.table.test.ts'];
/** A table that sends the tests round in circles would otherwise hang them. */
const RUN_MS_MAX = 900_000;

/** Numbers from 0 to 1, the same for the same seed. [mulberry32] */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One mutation for each of `count` rows, picked by chance. */
function pick(count: number, random: () => number): Mutant[] {
  const tables = TABLES.filter(({ file }) => file.includes(ONLY));
  const rows = tables.flatMap((table) =>
    rowsOf(table, readFileSync(join(ROOT, table.file), 'utf8')),
  );
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const picked: Mutant[] = [];
  while (picked.length < count && rows.length > 0) {
    const [row] = rows.splice(Math.floor(random() * rows.length), 1);
    const mutations = mutationsOf(row!);
    if (mutations.length === 0) continue;
    // The kind first: there are many more words than numbers.
    const kind = one([...new Set(mutations.map((mutation) => mutation.kind))]);
    picked.push(one(mutations.filter((mutation) => mutation.kind === kind)));
  }
  return picked;
}

/** True when tests fail, or none could be run: what does not even load is seen too. */
function failsIn(copy: string, ...more: string[]): boolean {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const args = [
    vitest,
    'run',
    '--config',
    'test/vitest.config.ts',
    '--project',
    'unit',
    '--bail',
    '1',
  ];
  const { status } = spawnSync(process.execPath, [...args, ...more], {
    cwd: copy,
    stdio: 'ignore',
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  return status !== 0;
}

function main(): number {
  const mutants = pick(COUNT, randomOf(SEED));
  console.log(`${mutants.length} mutants, SEED=${SEED}`);
  const copy = copyTree(ROOT, 'mutants');
  let survived = 0;
  try {
    if (failsIn(copy, ...TABLE_TESTS)) throw new Error('the table tests fail without any change');
    for (const { file, line, what, text } of mutants) {
      const path = join(copy, file);
      const before = readFileSync(path, 'utf8');
      writeFileSync(path, text);
      const killer = failsIn(copy, ...TABLE_TESTS) ? 'table' : failsIn(copy) ? 'unit' : '';
      writeFileSync(path, before);
      if (killer === '') survived++;
      console.log(`${killer === '' ? 'SURVIVED' : `killed (${killer})`}  ${file}:${line}  ${what}`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`${mutants.length - survived} killed, ${survived} survived`);
  return survived === 0 ? 0 : 1;
}

process.exitCode = main();
