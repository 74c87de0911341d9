/**
 * `make chaos-planted` (ONLY=name,name): puts each of the planted bugs into a copy of the tree, and has a scenario or the
 * soak find it there. Fails when one is not found.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { printColumns } from '../fuzz/table.ts';
import { plant } from '../simulate/planted.ts';
import { run } from '../support/process.ts';
import { copyTree } from '../tools/copy-tree.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { type PlantedInProcess, PLANTED } from './planted.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MISSED = 'NOT FOUND';
const PARTS = ['src', 'test', 'proto', 'deploy/nats', 'deploy/examples', 'package.json'];

putToolsOnPath();
process.exit(await main());

async function main(): Promise<number> {
  const only = (process.env['ONLY'] ?? '').split(',');
  const wanted = PLANTED.filter(({ name }) => only.some((part) => name.includes(part)));
  if (wanted.length === 0) {
    const names = PLANTED.map(({ name }) => name).join(', ');
    console.error(`no planted bug is called ${only.join()}; there are ${names}`);
    return 64;
  }
  const copy = copyTree(ROOT, 'chaos-planted', PARTS);
  const lines: string[][] = [];
  try {
    for (const planted of wanted) {
      const line = await find(copy, planted);
      console.log(line.join('  '));
      lines.push(line);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log('');
  printColumns([['bug', 'by', 'seconds', 'what was found'], ...lines], 2);
  const found = lines.filter((line) => line[3] !== MISSED);
  console.log(`${found.length} of ${wanted.length} found`);
  return found.length === wanted.length ? 0 : 1;
}

async function find(copy: string, planted: PlantedInProcess): Promise<string[]> {
  const path = join(copy, planted.file);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, plant(planted, source));
  const began = performance.now();
  try {
    const { code, output } = await run(process.execPath, [`test/${planted.by}/run.ts`], {
      cwd: copy,
      env: { ...planted.with },
    });
    const line = output.split('\n').find((one) => one.includes(planted.says));
    const isFound = code === 1 && line !== undefined;
    if (!isFound) console.log(`${planted.why}: not found (exit ${code}) by\n${output}`);
    const by = planted.with['SCENARIO'] ?? planted.by;
    const seconds = ((performance.now() - began) / 1_000).toFixed(0);
    return [planted.name, by, seconds, isFound ? line.trim().slice(0, 100) : MISSED];
  } finally {
    writeFileSync(path, source);
  }
}
