/**
 * `make simulate SEED=7 HOURS=24 GATEWAYS=3 CLIENTS=200`: runs the simulation, prints what happened, and fails if a rule
 * was broken. JOBS=2 goes on with two at a time; a long time is cut into days, of the seeds that follow. With SIZES=1
 * each day has a size of its own, instead of GATEWAYS and CLIENTS.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Fault } from './faults.ts';
import {
  columns,
  commandOf,
  duration,
  faultsText,
  tableOf,
  totalOf,
  uncheckedOf,
  violationOf,
} from './report.ts';
import { type Run, type Running, type RunOptions, startRun } from './runs.ts';
import { shrink, type Small } from './shrink.ts';
import { sizeOf } from './sizes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DAY_HOURS = 24;
/** CPU of a run: an hour, and as long again for each virtual hour as it takes at worst. */
const RUN_MS_MAX = 3_600_000;
const TRIES_MAX = 400;

const { env } = process;
const seed = env['SEED'] || String(Date.now() % 1_000_000);
const hours = numberOf('HOURS', 1);
const gateways = numberOf('GATEWAYS', 3);
const clients = numberOf('CLIENTS', 200);
const jobs = numberOf('JOBS', 1);
const hasSizes = env['SIZES'] === '1';
/** A file of faults, as JSON: what a shrunk run is played from. */
const file = env['FAULTS'] ?? '';
const faults = file === '' ? null : (JSON.parse(readFileSync(file, 'utf8')) as Fault[]);
const all = daysOf();
process.exitCode = await main();

function numberOf(name: string, otherwise: number): number {
  const text = env[name] ?? '';
  const value = text === '' ? otherwise : Number(text);
  if (value > 0) return value;
  console.error(`${name}=${text} is not a number above 0`);
  process.exit(64);
}

/** Days of the seeds that follow, and the rest. */
function daysOf(): RunOptions[] {
  const restOf = (daySeed: string): Omit<RunOptions, 'seed' | 'hours'> => ({
    ...(hasSizes ? sizeOf(daySeed) : { gateways, clients }),
    ...(faults && { faults }),
  });
  if (hours <= DAY_HOURS || faults !== null) return [{ seed, hours, ...restOf(seed) }];
  if (!/^\d+$/.test(seed)) {
    console.error(`SEED=${seed}: more than a day needs a seed that is a whole number`);
    process.exit(64);
  }
  return Array.from({ length: Math.ceil(hours / DAY_HOURS) }, (_, i) => {
    const daySeed = String(Number(seed) + i);
    const dayHours = Math.min(DAY_HOURS, hours - i * DAY_HOURS);
    return { seed: daySeed, hours: dayHours, ...restOf(daySeed) };
  });
}

async function main(): Promise<number> {
  const isYear = hasSizes && all.length > 1;
  const command = isYear
    ? `make simulate-year SEED=${seed} HOURS=${hours}`
    : commandOf({ ...all[0]!, hours });
  console.log(`${command}${jobs > 1 ? ` JOBS=${jobs}` : ''}\n`);
  const startedAt = performance.now();
  const { runs, broken } = await runAll();
  const last = all[runs.length - 1]!.seed;
  const total = totalOf(runs);
  const size = isYear ? 'of each day’s own' : `${all[0]!.gateways}, ${all[0]!.clients}`;
  console.log(tableOf(total, size, runs.length > 1 ? `${seed} to ${last}` : seed));
  const digests = runs.map(({ digest }) => digest);
  console.log(
    `\ndigest of the trace: ${digests.length > 3 ? `${digests.length} of them` : digests.join(' ')}`,
  );
  if (runs.length > 1)
    console.log(`in ${duration(performance.now() - startedAt)} with JOBS=${jobs}`);
  if (broken === null) {
    const unchecked = uncheckedOf(total);
    if (unchecked.length > 0)
      console.log(
        `\nnothing occurred in this run that these rules are about:\n${unchecked.map((rule) => `  ${rule}`).join('\n')}`,
      );
    // A day has everything in it; an hour need not.
    const isTooLittle = unchecked.length > 0 && faults === null && hours >= DAY_HOURS;
    console.log(
      `\nsimulate: no rule was broken${isTooLittle ? ', but some were never checked' : ''}`,
    );
    return isTooLittle ? 1 : 0;
  }
  const [run, options] = broken;
  console.log(`\n${violationOf(run, options)}`);
  if (env['SHRINK'] === '1') await show(run, options);
  console.log('\nsimulate: a rule was broken');
  return 1;
}

/** Those before the first that breaks a rule, and that one. */
async function runAll(): Promise<{ runs: Run[]; broken: [Run, RunOptions] | null }> {
  const done = new Map<number, Run>();
  const under = new Map<number, Running>();
  let next = 0;
  let brokenAt = Infinity;
  const work = async (): Promise<void> => {
    for (let i = next++; i < all.length && i < brokenAt; i = next++) {
      const running = startRun(ROOT, all[i]!, RUN_MS_MAX + all[i]!.hours * 60_000);
      under.set(i, running);
      const run = await running.run.catch((error: unknown) => {
        // It was stopped, because one before it broke a rule.
        if (i > brokenAt) return null;
        throw error;
      });
      under.delete(i);
      if (run === null || i > brokenAt) continue;
      done.set(i, run);
      if (all.length > 1) console.log(lineOf(all[i]!, run));
      if (run.violations.length === 0) continue;
      brokenAt = Math.min(brokenAt, i);
      // What comes after it need not be known.
      for (const [other, one] of under) if (other > i) one.stop();
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, all.length) }, work));
  const runs = [...done]
    .filter(([i]) => i <= brokenAt)
    .sort(([a], [b]) => a - b)
    .map(([, run]) => run);
  return { runs, broken: brokenAt === Infinity ? null : [done.get(brokenAt)!, all[brokenAt]!] };
}

function lineOf(options: RunOptions, { virtualMs, cpuMs, steps, digest, violations }: Run): string {
  const [first] = violations;
  return columns([
    [
      `seed ${options.seed}`,
      `${options.gateways} gateways, ${options.clients} clients`,
      duration(virtualMs),
      `${duration(cpuMs)} of CPU`,
      `${steps} steps`,
      digest,
      first === undefined ? 'passed' : `BROKEN: ${first.rule}`,
    ],
  ]);
}

/** Shrinks what was found, and prints the fewest faults and the command that plays them. */
async function show(run: Run, options: RunOptions): Promise<void> {
  const { rule, atMs } = run.violations[0]!;
  const start: Small = { ...options, faults: run.faults };
  const breaks = async (tried: RunOptions): Promise<{ atMs: number } | null> => {
    const { violations } = await startRun(ROOT, tried, RUN_MS_MAX).run;
    return violations[0]?.rule === rule ? violations[0] : null;
  };
  const small = await shrink(start, atMs, breaks, { triesMax: TRIES_MAX, jobs });
  const path = join(tmpdir(), `pith-faults-${options.seed}.json`);
  writeFileSync(path, JSON.stringify(small.options.faults, null, 2));
  const before = run.faults.filter((fault) => fault.atMs <= atMs).length;
  console.log(
    `\n${before} faults before it, ${small.options.faults.length} are enough (${small.tries} runs):`,
  );
  console.log(faultsText(small.options.faults));
  console.log(`again: ${commandOf(small.options, `FAULTS=${path}`)}`);
}
