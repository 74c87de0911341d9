/**
 * `make two-versions`: the last release, N, and this tree, N+1, on one bus with one backend, as during a rolling
 * update. FROM=pith-0.1.0.tgz or FROM=<revision>: another N. Prints a table, and fails if a row is not as promised.
 */
import { errorText } from '../../src/errors.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { readyRelease } from './release.ts';
import { playAll } from './play.ts';
import { Stage } from './stage.ts';

/** Of a column of the table. */
const WIDTH = 32;

putToolsOnPath();
try {
  process.exit(await main());
} catch (error) {
  console.error(`two-versions: ${errorText(error)}`);
  process.exit(1);
}

async function main(): Promise<number> {
  const release = readyRelease(process.env['FROM'] ?? '');
  console.log(`N is ${release.name}, N+1 is this tree; near is asked, far has the player\n`);
  await using stage = await Stage.open(release);
  console.log(line(['near N, far N+1', 'near N+1, far N'], 'what'));
  let faults = 0;
  for (const { what, cells, wrong } of await playAll(stage, release.lacks)) {
    console.log(line(cells, what));
    for (const one of wrong) console.log(`  FAULT: ${one}`);
    faults += wrong.length;
  }
  console.log(`\ntwo-versions: ${faults === 0 ? 'passed' : `${faults} faults`}`);
  return faults === 0 ? 0 : 1;
}

function line(cells: readonly string[], what: string): string {
  return `${cells.map((cell) => cell.padEnd(WIDTH)).join('')}${what}`;
}
