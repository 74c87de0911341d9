/** Lines over one Unix socket: whole ones in, and what a turn of the event loop gathers out together. */
import type net from 'node:net';

import { LongLine } from './long-line.ts';

const NEWLINE = 0x0a;

export type LineLimits = {
  /** Bytes of one line from the backend that are kept. A longer one is read to its end, and not used. */
  readonly lineBytesMax: number;
  /** Bytes of one line, kept or not, after which the connection ends. */
  readonly skipBytesMax: number;
  /** Bytes that were given and are not with the system yet. */
  readonly unsentBytesMax: number;
};

export interface LineHandler {
  /** Without its newline; a view, to be read before this returns. */
  onLine(line: Buffer): void;
  /** One was too long. `seqId`: the request that it answers; null: none. */
  onLongLine(seqId: number | null, bytes: number): void;
  /** Once: the connection is gone, or of no use. */
  onEnd(why: string): void;
}

export class LineSocket {
  readonly #socket: net.Socket;
  readonly #handler: LineHandler;
  readonly #limits: LineLimits;
  /** The beginning of a line whose end has not come. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Set while a line is longer than is kept. */
  #long: LongLine | null = null;
  #turn: Buffer[] = [];
  #turnBytes = 0;
  #ended = false;

  /** @param socket Connected. */
  constructor(socket: net.Socket, limits: LineLimits, handler: LineHandler) {
    this.#socket = socket;
    this.#limits = limits;
    this.#handler = handler;
    socket.on('data', (chunk: Buffer) => {
      this.#onData(chunk);
    });
    socket.on('end', () => {
      this.end('the backend closed the connection');
    });
    socket.on('error', (error) => {
      this.end(error.message);
    });
    socket.on('close', () => {
      this.end('the connection was closed');
    });
  }

  /** Bytes of a line whose end has not come. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** False: too much is unsent already, because the backend does not read. @param line With its newline. */
  write(line: Buffer): boolean {
    const unsent = this.#turnBytes + this.#socket.writableLength;
    if (this.#ended || unsent + line.length > this.#limits.unsentBytesMax) return false;
    this.#turn.push(line);
    this.#turnBytes += line.length;
    if (this.#turn.length === 1) setImmediate(this.#flush);
    return true;
  }

  /** Sends what it has, and closes our side; `onEnd` follows when the backend closes its own. */
  finish(): void {
    if (this.#ended) return;
    this.#flush();
    this.#socket.end();
  }

  /** Closes at once. */
  end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#turn = [];
    const held = this.#heldBytes;
    this.#held = [];
    this.#long = null;
    this.#handler.onEnd(
      held === 0 ? why : `${why}; ${held} bytes without a newline at their end are lost`,
    );
  }

  readonly #flush = (): void => {
    if (this.#ended || this.#turn.length === 0) return;
    const bytes = this.#turn.length === 1 ? this.#turn[0]! : Buffer.concat(this.#turn);
    this.#turn = [];
    this.#turnBytes = 0;
    this.#socket.write(bytes);
  };

  #onData(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#complete(chunk.subarray(start, end));
      start = end + 1;
      if (this.#ended) return;
    }
    if (start < chunk.length) this.#hold(start === 0 ? chunk : chunk.subarray(start));
  }

  #complete(rest: Buffer): void {
    if (this.#heldBytes === 0 && rest.length <= this.#limits.lineBytesMax) {
      this.#handler.onLine(rest);
      return;
    }
    this.#hold(rest);
    if (this.#ended) return;
    const long = this.#long;
    const line = long === null ? Buffer.concat(this.#held, this.#heldBytes) : null;
    this.#held = [];
    this.#heldBytes = 0;
    this.#long = null;
    if (line !== null) this.#handler.onLine(line);
    else this.#handler.onLongLine(long!.seqId, long!.bytes);
  }

  /** More of a line whose end has not come. */
  #hold(piece: Buffer): void {
    this.#heldBytes += piece.length;
    if (this.#long !== null) {
      this.#long.take(piece);
    } else {
      this.#held.push(piece);
      if (this.#heldBytes > this.#limits.lineBytesMax) this.#skip();
    }
    const { skipBytesMax } = this.#limits;
    if (this.#heldBytes > skipBytesMax)
      this.end(`a line of more than ${skipBytesMax} bytes came; one JSON object a line is read`);
  }

  /** The line is too long: what there is of it is looked through, and let go. */
  #skip(): void {
    this.#long = new LongLine();
    for (const piece of this.#held) this.#long.take(piece);
    this.#held = [];
  }
}
