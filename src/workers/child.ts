/** One worker as the parent sees it. */
import type { Backoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import { Channel, type ChannelEnd } from './channel.ts';
import type { Keeper, Untaken } from './doors.ts';
import { isOfClients, NOT_BEGUN, type Status, type ToParent, type ToWorker } from './words.ts';

/** How often a worker is looked at, in milliseconds. */
export const LOOK_MS = 1_000;
/**
 * Looks after which one that has said nothing gets no new connections. It should say something at least once between two
 * of them.
 */
const SILENT_LOOKS = 3;
/** Connections of clients that were handed to a worker and have not reached it; more are refused. */
const HANDED_MAX = 4_096;

/** Its process, as Node's ChildProcess is. */
export type WorkerProcess = ChannelEnd & {
  readonly pid?: number | undefined;
  kill(signal: NodeJS.Signals): boolean;
  on(event: 'exit', fn: (code: number | null, signal: NodeJS.Signals | null) => void): unknown;
  on(event: 'error', fn: (error: Error) => void): unknown;
};

/** A worker, or the place of one that is to be begun again. */
export type Place = { child: Child | null; readonly backoff: Backoff };

export class Child implements Keeper {
  /** From 1 on. */
  readonly n: number;
  readonly channel: Channel<ToWorker, ToParent>;
  readonly program: WorkerProcess;
  /** Its last word. */
  status: Status = NOT_BEGUN;
  /** What it has to go by. */
  config: Config;
  /** It has said something, so it hears what it is told. */
  isHeard = false;
  /** It was ready before. */
  wasReady = false;
  /** It should end. */
  isTold = false;
  isKilled = false;
  #sent = 0;
  /** Since its last word. */
  #looks = 0;

  constructor(
    n: number,
    program: WorkerProcess,
    { clock, config }: { readonly clock: Clock; readonly config: Config },
  ) {
    this.n = n;
    this.config = config;
    this.program = program;
    this.channel = new Channel(program, clock);
  }

  /** It has said something. @returns For the first time. */
  heard(status: Status): boolean {
    this.status = status;
    this.#looks = 0;
    const isFirst = !this.isHeard;
    this.isHeard = true;
    return isFirst;
  }

  /** It has said something else. */
  isAlive(): void {
    this.#looks = 0;
  }

  /** Each `LOOK_MS`. Looks are counted rather than time, which goes on while the whole machine is suspended. */
  look(): void {
    this.#looks++;
  }

  /** How long it has said nothing, in milliseconds. */
  get silentMs(): number {
    return this.#looks * LOOK_MS;
  }

  get isSilent(): boolean {
    return this.#looks > SILENT_LOOKS;
  }

  /** It has started, and was there a moment ago. */
  get isReady(): boolean {
    return this.status.state === 'ready' && this.program.connected && !this.isSilent;
  }

  get load(): number | null {
    const { open, received } = this.status;
    return this.isReady ? open + (this.#sent - received) : null;
  }

  /** It has gone: connections that it did not get any more. */
  untaken(): readonly Untaken[] {
    return this.channel.takeBack().flatMap(([tell, body, handle]) => {
      if (tell === 'connection') return { door: (body as { door: string }).door, handle };
      handle.close();
      return [];
    });
  }

  /** Called once, when it has ended and all that it has said before has been read. */
  onEnd(fn: (code: number | null, signal: NodeJS.Signals | null) => void): void {
    const { program } = this;
    program.on('exit', (code, signal) => {
      if (program.connected) program.on('disconnect', () => fn(code, signal));
      else fn(code, signal);
    });
  }

  take(door: string, handle: RawHandle): boolean {
    if (isOfClients(door)) {
      if (this.#sent - this.status.received >= HANDED_MAX) return false;
      this.#sent++;
    }
    this.channel.tell('connection', { door }, handle);
    return true;
  }
}
