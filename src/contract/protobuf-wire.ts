/**
 * The protobuf wire format, read and written by hand: several times cheaper than a general library, and bodies stay
 * views. Unknown fields are skipped; every length is checked against the bytes that are there.
 * [protobuf.dev/programming-guides/encoding]
 */
/** The bytes are not valid protobuf. */
export class WireError extends Error {}

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const FIXED32 = 5;

export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Bytes of a length-delimited field whose tag takes one byte. */
export function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/** Writes a varint, and returns where it ends. */
function putVarint(into: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    into[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  into[at++] = rest;
  return at;
}

/** Writes a tag of one byte, and the number behind it: the field's value, or the length of what follows. */
export function putHead(into: Buffer, start: number, tag: number, value: number): number {
  into[start] = tag;
  return putVarint(into, start + 1, value);
}

/** Appends to a buffer that grows. Numbers are 0 to 2^53 - 1, except in `int32`. */
export class WireWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#at;
  }

  /** What was written; the bytes are the caller's, since the writer starts again with memory of its own. */
  take(): Buffer {
    const written = this.#bytes.subarray(0, this.#at);
    this.#bytes = Buffer.allocUnsafe(Math.min(Math.max(256, this.#at), 65_536));
    this.#at = 0;
    return written;
  }

  /**
   * For what is written often: room for `bytes`, and where they go, which is its `length`. Call `wrote` before anything
   * else is written.
   */
  room(bytes: number): Buffer {
    this.reserve(bytes);
    return this.#bytes;
  }

  /** @param end Where what was written in the room ends. */
  wrote(end: number): void {
    this.#at = end;
  }

  /** Makes room for the writes that follow. */
  reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }

  varint(value: number): void {
    this.reserve(10);
    if (value < 0x80) {
      this.#bytes[this.#at++] = value;
      return;
    }
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  tag(field: number, type: number): void {
    this.varint(field * 8 + type);
  }

  /** A number field; nothing for 0, as in proto3. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, VARINT);
    this.varint(value);
  }

  /** Negative numbers take ten bytes. */
  int32(field: number, value: number): void {
    if (value >= 0) {
      this.uint(field, value);
      return;
    }
    this.tag(field, VARINT);
    this.reserve(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let i = 0; i < 9; i++, rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#at++] = Number(rest);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  double(field: number, value: number): void {
    this.tag(field, FIXED64);
    this.reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** A bytes or message field, also when empty. */
  bytes(field: number, value: Uint8Array): void {
    this.tag(field, BYTES);
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** A string field; nothing for ''. */
  string(field: number, value: string): void {
    if (value !== '') this.text(field, value);
  }

  /** A string field, also when empty. */
  text(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.tag(field, BYTES);
    this.varint(length);
    this.reserve(length);
    this.#at += this.#bytes.write(value, this.#at);
  }

  strings(field: number, values: readonly string[]): void {
    for (const value of values) this.text(field, value);
  }
}

/** Walks over the fields of one message: `while (reader.next()) switch (reader.field) …`. */
export class WireReader {
  field = 0;
  type = 0;
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Where it is in the bytes that it reads. */
  get position(): number {
    return this.#at;
  }

  /** Reads on there. @param position Where a field ends. */
  goTo(position: number): void {
    this.#at = position;
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.type = tag % 8;
    if (this.field === 0) throw new WireError('field number 0');
    return true;
  }

  skip(): void {
    if (this.type === VARINT) this.#varint();
    else if (this.type === FIXED64) this.#take(8);
    else if (this.type === BYTES) this.#take(this.#varint());
    else if (this.type === FIXED32) this.#take(4);
    else throw new WireError(`wire type ${this.type}`);
  }

  /** A number of at most 53 bits; larger ones lose their low bits. */
  uint(): number {
    this.#expect(VARINT);
    return this.#varint();
  }

  int32(): number {
    this.#expect(VARINT);
    // A negative number takes ten bytes, of which the low 32 bits count.
    return Number(BigInt.asIntN(32, this.#varint64()));
  }

  int64(): number {
    this.#expect(VARINT);
    return Number(BigInt.asIntN(64, this.#varint64()));
  }

  bool(): boolean {
    return this.uint() !== 0;
  }

  double(): number {
    this.#expect(FIXED64);
    const at = this.#take(8);
    return this.#bytes.readDoubleLE(at);
  }

  /** A view. */
  bytes(): Buffer {
    this.#expect(BYTES);
    const length = this.#varint();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  string(): string {
    this.#expect(BYTES);
    const length = this.#varint();
    const at = this.#take(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  message(): WireReader {
    this.#expect(BYTES);
    const length = this.#varint();
    const at = this.#take(length);
    return new WireReader(this.#bytes, at, at + length);
  }

  #expect(type: number): void {
    if (this.type !== type)
      throw new WireError(`field ${this.field} has wire type ${this.type}, not ${type}`);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) throw new WireError(`field ${this.field} is cut off`);
    this.#at = at + length;
    return at;
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= this.#end) throw new WireError('a number is cut off');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new WireError('a number is too long');
  }

  #varint64(): bigint {
    let value = 0n;
    for (let i = 0n; i < 10n; i++) {
      if (this.#at >= this.#end) throw new WireError('a number is cut off');
      const byte = this.#bytes[this.#at++]!;
      value |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) return value;
    }
    throw new WireError('a number is too long');
  }
}

// ---- google.protobuf.Duration and Timestamp --------------------------------------------------------------

/** A Duration in milliseconds, see `msOf`; negative ones count as 0. */
export function decodeDurationMs(reader: WireReader): number {
  return Math.max(0, decodeSignedMs(reader));
}

/** A Duration in milliseconds, see `msOf`. */
export function decodeSignedMs(reader: WireReader): number {
  let seconds = 0;
  let nanos = 0;
  while (reader.next()) {
    if (reader.field === 1) seconds = reader.int64();
    else if (reader.field === 2) nanos = reader.int32();
    else reader.skip();
  }
  return msOf(seconds, nanos);
}

/** Whole milliseconds, in protobuf and in JSON alike; 0 only for 0, which means none or never. */
export function msOf(seconds: number, nanos: number): number {
  const ms = seconds * 1_000 + nanos / 1_000_000;
  return Math.round(ms) || Math.sign(ms);
}

/** A Duration or Timestamp of `ms` milliseconds, not negative: the two have the same shape. */
export function encodeMs(ms: number): Buffer {
  const writer = new WireWriter(16);
  writer.uint(1, Math.floor(ms / 1_000));
  writer.uint(2, Math.floor(ms % 1_000) * 1_000_000);
  return writer.take();
}
