/**
 * The frames that come on a Link, in their order, and not too many in one turn of the event loop: a message may hold
 * millions of them, and everybody else would have to wait.
 */
import { WireError } from '../../contract/protobuf-wire.ts';
import { type FrameHandler, ToGatewayReader } from '../../contract/backend-frames.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { LinkStream } from './link-transport.ts';

/** Frames that are dealt with in one turn. */
export const FRAMES_PER_TURN = 500;
/** Bytes of frames after which a turn ends; the last one may be larger. */
export const BYTES_PER_TURN = 1024 * 1024;

/** The Link, as its intake sees it. */
export interface FrameReaderLink extends FrameHandler {
  /** Reading stops until `readOn`. */
  readonly isFull: boolean;
  /** Nothing more is wanted. */
  readonly ended: boolean;
  /** All that has come is read. */
  onRead(): void;
  /** A frame could not be read, or not be dealt with: the link has to end. */
  onUnreadable(why: string): void;
}

export class FrameReader {
  /** Messages of which something is left to read. */
  #messages: ToGatewayReader[] = [];
  readonly #stream: LinkStream;
  readonly #link: FrameReaderLink;
  readonly #wheel: TimerWheel;
  /** Not read from, because the link is full. */
  isPaused = false;
  #scheduled = false;
  #stopped = false;
  #onDone: (() => void) | null = null;

  constructor(stream: LinkStream, link: FrameReaderLink, wheel: TimerWheel) {
    this.#stream = stream;
    this.#link = link;
    this.#wheel = wheel;
    stream.on('data', (message) => {
      this.#take(message);
    });
  }

  /** Something that has come is not read yet. */
  get isReading(): boolean {
    return this.#messages.length > 0;
  }

  /** @param bytes A ToGateway. */
  #take(bytes: Buffer): void {
    if (this.#link.ended) return;
    this.#messages.push(new ToGatewayReader(bytes));
    if (!this.isPaused && !this.#scheduled) this.#read();
  }

  /** Calls `onDone` when all that has come is read: the stream has ended, but its last frames count. */
  finish(onDone: () => void): void {
    this.isPaused = false;
    this.#onDone ??= onDone;
    if (!this.#scheduled) this.#read();
  }

  /** The link is no longer full. */
  readOn(): void {
    this.isPaused = false;
    if (!this.#scheduled) this.#read();
  }

  #read(): void {
    const isFirst = this.#wheel.beginMoment();
    try {
      this.#readFrames();
    } finally {
      if (isFirst) this.#wheel.endMoment();
    }
  }

  #readFrames(): void {
    let frames = 0;
    let bytes = 0;
    try {
      for (let message = this.#messages[0]; message !== undefined; message = this.#messages[0]) {
        const before = message.position;
        if (!message.readFrame(this.#link)) {
          this.#messages.shift();
          continue;
        }
        if (this.#link.ended) return;
        bytes += message.position - before;
        if (this.#rests(++frames, bytes)) return;
      }
    } catch (error) {
      this.#messages = [];
      const isTheirs = error instanceof WireError;
      // After a fault of ours too: a link that stayed would be deaf, and its backend would look well.
      this.#link.onUnreadable(isTheirs ? error.message : 'internal error');
      if (!isTheirs) throw error;
      return;
    }
    this.#onDone?.();
    this.#link.onRead();
    if (this.#stopped) {
      this.#stopped = false;
      this.#stream.resume();
    }
  }

  /** True: the rest has to wait, for the next turn or for the link. */
  #rests(frames: number, bytes: number): boolean {
    if (this.#link.isFull && this.#onDone === null) this.isPaused = true;
    else if (frames < FRAMES_PER_TURN && bytes < BYTES_PER_TURN) return false;
    else this.#readSoon();
    this.#stopped = true;
    this.#stream.pause();
    return true;
  }

  #readSoon(): void {
    this.#scheduled = true;
    this.#wheel.soon(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (!this.#link.ended && !this.isPaused) this.#read();
  };
}
