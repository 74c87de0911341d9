/**
 * Reads the small data frames of a WebSocket client that are whole in what was read, and follows all others: what belongs
 * to a message that is large, in fragments or not whole; control frames, and what is against the protocol, which are for
 * `ws`. [RFC 6455 section 5.2]
 */

import { NOTHING } from '../bytes.ts';

/** Length 126: two bytes of length follow; 127: eight. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const FIN = 0x80;
const FIN_TEXT = 0x81;
const FIN_BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;
const RESERVED_BITS = 0x70;
const CONTINUATION = 0;
const BINARY = 2;
const CLOSE = 8;
const PONG = 10;
const FIRST_CONTROL_OPCODE = 8;
const CONTROL_BYTES_MAX = 125;

/** From so many bytes on it pays to unmask four at a time: before, a view of them costs more than it saves. */
const WORDS_FROM_BYTES = 256;
const MASK = new Uint8Array(MASK_BYTES);
const MASK_WORD = new Int32Array(MASK.buffer);

export type FrameLimits = {
  /** Of a message. */
  readonly payloadBytesMax: number;
  /** Of a message. */
  readonly fragmentsMax: number;
};

export class FrameReader {
  /** Of the frame that was read last by any of them, unmasked in place: a view of its chunk. */
  static payload: Buffer = NOTHING;
  /** A close frame was followed to its end: nothing that comes after it means anything. */
  sawClose = false;
  /** Something is against the protocol, or a limit: `ws` must have all that is left of the message, and says what. */
  isFaulty = false;
  readonly #limits: FrameLimits;
  #opcode = 0;
  /** Bytes of the head so far, of the frame that is followed. */
  #headBytes = 0;
  #headBytesNeeded = 2;
  /** Where the bytes of the length end in the head. */
  #lengthEnd = 2;
  #payloadBytes = 0;
  #payloadBytesLeft = 0;
  /** Between the first and the last fragment of a message. */
  #inMessage = false;
  #fragments = 0;
  /** Of the message that is not complete: bytes of its frames so far, and those that they announce. */
  #bytesWithin = 0;
  #bytesAnnounced = 0;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** True while a frame, or a message of several, is not complete. */
  get isWithin(): boolean {
    return this.#headBytes > 0 || this.#payloadBytesLeft > 0 || this.#inMessage;
  }

  /** What was followed last belongs to a control frame. */
  get isControl(): boolean {
    return this.#opcode >= FIRST_CONTROL_OPCODE;
  }

