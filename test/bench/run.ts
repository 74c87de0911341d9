/**
 * The guard: CPU per message of the gateway, as a multiple of a bare WebSocket echo's on the same Node in the same run:
 * `make bench`, three minutes.
 *
 * All variants run in turn, five rounds, and a ratio is that of one round; medians. CPU is what the operating system
 * counted for the gateway's process; a run in which the load generator used over 0.9 of its core is void, since then it
 * is measured itself. See README.md.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { startNats } from '../support/nats.ts';
import { run, type Running, start } from '../support/process.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { writeConfig } from './config.ts';
import {
  append,
  comparable,
  type Entry,
  MARGIN,
  median,
  readHistory,
  regressions,
  wasBusy,
} from './history.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILT = `${ROOT}.cache/go/`;
const HISTORY = `${HERE}history.jsonl`;
/** How long each variant is warmed before the first round: until then it is still being compiled, and reads twice as dear. */
const WARM_SECONDS = 3;
/** Of each load, before it is measured. */
const SETTLE_SECONDS = 0.6;
/** Valid rounds without which there is no figure. */
const ROUNDS_MIN = 3;
/** Of the machine, before this run has added to it; for each processor. */
const LOAD = Math.round((10 * loadavg()[0]!) / cpus().length) / 10;
/** Runs that are printed. */
const SHOWN = 5;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1.4' },
    /** Nothing is appended to the history. */
    trial: { type: 'boolean', default: false },
  },
});

type Process = {
  readonly pid: number;
  readonly ws: string;
  readonly tcp: string;
};

type Variant = {
  readonly name: string;
  readonly what: string;
  readonly process: Process;
  readonly conns: number;
  readonly inflight: number;
  /** Of the load generator. */
  readonly flags: readonly string[];
  /** The name of what it is compared with; '': it is a floor itself. */
  readonly floor: string;
  /** The most that it should cost, as a multiple of that; 0: nobody has said. */
  readonly aim: number;
};

type Sample = {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
};

/** Nanoseconds on a core, of all threads, as the scheduler counted them. */
async function cpuNs(pid: number): Promise<number> {
  let total = 0;
  for (const task of await readdir(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // A thread that ended meanwhile.
    }
  }
  return total;
}

/** null: the generator had no room left. */
async function measure(variant: Variant, seconds: number): Promise<Sample | null> {
  const { process: measured, conns, inflight, flags, name } = variant;
  const isTcp = flags.includes('-tcp');
  const args = [
    ...['-addr', isTcp ? measured.tcp : measured.ws, '-conns', `${conns}`],
    ...['-inflight', `${inflight}`, '-warm', `${SETTLE_SECONDS}s`, '-measure', `${seconds}s`],
    ...flags,
  ];
  await using load = await start(`${BUILT}load`, args, { env: { GOMAXPROCS: '1' } });
  await load.waitFor(/begin/, 60_000);
  const before = await cpuNs(measured.pid);
  // What it costs that they all leave does not count.
  await load.waitFor(/end/, 120_000);
  const used = (await cpuNs(measured.pid)) - before;
  const [line] = await load.waitFor(/\{.*\}/, 120_000);
  const result = JSON.parse(line) as {
    messages: number;
    seconds: number;
    wrong: number;
    p50_us: number;
    p99_us: number;
    own_core: number;
  };
  if (result.wrong > 0) throw new Error(`${name}: ${result.wrong} wrong answers`);
  if (result.own_core > 0.9 || result.messages === 0) return null;
  return {
    cpuUs: used / 1_000 / result.messages,
    perSecond: result.messages / result.seconds,
    p50: result.p50_us,
    p99: result.p99_us,
  };
}

async function build(dir: string, name: string): Promise<void> {
  const { code, output } = await run('go', ['build', '-o', BUILT + name, '.'], { cwd: HERE + dir });
  if (code !== 0) throw new Error(`go build of ${dir} failed:\n${output}`);
}

async function startGateway(
  name: string,
  settings: Parameters<typeof writeConfig>[1],
): Promise<{ running: Running; process: Process }> {
  const config = await writeConfig(name, settings);
  const args = [`${ROOT}src/main.ts`, 'serve', '--config', config];
  const running = await start(process.execPath, args, {});
  const [, clients] = await running.waitFor(/"clients":(\[[^\]]*\])/);
  const [ws, tcp] = (JSON.parse(clients!) as string[]).map((url) => new URL(url).host);
  return { running, process: { pid: running.pid, ws: ws!, tcp: tcp! } };
}

async function startFloor(...flags: string[]): Promise<{ running: Running; process: Process }> {
  const running = await start(process.execPath, [`${HERE}floor.mjs`, ...flags], { cwd: ROOT });
  const [, ws] = await running.waitFor(/listening on (\S+)/);
  return { running, process: { pid: running.pid, ws: ws!, tcp: '' } };
}

const PUSH = ['-push', '-route', 'area.pushHandler.all'];

