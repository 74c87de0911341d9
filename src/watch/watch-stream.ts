/** What one watcher is still to read: bounded, and what did not fit is counted and told. */
import { Fifo } from '../fifo.ts';

/** Events that wait for the reader, and their bytes. */
export const STREAM_EVENTS_MAX = 1_024;
export const STREAM_BYTES_MAX = 4_194_304;

export class WatchStream {
  readonly #waiting = new Fifo<Buffer>();
  readonly #skipped: (unread: number) => Buffer;
  /** How many were read. */
  given = 0;
  #bytes = 0;
  #unread = 0;
  #isEnded = false;
  #wake: () => void = () => {};

  /** @param skipped The event that says so. */
  constructor(skipped: (unread: number) => Buffer) {
    this.#skipped = skipped;
  }

  put(event: Buffer): void {
    if (this.#isEnded) return;
    if (!this.#hasRoom(event)) {
      this.#unread++;
      return;
    }
    if (this.#unread > 0) {
      this.#push(this.#skipped(this.#unread));
      this.#unread = 0;
    }
    this.#push(event);
  }

  /** Nothing more is put. @param last Comes after all that waits, whatever its length. */
  end(last: Buffer | null = null): void {
    if (this.#isEnded) return;
    if (this.#unread > 0) this.#push(this.#skipped(this.#unread));
    if (last !== null) this.#push(last);
    this.#isEnded = true;
    this.#wake();
  }

  /** For one reader. Ends when it has been ended, and everything is read. */
  async *read(): AsyncGenerator<Buffer> {
    for (;;) {
      const event = this.#waiting.take();
      if (event !== null) {
        this.#bytes -= event.length;
        this.given++;
        yield event;
      } else if (this.#isEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  #hasRoom({ length }: Buffer): boolean {
    return this.#waiting.length < STREAM_EVENTS_MAX && this.#bytes + length <= STREAM_BYTES_MAX;
  }

  #push(event: Buffer): void {
    this.#waiting.push(event);
    this.#bytes += event.length;
    this.#wake();
  }
}
