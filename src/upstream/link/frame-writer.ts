/** What goes out on a Link: everything that a turn of the event loop gathers leaves as one message. */
import { WireWriter } from '../../contract/protobuf-wire.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { LinkStream } from './link-transport.ts';

/** A turn that has gathered more goes out in several messages: servers refuse one beyond 4 MiB, and end the stream. */
const MESSAGE_BYTES_AIM = 1024 * 1024;

export class FrameWriter {
  /** Frames are written here; call `flushSoon` after each. */
  readonly writer = new WireWriter(4_096);
  readonly #stream: LinkStream;
  readonly #onSent: () => void;
  readonly #wheel: TimerWheel;
  #scheduled = false;
  #bytes = 0;
  #closed = false;

  /** @param onSent The system has taken some of it. */
  constructor(stream: LinkStream, wheel: TimerWheel, onSent: () => void) {
    this.#stream = stream;
    this.#onSent = onSent;
    this.#wheel = wheel;
  }

  /** Bytes that the stream was given and has not sent. */
  get given(): number {
    return this.#bytes;
  }

  /** Those, and what this turn has gathered. */
  get unsent(): number {
    return this.#bytes + this.writer.length;
  }

  flushSoon(): void {
    if (this.writer.length > MESSAGE_BYTES_AIM) {
      this.flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#wheel.soon(this.#turn);
  }

  flush(): void {
    if (this.#closed || this.writer.length === 0) return;
    const bytes = this.writer.take();
    this.#bytes += bytes.length;
    this.#stream.write(bytes, () => {
      this.#bytes -= bytes.length;
      this.#onSent();
    });
  }

  /** Nothing more is written. */
  close(): void {
    this.#closed = true;
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    this.flush();
  };
}
