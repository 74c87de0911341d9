/**
 * The stream of a backend that has connected on its own, as a Link needs it, whichever way the bytes travel. Below
 * it is a socket (src/control/attach-*.ts), above it first `control/attach.ts`, then a Link.
 */
import { EventEmitter } from 'node:events';

import type { LinkStream } from '../link/link-transport.ts';

/** Largest message of a backend: a turn's frames. In JSON that many bytes of text. */
export const ATTACH_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * How a stream ends: in order, or for a reason that the backend is told. A backend that is turned away as `unauthenticated` or
 * `invalid` need not come again as it is; a Link that is `broken` may be opened anew.
 */
export type Ending = {
  readonly how: 'done' | 'unauthenticated' | 'invalid' | 'full' | 'stopping' | 'broken';
  /** For the backend's developer: what is wrong, and what to do. */
  readonly text: string;
};

/** What carries the messages. It tells its stream what comes: `take`, `onPeerEnd`, `fail`. */
export interface AttachSocket {
  /** Bytes of a client's body that it can carry, where it has to convert them; absent: any. */
  readonly bodyBytesMax?: number;
  /** Sends one ToBackend; `done` when the system has taken it. */
  send(message: Buffer, done: () => void): void;
  /** Nothing more is read, until `resume`. */
  pause(): void;
  resume(): void;
  /** Gives up a backend after this much silence; 0: never. An idle backend is pinged. */
  watch(deadAfterMs: number): void;
  /** Calls `done` once the backend's connection has received what left before; never if it ends first. One at a time. */
  roundTrip(done: () => void): void;
  /** Ends; what was sent before still leaves. Harmless when it has ended. */
  end(ending: Ending): void;
  /** Ends at once, whatever has not left. */
  destroy(): void;
}

/** Emits `data` (one ToGateway), then once either `end` or `error`. */
export class AttachStream extends EventEmitter implements LinkStream {
  /** For the log: the way, and from where. */
  readonly peer: string;
  /** What the backend gets when the gateway ends the Link; null: a normal end. */
  farewell: Ending | null = null;
  readonly #socket: AttachSocket;
  /** Our side has ended. */
  #finished = false;
  /** Either side has ended it, as described above. */
  #over = false;

  constructor(peer: string, socket: AttachSocket) {
    super();
    this.peer = peer;
    this.#socket = socket;
  }

  /** Bytes of a client's body that can be sent. */
  get bodyBytesMax(): number {
    return this.#socket.bodyBytesMax ?? Infinity;
  }

  // ---- from above -----------------------------------------------------------------------------------------

  /** The Link counts what is not done, and gives up where it is too much. */
  write(message: Buffer, done: () => void): void {
    if (!this.#finished) this.#socket.send(message, done);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  watch(deadAfterMs: number): void {
    this.#socket.watch(deadAfterMs);
  }

  roundTrip(done: () => void): void {
    this.#socket.roundTrip(done);
  }

  end(): void {
    this.finish(this.farewell ?? DONE);
  }

  /** The Link gives up. `finish` follows with the reason, but a backend that has had its farewell gets no other. */
  cancel(): void {
    if (this.#finished) this.destroy();
  }

  /** Ends our side. The first one counts. */
  finish(ending: Ending): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#socket.end(ending);
  }

  /** For a backend that does not end its side. */
  destroy(): void {
    this.#finished = true;
    this.#socket.destroy();
  }

  // ---- from below -----------------------------------------------------------------------------------------

  take(message: Buffer): void {
    if (!this.#over) this.emit('data', message);
  }

  /** The backend has ended its side. */
  onPeerEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.farewell ??= DONE;
    this.emit('end');
  }

  /** It cannot go on: the connection is lost, or what came cannot be read. */
  fail(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.emit('error', new Error(why));
  }
}

const DONE: Ending = { how: 'done', text: '' };
