/** Lines over one Unix socket: whole ones in, and what a turn of the event loop gathers out together. */
import type net from 'node:net';

import { NOTHING } from '../../bytes.ts';
import { Gathered } from '../../gathered.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import { LongLine } from './long-line.ts';

const NEWLINE = 0x0a;
/** Lines that are dealt with in one turn of the event loop, and bytes of them; everybody else waits meanwhile. */
export const LINES_PER_TURN = 500;
export const LINE_BYTES_PER_TURN = 1024 * 1024;
/** From here on a line is looked through as it comes, so that nothing is left to do at once if it gets too long. */
const LOOKED_AT_FROM_BYTES = 1024 * 1024;

export type LineLimits = {
  /** Bytes of one line from the backend that are kept. A longer one is read to its end, and not used. */
  readonly lineBytesMax: number;
  /** Bytes of one line, kept or not, after which the connection ends. */
  readonly skipBytesMax: number;
  /** Bytes that were given and are not with the system yet. */
  readonly unsentBytesMax: number;
};

export interface LineHandler {
  /** Without its newline; a view, to be read before this returns. @returns Why the connection must end; null: it need not. */
  onLine(line: Buffer): string | null;
  /** One was too long. `seqId`: the request that it answers; null: none. */
  onLongLine(seqId: number | null, bytes: number): void;
  /** Once: the connection is gone, or of no use. */
  onEnd(why: string): void;
}

export class LineSocket {
  readonly #socket: net.Socket;
  readonly #handler: LineHandler;
  readonly #limits: LineLimits;
  readonly #wheel: TimerWheel;
  /** The beginning of a line whose end has not come. */
  readonly #held = new Gathered();
  /** Bytes of that line, kept or not. */
  #heldBytes = 0;
  /** What has come and waits for another turn. Nothing is read until then. */
  #later: Buffer = NOTHING;
  #isPaused = false;
  /** Why the connection is gone, while something that came over it waits for another turn. */
  #gone: string | null = null;
  /** Lines of this turn, and bytes of them. */
  #lines = 0;
  #lineBytes = 0;
  /** How much has been scanned of a line that may become too long. */
  #long: LongLine | null = null;
  #turn: Buffer[] = [];
  #turnBytes = 0;
  #ended = false;

  /** @param socket Connected. */
  constructor(socket: net.Socket, limits: LineLimits, handler: LineHandler, wheel: TimerWheel) {
    this.#socket = socket;
    this.#limits = limits;
    this.#handler = handler;
    this.#wheel = wheel;
    socket.on('data', (chunk: Buffer) => {
      this.#onData(chunk);
    });
    socket.on('end', () => {
      this.#onGone('the backend closed the connection');
    });
    socket.on('error', (error) => {
      this.#onGone(error.message);
    });
    socket.on('close', () => {
      this.#onGone('the connection was closed');
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
    if (this.#turn.length === 1) this.#wheel.soon(this.#flush);
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
    this.#held.clear();
    this.#later = NOTHING;
    this.#long = null;
    this.#handler.onEnd(
      held === 0 ? why : `${why}; ${held} bytes without a newline at their end are lost`,
    );
  }

  /** What has come before counts. */
  #onGone(why: string): void {
    if (this.#isPaused) this.#gone ??= why;
    else this.end(why);
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
      if (this.#ended) return;
      this.#lineBytes += end - start;
      start = end + 1;
      if (this.#isTurnOver()) {
        this.#later = chunk.subarray(start);
        this.#isPaused = true;
        this.#socket.pause();
        return;
      }
    }
    if (start < chunk.length) this.#hold(start === 0 ? chunk : chunk.subarray(start));
  }

  #isTurnOver(): boolean {
    // One for each turn in which lines come, however many.
    if (this.#lines++ === 0) this.#wheel.soon(this.#nextTurn);
    return this.#lines >= LINES_PER_TURN || this.#lineBytes >= LINE_BYTES_PER_TURN;
  }

  readonly #nextTurn = (): void => {
    this.#lines = 0;
    this.#lineBytes = 0;
    if (!this.#isPaused || this.#ended) return;
    const later = this.#later;
    this.#later = NOTHING;
    this.#isPaused = false;
    this.#onData(later);
    if (this.#isPaused) return;
    if (this.#gone !== null) this.end(this.#gone);
    else if (!this.#ended) this.#socket.resume();
  };

  #complete(rest: Buffer): void {
    if (this.#heldBytes === 0 && rest.length <= this.#limits.lineBytesMax) {
      this.#handle(rest);
      return;
    }
    this.#hold(rest);
    if (this.#ended) return;
    const long = this.#heldBytes > this.#limits.lineBytesMax ? this.#long : null;
    const line = this.#held.all();
    this.#held.clear();
    this.#heldBytes = 0;
    this.#long = null;
    if (long === null) this.#handle(line);
    else this.#handler.onLongLine(long.seqId, long.bytes);
  }

  #handle(line: Buffer): void {
    const why = this.#handler.onLine(line);
    if (why !== null) this.end(why);
  }

  /** More of a line whose end has not come. */
  #hold(piece: Buffer): void {
    const { lineBytesMax, skipBytesMax } = this.#limits;
    this.#heldBytes += piece.length;
    if (this.#heldBytes > Math.min(LOOKED_AT_FROM_BYTES, lineBytesMax)) this.#look(piece);
    if (this.#heldBytes <= lineBytesMax) this.#held.add(piece);
    else this.#held.clear();
    if (this.#heldBytes > skipBytesMax)
      this.end(`a line of more than ${skipBytesMax} bytes came; one JSON object a line is read`);
  }

  #look(piece: Buffer): void {
    if (this.#long === null) {
      this.#long = new LongLine();
      for (const before of this.#held.pieces()) this.#long.take(before);
    }
    this.#long.take(piece);
  }
}
