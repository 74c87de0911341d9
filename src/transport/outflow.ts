/** Writes to one client: how much the kernel has not taken yet, and when it has taken everything. */
import type { Socket } from 'node:net';

import { type RawWriter, sendRaw } from './raw-io.ts';
import type { ByteCounts } from './transport.ts';

/**
 * Makes `drain` follow every write that the kernel does not take at once; with Node's default of 64 KiB, a smaller
 * backlog would go unnoticed. For `net.createServer`.
 */
export const WRITE_HIGH_WATER_MARK = 1;

/** Undocumented in Node, but used by its own timeouts; if it is absent, `takenBytes` just stays at 0. */
type Handle = { readonly bytesWritten?: number; readonly writeQueueSize?: number };

type Before = { readonly readBytes: number; readonly sentBytes: number };
const NOTHING_BEFORE: Before = { readBytes: 0, sentBytes: 0 };

/** Whose writes these are. */
interface Writer {
  /** The kernel has taken everything after a write that it did not take at once. */
  drained(): void;
}

/** On a socket. */
const OUTFLOW = Symbol('outflow');
type Flowing = { [OUTFLOW]: Outflow };

function ignore(): void {}

export class Outflow implements RawWriter {
  /** Of what is read, too, for which the connection itself counts. */
  counts: ByteCounts = { received: 0, sent: 0 };
  /** What another process has read and written before. */
  before: Before = NOTHING_BEFORE;
  readonly #socket: Socket;
  /** Below any TLS. */
  readonly #raw: Socket;
  readonly #isSecure: boolean;
  readonly #writer: Writer;
  /** Callback for everything that others write to the socket: TLS never takes a write at once. */
  readonly onWritten: () => void;
  /** The kernel did not take at once all that was written to a plain socket: `drain` follows. */
  #isBehind = false;
  /** Of what was not written by the stream: bytes that the kernel has not taken. */
  #rawBytes = 0;

  constructor(socket: Socket & Partial<Flowing>, raw: Socket, writer: Writer) {
    this.#socket = socket;
    this.#raw = raw;
    this.#isSecure = socket !== raw;
    this.#writer = writer;
    this.onWritten = this.#isSecure ? () => this.#written() : ignore;
    if (this.#isSecure) return;
    socket[OUTFLOW] = this;
    // oxlint-disable-next-line typescript/unbound-method -- the socket is its `this`
    socket.on('drain', Outflow.#onTaken as () => void);
  }

  /** Bytes written to the socket and not yet taken by the kernel. */
  get bufferedBytes(): number {
    // Asked several times for every message; the socket's answer takes longer.
    if (!this.#isBehind && !this.#isSecure) return 0;
    return this.#socket.writableLength + this.#rawBytes;
  }

  /** Grows with every byte that the kernel takes, TLS overhead included, even in the middle of a long write. */
  get takenBytes(): number {
    const { _handle: handle } = this.#raw as unknown as { readonly _handle?: Handle | null };
    return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0);
  }

  /** Bytes that have come from the socket, below any TLS. */
  get readBytes(): number {
    return this.before.readBytes + this.#raw.bytesRead;
  }

  /** Bytes written to it; what the kernel has not taken is among them. */
  get sentBytes(): number {
    return this.before.sentBytes + this.#raw.bytesWritten;
  }

  write(bytes: Uint8Array): void {
    // Once the socket is not writable, trying would lose what is already on its way.
    if (!this.#socket.writable) return;
    this.counts.sent += bytes.length;
    if (this.#isSecure) {
      this.#socket.write(bytes, this.onWritten);
      return;
    }
    const written = this.#isBehind ? 'unable' : sendRaw(this.#socket, bytes, this);
    if (written === 'pending') {
      this.#isBehind = true;
      this.#rawBytes = bytes.length;
    } else if (written === 'unable') {
      this.#socket.write(bytes);
      this.wrote();
    }
  }

  /** What was written meanwhile is behind it, with the stream, whose `drain` follows. */
  rawWritten(): void {
    this.#rawBytes = 0;
    if (this.#socket.writableLength === 0 && !this.#socket.destroyed) this.#taken();
  }

  /** Must follow everything that others write to the socket. */
  wrote(): void {
    if (this.#socket.writableLength > 0) this.#isBehind = true;
  }

  #written(): void {
    if (this.#socket.writableLength === 0) this.#writer.drained();
  }

  static readonly #onTaken = function (this: Flowing): void {
    this[OUTFLOW].#taken();
  };

  /** Comes after every write, nearly always in the same turn. */
  #taken(): void {
    if (!this.#isBehind) return;
    this.#isBehind = false;
    this.#writer.drained();
  }
}
