/**
 * What backends and operators order while another process takes this one's sessions over: it waits, in its order; then it
 * is carried out here after all, or passed on to the process that has the sessions. Whoever waits for an answer is then
 * told to ask again instead, and nothing of it has been done.
 */
import type { SessionVerb } from '../contract/backend-frames.ts';
import type { Push } from '../contract/commands.ts';
import { type Failure, failure } from '../errors.ts';
import { parseAsWritten } from '../protocol/exact-json.ts';

/** Bytes of commands that wait; what comes beyond them is refused. */
export const WAITING_COMMAND_BYTES_MAX = 67_108_864;
/** What a command takes besides its body. */
const COMMAND_BYTES = 512;

/** A command whose sender waits for no answer. */
export type PassedCommand = { readonly push: Push } | { readonly verb: SessionVerb };

type Waiting = {
  /** null: its sender waits for the answer. */
  readonly command: PassedCommand | null;
  readonly run: () => void;
  /** It is not carried out here. */
  readonly left: () => void;
};

const FULL = failure('OVERLOADED', 'too much waits for the new process; try again');
export const LEFT = failure('DRAINING', 'a new process has the sessions now; try again');

export class CommandPassage {
  #waiting: Waiting[] | null = null;
  #bytes = 0;
  #tell: ((text: string) => void) | null = null;

  /** Commands wait from now on. */
  hold(): void {
    this.#waiting ??= [];
  }

  /** They are carried out here. */
  goOn(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    this.#bytes = 0;
    for (const { run } of waiting) run();
  }

  /** All that wait and come go to another process. @param tell Gets each as text, for `commandOf`. */
  pass(tell: (text: string) => void): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    this.#bytes = 0;
    this.#tell = tell;
    for (const { command, left } of waiting) {
      if (command !== null) tell(writeCommand(command));
      left();
    }
  }

  /** Carries out what another process passes on, before all that waits here. `run` does so in this turn. */
  ahead(run: () => void): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    try {
      run();
    } finally {
      this.#waiting = waiting;
    }
  }

  /** Commands are carried out at once. */
  get isOpen(): boolean {
    return this.#waiting === null && this.#tell === null;
  }

  /** Another process has the sessions. */
  get isLeft(): boolean {
    return this.#tell !== null;
  }

  /**
   * Takes a command that nobody waits for, while they are not carried out at once. Either `run` is called then, or `left`.
   *
   * @returns Why it is refused: neither is called.
   */
  take(command: PassedCommand, run: () => void, left: () => void = () => {}): Failure | null {
    if (this.#tell === null)
      return this.#add({ command: copyOf(command), run, left }, bytesOf(command));
    this.#tell(writeCommand(command));
    left();
    return null;
  }

  /** The same of one whose answer is waited for. */
  ask<T>(run: () => Promise<T>, bytes = 0): Promise<T | Failure> {
    if (this.#tell !== null) return Promise.resolve(LEFT);
    const { promise, resolve } = Promise.withResolvers<T | Failure>();
    const waiting = { command: null, run: () => resolve(run()), left: () => resolve(LEFT) };
    const full = this.#add(waiting, bytes);
    return full === null ? promise : Promise.resolve(full);
  }

  #add(waiting: Waiting, bytes: number): Failure | null {
    if (this.#bytes + bytes + COMMAND_BYTES > WAITING_COMMAND_BYTES_MAX) return FULL;
    this.#bytes += bytes + COMMAND_BYTES;
    this.#waiting!.push(waiting);
    return null;
  }
}

function bytesOf(command: PassedCommand): number {
  return 'push' in command ? command.push.body.length : 0;
}

/** The body is a view of what was received, which is not kept. */
function copyOf(command: PassedCommand): PassedCommand {
  if (!('push' in command)) return command;
  return { push: { ...command.push, body: Buffer.from(command.push.body) } };
}

function writeCommand(command: PassedCommand): string {
  if (!('push' in command)) return JSON.stringify(command);
  const { push } = command;
  return JSON.stringify({ push: { ...push, body: Buffer.from(push.body).toString('base64') } });
}

/** Of a process that writes the same version of the state. */
export function commandOf(text: string): PassedCommand {
  const command = parseAsWritten(text) as PassedCommand;
  if (!('push' in command)) return command;
  const body = Buffer.from(command.push.body as unknown as string, 'base64');
  return { push: { ...command.push, body } };
}
