/**
 * What a gateway takes before anybody uses it, what each session adds that only stays, what comes back after a load,
 * and how long start and reload take. `make bench-memory`; a table with the aim beside each figure. Needs Linux.
 *
 * Resident memory is VmRSS of the process, of its code and libraries too. `packed` is what the npm package, the tarball
 * and the image run; `source` is this tree. ONLY=rest,idle,hostile,reload runs a part; N=5000,18000 are the crowds;
 * ENV="MALLOC_ARENA_MAX=2" is put into the environment of the gateways.
 */
import { execFileSync } from 'node:child_process';

import { startNats } from '../support/nats.ts';
import { RawSocket } from '../support/raw.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { cpuNs, Crowd, load, median, type Program, ROOT, row, Server, wait } from './served.ts';

const AIMS = { restMib: 85, sessionKb: 10, startMs: 300, reloadMs: 50, heartbeatUs: 2 };
const ROUNDS = 5;
/** Of starts. */
const STARTS = 11;
/** From `listening` until clients come, and memory is looked at before that. */
const REST_MS = 4_000;
/** From `listening` until a gateway rests: V8 has given back by then what the start has left. */
const RESTED_MS = 15_000;
/** Of the sessions. */
const HEARTBEAT_MS = 30_000;
/** From the last one that has joined until memory is looked at: the gateway has seen that it is quiet. */
const SETTLED_MS = 75_000;
/** How long the cost of heartbeats is measured. */
const IDLE_MS = 20_000;
const HOSTILE = 3_000;
const HOSTILE_BYTES = 256 * 1024;
const LOADED = 500;
const LOAD_MS = 10_000;
/** After a flood. */
const BACK_MS = [5_000, 75_000];
const RELOAD_SESSIONS = 10_000;

const PARTS = (process.env['ONLY'] ?? 'rest,idle,hostile,reload').split(',');
const CROWDS = (process.env['N'] ?? '5000,18000').split(',').map(Number);

const BASE = `health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: info }
reload: { watch: false }
drain: { budget: 2s, per_second: 100000 }
`;
const LIMITS =
  'limits: { connections: 18500, handshake: 60s, packet: 1MiB, messages_per_second: 1000000, burst: 1000000, event_loop_lag: 0s }\n';
const REPLY =
  'backends: { echo: { reply: { code: 200 } } }\nroutes: [{ match: "area.>", backend: echo }]\n';
const LINK =
  'backends: { far: { grpc: "127.0.0.1:1" } }\nroutes: [{ match: "area.>", backend: far }]\n';
const PLAIN = 'listen: [{ url: "ws://127.0.0.1:0" }]\n';

async function atRest(): Promise<void> {
  await using nats = await startNats();
  const routes = 'routes: [{ match: "area.>", backend: far }]\n';
  const kinds = [
    ['a fixed reply', REPLY],
    ['a Link', LINK],
    ['HTTP', `backends: { far: { http: "http://127.0.0.1:1" } }\n${routes}`],
    ['NATS', `bus: "nats://127.0.0.1:${nats.port}"\nbackends: { far: { nats: {} } }\n${routes}`],
  ] as const;
  for (const program of ['source', 'packed'] as const) {
    for (const [name, backend] of kinds) await starts(program, name, BASE + PLAIN + backend);
    await rests(program, kinds);
  }
}

async function starts(program: Program, name: string, yaml: string): Promise<void> {
  const ready: number[] = [];
  const cpu: number[] = [];
  const served: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const begun = performance.now();
    await using server = await Server.start(program, yaml);
    await using client = await RawSocket.open(server.port, 'ws');
    await client.shakeHands('ws');
    served.push(performance.now() - begun);
    ready.push(server.readyMs);
    cpu.push(server.readyCpuMs);
  }
  row(
    `ready after start: ${program}, with ${name}`,
    `${median(ready).toFixed(0)} ms`,
    `${program === 'packed' ? `< ${AIMS.startMs} ms; ` : ''}CPU ${median(cpu).toFixed(0)} ms, first client served after ${median(served).toFixed(0)} ms`,
  );
}

/** All of them rest at once, each with one client. */
async function rests(
  program: Program,
  kinds: readonly (readonly [string, string])[],
): Promise<void> {
  await using living = new AsyncDisposableStack();
  const servers = kinds.map((): Server[] => []);
  for (let i = 0; i < ROUNDS; i++)
    for (const [at, [, backend]] of kinds.entries()) {
      // So that those on NATS do not hear each other.
      const alone = `nats: { prefix: rest${i} }\n`;
      const server = living.use(await Server.start(program, BASE + alone + PLAIN + backend));
      const client = living.use(await RawSocket.open(server.port, 'ws'));
      await client.shakeHands('ws');
      servers[at]!.push(server);
    }
  await wait(RESTED_MS);
  for (const [at, [name]] of kinds.entries())
    row(
      `resident at rest: ${program}, with ${name}`,
      `${median(servers[at]!.map(({ resident }) => resident)).toFixed(1)} MiB`,
      program === 'packed' ? `≤ ${AIMS.restMib} MiB` : '',
    );
}

