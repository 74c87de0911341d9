/** The players, as the process that has started theirs sees them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROCESS = fileURLToPath(new URL('players-process.ts', import.meta.url));

/** What has come of their requests, as they count it. */
export type Asked = {
  sent: number;
  /** Answered once, with what was asked. */
  once: number;
  /** Answers to what was answered before. */
  twice: number;
  never: number;
  /** Answers to another request. */
  crossed: number;
  /** By code and reason. */
  errors: Record<string, number>;
};

export type Join = {
  readonly port: number;
  /** Of the backends that they ask. */
  readonly kind: string;
  readonly count: number;
  /** null: the question of our own instances, whose answer repeats it. */
  readonly asks: { readonly route: string; readonly body: string } | null;
};

export type Told =
  | ({ readonly tell: 'join' } & Join)
  | { readonly tell: 'ask'; readonly perSecond: number }
  | { readonly tell: 'end' };

export class Players implements AsyncDisposable {
  readonly #child: ChildProcess = fork(PROCESS, { stdio: 'inherit' });

  /** So many connect who ask this kind of backend. */
  async join(join: Join): Promise<void> {
    await this.#tell({ tell: 'join', ...join });
  }

  /** From now on they ask, so many times a second, all together. */
  async ask(perSecond: number): Promise<void> {
    await this.#tell({ tell: 'ask', perSecond });
  }

  /** They ask no more. By kind. */
  async end(): Promise<Record<string, Asked & { disconnects: number }>> {
    return (await this.#tell({ tell: 'end' })) as Record<string, Asked & { disconnects: number }>;
  }

  async #tell(told: Told): Promise<unknown> {
    const answered = once(this.#child, 'message');
    this.#child.send(told);
    const [said] = (await answered) as [unknown];
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
