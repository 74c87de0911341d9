/**
 * The guard: CPU per message of the gateway, as a multiple of a bare WebSocket echo's on the same Node in the same run:
 * `make bench`, three minutes.
 *
 * All variants run in turn, five rounds, and a ratio is that of one round; medians. CPU is what the operating system
 * counted for the gateway's process; a run in which the load generator used over 0.9 of its core is void, since then it
 * is measured itself. The relays are what the libraries alone cost. See README.md.
 */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { startNats } from '../support/nats.ts';
import { start } from '../support/process.ts';
import { putToolsOnPath } from '../tools/path.ts';
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
import { build, BUILT, cpuNs, type Measured, startBare, startGateway } from './processes.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const HISTORY = `${HERE}history.jsonl`;
/** How long each variant is warmed before the first round: until then it is still being compiled, and reads twice as dear. */
const WARM_SECONDS = 2;
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
    seconds: { type: 'string', default: '1' },
    /** Names of rows, with a comma between them; their floors are measured too. Nothing is appended to the history. */
    only: { type: 'string' },
    /** Nothing is appended to the history. */
    trial: { type: 'boolean', default: false },
  },
});

type Variant = {
  readonly name: string;
  readonly what: string;
  readonly process: Measured;
  readonly conns: number;
  readonly inflight: number;
  /** Of the load generator. */
  readonly flags: readonly string[];
  /** The name of what it is compared with; '': it is a floor itself. */
  readonly floor: string;
  /** The relay that does the same with the libraries alone; '': there is none. */
  readonly relay: string;
  /** The most that it should cost, as a multiple of that; 0: nobody has said. */
  readonly aim: number;
};

type Sample = {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
};

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

/** A push at a time, and no more than the generator can take: what each costs does not depend on their number. */
const PUSH = ['-push', '-every', '40ms', '-route', 'area.pushHandler.all'];

type Processes = Record<
  ('floor' | 'loop' | 'link' | 'nats' | 'reply') | ('relayLink' | 'relayTcp' | 'relayNats'),
  Measured
>;

const ONE = { conns: 1_000, inflight: 1, flags: [], floor: 'floor', relay: '', aim: 0 };
const TEN = { ...ONE, conns: 200, inflight: 10, floor: 'floor-10' };
const BARE = { ...ONE, flags: ['-echo'], floor: '' };

function floorsOf({ floor, loop, relayLink, relayNats, relayTcp }: Processes): Variant[] {
  const tcp = { ...relayTcp, tcp: relayTcp.ws };
  const push = ['-echo', ...PUSH];
  return [
    { ...BARE, name: 'floor', what: 'bare ws, 1,000 × 1', process: floor },
    {
      ...BARE,
      ...{ conns: 200, inflight: 10 },
      name: 'floor-10',
      what: 'bare ws, 200 × 10',
      process: floor,
    },
    {
      ...BARE,
      name: 'floor-push',
      what: 'one frame to 1,000, a bare loop',
      process: loop,
      flags: push,
    },
    { ...ONE, name: 'relay-link', what: 'bare ws to a gRPC stream, 1,000 × 1', process: relayLink },
    {
      ...ONE,
      name: 'relay-tcp',
      what: 'bare TCP to a gRPC stream, 1,000 × 1',
      process: tcp,
      flags: ['-tcp'],
    },
    { ...ONE, name: 'relay-nats', what: 'bare ws to NATS, 1,000 × 1', process: relayNats },
    {
      ...TEN,
      name: 'relay-link-10',
      what: 'bare ws to a gRPC stream, 200 × 10',
      process: relayLink,
    },
  ];
}

function rowsOf({ link, nats, reply }: Processes): Variant[] {
  return [
    { ...ONE, name: 'reply', what: 'fixed reply, WebSocket, 1,000 × 1', process: reply },
    {
      ...ONE,
      name: 'link-ws',
      what: 'Link, WebSocket, 1,000 × 1',
      process: link,
      relay: 'relay-link',
      aim: 1,
    },
    {
      ...ONE,
      name: 'link-tcp',
      what: 'Link, TCP, 1,000 × 1',
      process: link,
      flags: ['-tcp'],
      relay: 'relay-tcp',
      aim: 0.8,
    },
    {
      ...ONE,
      name: 'nats-ws',
      what: 'NATS, WebSocket, 1,000 × 1',
      process: nats,
      relay: 'relay-nats',
      aim: 1.2,
    },
    {
      ...TEN,
      name: 'link-ws-10',
      what: 'Link, WebSocket, 200 × 10',
      process: link,
      relay: 'relay-link-10',
      aim: 0.45,
    },
    {
      ...ONE,
      name: 'push',
      what: 'push to 1,000, each delivery',
      process: nats,
      flags: PUSH,
      floor: 'floor-push',
      aim: 1.05,
    },
  ];
}

