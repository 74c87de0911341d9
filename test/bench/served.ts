/** A gateway of its own for a bench, clients that stay, and what both use. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { IdleCount, IdleOrder } from './idle-crowd.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAMS = { source: 'src/main.ts', packed: 'dist/pith.js' } as const;
export type Program = keyof typeof PROGRAMS;

/** Into the environment of the gateways. */
const ENV = Object.fromEntries(
  (process.env['ENV'] ?? '')
    .split(' ')
    .filter(Boolean)
    .map((pair) => pair.split('=') as [string, string]),
);

/** What a bench that fails leaves behind ends with it. */
const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});
process.once('SIGTERM', () => process.exit(1));

export class Server implements AsyncDisposable {
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
    living.add(child);
    child.once('exit', () => living.delete(child));
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** @param ready What it logs then. */
  static async start(program: Program, yaml: string, ready = 'listening'): Promise<Server> {
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
    await server.logged(ready);
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
    return residentOf(this.pid);
  }

  /** Sessions of each worker. */
  async sessionsOfWorkers(): Promise<readonly number[]> {
    const port = /"adminPort":(\d+)/.exec(this.#output)![1];
    const answer = await fetch(`http://127.0.0.1:${port}/v1/GetInfo`, {
      method: 'POST',
      body: '{}',
    });
    const { workers } = (await answer.json()) as { workers: readonly { sessions: number }[] };
    return workers.map(({ sessions }) => sessions);
  }

  /** Of its workers. */
  get workers(): readonly number[] {
    const pids = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim();
    return pids === '' ? [] : pids.split(' ').map(Number);
  }

  /** Nanoseconds on a core, its workers' too. */
  get cpuNs(): number {
    return [this.pid, ...this.workers].reduce((sum, pid) => sum + cpuNs(pid), 0);
  }

  /** How often it and its workers have slept and been woken. */
  get wakeUps(): number {
    return [this.pid, ...this.workers].reduce((sum, pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return sum + Number(/\nvoluntary_ctxt_switches:\s+(\d+)/.exec(status)![1]);
    }, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit');
    rmSync(this.#folder, { recursive: true });
  }
}

/** A bare `ws` server that sends back what comes. */
export class Floor implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(...args: readonly string[]): Promise<Floor> {
    const file = fileURLToPath(new URL('floor.mjs', import.meta.url));
    const child = spawn(process.execPath, [file, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    living.add(child);
    child.once('exit', () => living.delete(child));
    const [text] = (await once(child.stdout!, 'data')) as [Buffer];
    return new Floor(child, Number(/:(\d+)/.exec(text.toString())![1]));
  }

  get cpuNs(): number {
    return cpuNs(this.#child.pid!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

export class Crowd implements Disposable {
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

/** MiB. */
export function residentOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** Nanoseconds on a core, of all threads. */
export function cpuNs(pid: number): number {
  let total = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return total;
}

export const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));
export const median = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]!;

export function row(what: string, figure: string, aim = ''): void {
  console.log(`${what.padEnd(58)} ${figure.padStart(16)}   ${aim}`);
}

export const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
