/**
 * Many connections, and several workers: what an idle session costs where there are 18,000 in a process, what a message
 * costs then, how connections spread over workers, and what these cost. `make bench-connections`; a table with the aim
 * beside each figure. Needs Linux and nats-server.
 *
 * Descriptors end near 20,000 for a process, so there is a process of clients for each worker, which connects from an
 * address of its own (127.0.x.y). CPU is that of all processes of the gateway. ONLY=one,workers,message,two,spread runs a
 * part; N=18000 sessions in a process, WORKERS=4 of them.
 */
import { execFileSync } from 'node:child_process';

import { startNats } from '../support/nats.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { putToolsOnPath } from '../tools/path.ts';
import { Crowd, Floor, load, median, residentOf, ROOT, row, Server, wait } from './served.ts';

const AIMS = { sessionKb: 10, heartbeatUs: 2, manyRatio: 1.3, workersRatio: 1.1, spread: 0.1 };
const PARTS = (process.env['ONLY'] ?? 'one,workers,message,two,spread').split(',');
const SESSIONS = Number(process.env['N'] ?? 18_000);
const WORKERS = Number(process.env['WORKERS'] ?? 4);
/** Sessions that the cost at `SESSIONS` is compared with. */
const FEW = 1_000;
/** Requests a second to each worker. */
const RATE = 5_000;
/** Pairs of measurements, and how long each takes. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const SLICE_MS = 2_000;
const HEARTBEAT_MS = 30_000;
const REST_MS = 4_000;
/** From the last one that has joined until memory is looked at: the gateway has seen that it is quiet. */
const SETTLED_MS = 75_000;
/** How long the cost of heartbeats is measured. */
const IDLE_MS = 20_000;
/** After the last has joined a bare `ws` server. */
const FLOOR_SETTLED_MS = 5_000;
/** Times that a tenth of the connections is replaced. */
const CHURNS = 30;

const PLAIN = 'listen: [{ url: "ws://127.0.0.1:0" }]\n';
const ALONE = `health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: info }
reload: { watch: false }
drain: { budget: 2s, per_second: 100000 }
limits: { connections: ${WORKERS * 20_000}, accepts_per_second: 100000, handshake: 60s, ack: 60s, assemble: 60s, messages_per_second: 1000000, burst: 1000000, event_loop_lag: 0s, in_flight_per_backend: 100000 }
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "area.>", backend: echo }]
`;

type Joined = AsyncDisposable & { readonly server: Server; readonly crowds: readonly Crowd[] };

