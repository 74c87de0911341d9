/** Runs of the simulation, each in a process of its own: `one.ts` is the other end. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import type { Options, Result } from './simulation.ts';

export type RunOptions = Omit<Options, 'onTrace'>;

export type Run = Result & {
  /** Milliseconds, from the process's first line on. */
  readonly realMs: number;
  /** Milliseconds of CPU, all threads. */
  readonly cpuMs: number;
  readonly heapBytes: number;
  /** The end of the trace, where a rule was broken. */
  readonly lastLines: readonly string[];
};

/** Nearly all that a run makes is forgotten soon: with room for it, half of the garbage collector's time is saved. */
const YOUNG_SPACE = '--max-semi-space-size=64';

/** What is said of a run that did not come to an end: as of a rule. */
export const ENDLESS = 'a run comes to its end';
export const CRASHED = 'the process lives';

export type Running = { readonly run: Promise<Run>; stop(): void };

/** Becomes the program after it; whose system ends it with SIGXCPU when it has used so many seconds of CPU. */
const BOUNDED = 'ulimit -c 0 && ulimit -S -t "$0" && exec "$@"';

/**
 * Starts a run.
 *
 * @param root The tree whose `test/simulate` it is, and whose `src` is simulated.
 * @param cpuMsMax Of CPU, rounded up to seconds, after which it is ended, and is said to break `ENDLESS`: other work on
 *   the machine says nothing of it.
 */
export function startRun(root: string, options: RunOptions, cpuMsMax: number): Running {
  const seconds = Math.ceil(cpuMsMax / 1_000);
  const program = [process.execPath, YOUNG_SPACE, join(root, 'test/simulate/one.ts')];
  const child = spawn('/bin/sh', ['-c', BOUNDED, String(seconds), ...program], {
    cwd: root,
    stdio: ['pipe', 'pipe', process.env['TRACE'] === '1' ? 'inherit' : 'pipe'],
  });
  const output: Buffer[] = [];
  let errors = '';
  child.stdout!.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-ERROR_CHARACTERS);
  });
  child.stdin!.on('error', () => {});
  child.stdin!.end(JSON.stringify(options));
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  const run = new Promise<Run>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(Buffer.concat(output).toString()) as Run);
      else if (signal === 'SIGXCPU')
        resolve(unfinished(options, ENDLESS, `nothing in ${seconds} s of CPU`));
      else if (isCrash(code, signal))
        resolve(unfinished(options, CRASHED, `exit ${code ?? signal}: ${errors}`));
      else reject(new Error(`seed ${options.seed} was ended from outside: ${signal}`));
    });
  });
  return { run, stop };
}

/** Else somebody has ended it, which says nothing of what it ran. */
function isCrash(code: number | null, signal: string | null): boolean {
  return code !== null || ['SIGABRT', 'SIGSEGV', 'SIGILL', 'SIGBUS'].includes(signal ?? '');
}

const ERROR_CHARACTERS = 4_000;

function unfinished(options: RunOptions, rule: string, what: string): Run {
  return {
    violations: [{ rule, what, atMs: 0 }],
    digest: rule,
    steps: 0,
    virtualMs: 0,
    faults: options.faults ?? [],
    injected: {},
    counts: {},
    checks: {},
    realMs: 0,
    cpuMs: 0,
    heapBytes: 0,
    lastLines: [],
  } as unknown as Run;
}

/** Lets `count` go on at a time; the others wait for their turn. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
