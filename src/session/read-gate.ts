/** Whether a client is read from, and what has come of it that is not handled yet. */
import type { PacketFault } from '../protocol/packet-reader.ts';
import type { Connection } from '../transport/transport.ts';

/** Makes messages of bytes; gives none while it is held. */
export interface Reader {
  readonly heldBytes: number;
  push(chunk: Buffer): PacketFault | null;
  hold(): void;
  release(): PacketFault | null;
  forgetPadding(): void;
}

export class ReadGate {
  readonly #connection: Connection;
  readonly #reader: Reader;
  /** What may come while an answer is awaited before the next message may be handled. */
  readonly #keptBytesMax: number;
  #reading = true;
  #waiting = false;

  constructor(connection: Connection, reader: Reader, keptBytesMax: number) {
    this.#connection = connection;
    this.#reader = reader;
    this.#keptBytesMax = keptBytesMax;
  }

  get isReading(): boolean {
    return this.#reading;
  }

  /** A packet has begun, or a WebSocket message, and is not complete. */
  get isIncomplete(): boolean {
    return !this.#waiting && (this.#reader.heldBytes > 0 || this.#connection.assembling);
  }

  push(chunk: Buffer): PacketFault | null {
    const fault = this.#reader.push(chunk);
    // [protocol.md 9] Some WebSocket clients send a buffer that is longer than the packet in it.
    if (this.#connection.transport === 'ws' || this.#connection.transport === 'wss')
      this.#reader.forgetPadding();
    if (this.#waiting && this.#reader.heldBytes > this.#keptBytesMax) this.#connection.pause();
    return fault;
  }

  /** Reads nothing more from the client. */
  pause(): void {
    this.#reading = false;
    this.#connection.pause();
    this.#reader.hold();
  }

  /** Reads again, first what has come meanwhile, which may make it rest again. */
  resume(): PacketFault | null {
    this.#reading = true;
    const fault = this.#reader.release();
    if (fault === null && this.#reading) this.#connection.resume();
    return fault;
  }

  /** Keeps what comes, and notices when the client goes, until `answered`. */
  wait(): void {
    this.#waiting = true;
    this.#reader.hold();
  }

  answered(): PacketFault | null {
    if (!this.#waiting) return null;
    this.#waiting = false;
    return this.resume();
  }
}
