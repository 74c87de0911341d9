/**
 * What a gateway takes before anybody uses it, what each session adds that only stays, what comes back after a load,
 * and how long start and reload take. `make bench-memory`; a table with the aim beside each figure. Needs Linux.
 *
 * Resident memory is VmRSS of the process, of its code and libraries too. `packed` is what the npm package, the tarball
 * and the image run; `source` is this tree. ONLY=rest,idle,hostile,reload runs a part; N=5000,18000 are the crowds;
 * ENV="MALLOC_ARENA_MAX=2" is put into the environment of the gateways.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Authority, SecretFolder } from '../support/tls.ts';
import type { IdleCount, IdleOrder } from './idle-crowd.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAMS = { source: 'src/main.ts', packed: 'dist/pith.js' } as const;
type Program = keyof typeof PROGRAMS;

const AIMS = { restMib: 85, sessionKb: 10, startMs: 300, reloadMs: 50, heartbeatUs: 2 };
const ROUNDS = 5;
/** From `listening` until memory is looked at. */
const REST_MS = 4_000;
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
const ENV = Object.fromEntries(
  (process.env['ENV'] ?? '')
    .split(' ')
    .filter(Boolean)
    .map((pair) => pair.split('=') as [string, string]),
);

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

class Server implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #output = '';
  /** From before the process until it listens. */
  readyMs = 0;
  /** Of all threads until then. */
  readyCpuMs = 0;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.pid = child.pid!;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  static async start(program: Program, yaml: string): Promise<Server> {
    const folder = mkdtempSync(join(tmpdir(), 'pith-bench-'));
    const file = join(folder, 'pith.yaml');
    writeFileSync(file, yaml);
    const begun = performance.now();
    const child = spawn(process.execPath, [PROGRAMS[program], 'serve', '--config', file], {
      cwd: ROOT,
      env: { ...process.env, ...ENV },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const server = new Server(child, folder);
    await server.logged('listening');
    server.readyMs = performance.now() - begun;
    server.readyCpuMs = cpuNs(server.pid) / 1e6;
    return server;
  }

  rewrite(yaml: string): void {
    writeFileSync(join(this.#folder, 'pith.yaml'), yaml);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  forget(): void {
    this.#output = '';
  }

  async logged(msg: string): Promise<string> {
    for (;;) {
      const line = this.#output.split('\n').find((one) => one.endsWith(`"msg":"${msg}"}`));
      if (line !== undefined) return line;
      if (this.#child.exitCode !== null) throw new Error(`it has ended:\n${this.#output}`);
      await once(this.#child.stdout!, 'data');
    }
  }

  get port(): number {
    return Number(/"clients":\["[a-z]+:\/\/[^"]*:(\d+)"/.exec(this.#output)![1]);
  }

  /** MiB. */
  get resident(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit');
    rmSync(this.#folder, { recursive: true });
  }
}

class Crowd implements Disposable {
  readonly #child = fork(new URL('idle-crowd.ts', import.meta.url)).on('exit', (code) => {
    if (code !== 0) throw new Error('the crowd has ended');
  });

  async ask(order: IdleOrder): Promise<IdleCount> {
    this.#child.send(order);
    const [count] = (await once(this.#child, 'message')) as [IdleCount];
    return count;
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }
}

/** Nanoseconds on a core, of all threads. */
function cpuNs(pid: number): number {
  let total = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return total;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const median = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]!;

function row(what: string, figure: string, aim = ''): void {
  console.log(`${what.padEnd(58)} ${figure.padStart(16)}   ${aim}`);
}

async function atRest(): Promise<void> {
  for (const [name, backend] of [
    ['a fixed reply', REPLY],
    ['a Link', LINK],
  ] as const)
    for (const program of ['source', 'packed'] as const) {
      const ready: number[] = [];
      const cpu: number[] = [];
      const rest: number[] = [];
      for (let i = 0; i < ROUNDS; i++) {
        await using server = await Server.start(program, BASE + PLAIN + backend);
        ready.push(server.readyMs);
        cpu.push(server.readyCpuMs);
        await wait(REST_MS);
        rest.push(server.resident);
      }
      const isAimed = program === 'packed' && backend === REPLY;
      const what = `${program}, with ${name}`;
      row(
        `resident at rest: ${what}`,
        `${median(rest).toFixed(1)} MiB`,
        isAimed ? `≤ ${AIMS.restMib} MiB` : '',
      );
      row(
        `ready after start: ${what}`,
        `${median(ready).toFixed(0)} ms`,
        `${isAimed ? `< ${AIMS.startMs} ms; ` : ''}CPU ${median(cpu).toFixed(0)} ms`,
      );
    }
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
const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
console.log(`Node ${process.version}, load ${load()} at the start\n`);
if (PARTS.includes('rest')) await atRest();
if (PARTS.includes('idle')) await idle();
if (PARTS.includes('hostile')) await floods();
if (PARTS.includes('reload')) await reload();
console.log(`\nload ${load()} at the end`);