/** Each behind its floor, so that both of a ratio are measured in the same second. */
function variantsOf(processes: Processes): Variant[] {
  const [floors, rows] = [floorsOf(processes), rowsOf(processes)];
  const only = values.only?.split(',');
  const wanted = rows.filter(({ name }) => only === undefined || only.includes(name));
  if (wanted.length === 0)
    throw new Error(`--only: rows are ${rows.map(({ name }) => name).join(', ')}`);
  const needed = new Set(wanted.flatMap(({ floor, relay }) => [floor, relay]));
  const order = ['floor', 'floor-10', 'floor-push'];
  return order.flatMap((first) =>
    [...floors.filter(({ name }) => needed.has(name)), ...wanted].filter(
      ({ name, floor }) => name === first || floor === first,
    ),
  );
}

async function main(): Promise<boolean> {
  await build('load', 'load');
  await build('echo', 'echo');
  await using server = await startNats();
  await using backend = await start(`${BUILT}echo`, [], { env: { NATS_URL: server.url } });
  const [, grpc] = await backend.waitFor(/listening on (\S+)/);
  const floor = await startBare('floor.mjs');
  await using _floor = floor.running;
  const loop = await startBare('floor.mjs', '--push');
  await using _loop = loop.running;
  const reply = await startGateway('reply', { backend: '{ reply: { code: 200 } }' });
  await using _reply = reply.running;
  const link = await startGateway('link', { backend: `{ grpc: "${grpc}" }` });
  await using _link = link.running;
  const nats = await startGateway('nats', { backend: '{ nats: {} }', bus: server.url });
  await using _nats = nats.running;
  const relayLink = await startBare('relay.mjs', `--link=${grpc}`);
  await using _relayLink = relayLink.running;
  const relayTcp = await startBare('relay.mjs', '--tcp', `--link=${grpc}`);
  await using _relayTcp = relayTcp.running;
  const relayNats = await startBare('relay.mjs', `--nats=${server.url}`);
  await using _relayNats = relayNats.running;
  const variants = variantsOf({
    ...{ floor: floor.process, loop: loop.process, relayLink: relayLink.process },
    ...{ relayTcp: relayTcp.process, relayNats: relayNats.process },
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

/** The median of the rounds' ratios; null: too few rounds are valid, or there is nothing to compare with. */
function ratioOf(name: string, to: string, rounds: readonly Map<string, Sample>[]): number | null {
  const ratios = rounds.flatMap((round) => {
    const [own, bare] = [round.get(name), round.get(to)];
    return own === undefined || bare === undefined ? [] : own.cpuUs / bare.cpuUs;
  });
  return ratios.length < ROUNDS_MIN ? null : Math.round(100 * median(ratios)) / 100;
}

/** Prints and keeps what was found. False: something is much dearer than before. */
function report(variants: readonly Variant[], rounds: readonly Map<string, Sample>[]): boolean {
  const ratios: Record<string, number> = {};
  console.log(`CPU per message, front process only; medians of ${rounds.length} rounds`);
  const head = '   CPU us  to floor     aim  to relay    per s  p50 us  p99 us  rounds';
  console.log('what'.padEnd(39) + head);
  for (const variant of variants) {
    const { aim, floor, name, relay, what } = variant;
    const samples = rounds.flatMap((round) => round.get(name) ?? []);
    const of = (field: keyof Sample): number => median(samples.map((sample) => sample[field]));
    const ratio = ratioOf(name, floor, rounds);
    if (ratio !== null) ratios[name] = ratio;
    const cells = [
      of('cpuUs').toFixed(1).padStart(9),
      (ratio?.toFixed(2) ?? '').padStart(9),
      (aim === 0 ? '' : `≤ ${aim}`).padStart(7),
      (ratioOf(name, relay, rounds)?.toFixed(2) ?? '').padStart(9),
      of('perSecond').toFixed(0).padStart(8),
      of('p50').toFixed(0).padStart(7),
      of('p99').toFixed(0).padStart(7),
      `${samples.length}`.padStart(7),
    ];
    console.log(what.padEnd(39) + cells.join(' '));
  }
  for (const { floor, name } of variants) {
    if (floor !== '' && ratios[name] === undefined)
      console.log(`${name}: no figure, since too few rounds are valid for it or for ${floor}`);
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
  if (!values.trial && values.only === undefined) append(HISTORY, entry);
  const worse = regressions(before, entry);
  for (const what of worse) console.log(`dearer by over ${MARGIN} times: ${what}`);
  return worse.length === 0;
}

putToolsOnPath();
if (!(await main())) process.exitCode = 1;
