/** One worker as the parent sees it. */
import type { Clock } from '../clock.ts';
import type { RawHandle } from '../transport/raw-handle.ts';
import { Channel, type ChannelEnd } from './channel.ts';
import type { Keeper } from './doors.ts';
import { isOfClients, NOT_BEGUN, type Status, type ToParent, type ToWorker } from './words.ts';

/** Connections that were handed to a worker and have not reached it; more are closed. */
const HANDED_MAX = 4_096;

/** Its process, as Node's ChildProcess is. */
export type WorkerProcess = ChannelEnd & {
  readonly pid?: number | undefined;
  kill(signal: NodeJS.Signals): boolean;
  on(event: 'exit', fn: (code: number | null, signal: NodeJS.Signals | null) => void): unknown;
  on(event: 'error', fn: (error: Error) => void): unknown;
};

export class Child implements Keeper {
  /** From 1 on. */
  readonly n: number;
  readonly channel: Channel<ToWorker, ToParent>;
  readonly program: WorkerProcess;
  /** Its last word. */
  status: Status = NOT_BEGUN;
  /** When that was, and when it was ready for the first time; NaN: never. */
  heardAt: number;
  readyAt = Number.NaN;
  /** It should end. */
  isTold = false;
  #sent = 0;

  constructor(n: number, program: WorkerProcess, clock: Clock) {
    this.n = n;
    this.program = program;
    this.channel = new Channel(program, clock);
    this.heardAt = clock.now();
  }

  /** It has started, and was there a moment ago. */
  get isReady(): boolean {
    return this.status.state === 'ready' && this.program.connected;
  }

  get load(): number | null {
    const { open, received } = this.status;
    return this.isReady ? open + (this.#sent - received) : null;
  }

  take(door: string, handle: RawHandle): void {
    if (isOfClients(door)) {
      if (this.#sent - this.status.received >= HANDED_MAX) {
        handle.close();
        return;
      }
      this.#sent++;
    }
    this.channel.tell('connection', { door }, handle);
  }
}