  /** A control frame is not complete. */
  get isWithinControl(): boolean {
    return this.isControl && (this.#headBytes > 0 || this.#payloadBytesLeft > 0);
  }

  /** Bytes of the message that is not complete, without heads; 0: there is none. */
  get bytesWithin(): number {
    return this.#bytesWithin;
  }

  /**
   * Reads the frame that begins at `at`: a whole message, masked, whose bytes are all there. Its payload is in `payload`
   * then.
   *
   * @returns Where it ends; `at`: it is none of these, and must be followed.
   */
  read(chunk: Buffer, at: number): number {
    if (this.isWithin) return at;
    const bytes = chunk.length - at;
    if (bytes < 2 + MASK_BYTES) return at;
    const first = chunk[at]!;
    if (first !== FIN_BINARY && first !== FIN_TEXT) return at;
    let length = chunk[at + 1]! - MASKED;
    let maskAt = at + 2;
    if (length >= LENGTH_16) {
      if (length === LENGTH_64) return at;
      length = (chunk[at + 2]! << 8) | chunk[at + 3]!;
      maskAt = at + 4;
    }
    const payloadAt = maskAt + MASK_BYTES;
    const end = payloadAt + length;
    // Without a mask the length is below 0.
    if (length < 0 || length > this.#limits.payloadBytesMax || end > chunk.length) return at;
    unmask(chunk, maskAt, end);
    FrameReader.payload = chunk.subarray(payloadAt, end);
    return end;
  }

  /**
   * Follows what begins at `at`, up to the end of its message or control frame, to a control frame between fragments, to
   * a fault, or through the chunk; returns where that is.
   */
  follow(chunk: Uint8Array, at: number): number {
    let next = at;
    do {
      if (this.#payloadBytesLeft > 0) {
        const bytes = Math.min(this.#payloadBytesLeft, chunk.length - next);
        this.#payloadBytesLeft -= bytes;
        next += bytes;
        this.#bytesWithin += bytes;
      } else {
        const isNext = this.#headBytes === 0 && next > at;
        if (isNext && (chunk[next]! & 0x0f) >= FIRST_CONTROL_OPCODE) break;
        this.#takeHead(chunk[next++]!);
      }
      if (this.#headBytes > 0 || this.#payloadBytesLeft > 0) continue;
      if (this.#opcode === CLOSE) this.sawClose = true;
      if (this.isControl) break;
    } while (next < chunk.length && this.isWithin && !this.isFaulty);
    if (!this.isWithin) this.#bytesWithin = this.#bytesAnnounced = this.#fragments = 0;
    return next;
  }

  #takeHead(byte: number): void {
    const index = this.#headBytes++;
    if (index === 0) {
      this.#begin(byte);
    } else if (index === 1) {
      const length = byte & 0x7f;
      this.#lengthEnd = length === LENGTH_16 ? 4 : length === LENGTH_64 ? 10 : 2;
      this.#headBytesNeeded = this.#lengthEnd + ((byte & MASKED) === 0 ? 0 : MASK_BYTES);
      this.#payloadBytes = this.#lengthEnd === 2 ? length : 0;
      if ((byte & MASKED) === 0) this.isFaulty = true;
    } else if (index < this.#lengthEnd) {
      this.#payloadBytes = this.#payloadBytes * 256 + byte;
    }
    if (this.#headBytes === this.#lengthEnd) this.#announced(this.#payloadBytes);
    if (this.#headBytes < this.#headBytesNeeded) return;
    this.#headBytes = 0;
    this.#payloadBytesLeft = this.#payloadBytes;
  }

  #begin(byte: number): void {
    const opcode = byte & 0x0f;
    const isLast = (byte & FIN) !== 0;
    this.#opcode = opcode;
    this.#headBytesNeeded = this.#lengthEnd = 2;
    if ((byte & RESERVED_BITS) !== 0) this.isFaulty = true;
    // Control frames may come between the fragments of a message.
    if (this.isControl) {
      if (opcode > PONG || !isLast) this.isFaulty = true;
      return;
    }
    if (opcode > BINARY || (opcode === CONTINUATION) !== this.#inMessage) this.isFaulty = true;
    if (++this.#fragments > this.#limits.fragmentsMax) this.isFaulty = true;
    this.#inMessage = !isLast;
  }

  #announced(bytes: number): void {
    if (this.isControl) {
      if (bytes > CONTROL_BYTES_MAX) this.isFaulty = true;
      return;
    }
    this.#bytesAnnounced += bytes;
    if (this.#bytesAnnounced > this.#limits.payloadBytesMax) this.isFaulty = true;
  }
}

/** The payload of a whole message, of the frames that it came in; changes `frames`, of which it is a view. */
export function payloadOf(frames: Buffer): Buffer {
  let filled = 0;
  for (let at = 0; at < frames.length;) {
    const length = frames[at + 1]! & 0x7f;
    const maskAt = at + (length === LENGTH_16 ? 4 : length === LENGTH_64 ? 10 : 2);
    const payloadAt = maskAt + MASK_BYTES;
    const end = payloadAt + lengthOf(frames, at, length);
    unmask(frames, maskAt, end);
    if (at === 0 && end === frames.length) return frames.subarray(payloadAt);
    frames.copyWithin(filled, payloadAt, end);
    filled += end - payloadAt;
    at = end;
  }
  return frames.subarray(0, filled);
}

function lengthOf(frames: Buffer, at: number, short: number): number {
  if (short === LENGTH_16) return frames.readUInt16BE(at + 2);
  // The first two of the eight bytes are 0: no message is so long.
  return short === LENGTH_64 ? frames.readUIntBE(at + 4, 6) : short;
}

/** Unmasks what follows the mask at `maskAt`, in place. [RFC 6455 section 5.3] */
function unmask(bytes: Buffer, maskAt: number, end: number): void {
  const first = bytes[maskAt]!;
  const second = bytes[maskAt + 1]!;
  const third = bytes[maskAt + 2]!;
  const fourth = bytes[maskAt + 3]!;
  if ((first | second | third | fourth) === 0) return;
  let at = maskAt + MASK_BYTES;
  if (end - at >= WORDS_FROM_BYTES) {
    unmaskWords(bytes, maskAt, end);
    return;
  }
  for (; at + 3 < end; at += 4) {
    bytes[at]! ^= first;
    bytes[at + 1]! ^= second;
    bytes[at + 2]! ^= third;
    bytes[at + 3]! ^= fourth;
  }
  if (at < end) bytes[at++]! ^= first;
  if (at < end) bytes[at++]! ^= second;
  if (at < end) bytes[at]! ^= third;
}

/** Four bytes at a time, from the first that lies where a word may. */
function unmaskWords(bytes: Buffer, maskAt: number, end: number): void {
  const payloadAt = maskAt + MASK_BYTES;
  const aligned = payloadAt + (-(bytes.byteOffset + payloadAt) & 3);
  for (let at = payloadAt; at < aligned; at++) bytes[at]! ^= bytes[maskAt + at - payloadAt]!;
  // The mask as it lies at the first aligned byte, in the machine's order.
  for (let i = 0; i < MASK_BYTES; i++) MASK[i] = bytes[maskAt + ((aligned - payloadAt + i) & 3)]!;
  const word = MASK_WORD[0]!;
  const count = (end - aligned) >> 2;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + aligned, count);
  for (let i = 0; i < count; i++) words[i]! ^= word;
  for (let at = aligned + 4 * count; at < end; at++)
    bytes[at]! ^= bytes[maskAt + ((at - payloadAt) & 3)]!;
}
