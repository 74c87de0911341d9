/**
 * Pith beside its peers, by one generator, in interleaved rounds: `make bench-peers`. ../README.md says how it is measured,
 * and has the results of a run.
 *
 *   ONLY=a,b     these systems; ROUNDS=5; SECONDS=3 of each load, otherwise as many as BUDGET=55 minutes have room for
 *   QUICK=1      everything, as short as possible, in one round: does all work? No figures to quote.
 *   LIST=1       the names of the systems
 *
 * The results go to test/bench/results (with QUICK or ONLY to .cache/bench-peers/results), and page.ts makes the page of
 * them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

import { run } from '../../support/process.ts';
import { putToolsOnPath } from '../../tools/path.ts';
import { CACHE, install, type Installed, ROOT, versions } from './install.ts';
import { Measuring, type Task } from './measure.ts';
import { makePlan, measuresOf, type Plan } from './plan.ts';
import type { Results, Sample, SystemInfo } from './results.ts';
import type { Tls } from './stage.ts';
import { type System, SYSTEMS } from './systems.ts';
import { terminalTables } from './table.ts';

const say = (line: string): void => console.error(line);
const env = (name: string): string | undefined => process.env[name] || undefined;

/** Each round begins so many systems later than the one before, so that none always follows the same. */
const TURN = 4;
/** Whose peak the hop is measured at, for the floors and for what is asked directly. */
const HOPS: Readonly<Record<string, readonly string[]>> = {
  'ws-floor': ['pith-link-ws', 'pith-nats-ws'],
  'go-floor': ['pith-link-ws', 'pith-nats-ws'],
  'relay-link-ws': ['pith-link-ws'],
  'relay-nats-ws': ['pith-nats-ws'],
  'nats-direct': ['pith-nats-ws'],
};
/** A cluster that has just started sometimes does not find itself. */
const TRIES = 2;
/** Without these there is nothing to show. */
const NEEDED = /^(pith|ws-floor)/;

async function main(): Promise<void> {
  if (env('LIST')) {
    for (const { name, what } of SYSTEMS) console.log(`${name.padEnd(24)} ${what}`);
    return;
  }
  const chosen = choose(env('ONLY'));
  const installed = await install(say);
  // As it is shipped, of this tree.
  await run(process.execPath, ['deploy/package/build.mjs', 'pith'], { cwd: ROOT });
  const out = new Map<string, string>();
  for (const system of chosen) {
    const missing = ['generator', ...system.needs].find((part) => !installed.parts.has(part));
    if (missing !== undefined)
      out.set(system.name, `${missing}: ${installed.failed.get(missing) ?? 'not installed'}`);
  }
  const systems = chosen.filter(({ name }) => !out.has(name));
  const plan = makePlan(systems, {
    rounds: env('QUICK') ? Number(env('ROUNDS') ?? 1) : Number(env('ROUNDS') ?? 5),
    seconds: env('SECONDS') === undefined ? undefined : Number(env('SECONDS')),
    quick: env('QUICK') !== undefined,
    budgetMinutes: Number.parseFloat(env('BUDGET') ?? '55'),
  });
  say(
    `${systems.length} systems, ${plan.rounds} rounds, ${plan.seconds} s for each load, ` +
      `${plan.idleConnections} idle connections: about ${plan.minutes.toFixed(0)} min ` +
      `(at most ${plan.budgetMinutes})`,
  );
  const results = await new Run(systems, plan, installed).all(chosen, out);
  const file = keep(results);
  console.log(terminalTables(results));
  for (const failure of results.failures) console.log(`FAILED ${failure}`);
  say(`kept in ${file}; for the page: node test/bench/peers/page.ts ${file}`);
  const broken = chosen.filter(
    ({ name }) => NEEDED.test(name) && !results.samples.some(({ system }) => system === name),
  );
  if (broken.length > 0) {
    say(`no figures of ${broken.map(({ name }) => name).join(', ')}`);
    process.exitCode = 1;
  }
}

function choose(only: string | undefined): readonly System[] {
  if (only === undefined) return SYSTEMS;
  const names = new Set(only.split(','));
  for (const name of names)
    if (!SYSTEMS.some((system) => system.name === name))
      throw new Error(`no system “${name}”; LIST=1 make bench-peers prints their names`);
  return SYSTEMS.filter(({ name }) => names.has(name));
}

class Run {
  readonly #systems: readonly System[];
  readonly #plan: Plan;
  readonly #tls: Tls | null;
  readonly #samples: Sample[] = [];
  readonly #failures: string[] = [];
  readonly #peaks: Record<string, number> = {};
  readonly #begun = performance.now();
  #roundsDone = 0;

  constructor(systems: readonly System[], plan: Plan, installed: Installed) {
    this.#systems = systems;
    this.#plan = plan;
    this.#tls = installed.parts.has('certificate')
      ? { cert: join(CACHE, 'cert.pem'), key: join(CACHE, 'key.pem') }
      : null;
  }

