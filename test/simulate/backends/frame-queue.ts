/** What a backend is about to send on a Link: all that one turn brings goes out as one message, as far as there is credit. */
import { CreditGot } from './credit.ts';
import type { Desk } from './desk.ts';
import { toGateway } from './write-frames.ts';
import type { StreamSocket } from './stream.ts';

/** Two messages instead of one. */
const SPLIT_CHANCE = 0.15;

type Outgoing = {
  readonly frame: Buffer;
  /** That count against credit; 0: it does not. */
  readonly bytes: number;
};

export class FrameQueue {
  readonly #socket: StreamSocket;
  readonly #desk: Desk;
  #credit: CreditGot | null = null;
  #waiting: Outgoing[] = [];
  #isScheduled = false;
  #isOver = false;

  constructor(socket: StreamSocket, desk: Desk) {
    this.#socket = socket;
    this.#desk = desk;
  }

  get usesCredit(): boolean {
    return this.#credit !== null;
  }

  /** From now on it waits for it. */
  useCredit(): void {
    this.#credit = new CreditGot();
  }

  granted(frames: number, bytes: number): void {
    this.#credit?.add(frames, bytes);
    this.#flushSoon();
  }

  /** @param bytes What it takes of the gateway's credit. */
  add(frame: Buffer, bytes = 0): void {
    if (this.#isOver) return;
    this.#waiting.push({ frame, bytes });
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    this.#desk.node.soon(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  /** What has to wait for credit is waited for by what follows it: a backend keeps its order. */
  flush(): void {
    const credit = this.#credit;
    let count = 0;
    for (const { bytes } of this.#waiting) {
      if (bytes > 0 && credit !== null && !credit.spend(bytes)) break;
      count++;
    }
    if (count > 0) this.#write(this.#waiting.splice(0, count).map(({ frame }) => frame));
  }

  /** Without a look at credit: it is the last. */
  flushAll(): void {
    this.#write(this.#waiting.splice(0).flatMap(({ frame, bytes }) => (bytes > 0 && this.usesCredit ? [] : [frame]))); // prettier-ignore
  }

  #write(frames: readonly Buffer[]): void {
    if (frames.length === 0) return;
    const { random } = this.#desk;
    if (frames.length > 1 && random.chance(SPLIT_CHANCE)) {
      const cut = random.int(1, frames.length - 1);
      this.#socket.send(toGateway(frames.slice(0, cut)));
      this.#socket.send(toGateway(frames.slice(cut)));
    } else this.#socket.send(toGateway(frames));
  }

  drop(): void {
    this.#isOver = true;
    this.#waiting = [];
  }
}
