/** Copies what was read out of the buffer into which everything is read. */

/**
 * Small reads share a piece of memory. Whoever keeps some of it keeps all of that: a body that waits must not hold much
 * more than it is counted for, so the piece is as small as what the relay takes for small.
 */
export const PIECE_BYTES = 8_192;
/** Larger reads get memory of their own. */
const SMALL_BYTES_MAX = PIECE_BYTES / 4;
/** Up to so many bytes a loop is faster than a call. */
const LOOP_BYTES_MAX = 192;

export class RawBytes {
  readonly #source: Buffer;
  #piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  #at = 0;

  constructor(source: Buffer) {
    this.#source = source;
  }

  /** The first `length` bytes of the source, which nobody else has. */
  take(length: number): Buffer {
    if (length > SMALL_BYTES_MAX) return ownCopy(this.#source.subarray(0, length));
    if (this.#at + length > PIECE_BYTES) {
      this.#piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      this.#at = 0;
    }
    const start = this.#at;
    this.#at += length;
    const source = this.#source;
    const piece = this.#piece;
    if (length > LOOP_BYTES_MAX) source.copy(piece, start, 0, length);
    else for (let i = 0; i < length; i++) piece[start + i] = source[i]!;
    return piece.subarray(start, this.#at);
  }
}

/** A copy that shares its memory with nothing. */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
