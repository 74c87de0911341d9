/**
 * Follows the frame heads of a WebSocket client, only to know whether the bytes so far end with a whole message. `ws`
 * parses the frames too, but does not expose that. [RFC 6455 section 5.2]
 */

/** Length 126: two bytes of length follow; 127: eight. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const FIN = 0x80;
const MASKED = 0x80;
const FIRST_CONTROL_OPCODE = 8;

export class FrameTracker {
  /** Bytes of the frame's head so far. */
  #headBytes = 0;
  #headBytesNeeded = 2;
  /** Where the bytes of the length end in the head. */
  #lengthEnd = 2;
  #payloadBytes = 0;
  #payloadBytesLeft = 0;
  /** Between the first and the last fragment of a message. */
  #inMessage = false;
  /** Of the message that is not complete: bytes of its frames so far. */
  #bytesWithin = 0;

  /** True while a frame, or a message of several, is not complete. */
  get isWithin(): boolean {
    return this.#headBytes > 0 || this.#payloadBytesLeft > 0 || this.#inMessage;
  }

  /** Bytes of the message that is not complete, without heads; 0: there is none. */
  get bytesWithin(): number {
    return this.#bytesWithin;
  }

  /** Takes the next bytes, cut in any way. */
  push(chunk: Uint8Array): void {
    if (isOneFrame(chunk) && !this.isWithin) return;
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadBytesLeft > 0) {
        const bytes = Math.min(this.#payloadBytesLeft, chunk.length - at);
        this.#payloadBytesLeft -= bytes;
        at += bytes;
        this.#bytesWithin += bytes;
      } else {
        this.#takeHead(chunk[at++]!);
      }
      if (!this.isWithin) this.#bytesWithin = 0;
    }
  }

  #takeHead(byte: number): void {
    const index = this.#headBytes++;
    if (index === 0) {
      // Control frames may come between the fragments of a message.
      if ((byte & 0x0f) < FIRST_CONTROL_OPCODE) this.#inMessage = (byte & FIN) === 0;
      this.#headBytesNeeded = 2;
    } else if (index === 1) {
      const length = byte & 0x7f;
      this.#lengthEnd = length === LENGTH_16 ? 4 : length === LENGTH_64 ? 10 : 2;
      this.#headBytesNeeded = this.#lengthEnd + ((byte & MASKED) === 0 ? 0 : 4);
      this.#payloadBytes = this.#lengthEnd === 2 ? length : 0;
    } else if (index < this.#lengthEnd) {
      this.#payloadBytes = this.#payloadBytes * 256 + byte;
    }
    if (this.#headBytes < this.#headBytesNeeded) return;
    this.#headBytes = 0;
    this.#payloadBytesLeft = this.#payloadBytes;
  }
}

/** True in nearly every case: a small message in a segment of its own. */
function isOneFrame(chunk: Uint8Array): boolean {
  if (chunk.length < 6) return false;
  const length = chunk[1]! - MASKED;
  return chunk[0]! >= FIN && length >= 0 && length < LENGTH_16 && chunk.length === length + 6;
}
