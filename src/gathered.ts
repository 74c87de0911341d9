/**
 * Bytes that arrive in pieces and are kept until there are enough. Memory stays close to the bytes received: a piece
 * pins the whole chunk it was read in, and is itself an object of about a hundred bytes, even where it holds one byte.
 */
import { NOTHING } from './bytes.ts';

/** Small pieces are copied into blocks, each as large as what is held already, within these bounds. */
const BLOCK_BYTES_MIN = 1_024;
const BLOCK_BYTES_MAX = 65_536;

export class Gathered {
  /** Bytes received. */
  bytes = 0;
  #pieces: Buffer[] = [];
  /** The block that small pieces go to, and how far it is filled; it follows all `#pieces`. */
  #block: Buffer = NOTHING;
  #filled = 0;

  /** @param piece A view; must not be changed afterwards. */
  add(piece: Buffer): void {
    const isMostOfItsMemory = piece.length * 2 >= piece.buffer.byteLength;
    if (this.bytes === 0 || isMostOfItsMemory) {
      this.#seal();
      this.#pieces.push(piece);
    } else {
      this.#copy(piece);
    }
    this.bytes += piece.length;
  }

  /** All of it as one buffer; a view if it came in one piece. */
  all(): Buffer {
    this.#seal();
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces, this.bytes)];
    return this.#pieces[0] ?? NOTHING;
  }

  /** In order, but not necessarily cut as they came. */
  pieces(): readonly Buffer[] {
    this.#seal();
    return this.#pieces;
  }

  clear(): void {
    this.bytes = 0;
    this.#pieces = [];
    this.#block = NOTHING;
    this.#filled = 0;
  }

  #copy(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      if (this.#filled === this.#block.length) this.#begin();
      const copied = piece.copy(this.#block, this.#filled, at);
      this.#filled += copied;
      at += copied;
    }
  }

  #begin(): void {
    this.#seal();
    const size = Math.min(Math.max(this.bytes, BLOCK_BYTES_MIN), BLOCK_BYTES_MAX);
    this.#block = Buffer.allocUnsafeSlow(size);
  }

  #seal(): void {
    if (this.#filled > 0) this.#pieces.push(this.#block.subarray(0, this.#filled));
    this.#block = NOTHING;
    this.#filled = 0;
  }
}

/** All that comes, as one buffer. @throws {Error} It is longer than `bytesMax`, or breaks off. */
export async function gather(chunks: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const body = new Gathered();
  for await (const chunk of chunks) {
    if (body.bytes + chunk.length > bytesMax)
      throw new Error(`an answer of more than ${bytesMax} bytes`);
    body.add(chunk);
  }
  return body.all();
}
