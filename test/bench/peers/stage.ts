/** The processes of one system while it is measured. All of them are stopped by their pid when it is over. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort, type Running, start } from '../../support/process.ts';

/** How long a program of a peer may take to start. */
const START_MS = 30_000;

export type Tls = { readonly cert: string; readonly key: string };

/** Ended with this process, as those are that it has started itself. */
const adopted = new Set<number>();
process.on('exit', () => {
  for (const pid of adopted) signal(pid, 'SIGKILL');
});

export class Stage implements AsyncDisposable {
  /** Where its programs may write. */
  readonly dir: string;
  /** Where the front takes clients. */
  readonly port: number;
  /** Absent: plain. */
  readonly tls: Tls | null;
  /** The process whose cost is measured. */
  front = 0;
  /** All else that a request needs. */
  others: number[] = [];
  /** Backends that a test may stop, to see what that does to the others. */
  hung: number[] = [];
  /** When the first process of the front was started, as process.hrtime.bigint() has it. */
  startedAt = 0n;
  readonly #running: Running[] = [];
  readonly #adopted: number[] = [];

  private constructor(dir: string, port: number, tls: Tls | null) {
    this.dir = dir;
    this.port = port;
    this.tls = tls;
  }

  static async open(tls: Tls | null): Promise<Stage> {
    return new Stage(mkdtempSync(join(tmpdir(), 'pith-peers-')), await freePort(), tls);
  }

  freePort(): Promise<number> {
    return freePort();
  }

  /** Something beside the front: a backend, a broker, a registry. */
  async other(
    command: string,
    args: readonly string[],
    options: { ready?: RegExp; port?: number } = {},
  ): Promise<Running> {
    const running = await start(command, args, { cwd: this.dir });
    this.#running.push(running);
    this.others.push(running.pid);
    if (options.ready) await running.waitFor(options.ready, START_MS);
    if (options.port !== undefined) await this.listening(options.port);
    return running;
  }

  /** The same, and it is one that may hang. */
  async hangs(...args: Parameters<Stage['other']>): Promise<Running> {
    const running = await this.other(...args);
    this.hung.push(running.pid);
    return running;
  }

  /** The process that clients connect to; it does not wait until it is ready. */
  async frontend(
    command: string,
    args: readonly string[],
    options: { cwd?: string; env?: Record<string, string> } = {},
  ): Promise<Running> {
    this.startedAt = process.hrtime.bigint();
    const running = await start(command, args, { cwd: this.dir, ...options });
    this.#running.push(running);
    this.front = running.pid;
    return running;
  }

  /** Processes that others have started; stopped with the rest. */
  adopt(pids: readonly number[]): void {
    for (const pid of pids) {
      this.#adopted.push(pid);
      adopted.add(pid);
    }
  }

  async listening(port: number): Promise<void> {
    const until = performance.now() + START_MS;
    while (!(await canConnect(port))) {
      if (performance.now() > until) throw new Error(`nothing listens on ${port}: ${this.logs()}`);
      await sleep(20);
    }
  }

  /** The last words of each process. */
  logs(): string {
    return this.#running
      .map((running) => running.output().trim().slice(-300))
      .filter((text) => text !== '')
      .join(' | ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.hung) signal(pid, 'SIGCONT');
    for (const pid of this.#adopted) signal(pid, 'SIGTERM');
    await Promise.all(this.#running.toReversed().map((running) => running[Symbol.asyncDispose]()));
    for (const pid of this.#adopted) {
      signal(pid, 'SIGKILL');
      adopted.delete(pid);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A process that has ended meanwhile takes none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone.
  }
}

/** Resident bytes of a process. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1_024;
}

function canConnect(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1', () => {
    socket.destroy();
    resolve(true);
  }).on('error', () => resolve(false));
  return promise;
}
