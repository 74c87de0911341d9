/** The crowd of the soak, as the process that has started it sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROCESS = fileURLToPath(new URL('crowd-process.ts', import.meta.url));

/** stay: so many connect, and stay; live: so many come and go each second, 0: nobody, and who is there goes. */
export type Told =
  | { readonly tell: 'stay'; readonly count: number; readonly ports: readonly number[] }
  | { readonly tell: 'live'; readonly perSecond: number };

/** All since the start. */
export type Done = {
  /** Who has come and gone. */
  readonly lives: number;
  readonly asked: number;
  readonly answered: number;
  /** That came to those. */
  readonly pushes: number;
  /** Those who stay whose connection has ended. */
  readonly lost: number;
  readonly faults: readonly string[];
};

export class Crowd implements AsyncDisposable {
  readonly #child: ChildProcess = fork(PROCESS, { stdio: 'inherit' });

  async tell(told: Told): Promise<Done> {
    this.#child.send(told);
    const answered = new AbortController();
    const { signal } = answered;
    const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
      throw new Error(`the crowd has ended: ${String(code)}`);
    });
    ended.catch(() => {});
    const [said] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [
      Done,
    ];
    answered.abort();
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