/** A gateway, and so many processes of clients. */
async function join(yaml: string, crowds: number): Promise<Joined> {
  const isMany = yaml.includes('workers:');
  const server = await Server.start('packed', yaml, isMany ? 'all workers are ready' : 'listening');
  const all = Array.from({ length: crowds }, () => new Crowd());
  await wait(REST_MS);
  return {
    server,
    crowds: all,
    async [Symbol.asyncDispose]() {
      for (const crowd of all) crowd[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

let lastAddress = 1;

/** One of which no port is in use: those of clients that have gone stay taken for a minute, and an address has 28,000. */
function nextAddress(): string {
  lastAddress++;
  return `127.0.${lastAddress >> 8}.${lastAddress & 255}`;
}

async function connect({ server, crowds }: Joined, count: number, secure = false): Promise<void> {
  const order = { do: 'connect', port: server.port, count, secure, heartbeatMs: HEARTBEAT_MS } as const; // prettier-ignore
  await Promise.all(crowds.map((crowd) => crowd.ask({ ...order, from: nextAddress() })));
}

/** Of all processes; the parent and each worker apart. */
function residentIn({ pid, workers }: Server): { sum: number; text: string } {
  const parts = [pid, ...workers].map(residentOf);
  const text = parts.map((one) => one.toFixed(0)).join(' + ');
  return { sum: parts.reduce((sum, one) => sum + one, 0), text };
}

type Ticking = { readonly cpuNs: number };

/** Microseconds of CPU for the heartbeats of a session in a second. */
async function heartbeats(of: Ticking, sessions: number): Promise<number> {
  const cpu = of.cpuNs;
  const from = performance.now();
  await wait(IDLE_MS);
  return (of.cpuNs - cpu) / 1e3 / sessions / ((performance.now() - from) / 1e3);
}

/** The same of a bare `ws` server that sends back what comes: one read and one write for each, and nothing else. */
async function floorOfHeartbeats(args: readonly string[], secure: boolean): Promise<number> {
  await using floor = await Floor.start(...args);
  using crowd = new Crowd();
  await crowd.ask({ do: 'connect', port: floor.port, count: SESSIONS, secure, heartbeatMs: HEARTBEAT_MS, from: nextAddress() }); // prettier-ignore
  await wait(FLOOR_SETTLED_MS);
  // Awaited here: the server ends with this function.
  return await heartbeats(floor, SESSIONS);
}

async function idle(what: string, yaml: string, crowds: number, secure = false): Promise<number> {
  await using joined = await join(yaml, crowds);
  const { server } = joined;
  const before = residentIn(server);
  const sessions = crowds * SESSIONS;
  const begun = performance.now();
  await connect(joined, SESSIONS, secure);
  const tookS = (performance.now() - begun) / 1e3;
  await wait(SETTLED_MS);
  const after = residentIn(server);
  const kb = ((after.sum - before.sum) * 1024) / sessions;
  const us = await heartbeats(server, sessions);
  row(`${what}: at rest`, `${before.text} MiB`);
  row(`${sessions} sessions ${what}: in all`, `${after.text} MiB`, `joined in ${tookS.toFixed(0)} s`); // prettier-ignore
  row('  each of them', `${kb.toFixed(1)} KB`, secure ? '' : `≤ ${AIMS.sessionKb} KB`);
  row(`  heartbeats of each, one in ${HEARTBEAT_MS / 1e3} s, a second`, `${us.toFixed(2)} µs`, `≤ ${AIMS.heartbeatUs} µs`); // prettier-ignore
  return us;
}

function floorRow(floor: number, us: number): void {
  row('  the same of a bare ws server', `${floor.toFixed(2)} µs`, `Pith: ${(us / floor).toFixed(2)} times that`); // prettier-ignore
}

type Cost = { readonly us: number; readonly perWakeUp: number };

/** Microseconds of CPU for each message at `RATE`, without what the gateway needs for nothing; messages for a wake-up. */
async function perMessage({ server, crowds: [crowd] }: Joined): Promise<Cost> {
  const perSecond = RATE * Math.max(1, server.workers.length);
  const spent = async <T>(
    work: Promise<T>,
  ): Promise<{ ns: number; ms: number; wakeUps: number; value: T }> => {
    const [ns, wakeUps, begun] = [server.cpuNs, server.wakeUps, performance.now()];
    const value = await work;
    return {
      ns: server.cpuNs - ns,
      wakeUps: server.wakeUps - wakeUps,
      ms: performance.now() - begun,
      value,
    };
  };
  const rest = await spent(wait(SLICE_MS));
  const before = await crowd!.ask({ do: 'rate', perSecond, ms: 0 });
  const work = await spent(crowd!.ask({ do: 'rate', perSecond, ms: SLICE_MS }));
  const answers = work.value.answers - before.answers;
  return {
    us: (work.ns - (rest.ns / rest.ms) * work.ms) / 1e3 / answers,
    perWakeUp: answers / Math.max(1, work.wakeUps - (rest.wakeUps / rest.ms) * work.ms),
  };
}

/** The second in terms of the first, measured in turns. */
async function ratioOf(first: Joined, second: Joined): Promise<{ ratio: number; text: string }> {
  const ratios: number[] = [];
  const costs: (readonly [Cost, Cost])[] = [];
  for (let i = 0; i <= ROUNDS; i++) {
    const isSwapped = i % 2 === 1;
    const one = await perMessage(isSwapped ? second : first);
    const other = await perMessage(isSwapped ? first : second);
    const pair = isSwapped ? ([other, one] as const) : ([one, other] as const);
    // The first pair warms both up.
    if (i === 0) continue;
    costs.push(pair);
    ratios.push(pair[1].us / pair[0].us);
  }
  const of = (which: 0 | 1): string => {
    const us = median(costs.map((pair) => pair[which].us));
    const perWakeUp = median(costs.map((pair) => pair[which].perWakeUp));
    return `${us.toFixed(1)} µs, ${perWakeUp.toFixed(1)} a wake-up`;
  };
  const sorted = ratios.toSorted((x, y) => x - y);
  const spread = `${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)}`;
  return { ratio: median(ratios), text: `${of(0)}; ${of(1)}; ${spread}` };
}

async function messages(): Promise<void> {
  await using few = await join(ALONE + PLAIN, 1);
  await using all = await join(ALONE + PLAIN, 1);
  await connect(few, FEW);
  await connect(all, SESSIONS);
  const { ratio, text } = await ratioOf(few, all);
  row(`a message with ${SESSIONS} sessions, of one with ${FEW}`, ratio.toFixed(2), `≤ ${AIMS.manyRatio}; ${text}`); // prettier-ignore
}

/** Each worker has as many sessions and requests as the one alone: what a message costs falls with how many come at once. */
async function twoWorkers(alone: string, two: string): Promise<void> {
  await using one = await join(alone, 1);
  await using both = await join(two, 1);
  await connect(one, FEW);
  await connect(both, 2 * FEW);
  const { ratio, text } = await ratioOf(one, both);
  row('a message with two workers, of one with one', ratio.toFixed(2), `≤ ${AIMS.workersRatio}; ${text}`); // prettier-ignore
}

/** How far the worker with the most is above an equal share, as it says in /metrics. */
async function unevenness(server: Server): Promise<number> {
  await wait(1_000);
  const counts = await server.sessionsOfWorkers();
  const even = counts.reduce((sum, one) => sum + one, 0) / counts.length;
  return Math.max(...counts.map((one) => Math.abs(one - even))) / even;
}

async function spread(two: string): Promise<void> {
  await using joined = await join(two, 1);
  const { server, crowds } = joined;
  const share = async (what: string): Promise<void> => {
    const percent = 100 * (await unevenness(server));
    row(`off an equal share: ${what}`, `${percent.toFixed(1)} %`, `≤ ${AIMS.spread * 100} %`);
  };
  await connect(joined, FEW);
  await share(`${FEW} that came at once`);
  for (let i = 0; i < CHURNS; i++)
    await crowds[0]!.ask({ do: 'churn', count: FEW / 10, port: server.port });
  await share(`after ${(CHURNS * FEW) / 10} of them came and went`);
  process.kill(server.workers[0]!, 'SIGKILL');
  await server.logged('the worker is ready again');
  await connect(joined, FEW / 2);
  await share('one crashed, and as many new ones came');
}

execFileSync(process.execPath, ['deploy/package/build.mjs', 'pith'], { cwd: ROOT });
putToolsOnPath();
await using nats = await startNats();
const workers = (n: number): string => `workers: ${n}\nbus: ${nats.url}\n${ALONE}${PLAIN}`;
console.log(`Node ${process.version}, load ${load()} at the start\n`);
if (PARTS.includes('one')) {
  const plain = await idle('in one process over ws', ALONE + PLAIN, 1);
  floorRow(await floorOfHeartbeats([], false), plain);
  using files = new SecretFolder(new Authority('bench').issue('localhost'));
  const secure = `listen: [{ url: "wss://127.0.0.1:0", tls: { cert: "${files.cert}", key: "${files.key}" } }]\n`;
  const inTls = await idle('in one process over wss', ALONE + secure, 1, true);
  floorRow(await floorOfHeartbeats([`--tls=${files.cert},${files.key}`], true), inTls);
}
if (PARTS.includes('workers'))
  await idle(`in ${WORKERS} workers over ws`, workers(WORKERS), WORKERS);
if (PARTS.includes('message')) await messages();
if (PARTS.includes('two')) await twoWorkers(`bus: ${nats.url}\n${ALONE}${PLAIN}`, workers(2));
if (PARTS.includes('spread')) await spread(workers(2));
console.log(`\nload ${load()} at the end`);
