/**
 * `make simulate-model N=1000000 SEED=7 GATEWAYS=3`: commands against a fleet and a model of it, until there were N
 * operations. A failure is shrunk, unless SHRINK=0, and printed with the command that plays it again; TRACE=1 prints the
 * trace, too.
 */
import fc from 'fast-check';

import { columns, duration } from '../report.ts';
import { type Counts, propertyOf } from './play.ts';

const { env } = process;
const N = Number(env['N'] || 100_000);
const seed = Number(env['SEED'] || Date.now() % 1_000_000);
const path = env['FC_PATH'] ?? '';
const replayPath = env['REPLAY'] ?? '';
const shrinks = env['SHRINK'] !== '0' && path === '';
/** Runs of one seed; the next seed follows. */
const RUNS = 20;
/** Operations after which it says how far it is. */
const PROGRESS = 100_000;

const gateways = env['GATEWAYS'] ? Number(env['GATEWAYS']) : undefined;

const counts: Counts = {};
const onTrace =
  env['TRACE'] === '1' ? (line: string) => process.stderr.write(`${line}\n`) : undefined;
process.exitCode = await main();

function operations(): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

async function main(): Promise<number> {
  console.log(
    `make simulate-model N=${N} SEED=${seed}${gateways === undefined ? '' : ` GATEWAYS=${gateways}`}\n`,
  );
  let runs = 0;
  let told = 0;
  for (let next = seed; path !== '' ? next === seed : operations() < N; next++) {
    const property = propertyOf({ counts, replayPath, onTrace, gateways });
    const details = await fc.check(property, {
      seed: next,
      numRuns: RUNS,
      endOnFailure: !shrinks,
      ...(path !== '' && { path }),
    });
    runs += details.numRuns;
    if (operations() >= told + PROGRESS && operations() < N) {
      told = operations();
      console.log(`${told} operations, in ${duration(cpuMs())} of CPU`);
    }
    if (!details.failed) continue;
    console.log(fc.defaultReportMessage(details));
    console.log(`\n${String(details.errorInstance)}`);
    const [, replay = ''] = /replayPath="([^"]*)"/.exec(fc.stringify(details.counterexample)) ?? [];
    console.log(`\nagain: SEED=${next} FC_PATH='${details.counterexamplePath}' REPLAY='${replay}' make simulate-model`); // prettier-ignore
    console.log('simulate-model: the gateways are not as the model');
    return 1;
  }
  report(runs);
  return 0;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function report(runs: number): void {
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a);
  console.log(columns(rows.map(([kind, count]) => [kind, String(count)])));
  console.log(`\n${operations()} operations in ${runs} runs, ${duration(cpuMs())} of CPU`);
  console.log('simulate-model: the gateways are as the model');
}
