/** Other programs, started on this machine and stopped by their pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { eventually, PATIENCE_MS } from './wait.ts';

export type Running = AsyncDisposable & {
  readonly pid: number;
  readonly output: () => string;
  /** Exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
  /** SIGSTOP, and waits until none of its threads runs any more, which the signal alone does not. */
  freeze(): Promise<void>;
  /** Resolves with the match once the output has it. */
  waitFor(pattern: RegExp, ms?: number): Promise<RegExpExecArray>;
};

/** Starts a program; `ready` is awaited in its output. */
export async function start(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; ready?: RegExp } = {},
): Promise<Running> {
  const child = spawn(command, [...args], {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = follow(child, command);
  if (options.ready === undefined) return running;
  try {
    await running.waitFor(options.ready);
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
  return running;
}

/** What a test that fails leaves behind, such as those that it has started beside one that did not start, ends with it. */
const living = new Set<ChildProcess>();
const killLiving = (): void => {
  for (const child of living) child.kill('SIGKILL');
};
process.on('exit', killLiving);
// So vitest ends its workers.
process.once('SIGTERM', () => {
  killLiving();
  process.exit();
});

function follow(child: ChildProcess, command: string): Running {
  let output = '';
  /** It has ended, and all that it has written has come: that may be later. */
  let isClosed = false;
  const waiting = new Set<() => void>();
  living.add(child);
  const take = (text: string): void => {
    output += text;
    for (const look of waiting) look();
  };
  child.stdout!.setEncoding('utf8').on('data', take);
  child.stderr!.setEncoding('utf8').on('data', take);
  const exited = new Promise<number | string>((resolve, reject) => {
    child.on('error', (error) => {
      output += `${error.message}\n`;
      isClosed = true;
      reject(error);
      for (const look of waiting) look();
    });
    child.on('close', (code, signal) => {
      isClosed = true;
      living.delete(child);
      resolve(code ?? signal ?? 'unknown');
      for (const look of waiting) look();
    });
  });
  exited.catch(() => {});
  return {
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    kill: (signal) => void child.kill(signal),
    async freeze() {
      child.kill('SIGSTOP');
      await eventually(() => isStopped(child.pid!), `${command} to stop`);
    },
    waitFor: (pattern, ms = PATIENCE_MS) =>
      new Promise((resolve, reject) => {
        const finish = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
        };
        const timer = setTimeout(() => {
          finish();
          reject(new Error(`${command}: no ${String(pattern)} in ${ms} ms of output:\n${output}`));
        }, ms);
        const look = (): void => {
          const match = pattern.exec(output);
          if (match !== null) {
            finish();
            resolve(match);
          } else if (isClosed) {
            finish();
            reject(new Error(`${command} ended before ${String(pattern)}:\n${output}`));
          }
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      // A stopped process takes no other signal.
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(late);
    },
  };
}

/** Only Linux can be asked; elsewhere it is as good as done. */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return true;
  // [proc(5)] The state stands behind the name, which is in parentheses and may have any of its own.
  return readdirSync(tasks).every((id) =>
    /\) T [^)]*$/.test(readFileSync(`${tasks}/${id}/stat`, 'utf8')),
  );
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<{ code: number | string; output: string }> {
  await using running = await start(command, args, options);
  return { code: await running.exited, output: running.output() };
}

/**
 * A port that nobody has. Not one of those that the system gives to outgoing connections: on a machine that makes
 * many, one of them would have it before it is used.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = net.createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}
