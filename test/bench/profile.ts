/**
 * Where a message's CPU goes: `node test/bench/profile.ts link-ws nats-ws link-tcp link-ws-10 reply push refused`, some of them or all.
 *
 * V8's sampling profiler, by its own time of each function. What the kernel does for a system call is the time of the
 * native function that calls it: `writeBuffer` and `writev` are writes to sockets, `(program)` are reads and epoll.
 */
import type { Profiler } from 'node:inspector';

import { startNats } from '../support/nats.ts';
import { start } from '../support/process.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { build, BUILT, cpuNs, startGateway } from './processes.ts';

const WARM_SECONDS = 4;
const PROFILE_MS = 5_000;
const INTERVAL_US = 250;
/** A sample counts at most so much: one that comes later had no processor meanwhile. */
const SAMPLE_US_MAX = 300;
const FILES_SHOWN = 25;
const FUNCTIONS_SHOWN = 40;

const ONE = ['-conns', '1000', '-inflight', '1'];
const PUSH = ['-push', '-every', '40ms', '-route', 'area.pushHandler.all'];
const LOADS: Readonly<Record<string, readonly string[]>> = {
  'link-ws': ONE,
  'link-tcp': [...ONE, '-tcp'],
  'nats-ws': ONE,
  reply: ONE,
  refused: [...ONE, '-route', 'nowhere.at.all'],
  'link-ws-10': ['-conns', '200', '-inflight', '10'],
  push: [...ONE, ...PUSH],
};

const GROUPS: readonly (readonly [RegExp, string])[] = [
  [/^\(garbage collector\)/, 'garbage collection'],
  [/ \(native\)/, 'kernel, libuv, V8: called by JavaScript, and (program)'],
  [/ node:(internal\/)?http2/, 'node: HTTP/2'],
  [/ node:(net|events|stream|internal\/stream)/, 'node: net, streams, events'],
  [/ node:/, 'node: other'],
  [/ node_modules\/@grpc\//, 'grpc-js'],
  [/ node_modules\/(@nats-io|nats)\//, 'nats'],
  [/ node_modules\/ws\//, 'ws'],
  [/ src\//, 'ours'],
];

/** As `put src/session/outbox.ts:118`. */
function nameOf({ functionName, url, lineNumber }: Profiler.ProfileNode['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return `${name} (native)`;
  const file = url.replace(/^.*\/(?=node_modules\/)/, '').replace(/^file:.*?\/(?=src\/)/, '');
  return `${name} ${file}:${lineNumber + 1}`;
}

/** Microseconds of the processor by function, without those in which it was idle. */
function selfTimes({ nodes, samples, timeDeltas }: Profiler.Profile): Map<string, number> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  samples!.forEach((id, i) => {
    const name = names.get(id)!;
    if (name.startsWith('(idle)') || name.includes('node:inspector')) return;
    times.set(name, (times.get(name) ?? 0) + Math.min(timeDeltas![i]!, SAMPLE_US_MAX));
  });
  return times;
}

function sumBy(times: ReadonlyMap<string, number>, key: (name: string) => string) {
  const sums = new Map<string, number>();
  for (const [name, us] of times) sums.set(key(name), (sums.get(key(name)) ?? 0) + us);
  return sums;
}

function print(title: string, times: ReadonlyMap<string, number>, us: number, shown: number): void {
  const all = [...times.values()].reduce((sum, one) => sum + one, 0);
  console.log(`  ${title}`);
  for (const [name, time] of [...times].sort((a, b) => b[1] - a[1]).slice(0, shown)) {
    const [share, own] = [(100 * time) / all, (us * time) / all];
    console.log(`  ${share.toFixed(1).padStart(6)} % ${own.toFixed(2).padStart(6)} us  ${name}`);
  }
}

async function profileOf(inspector: string): Promise<Profiler.Profile> {
  const socket = new WebSocket(inspector);
  await new Promise((resolve) => {
    socket.addEventListener('open', resolve);
  });
  let id = 0;
  const ask = (method: string, params = {}): Promise<{ profile: Profiler.Profile }> => {
    const own = ++id;
    socket.send(JSON.stringify({ id: own, method, params }));
    return new Promise((resolve) => {
      socket.addEventListener('message', ({ data }) => {
        const answer = JSON.parse(data as string) as { id: number; result: never };
        if (answer.id === own) resolve(answer.result);
      });
    });
  };
  await ask('Profiler.enable');
  await ask('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  await ask('Profiler.start');
  await new Promise((resolve) => setTimeout(resolve, PROFILE_MS));
  const { profile } = await ask('Profiler.stop');
  socket.close();
  return profile;
}

async function profile(name: string, grpc: string, bus: string): Promise<void> {
  const isNats = name === 'nats-ws' || name === 'push';
  const backend = { reply: '{ reply: { code: 200 } }' }[name];
  const settings = {
    backend: backend ?? (isNats ? '{ nats: {} }' : `{ grpc: "${grpc}" }`),
    ...(isNats && { bus }),
  };
  const { running, process: gateway } = await startGateway(name, settings, [
    '--inspect=127.0.0.1:0',
  ]);
  await using _running = running;
  const [, inspector] = await running.waitFor(/Debugger listening on (ws:\S+)/);
  const flags = LOADS[name]!;
  const address = flags.includes('-tcp') ? gateway.tcp : gateway.ws;
  const seconds = PROFILE_MS / 1_000 + 1;
  const args = ['-addr', address, '-warm', `${WARM_SECONDS}s`, '-measure', `${seconds}s`, ...flags];
  await using load = await start(`${BUILT}load`, args, { env: { GOMAXPROCS: '1' } });
  await load.waitFor(/begin/, 60_000);
  const before = await cpuNs(gateway.pid);
  const times = selfTimes(await profileOf(inspector!));
  await load.waitFor(/end/, 60_000);
  const used = (await cpuNs(gateway.pid)) - before;
  const [line] = await load.waitFor(/\{.*\}/, 60_000);
  const { messages } = JSON.parse(line) as { messages: number };
  const us = used / 1_000 / messages;
  console.log(
    `\n${name}: ${us.toFixed(1)} us of CPU for each message, the profiler's own included`,
  );
  const groupOf = (one: string): string => GROUPS.find(([of]) => of.test(one))?.[1] ?? 'other';
  print('by what it is', sumBy(times, groupOf), us, GROUPS.length + 1);
  const files = sumBy(times, (one) => one.replace(/^.* (?=\S+$)/, '').replace(/:\d+$/, ''));
  print('by file', files, us, FILES_SHOWN);
  print('by function', times, us, FUNCTIONS_SHOWN);
}

putToolsOnPath();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(LOADS, name));
if (unknown.length > 0)
  throw new Error(`${unknown.join(', ')}: there are ${Object.keys(LOADS).join(', ')}`);
await build('load', 'load');
await build('echo', 'echo');
await using server = await startNats();
await using echo = await start(`${BUILT}echo`, [], { env: { NATS_URL: server.url } });
const [, grpc] = await echo.waitFor(/listening on (\S+)/);
for (const name of wanted.length > 0 ? wanted : Object.keys(LOADS))
  await profile(name, grpc!, server.url);
