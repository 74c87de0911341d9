/**
 * `make simulate-model-planted` (ONLY=name,name N=40000 SEED=1): puts each of the bugs that are planted for the model into
 * a copy of the tree, and runs commands until one finds it, then the same once more. Fails when one is not found, or not
 * found again; or when the tree is not as the model without them.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { copyTree } from '../../tools/copy-tree.ts';
import { type Planted, plant } from '../planted.ts';
import { MODEL } from '../planted-bugs/model.ts';
import { columns } from '../report.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PARTS = ['src', 'proto', 'test/simulate', 'package.json'];
/** Real time of a run: many times what it takes. */
const RUN_MS_MAX = 300_000;

const { env } = process;
const only = env['ONLY'] ?? '';
const wanted = MODEL.filter(({ name }) => only.split(',').some((part) => name.includes(part)));
const sound = play(ROOT);
if (sound !== '') throw new Error(`without any of them: ${sound}`);
const rows = wanted.map((planted) => [planted.name, ...find(planted)]);
console.log(`\n${columns(rows)}\n`);
const found = rows.filter(([, verdict]) => verdict === 'found').length;
console.log(`${found} of ${wanted.length} found and found again`);
process.exitCode = found === wanted.length && found > 0 ? 0 : 1;

/** @returns The verdict, and by what. */
function find(planted: Planted): [string, string] {
  const copy = copyTree(ROOT, 'planted-model', PARTS);
  try {
    const path = join(copy, planted.file);
    writeFileSync(path, plant(planted, readFileSync(path, 'utf8')));
    const first = play(copy);
    if (first === '') return ['NOT FOUND', ''];
    const verdict = play(copy) === first ? 'found' : 'NOT AGAIN';
    console.log(`${planted.name}: ${verdict}: ${first}`);
    return [verdict, first];
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** @returns The error; '': there was none. */
function play(copy: string): string {
  const options = { SEED: env['SEED'] || '1', N: env['N'] || '40000', SHRINK: '0', TRACE: '0' };
  const { status, stdout } = spawnSync(process.execPath, ['test/simulate/model/run.ts'], {
    cwd: copy,
    env: { ...env, ...options },
    encoding: 'utf8',
    timeout: RUN_MS_MAX,
    maxBuffer: 2 ** 26,
  });
  if (status === 0) return '';
  return /^\w*Error: (.*)$/m.exec(stdout)?.[1] ?? `exit ${status}`;
}
