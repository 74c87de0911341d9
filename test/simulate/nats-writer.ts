/** What a client of NATS writes, in the pieces in which the client library and Node pass it to the system. */
import type { End } from './channel.ts';
import { type ClientOp, type Frame, Outbound } from './nats-wire.ts';

/** Beyond this the library does not wait for the end of the turn, unless it is one message alone. */
const WRITE_BYTES = 32 * 1_024;

export class Writer {
  readonly #end: End<Frame>;
  readonly #out: Outbound<Frame[number]>;
  #willWrite = false;
  #isOver = false;

  constructor(end: End<Frame>) {
    this.#end = end;
    this.#out = new Outbound(end, end.node.random);
  }

  get unsentBytes(): number {
    return this.#out.bytes + this.#end.unsentBytes;
  }

  send(op: ClientOp, bytes: number): void {
    if (this.#isOver) return;
    const isFirst = this.#out.isEmpty;
    this.#out.add(op, bytes);
    if (!isFirst) {
      if (this.#out.bytes >= WRITE_BYTES) this.write();
    } else if (!this.#willWrite) {
      this.#willWrite = true;
      queueMicrotask(() => {
        this.#willWrite = false;
        this.write();
      });
    }
  }

  /** What the system takes at once is sent, and there is no more to be said about it. */
  write(): void {
    this.#out.write();
  }

  /** Whatever is not written is lost. */
  drop(): void {
    this.#isOver = true;
    this.#out.drop();
  }
}
