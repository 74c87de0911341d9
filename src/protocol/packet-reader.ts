/**
 * Bytes in, packets out, however they were cut: TCP segments, WebSocket messages, single bytes.
 *
 * Bodies are views of the chunk they came in; only a packet that spans chunks is copied. Memory grows with the bytes
 * received, never with the length that was announced.
 */
import { NOTHING } from '../bytes.ts';
import { Held } from '../held.ts';
import { PACKET_HEAD_BYTES } from './packet.ts';

/** Why the stream cannot go on. The connection must be closed: where the next packet begins is unknown. */
export type PacketFault = 'bad_packet_type' | 'packet_too_long';

/** The body is a view: it keeps its chunk in memory, and must not be written to. */
export type OnPacket = (type: number, body: Buffer) => void;

export class PacketReader {
  readonly #bodyBytesMax: number;
  readonly #onPacket: OnPacket;
  readonly #isPadded: boolean;
  /** Bytes received that are not yet a packet. */
  #pending: Held | null = null;
  /** Without so many of them there is no packet; 0: that is not known yet. */
  #needed = 0;
  #isHeld = false;
  #isOver = false;
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
    return this.#pending?.bytes ?? 0;
  }

  /** What is held, for another process that goes on. */
  get held(): Buffer {
    return Buffer.from(this.#pending?.all() ?? NOTHING);
  }

  /** Holds nothing from now on, whatever comes: the session has ended. */
  end(): void {
    this.#isOver = true;
    this.#forget();
  }

  /** Takes bytes and emits every packet that is now complete. After a fault, all further bytes are ignored. */
  push(chunk: Buffer): PacketFault | null {
    if (this.#fault !== null) return this.#fault;
    if (this.#isHeld || this.#reading || this.heldBytes > 0) {
      this.#append(chunk);
      return this.#isHeld || this.#reading ? null : this.#readPending();
    }
    const used = this.#read(chunk, 0, chunk.length);
    return this.#keep(chunk, used, chunk.length);
  }

  /** Emits no packets until `release()`. May be called from inside the packet handler. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Resumes with what was received in the meantime. */
  release(): PacketFault | null {
    this.#isHeld = false;
    if (this.#reading || this.#fault !== null) return this.#fault;
    return this.#readPending();
  }

  #readPending(): PacketFault | null {
    if (this.#pending === null || this.#pending.bytes < this.#needed) return null;
    const bytes = this.#pending.all();
    this.#forget();
    const used = this.#read(bytes, 0, bytes.length);
    return this.#keep(bytes, used, bytes.length);
  }

  /** Keeps an incomplete packet, in front of what the handler pushed in the meantime, and continues with the latter. */
  #keep(bytes: Buffer, start: number, end: number): PacketFault | null {
    if (start === end && this.#pending === null) return this.#fault;
    const later = this.#pending?.all() ?? NOTHING;
    this.#forget();
    if (this.#fault !== null) return this.#fault;
    if (start < end) this.#append(bytes.subarray(start, end));
    if (later.length === 0) return null;
    this.#append(later);
    return this.#isHeld ? null : this.#readPending();
  }

  /** Emits the complete packets of `bytes[start, end)` and returns where the first incomplete one begins. */
  #read(bytes: Buffer, start: number, end: number): number {
    this.#reading = true;
    this.#needed = 0;
    let at = this.#isPadded ? behindPadding(bytes, start, end) : start;
    while (!this.#isHeld && end - at >= PACKET_HEAD_BYTES) {
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
      if (end - bodyAt < length) {
        this.#needed = PACKET_HEAD_BYTES + length;
        break;
      }
      at = bodyAt + length;
      this.#onPacket(type, bytes.subarray(bodyAt, at));
      if (this.#isPadded) at = behindPadding(bytes, at, end);
    }
    this.#reading = false;
    return at;
  }

  #append(chunk: Buffer): void {
    if (!this.#isOver) (this.#pending ??= new Held()).add(chunk);
  }

  #forget(): void {
    this.#pending?.clear();
    this.#pending = null;
  }
}

/** Where the next packet begins: none begins with a zero, and four zeros are no padding. */
function behindPadding(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] === 0) at++;
  return at - start < PACKET_HEAD_BYTES ? at : start;
}