function variantsOf(of: Record<'floor' | 'loop' | 'link' | 'nats' | 'reply', Process>): Variant[] {
  const one = { conns: 1_000, inflight: 1 };
  const ten = { conns: 200, inflight: 10 };
  const bare = { flags: ['-echo'], floor: '', aim: 0 };
  const { floor, link, loop, nats, reply } = of;
  return [
    { ...one, ...bare, name: 'floor', what: 'bare ws, 1,000 × 1', process: floor },
    {
      ...{ ...one, name: 'reply', what: 'fixed reply, WebSocket, 1,000 × 1', process: reply },
      ...{ flags: [], floor: 'floor', aim: 0 },
    },
    {
      ...{ ...one, name: 'link-ws', what: 'Link, WebSocket, 1,000 × 1', process: link },
      ...{ flags: [], floor: 'floor', aim: 1 },
    },
    {
      ...{ ...one, name: 'link-tcp', what: 'Link, TCP, 1,000 × 1', process: link },
      ...{ flags: ['-tcp'], floor: 'floor', aim: 0.8 },
    },
    {
      ...{ ...one, name: 'nats-ws', what: 'NATS, WebSocket, 1,000 × 1', process: nats },
      ...{ flags: [], floor: 'floor', aim: 1.2 },
    },
    { ...ten, ...bare, name: 'floor-10', what: 'bare ws, 200 × 10', process: floor },
    {
      ...{ ...ten, name: 'link-ws-10', what: 'Link, WebSocket, 200 × 10', process: link },
      ...{ flags: [], floor: 'floor-10', aim: 0.45 },
    },
    {
      ...{ ...one, ...bare, name: 'floor-push', what: 'one frame to 1,000, a bare loop' },
      ...{ flags: ['-echo', ...PUSH], process: loop },
    },
    {
      ...{ ...one, name: 'push', what: 'push to 1,000, each delivery', process: nats },
      ...{ flags: PUSH, floor: 'floor-push', aim: 1.05 },
    },
  ];
}

async function main(): Promise<boolean> {
  await build('load', 'load');
  await build('echo', 'echo');
  await using server = await startNats();
  await using backend = await start(`${BUILT}echo`, [], { env: { NATS_URL: server.url } });
  const [, grpc] = await backend.waitFor(/listening on (\S+)/);
  const floor = await startFloor();
  await using _floor = floor.running;
  const loop = await startFloor('--push');
  await using _loop = loop.running;
  const reply = await startGateway('reply', { backend: '{ reply: { code: 200 } }' });
  await using _reply = reply.running;
  const link = await startGateway('link', { backend: `{ grpc: "${grpc}" }` });
  await using _link = link.running;
  const nats = await startGateway('nats', { backend: '{ nats: {} }', bus: server.url });
  await using _nats = nats.running;
  const variants = variantsOf({
    ...{ floor: floor.process, loop: loop.process },
    ...{ reply: reply.process, link: link.process, nats: nats.process },
  });
  const rounds: Map<string, Sample>[] = [];
  for (const variant of variants) await measure(variant, WARM_SECONDS);
  for (let i = 0; i < Number(values.rounds); i++) {
    const round = new Map<string, Sample>();
    for (const variant of variants) {
      const sample = await measure(variant, Number(values.seconds));
      if (sample !== null) round.set(variant.name, sample);
    }
    rounds.push(round);
  }
  return report(variants, rounds);
}

/** The median of the rounds' ratios; null: too few rounds are valid. */
function ratioOf({ name, floor }: Variant, rounds: readonly Map<string, Sample>[]): number | null {
  const ratios = rounds.flatMap((round) => {
    const [own, bare] = [round.get(name), round.get(floor)];
    return own === undefined || bare === undefined ? [] : own.cpuUs / bare.cpuUs;
  });
  return ratios.length < ROUNDS_MIN ? null : Math.round(100 * median(ratios)) / 100;
}

/** Prints and keeps what was found. False: something is much dearer than before. */
function report(variants: readonly Variant[], rounds: readonly Map<string, Sample>[]): boolean {
  const ratios: Record<string, number> = {};
  console.log(`CPU per message, front process only; medians of ${rounds.length} rounds`);
  console.log(`${'what'.padEnd(35)}   CPU us  to floor     aim   per s  p50 us  p99 us  rounds`);
  for (const variant of variants) {
    const { aim, floor, name, what } = variant;
    const samples = rounds.flatMap((round) => round.get(name) ?? []);
    const of = (field: keyof Sample): number => median(samples.map((sample) => sample[field]));
    const ratio = floor === '' ? null : ratioOf(variant, rounds);
    if (ratio !== null) ratios[name] = ratio;
    const cells = [
      of('cpuUs').toFixed(1).padStart(9),
      (ratio?.toFixed(2) ?? '').padStart(9),
      (aim === 0 ? '' : `≤ ${aim}`).padStart(7),
      of('perSecond').toFixed(0).padStart(7),
      of('p50').toFixed(0).padStart(7),
      of('p99').toFixed(0).padStart(7),
      `${samples.length}`.padStart(7),
    ];
    console.log(what.padEnd(35) + cells.join(' '));
  }
  return keep(ratios);
}

function keep(ratios: Readonly<Record<string, number>>): boolean {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--untracked-files=no', 'src') !== '';
  const entry: Entry = {
    date: new Date().toISOString().slice(0, 10),
    revision: git('rev-parse', '--short=10', 'HEAD') + (isChanged ? '+' : ''),
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    load: LOAD,
    ratios,
  };
  const before = comparable(readHistory(HISTORY), entry);
  console.log(`\nhistory.jsonl, the last runs on this machine (${entry.machine}), this one last:`);
  for (const one of [...before, entry].slice(-SHOWN)) {
    const { date, revision, node, ratios: found } = one;
    const cells = Object.entries(found).map(([name, ratio]) => `${name} ${ratio.toFixed(2)}`);
    const note = wasBusy(one) ? `  (not compared: load ${one.load} for each processor)` : '';
    console.log(`${date}  ${revision.padEnd(11)}  ${node}  ${cells.join('  ')}${note}`);
  }
  if (!values.trial) append(HISTORY, entry);
  const worse = regressions(before, entry);
  for (const what of worse) console.log(`dearer by over ${MARGIN} times: ${what}`);
  return worse.length === 0;
}

putToolsOnPath();
if (!(await main())) process.exitCode = 1;
