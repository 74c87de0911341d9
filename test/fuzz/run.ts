// Fuzzes the parsers for T seconds, or longer if not every target had its turn of a second, and prints what came of it: `make fuzz` (T=60 SEED=1 ONLY=json JOBS=2 UNTIL_DRY=3600 SAVE=1).
// `node test/fuzz/run.ts replay TARGET FILE` runs one input. Exits with 1 if something was found.

import { availableParallelism } from 'node:os';
import { readFileSync } from 'node:fs';

import { writeFinding } from './corpus.ts';
import { Schedule } from './schedule.ts';
import { printTable } from './table.ts';
import { TARGETS } from './targets.ts';
import { DIED, startWorker } from './start-worker.ts';
import type { Report } from './worker.ts';

const env = (name: string, otherwise: string): string => process.env[name] || otherwise;
const SECONDS = Number(env('T', '60'));
const UNTIL_DRY = Number(env('UNTIL_DRY', '0'));
const SEED = env('SEED', String(1 + Math.floor(Math.random() * 1_000_000)));
const ONLY = env('ONLY', '');
const JOBS = Number(env('JOBS', String(Math.min(2, availableParallelism()))));
const SAVE = env('SAVE', '') !== '';

/** Prints each finding once, with the file that has it, and the command that has it again. */
function tell(report: Report, known: Set<string>): void {
  for (const { key, text, input } of report.findings) {
    const name = `${report.target}: ${key}`;
    if (known.has(name)) continue;
    known.add(name);
    console.log(`\nFOUND in ${report.target}: ${text}`);
    if (key === DIED) continue;
    const path = writeFinding(report.target, Buffer.from(input, 'base64'));
    console.log(`  ${path}`);
    console.log(`  again: node test/fuzz/run.ts replay ${report.target} ${path}`);
  }
}

async function fuzz(): Promise<number> {
  const names = Object.keys(TARGETS).filter((name) => name.includes(ONLY));
  if (names.length === 0)
    throw new Error(`no target has ${ONLY} in its name: ${Object.keys(TARGETS).join(', ')}`);
  const until = UNTIL_DRY > 0 ? `until ${UNTIL_DRY} s bring nothing new` : `${SECONDS} s`;
  console.log(`${names.length} targets, ${until}, SEED=${SEED}, ${JOBS} at a time`);
  const schedule = new Schedule(
    names,
    UNTIL_DRY > 0 ? { dryMs: UNTIL_DRY * 1000 } : { ms: SECONDS * 1000 },
    JOBS,
  );
  const found = new Set<string>();
  const job = async (): Promise<void> => {
    for (let slice = schedule.next(); slice !== null; slice = schedule.next()) {
      const { target, ms, number } = slice;
      const start = performance.now();
      const report = await startWorker({
        target,
        seed: `${SEED} ${target} ${number}`,
        executions: null,
        ms,
        keep: SAVE ? 'corpus' : 'cache',
      });
      schedule.done(report, performance.now() - start);
      tell(report, found);
    }
  };
  await Promise.all(Array.from({ length: JOBS }, job));
  printTable(schedule.rows());
  return found.size === 0 ? 0 : 1;
}

async function replay(target: string, file: string): Promise<number> {
  readFileSync(file);
  const report = await startWorker({
    target,
    seed: '',
    executions: 0,
    ms: null,
    replay: file,
    keep: 'nothing',
  });
  for (const { text } of report.findings) console.log(text);
  if (report.findings.length === 0) console.log(`${target} reads it as it should`);
  return report.findings.length === 0 ? 0 : 1;
}

const [command, target, file] = process.argv.slice(2);
process.exitCode = command === 'replay' ? await replay(target!, file!) : await fuzz();
