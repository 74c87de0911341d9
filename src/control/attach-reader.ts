/**
 * Converts what a backend sends in JSON, in order, and a limited amount in each turn of the event loop: a message may
 * hold a million frames, which would block it.
 */
import type { TimerWheel } from '../timer-wheel.ts';
import type { AttachJson, FramesInJson, FromBackend } from './attach-json.ts';

/** Where the messages come from, and where their frames go. */
export interface FrameSocket {
  /** True while the Link is full. */
  readonly isPaused: boolean;
  /** Stops reading until `readOn`, because what has come is not converted yet. */
  hold(): void;
  readOn(): void;
  /** Takes the converted frames of one turn. */
  take(frames: FromBackend): void;
  /** Ends the connection: a message, or a frame in it, cannot be read. Everything after it is ignored. */
  fail(error: unknown): void;
}

export class JsonFrameReader {
  readonly #json: AttachJson;
  readonly #socket: FrameSocket;
  readonly #wheel: TimerWheel;
  /** Messages that are not converted yet; the first may be in progress. */
  #messages: (Buffer | FramesInJson)[] = [];
  #scheduled = false;
  #isHolding = false;
  #onDone: (() => void) | null = null;

  constructor(json: AttachJson, socket: FrameSocket, wheel: TimerWheel) {
    this.#json = json;
    this.#socket = socket;
    this.#wheel = wheel;
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

  /** Calls `onDone` when everything received is converted: the connection has ended, but its last frames still count. */
  finish(onDone: () => void): void {
    this.#onDone ??= onDone;
    if (!this.#scheduled) this.#turn();
  }

  /** Discards what has come. */
  stop(): void {
    this.#messages = [];
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    // After the end of the connection it is too late to hold the backend back.
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
    this.#wheel.soon(this.#turn);
  }
}