async function idle(): Promise<void> {
  using files = new SecretFolder(new Authority('bench').issue('localhost'));
  const secure = `listen: [{ url: "wss://127.0.0.1:0", tls: { cert: "${files.cert}", key: "${files.key}" } }]\n`;
  for (const count of CROWDS)
    for (const [name, listen] of [
      ['ws', PLAIN],
      ['wss', secure],
    ] as const) {
      await using server = await Server.start('packed', BASE + listen + LIMITS + REPLY);
      await wait(REST_MS);
      const before = server.resident;
      using crowd = new Crowd();
      const { active } = await crowd.ask({
        ...{ do: 'connect', port: server.port, count, heartbeatMs: HEARTBEAT_MS },
        secure: name === 'wss',
      });
      await wait(SETTLED_MS);
      const kb = ((server.resident - before) * 1024) / active;
      const cpu = cpuNs(server.pid);
      const begun = performance.now();
      await wait(IDLE_MS);
      const spent = (cpuNs(server.pid) - cpu) / 1e3 / active / ((performance.now() - begun) / 1e3);
      const what = `${active} idle sessions over ${name}`;
      row(`each of ${what}`, `${kb.toFixed(1)} KB`, name === 'ws' ? `≤ ${AIMS.sessionKb} KB` : '');
      row(
        `heartbeats of ${what}, each a second`,
        `${spent.toFixed(2)} µs`,
        `≤ ${AIMS.heartbeatUs} µs`,
      );
      await crowd.ask({ do: 'close' });
    }
}

/** What is resident before, at its height, and afterwards. */
async function comesBack(name: string, flood: (server: Server, crowd: Crowd) => Promise<void>) {
  await using server = await Server.start('packed', BASE + PLAIN + LIMITS + REPLY);
  await wait(REST_MS);
  const before = server.resident;
  using crowd = new Crowd();
  await flood(server, crowd);
  const height = server.resident;
  await crowd.ask({ do: 'close' });
  const after: string[] = [];
  let waited = 0;
  for (const ms of BACK_MS) {
    await wait(ms - waited);
    waited = ms;
    after.push(`${server.resident.toFixed(0)} after ${ms / 1e3} s`);
  }
  row(`${name}: ${before.toFixed(0)} before, ${height.toFixed(0)} then`, `${after.join(', ')} MiB`);
}

async function floods(): Promise<void> {
  await comesBack(`${HOSTILE} handshakes of 256 KiB without an end`, async (server, crowd) => {
    await crowd.ask({ do: 'hostile', port: server.port, count: HOSTILE, bytes: HOSTILE_BYTES });
  });
  await comesBack(`${LOADED} clients that ask for ${LOAD_MS / 1e3} s`, async (server, crowd) => {
    const secure = false;
    await crowd.ask({
      ...{ do: 'connect', port: server.port, count: LOADED, secure, heartbeatMs: HEARTBEAT_MS },
    });
    await crowd.ask({ do: 'load', count: LOADED, ms: LOAD_MS });
  });
}

async function reload(): Promise<void> {
  const yaml = (n: number): string =>
    `${BASE}${PLAIN}${LIMITS}backends: { echo: { reply: { code: 200, n: ${n} } } }\nroutes: [{ match: "area${n}.>", backend: echo }]\n`;
  await using server = await Server.start('packed', yaml(0));
  using crowd = new Crowd();
  await crowd.ask({
    ...{ do: 'connect', port: server.port, count: RELOAD_SESSIONS, secure: false },
    heartbeatMs: HEARTBEAT_MS,
  });
  const took: number[] = [];
  const cpu: number[] = [];
  for (let i = 1; i <= ROUNDS; i++) {
    server.rewrite(yaml(i));
    server.forget();
    const used = cpuNs(server.pid);
    const begun = performance.now();
    server.signal('SIGHUP');
    await server.logged('configuration reloaded');
    took.push(performance.now() - begun);
    cpu.push((cpuNs(server.pid) - used) / 1e6);
    await wait(500);
  }
  row(
    `reload with ${RELOAD_SESSIONS} sessions`,
    `${median(took).toFixed(0)} ms`,
    `< ${AIMS.reloadMs} ms; CPU ${median(cpu).toFixed(0)} ms`,
  );
}

execFileSync(process.execPath, ['deploy/package/build.mjs', 'pith'], { cwd: ROOT });
console.log(`Node ${process.version}, load ${load()} at the start\n`);
if (PARTS.includes('rest')) await atRest();
if (PARTS.includes('idle')) await idle();
if (PARTS.includes('hostile')) await floods();
if (PARTS.includes('reload')) await reload();
console.log(`\nload ${load()} at the end`);
