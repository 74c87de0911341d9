/** The generator as a process: commands go in, one line of JSON comes back for each. What they are: gen/gen.c. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import type { Histogram } from './histogram.ts';

export type Mode = 'pomelo' | 'pomelo-tcp' | 'echo' | 'centrifugo' | 'cable' | 'nats';

/** What a load has counted; CPU is in microseconds of each process, in the order of the pids. */
export type Load = {
  /** Of the window. */
  readonly secs: number;
  readonly answered: number;
  readonly pushed: number;
  readonly casts: number;
  readonly sent: number;
  /** Paced requests that were not sent, since their connection had as many in flight as it may. */
  readonly skipped: number;
  /** Answers with another text than was asked, errors, connections that ended. */
  readonly wrong: number;
  /** Pushes that did not come within three seconds. */
  readonly lost: number;
  /** Requests without an answer at the end, and after a second or two more. */
  readonly unanswered: number;
  readonly slow_closed: number;
  /** Of one core, that the generator used itself. */
  readonly core: number;
  readonly sched_us: readonly number[];
  readonly stat_us: readonly number[];
  readonly histogram: Histogram;
};

export class Generator implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #errors = '';
  #wake: () => void = () => {};
  #ended = false;

  constructor(program: string, mode: Mode, port: number, options: Record<string, string | number>) {
    const words = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    const child = spawn(program, [mode, String(port), ...words], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stdin.on('error', () => {});
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    const end = (error?: Error): void => {
      if (error instanceof Error) this.#errors += error.message;
      this.#ended = true;
      this.#wake();
    };
    child.on('error', end).on('close', () => end());
  }

  /** @param seconds How long the answer may take. */
  async say<T>(command: string, seconds: number): Promise<T> {
    const until = performance.now() + seconds * 1_000;
    this.#child.stdin!.write(`${command}\n`);
    while (this.#lines.length === 0) {
      const left = until - performance.now();
      if (this.#ended) throw new Error(`the generator ended: ${this.#errors.trim().slice(-300)}`);
      if (left <= 0) throw new Error(`no answer of the generator to “${command}” in ${seconds} s`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, left);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    return JSON.parse(this.#lines.shift()!) as T;
  }

  /** Until so many connections have finished their handshakes. */
  async open(count: number): Promise<number> {
    return (await this.say<{ seconds: number }>(`open ${count}`, 90)).seconds;
  }

  load(
    kind: 'closed' | 'paced' | 'cast',
    words: Readonly<Record<string, string | number>> & { warm: number; secs: number },
  ): Promise<Load> {
    const text = Object.entries(words).map(([name, value]) => `${name}=${value}`);
    return this.say(`${kind} ${text.join(' ')}`, words.warm + words.secs + 30);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}
