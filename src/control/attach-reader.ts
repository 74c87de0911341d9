/**
 * What a backend sends in JSON, converted in order and not too much in one turn of the event loop: a message may hold
 * a million frames, and everybody else would have to wait.
 */
import type { AttachJson, FramesInJson, FromBackend } from './attach-json.ts';

/** Where the messages come from, and their frames go. */
export interface FrameSocket {
  /** Nothing is wanted just now: the Link is full. */
  readonly isPaused: boolean;
  /** Reads nothing more, until `readOn`: what has come is not converted yet. */
  hold(): void;
  readOn(): void;
  /** Takes what a turn's frames have come to. */
  take(frames: FromBackend): void;
  /** Ends it: a message, or a frame in it, cannot be read. Nothing that came behind it counts. */
  fail(error: unknown): void;
}

export class JsonFrameReader {
  readonly #json: AttachJson;
  readonly #socket: FrameSocket;
  /** Messages of which something is left to convert, the first one begun. */
  #messages: (Buffer | FramesInJson)[] = [];
  #scheduled = false;
  #isHolding = false;
  #onDone: (() => void) | null = null;

  constructor(json: AttachJson, socket: FrameSocket) {
    this.#json = json;
    this.#socket = socket;
  }

  /** @param text One message. */
  take(text: Buffer): void {
    this.#messages.push(text);
    if (!this.#scheduled) this.#turn();
  }

  /** The socket is no longer paused. */
  resume(): void {
    if (!this.#scheduled && this.#messages.length > 0) this.#turn();
  }

  /** Calls `onDone` when all that has come is converted: the connection has ended, but its last frames count. */
  finish(onDone: () => void): void {
    this.#onDone ??= onDone;
    if (!this.#scheduled) this.#turn();
  }

  /** Forgets what has come. */
  stop(): void {
    this.#messages = [];
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    // Who has left is no longer held back, and cannot be told to wait.
    if (this.#socket.isPaused && this.#onDone === null) return;
    if (this.#messages.length > 0) this.#convert();
    if (this.#messages.length > 0) {
      this.#hold();
    } else {
      this.#onDone?.();
      this.#onDone = null;
      if (this.#isHolding) {
        this.#isHolding = false;
        this.#socket.readOn();
      }
    }
  };

  #convert(): void {
    try {
      const first = this.#messages[0]!;
      const frames = Buffer.isBuffer(first) ? this.#json.open(first) : first;
      const turn = this.#json.toGateway(frames);
      if (frames.isAtEnd) this.#messages.shift();
      else this.#messages[0] = frames;
      this.#socket.take(turn);
    } catch (error) {
      this.#messages = [];
      this.#socket.fail(error);
    }
  }

  #hold(): void {
    if (!this.#isHolding) this.#socket.hold();
    this.#isHolding = true;
    if (this.#socket.isPaused && this.#onDone === null) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }
}
