/** The way out to one client: what its kernel has not taken yet, and when it has taken everything. */
import type { Socket } from 'node:net';

/**
 * Makes every write that the kernel does not take at once be followed by `drain`; with Node's own 64 KiB a smaller
 * one would wait unseen. For `net.createServer`.
 */
export const WRITE_HIGH_WATER_MARK = 1;

/** What Node does not document, but its own timeouts look at: absent, it only tells nothing. */
type Handle = { readonly bytesWritten?: number; readonly writeQueueSize?: number };

export class Outflow {
  readonly #socket: Socket;
  /** Below any TLS. */
  readonly #raw: Socket;
  readonly #isSecure: boolean;
  readonly #onDrain: () => void;

  /** @param onDrain Called each time the kernel has taken all, after a write that it did not take at once. */
  constructor(socket: Socket, raw: Socket, onDrain: () => void) {
    this.#socket = socket;
    this.#raw = raw;
    this.#isSecure = socket !== raw;
    this.#onDrain = onDrain;
    if (!this.#isSecure) socket.on('drain', onDrain);
  }

  /** Bytes given to the socket and not yet taken by the kernel. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Grows with every byte that the kernel takes, TLS's own included, also in the midst of a long write. */
  get takenBytes(): number {
    const { _handle: handle } = this.#raw as unknown as { readonly _handle?: Handle | null };
    return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0);
  }

  write(bytes: Uint8Array): void {
    // After the client's end nothing can follow, and to try would lose what is on its way.
    if (!this.#socket.writable) return;
    if (this.#isSecure) this.#socket.write(bytes, this.onWritten);
    else this.#socket.write(bytes);
  }

  /** To be called back after everything that others write to the socket: TLS takes nothing at once. */
  readonly onWritten = (): void => {
    if (this.#isSecure && this.#socket.writableLength === 0) this.#onDrain();
  };
}
