/**
 * What a backend sends in JSON, converted in order and not too much in one turn of the event loop: a message may hold
 * a million frames, and everybody else would have to wait.
 */
import type { AttachJson, FramesInJson, FromBackend } from './attach-json.ts';

/** The socket, as its intake sees it. */
export interface IntakeSocket {
  /** Nothing is wanted just now: the Link is full. */
  readonly isPaused: boolean;
  /** Nothing more is read, until `readOn`: what has come is not converted yet. */
  rest(): void;
  readOn(): void;
  /** What a turn's frames have come to. */
  onFrames(frames: FromBackend): void;
  /** A message, or a frame in it, cannot be read. Nothing that came behind it counts. */
  onUnreadable(error: unknown): void;
}

export class JsonFrameReader {
  readonly #json: AttachJson;
  readonly #socket: IntakeSocket;
  /** Messages of which something is left to convert, the first one begun. */
  #messages: (Buffer | FramesInJson)[] = [];
  #scheduled = false;
  #isResting = false;
  #onDone: (() => void) | null = null;

  constructor(json: AttachJson, socket: IntakeSocket) {
    this.#json = json;
    this.#socket = socket;
  }

  /** @param text One message. */
  take(text: Buffer): void {
    this.#messages.push(text);
    if (!this.#scheduled) this.#turn();
  }

  /** The socket is no longer paused. */
  goOn(): void {
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
      this.#rest();
    } else {
      this.#onDone?.();
      this.#onDone = null;
      if (this.#isResting) {
        this.#isResting = false;
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
      this.#socket.onFrames(turn);
    } catch (error) {
      this.#messages = [];
      this.#socket.onUnreadable(error);
    }
  }

  #rest(): void {
    if (!this.#isResting) this.#socket.rest();
    this.#isResting = true;
    if (this.#socket.isPaused && this.#onDone === null) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }
}
