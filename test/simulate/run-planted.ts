/**
 * `make simulate-planted` (ONLY=name,name SEEDS=40, JOBS=2, SHRINK=0): puts each of the planted bugs into a copy of the tree, and runs
 * seeds until one finds it; plays that seed again, and shrinks it. Fails when a bug is not found, or not found again.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import { find, type Found } from './find.ts';
import { type Planted, PLANTED } from './planted.ts';
import { columns, duration, faultsText } from './report.ts';
import { Slots } from './runs.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of CPU, in which a seed must be played again: other work on the machine says nothing of it. */
const REPLAY_MS_MAX = 10_000;
/** Virtual time of each run: twenty minutes. */
const ROUNDS = 2;

const { env } = process;
const only = env['ONLY'] ?? '';
const seedsMax = Number(env['SEEDS'] || 40);
const jobs = Number(env['JOBS'] || availableParallelism());
const shrinks = env['SHRINK'] !== '0';
const wanted = PLANTED.filter(({ name }) => only.split(',').some((part) => name.includes(part)));
process.exitCode = await main();

async function main(): Promise<number> {
  if (wanted.length === 0) {
    console.error(
      `no planted bug is called ${only}; there are ${PLANTED.map(({ name }) => name).join(', ')}`,
    );
    return 64;
  }
  console.log(`${wanted.length} planted bugs, at most ${seedsMax} seeds each, JOBS=${jobs}`);
  const slots = new Slots(jobs);
  const startedAt = performance.now();
  const found = await Promise.all(
    wanted.map(async (planted) => {
      const outcome = await slots.use(() =>
        find(ROOT, planted, {
          seedsMax,
          rounds: ROUNDS,
          jobs: wanted.length < jobs ? jobs : 1,
          shrinks,
        }),
      );
      console.log(`\n${textOf(planted, outcome)}`);
      return outcome;
    }),
  );
  console.log(`\n${table(found)}\n`);
  const wrong = found.filter((one) => faultOf(one) !== '').length;
  console.log(
    `${found.length - wrong} of ${found.length} found and found again, in ${duration(performance.now() - startedAt)}`,
  );
  return wrong === 0 ? 0 : 1;
}

/** '' for a bug that was found as it should be. */
function faultOf({ hit, again }: Found): string {
  if (hit === null) return 'NOT FOUND';
  if (again!.digest !== hit.run.digest) return 'ANOTHER TRACE';
  if (again!.violations[0]?.rule !== hit.run.violations[0]!.rule) return 'ANOTHER RULE';
  return again!.cpuMs > REPLAY_MS_MAX ? 'SLOW' : '';
}

function textOf({ name, why, file }: Planted, found: Found): string {
  const head = `${name}: ${why} (${file})`;
  const { hit, small } = found;
  if (hit === null)
    return `${head}\n  NOT FOUND by ${found.seeds} seeds${found.unsound > 0 ? `; by ${found.unsound} of them a rule is broken without it` : ''}`;
  const { rule, what } = hit.run.violations[0]!;
  const fault = faultOf(found);
  const first = `  seed ${hit.options.seed} breaks “${rule}”: ${what}${fault && `; ${fault}`}`;
  if (small === null) return `${head}\n${first}`;
  return [
    head,
    first,
    `  with ${small.options.gateways} gateways, ${small.options.clients} clients, and the fewest faults that show it:`,
    faultsText(small.options.faults).replaceAll(/^/gm, '  '),
  ].join('\n');
}

function table(found: readonly Found[]): string {
  const rows = found.map((one, i) => {
    const { name } = wanted[i]!;
    const { hit, again, small } = one;
    if (hit === null) return [name, '', faultOf(one), '', '', '', ''];
    const { rule, atMs } = hit.run.violations[0]!;
    const before = hit.run.faults.filter((fault) => fault.atMs <= atMs).length;
    return [
      name,
      hit.options.seed,
      rule,
      duration(Math.round(atMs)),
      `${before} → ${small?.options.faults.length ?? '?'}`,
      `${(again!.cpuMs / 1_000).toFixed(1)} s`,
      faultOf(one),
    ];
  });
  return columns([['bug', 'seed', 'rule', 'after', 'faults', 'again in', ''], ...rows]);
}
