/** The scalars of pomelo-protobuf, written and read; every read is checked against its bounds. */
import { decodeText } from './text.ts';

/** Appends a whole number from 0 to 2^53. */
export function writeVarint(into: number[], value: number): void {
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) into.push((rest % 128) | 0x80);
  into.push(rest);
}

/** Appends a number of 4 or 8 bytes. */
export function writeFloat(into: number[], value: number, size: number): void {
  const view = new DataView(new ArrayBuffer(size));
  view[size === 4 ? 'setFloat32' : 'setFloat64'](0, value, true);
  into.push(...new Uint8Array(view.buffer));
}

/** Appends a length and the bytes. */
export function writeBlock(into: number[], bytes: Iterable<number> & { length: number }): void {
  writeVarint(into, bytes.length);
  for (const byte of bytes) into.push(byte);
}

/** Reads bytes up to `end`. Every method throws a RangeError rather than read beyond it. */
export class ProtoReader {
  readonly #bytes: Uint8Array;
  /** Where this message ends. */
  declare end: number;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.end = bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.take(1)[0]!;
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a number beyond 2^53');
      if (byte < 0x80) return value;
    }
  }

  /** A number of 4 or 8 bytes. */
  float(size: number): number {
    const { buffer, byteOffset } = this.take(size);
    return new DataView(buffer, byteOffset)[size === 4 ? 'getFloat32' : 'getFloat64'](0, true);
  }

  text(): string {
    return decodeText(this.take(this.varint()));
  }

  /** A count or length, checked against the bytes that are left, so that a server cannot make us allocate too much. */
  count(bytesEach: number): number {
    const count = this.varint();
    this.#expect(count * bytesEach);
    return count;
  }

  /** The next bytes. */
  take(count: number): Uint8Array {
    this.#expect(count);
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }

  #expect(count: number): void {
    const left = this.end - this.at;
    if (count > left) throw new RangeError(`${count} bytes expected, but ${left} are left`);
  }
}
