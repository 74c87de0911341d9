/**
 * Bytes of clients that wait for the rest of their message. What is more than a little lies in slabs outside of the C
 * library's heap, which keeps what was freed as long as anything behind it is used: after a flood that may be all of it.
 * A slab is given back to the system at once when nothing is left in it, without a collection of garbage.
 */
import { NOTHING } from './bytes.ts';

export const BLOCK_BYTES = 4_096;
const SLAB_BLOCKS = 256;
const SLAB_BYTES = SLAB_BLOCKS * BLOCK_BYTES;

class Slab {
  /** Resizable, because that is mapped for itself, and unmapped when it becomes empty. Touched only by copying. */
  readonly #memory = new ArrayBuffer(SLAB_BYTES, { maxByteLength: SLAB_BYTES });
  readonly bytes = new Uint8Array(this.#memory);
  readonly #free = Uint8Array.from({ length: SLAB_BLOCKS }, (_, i) => SLAB_BLOCKS - 1 - i);
  freeBlocks = SLAB_BLOCKS;

  take(): number {
    return this.#free[--this.freeBlocks]!;
  }

  give(block: number): void {
    this.#free[this.freeBlocks++] = block;
  }

  drop(): void {
    this.#memory.resize(0);
  }
}

/** Blocks of `BLOCK_BYTES`, each by its number. One slab is kept when it is empty, for the next. */
export class Slabs {
  readonly #slabs: (Slab | null)[] = [];
  /** No slab before this one has a free block. */
  #from = 0;
  #empty = 0;
  /** Blocks that are in use. */
  blocks = 0;

  /** Bytes that slabs may take. */
  get bytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab === null ? 0 : SLAB_BYTES), 0);
  }

  /** @throws {RangeError} The system has no memory left. */
  take(): number {
    const slabs = this.#slabs;
    while (slabs[this.#from]?.freeBlocks === 0) this.#from++;
    const index = this.#from;
    let slab = slabs[index] ?? null;
    if (slab === null) {
      slab = new Slab();
      slabs[index] = slab;
      this.#empty++;
    }
    if (slab.freeBlocks === SLAB_BLOCKS) this.#empty--;
    this.blocks++;
    return index * SLAB_BLOCKS + slab.take();
  }

  give(block: number): void {
    const index = Math.floor(block / SLAB_BLOCKS);
    const slab = this.#slabs[index]!;
    slab.give(block % SLAB_BLOCKS);
    this.blocks--;
    this.#from = Math.min(this.#from, index);
    if (slab.freeBlocks < SLAB_BLOCKS) return;
    if (++this.#empty <= 1) return;
    this.#empty--;
    slab.drop();
    this.#slabs[index] = null;
    while (this.#slabs.at(-1) === null) this.#slabs.pop();
  }

  write(block: number, at: number, source: Buffer, start: number, end: number): void {
    const slab = this.#slabs[Math.floor(block / SLAB_BLOCKS)]!;
    source.copy(slab.bytes, (block % SLAB_BLOCKS) * BLOCK_BYTES + at, start, end);
  }

  read(block: number, bytes: number, target: Buffer, at: number): void {
    const slab = this.#slabs[Math.floor(block / SLAB_BLOCKS)]!;
    const start = (block % SLAB_BLOCKS) * BLOCK_BYTES;
    target.set(slab.bytes.subarray(start, start + bytes), at);
  }
}

/** Of the process: memory that is given back must be everyone's. */
export const SLABS = new Slabs();

/** So many bytes are held in a buffer of their own. */
const SMALL_BYTES = BLOCK_BYTES;
const SMALL_BYTES_MIN = 64;

/** What has come of one message. Whoever has one must `clear` it in the end. */
export class Held {
  bytes = 0;
  readonly #slabs: Slabs;
  #small: Buffer = NOTHING;
  #blocks: number[] = [];

  constructor(slabs: Slabs = SLABS) {
    this.#slabs = slabs;
  }

  add(piece: Buffer): void {
    const bytes = this.bytes + piece.length;
    if (bytes <= SMALL_BYTES) {
      this.#addSmall(piece, bytes);
    } else {
      const small = this.#small.subarray(0, this.#blocks.length === 0 ? this.bytes : 0);
      if (small.length > 0) {
        this.bytes = 0;
        this.#small = NOTHING;
        this.#addToBlocks(small);
      }
      this.#addToBlocks(piece);
    }
    this.bytes = bytes;
  }

  /** All of it, in one buffer; a view of what is held here if that is little. */
  all(): Buffer {
    if (this.#blocks.length === 0) return this.#small.subarray(0, this.bytes);
    const all = Buffer.allocUnsafeSlow(this.bytes);
    let at = 0;
    for (const block of this.#blocks) {
      const bytes = Math.min(BLOCK_BYTES, this.bytes - at);
      this.#slabs.read(block, bytes, all, at);
      at += bytes;
    }
    return all;
  }

  /** Holds nothing any more. What `all` has given stays as it is. */
  clear(): void {
    this.bytes = 0;
    this.#small = NOTHING;
    for (const block of this.#blocks) this.#slabs.give(block);
    this.#blocks = [];
  }

  #addSmall(piece: Buffer, bytes: number): void {
    if (bytes > this.#small.length) {
      const size = Math.max(bytes, Math.min(2 * this.bytes, SMALL_BYTES), SMALL_BYTES_MIN);
      const grown = Buffer.allocUnsafeSlow(size);
      this.#small.copy(grown, 0, 0, this.bytes);
      this.#small = grown;
    }
    piece.copy(this.#small, this.bytes);
  }

  #addToBlocks(piece: Buffer): void {
    for (let at = 0; at < piece.length;) {
      const filled = this.bytes % BLOCK_BYTES;
      if (filled === 0) this.#blocks.push(this.#slabs.take());
      const end = Math.min(piece.length, at + BLOCK_BYTES - filled);
      this.#slabs.write(this.#blocks.at(-1)!, filled, piece, at, end);
      this.bytes += end - at;
      at = end;
    }
  }
}
