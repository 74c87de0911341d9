/**
 * Bytes in, packets out, however they were cut: TCP segments, WebSocket messages, single bytes.
 *
 * Bodies are views of the chunk they came in; only a packet that spans chunks is copied. Memory grows with the bytes
 * received, never with the length that was announced.
 */
import { NOTHING } from '../bytes.ts';
import { PACKET_HEAD_BYTES } from './packet.ts';

/** Why the stream cannot go on. The connection must be closed: where the next packet begins is unknown. */
export type PacketFault = 'bad_packet_type' | 'packet_too_long';

/** The body is a view: it keeps its chunk in memory, and must not be written to. */
export type OnPacket = (type: number, body: Buffer) => void;

export class PacketReader {
  readonly #bodyBytesMax: number;
  readonly #onPacket: OnPacket;
  readonly #isPadded: boolean;
  /** Bytes received that are not yet a packet: `#pending[#start, #end)`. */
  #pending: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #held = false;
  #reading = false;
  #fault: PacketFault | null = null;

  /**
   * @param bodyBytesMax 0 to 16777215; a longer body is a fault as soon as its head is read.
   * @param isPadded One to three zero bytes behind a packet are nothing.
   */
  constructor(bodyBytesMax: number, onPacket: OnPacket, isPadded = false) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#onPacket = onPacket;
    this.#isPadded = isPadded;
  }

  /** Bytes held here: of an incomplete packet, or because of `hold()`. */
  get heldBytes(): number {
    return this.#end - this.#start;
  }

  /** What is held, for another process that goes on. */
  get held(): Buffer {
    return Buffer.from(this.#pending.subarray(this.#start, this.#end));
  }

  /** Takes bytes and emits every packet that is now complete. After a fault, all further bytes are ignored. */
  push(chunk: Buffer): PacketFault | null {
    if (this.#fault !== null) return this.#fault;
    if (this.#held || this.#reading || this.heldBytes > 0) {
      this.#append(chunk);
      return this.#held || this.#reading ? null : this.#readPending();
    }
    const used = this.#read(chunk, 0, chunk.length);
    return this.#keep(chunk, used, chunk.length);
  }

  /** Emits no packets until `release()`. May be called from inside the packet handler. */
  hold(): void {
    this.#held = true;
  }

  /** Resumes with what was received in the meantime. */
  release(): PacketFault | null {
    this.#held = false;
    if (this.#reading || this.#fault !== null) return this.#fault;
    return this.#readPending();
  }

  #readPending(): PacketFault | null {
    // Emitted packets are views of this buffer, so it is left alone, and the rest goes into a new one.
    const buffer = this.#pending;
    const start = this.#start;
    const end = this.#end;
    this.#pending = NOTHING;
    this.#start = 0;
    this.#end = 0;
    const used = this.#read(buffer, start, end);
    if (used === start && this.#end === 0 && this.#fault === null) {
      // Nothing was emitted: the buffer may still be appended to.
      this.#pending = buffer;
      this.#start = start;
      this.#end = end;
      return null;
    }
    return this.#keep(buffer, used, end);
  }

  /** Keeps an incomplete packet, in front of what the handler pushed in the meantime, and continues with the latter. */
  #keep(bytes: Buffer, start: number, end: number): PacketFault | null {
    if (start === end && this.#end === 0) return this.#fault;
    const later = this.#pending.subarray(this.#start, this.#end);
    this.#pending = NOTHING;
    this.#start = 0;
    this.#end = 0;
    if (this.#fault !== null) return this.#fault;
    if (start < end) this.#append(bytes.subarray(start, end));
    if (later.length === 0) return null;
    this.#append(later);
    return this.#held ? null : this.#readPending();
  }

  /** Emits the complete packets of `bytes[start, end)` and returns where the first incomplete one begins. */
  #read(bytes: Buffer, start: number, end: number): number {
    this.#reading = true;
    let at = this.#isPadded ? behindPadding(bytes, start, end) : start;
    while (!this.#held && end - at >= PACKET_HEAD_BYTES) {
      const type = bytes[at]!;
      if (type < 1 || type > 5) {
        this.#fault = 'bad_packet_type';
        break;
      }
      const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (length > this.#bodyBytesMax) {
        this.#fault = 'packet_too_long';
        break;
      }
      const bodyAt = at + PACKET_HEAD_BYTES;
      if (end - bodyAt < length) break;
      at = bodyAt + length;
      this.#onPacket(type, bytes.subarray(bodyAt, at));
      if (this.#isPadded) at = behindPadding(bytes, at, end);
    }
    this.#reading = false;
    return at;
  }

  /** Bytes of the packet of which a part is held; Infinity: that is not known yet, or more than the packet is held. */
  get #wholeBytes(): number {
    if (this.heldBytes < PACKET_HEAD_BYTES) return Infinity;
    const whole = PACKET_HEAD_BYTES + this.#pending.readUIntBE(this.#start + 1, 3);
    return whole > this.heldBytes ? whole : Infinity;
  }

  #append(chunk: Buffer): void {
    const size = this.heldBytes + chunk.length;
    if (this.#end + chunk.length > this.#pending.length) {
      // Doubling keeps the cost of single bytes linear; the capacity stays within twice the bytes received,
      // and within the packet.
      const doubled = Math.max(2 * this.heldBytes, 64);
      const grown = Buffer.allocUnsafe(Math.max(size, Math.min(doubled, this.#wholeBytes)));
      this.#pending.copy(grown, 0, this.#start, this.#end);
      this.#end = this.heldBytes;
      this.#start = 0;
      this.#pending = grown;
    }
    chunk.copy(this.#pending, this.#end);
    this.#end += chunk.length;
  }
}

/** Where the next packet begins: none begins with a zero, and four zeros are no padding. */
function behindPadding(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] === 0) at++;
  return at - start < PACKET_HEAD_BYTES ? at : start;
}
