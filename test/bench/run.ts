/**
 * CPU per message of the gateway, against a bare WebSocket echo on the same Node: `make bench`.
 *
 * All variants run in turn, five rounds; medians. CPU is what the operating system counted for the gateway's
 * process; a run in which the load generator used over 0.9 of its core is void, since then it is measured itself.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { startNats } from '../support/nats.ts';
import { run, type Running, start } from '../support/process.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { writeConfig } from './config.ts';
import { transcoding } from './transcode.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILT = `${ROOT}.cache/go/`;
/** How long each variant is warmed before the first round. */
const WARM_SECONDS = 10;
/** Aims; ratios to the floor at one request in flight. */
const AIMS: Readonly<Record<string, number>> = { link: 1.3, nats: 2 };

const { values } = parseArgs({
  options: {
    conns: { type: 'string', default: '1000' },
    inflight: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
});

type Sample = {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly loadCore: number;
};

type Variant = {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  readonly echo: boolean;
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

async function measure(variant: Variant, seconds: number): Promise<Sample | null> {
  const args = [
    '-addr',
    variant.address,
    '-conns',
    values.conns,
    '-inflight',
    values.inflight,
    '-measure',
    `${seconds}s`,
  ];
  await using load = await start(`${BUILT}load`, variant.echo ? [...args, '-echo'] : args, {
    env: { GOMAXPROCS: '1' },
  });
  await load.waitFor(/begin/, 60_000);
  const before = await cpuNs(variant.pid);
  await load.waitFor(/end/, 120_000);
  const used = (await cpuNs(variant.pid)) - before;
  const [line] = await load.waitFor(/\{.*\}/, 120_000);
  const result = JSON.parse(line) as {
    messages: number;
    seconds: number;
    wrong: number;
    p50_us: number;
    p99_us: number;
    own_core: number;
  };
  if (result.wrong > 0) throw new Error(`${variant.name}: ${result.wrong} wrong answers`);
  if (result.own_core > 0.9) return null;
  return {
    cpuUs: used / 1_000 / result.messages,
    perSecond: result.messages / result.seconds,
    p50: result.p50_us,
    p99: result.p99_us,
    loadCore: result.own_core,
  };
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

async function build(dir: string, name: string): Promise<void> {
  const { code, output } = await run('go', ['build', '-o', BUILT + name, '.'], { cwd: HERE + dir });
  if (code !== 0) throw new Error(`go build of ${dir} failed:\n${output}`);
}

async function startGateway(
  name: string,
  settings: Parameters<typeof writeConfig>[1],
): Promise<{ running: Running; variant: Variant }> {
  const running = await start(
    process.execPath,
    [`${ROOT}src/main.ts`, 'serve', '--config', await writeConfig(name, settings)],
    {},
  );
  const [, port] = await running.waitFor(/"clients":\["ws:\/\/127\.0\.0\.1:(\d+)"\]/);
  return {
    running,
    variant: { name, address: `127.0.0.1:${port}`, pid: running.pid, echo: false },
  };
}

async function main(): Promise<void> {
  await build('load', 'load');
  await build('echo', 'echo');
  await using nats = await startNats();
  await using backend = await start(`${BUILT}echo`, [], { env: { NATS_URL: nats.url } });
  const [, grpc] = await backend.waitFor(/listening on (\S+)/);
  await using floor = await start(process.execPath, [`${HERE}floor.mjs`], { cwd: ROOT });
  const [, address] = await floor.waitFor(/listening on (\S+)/);
  const reply = await startGateway('reply', { backend: '{ reply: { code: 200 } }' });
  await using _reply = reply.running;
  const link = await startGateway('link', { backend: `{ grpc: "${grpc}" }` });
  await using _link = link.running;
  const bus = await startGateway('nats', { backend: '{ nats: {} }', bus: nats.url });
  await using _bus = bus.running;
  const variants: Variant[] = [
    { name: 'floor', address: address!, pid: floor.pid, echo: true },
    reply.variant,
    link.variant,
    bus.variant,
  ];
  const samples = new Map<string, Sample[]>(variants.map(({ name }) => [name, []]));
  let voided = 0;
  // Not counted: a process that has just started is still being compiled, and reads twice as dear.
  for (const variant of variants) await measure(variant, WARM_SECONDS);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const variant of variants) {
      const sample = await measure(variant, Number(values.seconds));
      if (sample === null) voided++;
      else samples.get(variant.name)!.push(sample);
    }
  }
  print(variants, samples, voided);
  console.log('\nmode: method, CPU per message, medians:');
  for (const line of transcoding()) console.log(line);
}

function print(
  variants: readonly Variant[],
  samples: ReadonlyMap<string, readonly Sample[]>,
  voided: number,
): void {
  const of = (name: string, field: keyof Sample): number =>
    median(samples.get(name)!.map((sample) => sample[field]));
  const floor = of('floor', 'cpuUs');
  console.log(
    `${values.conns} connections, ${values.inflight} in flight each; medians of ${values.rounds} rounds; ${voided} runs void`,
  );
  console.log(
    'variant   CPU us/msg   to floor   msgs/s   p50 us   p99 us   load core   runs   aim',
  );
  for (const { name } of variants) {
    const aim = AIMS[name];
    const ratio = of(name, 'cpuUs') / floor;
    const row = [
      name.padEnd(9),
      of(name, 'cpuUs').toFixed(1).padStart(10),
      ratio.toFixed(2).padStart(10),
      of(name, 'perSecond').toFixed(0).padStart(8),
      of(name, 'p50').toFixed(0).padStart(8),
      of(name, 'p99').toFixed(0).padStart(8),
      of(name, 'loadCore').toFixed(2).padStart(11),
      String(samples.get(name)!.length).padStart(6),
      aim === undefined ? '' : `  ≤ ${aim} ${ratio <= aim ? 'met' : 'missed'}`,
    ];
    console.log(row.join(' '));
  }
}

putToolsOnPath();
await main();
