/** The outer Pomelo frame: one byte of type, three bytes of body length (big-endian), the body. */

/** Types of packets. */
export const HANDSHAKE = 1;
export const ACK = 2;
export const HEARTBEAT = 3;
export const DATA = 4;
export const KICK = 5;

const HEAD_BYTES = 4;
/** What three bytes of length can express. */
export const PACKET_BYTES_MAX = 0xffffff;

const EMPTY = new Uint8Array(0);

/** @param body At most `PACKET_BYTES_MAX` bytes; checked by the caller. */
export function encodePacket(type: number, body: Uint8Array = EMPTY): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + body.length);
  bytes[0] = type;
  bytes[1] = body.length >>> 16;
  bytes[2] = body.length >>> 8;
  bytes[3] = body.length;
  bytes.set(body, HEAD_BYTES);
  return bytes;
}

/** Why the stream cannot go on: where the next packet begins is unknown. */
export type PacketFault = 'bad_packet_type' | 'packet_too_long';

/**
 * Bytes in, packets out, however they were cut. Bodies are views; memory grows with the bytes received, never with the
 * length that was announced.
 */
export class PacketReader {
  readonly #bodyBytesMax: number;
  readonly #onPacket: (type: number, body: Uint8Array) => void;
  /** Bytes received that are not yet a packet: `#held[0, #end)`. */
  #held: Uint8Array = EMPTY;
  #end = 0;

  constructor(bodyBytesMax: number, onPacket: (type: number, body: Uint8Array) => void) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#onPacket = onPacket;
  }

  /** Emits every packet that is now complete. After a fault nothing more may be pushed. */
  push(chunk: Uint8Array): PacketFault | null {
    const bytes = this.#end === 0 ? chunk : this.#append(chunk);
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const type = bytes[at]!;
      const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (type < HANDSHAKE || type > KICK) return 'bad_packet_type';
      if (length > this.#bodyBytesMax) return 'packet_too_long';
      const end = at + HEAD_BYTES + length;
      if (end > bytes.length) break;
      this.#onPacket(type, bytes.subarray(at + HEAD_BYTES, end));
      at = end;
    }
    // Emitted packets are views of these bytes, so the rest is copied.
    if (at > 0 || this.#end === 0) {
      this.#held = bytes.slice(at);
      this.#end = this.#held.length;
    }
    return null;
  }

  #append(chunk: Uint8Array): Uint8Array {
    const end = this.#end + chunk.length;
    if (end > this.#held.length) {
      const wider = new Uint8Array(Math.max(end, 2 * this.#held.length));
      wider.set(this.#held.subarray(0, this.#end));
      this.#held = wider;
    }
    this.#held.set(chunk, this.#end);
    this.#end = end;
    return this.#held.subarray(0, end);
  }
}
