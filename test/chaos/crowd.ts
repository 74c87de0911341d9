/** A crowd of clients in a process of its own, as the process that has started it sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROCESS = fileURLToPath(new URL('crowd-process.ts', import.meta.url));

/** What has become of requests, as clients count it. */
export type Tally = {
  readonly asked: number;
  readonly once: number;
  /** Answers to what was answered before. */
  readonly twice: number;
  /** Answered with an error. */
  readonly refused: number;
  /** Whose connection has ended before the answer. */
  readonly cut: number;
  /** Answers of another request or session. */
  readonly crossed: number;
  readonly kicked: number;
  /** Not answered yet, on connections that are there. */
  readonly open: number;
  /** Clients that are connected, by port. */
  readonly ports: Readonly<Record<number, number>>;
};

export type Told =
  | { readonly tell: 'join' | 'leave'; readonly port: number; readonly count: number }
  | { readonly tell: 'ask'; readonly perSecond: number }
  | { readonly tell: 'who'; readonly port: number }
  | { readonly tell: 'look' };

export type Said = { readonly sids?: readonly string[]; readonly tally?: Tally };

export class Crowd implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (said: Said) => void>();
  #lastNumber = 0;
  #failure: Error | null = null;

  /** @param route What its clients ask; the backend answers with the session's sid, and the number that it is asked with. */
  constructor(route = 'chaos.who.am') {
    this.#child = fork(PROCESS, [route], { stdio: 'inherit' });
    this.#child.on('message', (said: Said & { readonly number: number }) => {
      this.#waiting.get(said.number)?.(said);
      this.#waiting.delete(said.number);
    });
    this.#child.on('exit', (code, signal) => {
      this.#failure = new Error(`the crowd has ended: ${code ?? signal}`);
    });
  }

  /** Has so many clients connect; their sids, as their backend has told them. */
  async join(port: number, count: number): Promise<readonly string[]> {
    return (await this.#tell({ tell: 'join', port, count })).sids!;
  }

  /** Has so many hang up; whose sessions these are. */
  async leave(port: number, count: number): Promise<readonly string[]> {
    return (await this.#tell({ tell: 'leave', port, count })).sids!;
  }

  /** The sids of those that are connected there now. */
  async who(port: number): Promise<readonly string[]> {
    return (await this.#tell({ tell: 'who', port })).sids!;
  }

  /** From now on they ask, so many times a second, all together. */
  async ask(perSecond: number): Promise<void> {
    await this.#tell({ tell: 'ask', perSecond });
  }

  async look(): Promise<Tally> {
    return (await this.#tell({ tell: 'look' })).tally!;
  }

  #tell(told: Told): Promise<Said> {
    if (this.#failure !== null) throw this.#failure;
    const number = ++this.#lastNumber;
    return new Promise((resolve) => {
      this.#waiting.set(number, resolve);
      this.#child.send({ ...told, number });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
