/** What a client of NATS writes, in the pieces in which the client library and Node pass it to the system. */
import type { End } from './channel.ts';
import { type ClientOp, type Frame, Outbound } from './nats-wire.ts';

/** So much the library writes without waiting for the end of the turn. */
const WRITE_BYTES = 32 * 1_024;
/** From this on Node counts what it has not heard about from the system as unsent, and says when that is over. */
const HIGH_WATER_BYTES = 64 * 1_024;

export class Writer {
  readonly #end: End<Frame>;
  readonly #out: Outbound<Frame[number]>;
  readonly #onRoom: () => void;
  /** Written in this turn: the system has not said yet that it took them. */
  #writtenBytes = 0;
  #willWrite = false;
  #isOver = false;

  /** @param onRoom Called when the system has taken everything, after much was written. */
  constructor(end: End<Frame>, onRoom: () => void) {
    this.#end = end;
    this.#out = new Outbound(end, end.node.random);
    this.#onRoom = onRoom;
  }

  get unsentBytes(): number {
    return this.#out.bytes + this.#end.unsentBytes + this.#writtenBytes;
  }

  send(op: ClientOp, bytes: number): void {
    if (this.#isOver) return;
    this.#out.add(op, bytes);
    if (this.#out.bytes >= WRITE_BYTES) this.write();
    else if (!this.#willWrite) {
      this.#willWrite = true;
      queueMicrotask(() => {
        this.#willWrite = false;
        this.write();
      });
    }
  }

  write(): void {
    const { bytes } = this.#out;
    this.#out.write();
    if (bytes < HIGH_WATER_BYTES) return;
    if (this.#writtenBytes === 0)
      this.#end.node.soon(() => {
        this.#writtenBytes = 0;
        // If some of it has to wait, the channel says when that is over.
        if (!this.#isOver && !this.#end.isCongested) this.#onRoom();
      });
    this.#writtenBytes += bytes;
  }

  /** Whatever is not written is lost. */
  drop(): void {
    this.#isOver = true;
    this.#writtenBytes = 0;
    this.#out.drop();
  }
}
