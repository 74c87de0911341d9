/** Messages of the json dialect, each a whole WebSocket message: what `PacketReader` is for packets. */
import { NOTHING } from '../bytes.ts';
import { PacketType } from './packet.ts';
import type { OnPacket, PacketFault } from './packet-reader.ts';

/** Only a handshake has this key, and it is the first key there. */
const HANDSHAKE = /^\s*\{\s*"handshake"\s*:/;
const HANDSHAKE_BYTES = 64;

export class TextReader {
  readonly #bytesMax: number;
  readonly #onPacket: OnPacket;
  /** What came while held by `hold()`. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #held = false;
  #isOver = false;
  #reading = false;

  /** @param bytesMax Bytes of a message; a longer one is a fault. */
  constructor(bytesMax: number, onPacket: OnPacket) {
    this.#bytesMax = bytesMax;
    this.#onPacket = onPacket;
  }

  /** Bytes kept because of `hold()`; a message is never incomplete here. */
  get heldBytes(): number {
    return this.#keptBytes;
  }

  /** Of an incomplete message: there is none. */
  readonly held = NOTHING;

  push(message: Buffer): PacketFault | null {
    if (message.length > this.#bytesMax) return 'packet_too_long';
    if (this.#isOver) return null;
    this.#kept.push(message);
    this.#keptBytes += message.length;
    this.#read();
    return null;
  }

  /** Holds nothing from now on, whatever comes: the session has ended. */
  end(): void {
    this.#isOver = true;
    this.#kept = [];
    this.#keptBytes = 0;
  }

  hold(): void {
    this.#held = true;
  }

  release(): PacketFault | null {
    this.#held = false;
    this.#read();
    return null;
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    while (!this.#held) {
      const message = this.#kept.shift();
      if (message === undefined) break;
      this.#keptBytes -= message.length;
      const start = message.toString('latin1', 0, HANDSHAKE_BYTES);
      this.#onPacket(HANDSHAKE.test(start) ? PacketType.HANDSHAKE : PacketType.DATA, message);
    }
    this.#reading = false;
  }
}
