/** Packages and messages byte for byte, written for the doubles alone: nothing of the gateway's own codec is used. */

/** What the real client would have done instead of going on: asserted, crashed, stopped, reconnected, misread. */
export class Trouble extends Error {}

export const PackageType = { HANDSHAKE: 1, ACK: 2, HEARTBEAT: 3, DATA: 4, KICK: 5 } as const;

export const MessageType = { REQUEST: 0, NOTIFY: 1, RESPONSE: 2, PUSH: 3 } as const;

const HEAD_BYTES = 4;

export type Package = { readonly type: number; readonly body: Buffer };

/** Type, three bytes of length with the highest first, body. */
export function pack(type: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = type;
  head.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([head, body]);
}

/** Packages of a stream, however it was cut. */
export class Unpacker {
  #rest = Buffer.alloc(0);

  push(chunk: Buffer): Package[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const found: Package[] = [];
    while (this.#rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#rest.readUIntBE(1, 3);
      if (this.#rest.length < end) break;
      found.push({ type: this.#rest[0]!, body: Buffer.from(this.#rest.subarray(HEAD_BYTES, end)) });
      this.#rest = this.#rest.subarray(end);
    }
    return found;
  }
}

/** Seven bits to a byte, the lowest first. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const next = Math.floor(rest / 128);
    bytes.push((rest % 128) + (next > 0 ? 128 : 0));
    rest = next;
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** Seven bits to a byte, the highest first. */
export function bigEndianVarint(value: number): Buffer {
  const bytes = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return Buffer.from(bytes);
}

/** A message from a client. `route`: its text, or its code in the dictionary. `id` null: a notify. */
export function message(
  id: Buffer | null,
  route: string | number,
  body: Uint8Array,
  isCompressed = false,
): Buffer {
  const type = id === null ? MessageType.NOTIFY : MessageType.REQUEST;
  const flag = (type << 1) | (typeof route === 'number' ? 1 : 0) | (isCompressed ? 0x10 : 0);
  return Buffer.concat([Buffer.of(flag), id ?? Buffer.alloc(0), routeBytes(route), body]);
}

function routeBytes(route: string | number): Buffer {
  if (typeof route === 'number') return Buffer.of(route >> 8, route & 0xff);
  const text = Buffer.from(route);
  return Buffer.concat([Buffer.of(text.length), text]);
}

/** Goes through a message from the gateway; whatever is not there is trouble. */
export class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new Trouble('reads past the end of the message');
    return byte;
  }

  take(count: number): Buffer {
    const end = this.at + count;
    if (count < 0 || end > this.bytes.length) {
      throw new Trouble(`reads ${count} bytes where ${this.bytes.length - this.at} are left`);
    }
    const found = this.bytes.subarray(this.at, end);
    this.at = end;
    return found;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 128) return value;
    }
  }

  u16(): number {
    return this.byte() * 256 + this.byte();
  }

  rest(): Buffer {
    return this.take(this.bytes.length - this.at);
  }
}