  async all(chosen: readonly System[], out: ReadonlyMap<string, string>): Promise<Results> {
    const date = new Date().toISOString();
    const loadBefore = loadAverage();
    for (let round = 0; round < this.#plan.rounds && this.#hasTime(); round++) {
      const turn = (round * TURN) % Math.max(1, this.#systems.length);
      for (const system of [...this.#systems.slice(turn), ...this.#systems.slice(0, turn)])
        if (this.#minutes() < this.#plan.budgetMinutes) await this.#measure(system, round);
      this.#roundsDone++;
      // Whatever ends it now, these are there.
      const file = join(CACHE, 'results/unfinished.json');
      write(file, await this.#results(date, loadBefore, chosen, out));
    }
    return this.#results(date, loadBefore, chosen, out);
  }

  async #results(
    date: string,
    loadBefore: number,
    chosen: readonly System[],
    out: ReadonlyMap<string, string>,
  ): Promise<Results> {
    const made = versions();
    const { sideRounds, seconds, idleConnections, idleTls } = this.#plan;
    return {
      date,
      minutes: Math.round(this.#minutes() * 10) / 10,
      rounds: this.#roundsDone,
      sideRounds: Math.min(this.#roundsDone, sideRounds),
      ...{ seconds, idleConnections, idleTls },
      quick: env('QUICK') !== undefined,
      machine: await machine(loadBefore),
      revision: (await output('git', ['describe', '--always', '--dirty', '--tags'])).trim(),
      systems: chosen.map((system) => describe(system, made, out.get(system.name) ?? '')),
      peaks: this.#peaks,
      failures: this.#failures,
      samples: this.#samples,
    };
  }

  #minutes(): number {
    return (performance.now() - this.#begun) / 60_000;
  }

  /** For one more round, if it takes as long as those before. */
  #hasTime(): boolean {
    if (this.#roundsDone === 0) return true;
    const each = this.#minutes() / this.#roundsDone;
    if (this.#minutes() + each * 0.9 <= this.#plan.budgetMinutes) return true;
    say(`no time for more than ${this.#roundsDone} rounds`);
    return false;
  }

  async #measure(system: System, round: number): Promise<void> {
    const at = performance.now();
    const measures = measuresOf(system, round, this.#plan.sideRounds);
    if (measures.size === 0) return;
    const hops = measures.has('hop')
      ? (HOPS[system.name] ?? []).flatMap((of) => {
          const peak = this.#peaks[of];
          return peak === undefined ? [] : [[`hop-${of}`, Math.round(peak / 2)] as const];
        })
      : [];
    if (system.mode === 'nats' && hops.length === 0) return;
    say(`round ${round + 1}, ${system.name}`);
    const task = { round, measures, peak: this.#peaks[system.name], hops };
    await this.#attempt(system, task, (measuring) => measuring.run());
    const tls = this.#tls;
    if (measures.has('memory') && tls !== null && system.noTls === undefined)
      await this.#attempt(system, task, (measuring) => measuring.runTls(tls));
    say(`  ${((performance.now() - at) / 1_000).toFixed(0)} s, ${this.#minutes().toFixed(1)} min`);
  }

  /** Again, if it did not start; otherwise what was measured until it failed is kept. */
  async #attempt(
    system: System,
    task: Task,
    work: (measuring: Measuring) => Promise<void>,
  ): Promise<void> {
    for (let left = TRIES; left > 0; left--) {
      const measuring = new Measuring(system, this.#plan, task, say);
      let failure = '';
      try {
        await work(measuring);
      } catch (error) {
        failure = `round ${task.round + 1}, ${system.name}: ${(error as Error).message}`;
        say(`  FAILED ${failure}`);
      }
      if (failure !== '' && measuring.samples.length === 0 && left > 1) continue;
      if (failure !== '') this.#failures.push(failure.slice(0, 500));
      this.#samples.push(...measuring.samples);
      if (measuring.peak !== undefined) this.#peaks[system.name] ??= measuring.peak;
      return;
    }
  }
}

function describe(system: System, made: Record<string, string>, leftOut: string): SystemInfo {
  const none: Record<string, string> = {};
  for (const measure of ['slow', 'hung', 'cast'] as const) {
    const route = system[measure];
    if (typeof route !== 'string') none[measure] = route.none;
  }
  if (system.noTls !== undefined) none['tls'] = system.noTls;
  return {
    name: system.name,
    what: system.what,
    versions: system.versions.map((name) => `${name} ${made[name] ?? ''}`.trim()).join(', '),
    none,
    leftOut,
  };
}

async function machine(loadBefore: number): Promise<Results['machine']> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.version,
    go: (await output('go', ['env', 'GOVERSION'])).trim(),
    gcc: (await output('gcc', ['-dumpfullversion'])).trim(),
    loadBefore,
    loadAfter: loadAverage(),
  };
}

async function output(command: string, args: readonly string[]): Promise<string> {
  return (await run(command, args, { cwd: ROOT }).catch(() => ({ output: '' }))).output;
}

function loadAverage(): number {
  return Number(readFileSync('/proc/loadavg', 'utf8').split(' ', 1)[0]);
}

function keep(results: Results): string {
  const isWhole = !results.quick && env('ONLY') === undefined;
  const file = isWhole
    ? join(ROOT, 'test/bench/results', `${results.date.slice(0, 10)}.json`)
    : join(CACHE, 'results', `${results.date.replaceAll(':', '')}.json`);
  write(file, results);
  return file;
}

/** One sample a line, so that what two runs differ in can be seen. */
function write(file: string, { samples, ...rest }: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const head = JSON.stringify(rest, null, 1).slice(0, -2);
  const lines = samples.map((sample) => `  ${JSON.stringify(sample)}`);
  writeFileSync(file, `${head},\n "samples": [\n${lines.join(',\n')}\n ]\n}\n`);
}

putToolsOnPath();
await main();
