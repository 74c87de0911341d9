/**
 * What is below a socket in Node, as one process hands it to another. Undocumented, but it is what Node's own `cluster`
 * sends its workers: a whole `Socket` would be read from by whoever gets it, the parent in between too.
 */
import net, { type Socket } from 'node:net';

import { WRITE_HIGH_WATER_MARK } from './outflow.ts';

export type RawHandle = {
  reading: boolean;
  /** Bytes that it was given and the kernel has not taken. */
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  close(): void;
};

/** null: it is closed. */
export function rawHandleOf(socket: Socket): RawHandle | null {
  const { _handle: handle } = socket as unknown as { readonly _handle?: RawHandle | null };
  return handle ?? null;
}

/**
 * A connected socket that nothing has been read from in this process.
 *
 * @param isPaused Nothing is until `resume`; false: as one that a server of this process has accepted.
 */
export function socketOn(handle: RawHandle, isPaused = true): Socket {
  // `handle` and `pauseOnCreate` are Node's own, for its servers and children.
  const options = { handle, pauseOnCreate: isPaused, highWaterMark: WRITE_HIGH_WATER_MARK };
  return new net.Socket(options as object);
}

/**
 * A plain socket of a client that may go on in another process. Its descriptor can be sent there at any time: nothing
 * is read by it until this process has stopped.
 */
export class Movable {
  /** Its connection was told to pause, and what has been read may wait there. */
  isPaused = false;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** null: it is closed. */
  get handle(): RawHandle | null {
    return this.#socket.destroyed ? null : rawHandleOf(this.#socket);
  }

  /**
   * Reads no more, from the descriptor itself: `pause` would still take what comes into memory, and lose it. False: it
   * cannot move now, because something of it is in this process: unsent, or read and not used.
   */
  stop(): boolean {
    const { handle } = this;
    const { readableLength, writableLength, writable, readableFlowing } = this.#socket;
    if (handle === null || !writable || this.isPaused || readableFlowing !== true) return false;
    if (readableLength + writableLength + handle.writeQueueSize > 0) return false;
    handle.reading = false;
    return handle.readStop() === 0;
  }

  /** Of a socket from another process: its stream flows, but nothing is read from the descriptor until `goOn`. */
  standBy(): void {
    const { handle } = this;
    if (handle === null) return;
    // Else the stream would begin to read.
    handle.reading = true;
    this.#socket.resume();
  }

  /** Reads on after `stop`, or from the beginning after `standBy`. */
  goOn(): void {
    const { handle } = this;
    if (handle === null) return;
    handle.reading = true;
    handle.readStart();
  }

  /** The other process has it: closes this one's descriptor, which the client does not notice. */
  letGo(): void {
    this.#socket.destroy();
  }
}
