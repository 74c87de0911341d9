/**
 * Decodes clients' bodies to plain values. Every length and count is checked against the bytes that are left before
 * anything is allocated, so memory grows with the bytes that came. Wire types are ignored: stock browser clients write
 * them wrong.
 */
import { NOTHING } from '../../bytes.ts';
import { textFromClient } from '../text.ts';
import { type Faulty, under } from './fault.ts';
import {
  type Field,
  Kind,
  type MessageType,
  NESTING_MAX,
  Shape,
  type ValueType,
} from './schema.ts';

/** Groups of seven bits in one number: 70 bits, of which 53 can be used. */
const VARINT_BYTES_MAX = 10;
/** A head is a tag of 29 bits and a wire type of three. */
const HEAD_MAX = 0xffffffff;

/**
 * Which kind of client wrote a body: stock browser builds give varints wire type 2 and write a character beyond the
 * basic plane in six bytes; all others use wire type 0 and four bytes.
 */
export type WrittenBy = 'browser' | 'node' | 'unknown';

export type Decoded = {
  /** Only the fields that came: a required one may be missing. A float may be NaN or infinite, which is null in JSON. */
  readonly value: Record<string, unknown>;
  readonly writtenBy: WrittenBy;
  /** False: a float in it is NaN, infinite or -0, which JSON.stringify would change. */
  readonly isPlain: boolean;
};

/** Signs of either kind that were seen, as bits. */
const NODE = 1;
const BROWSER = 2;
const NEITHER = 4;

/** By those bits. */
const WRITTEN_BY: readonly WrittenBy[] = ['unknown', 'node', 'browser'];

/** Half of a character beyond the basic plane. */
const ASTRAL = /[\ud800-\udbff]/;

/** As fast as ordinary objects, but without a prototype: a field may be called `constructor` or `__proto__`. */
const Fields = function () {} as unknown as new () => Record<string, unknown>;
Fields.prototype = Object.create(null);

/** Reads a whole body. One instance can be shared: it keeps nothing between bodies. */
export class Reader {
  #bytes: Buffer = NOTHING;
  #at = 0;
  #seen = 0;
  #isPlain = true;
  /** What is wrong, and where, built up from the innermost field. */
  #why = '';
  #path = '';

  decode(type: MessageType, bytes: Buffer): Decoded | Faulty {
    this.#bytes = bytes;
    this.#at = 0;
    this.#seen = 0;
    this.#isPlain = true;
    this.#path = '';
    const value = this.#message(type, bytes.length, 0);
    this.#bytes = NOTHING;
    if (value === undefined) return { fault: { path: this.#path, message: this.#why } };
    return { value, writtenBy: WRITTEN_BY[this.#seen] ?? 'unknown', isPlain: this.#isPlain };
  }

  /** undefined, here and below: it failed, and `#why` says how. */
  #message(type: MessageType, end: number, depth: number): Record<string, unknown> | undefined {
    if (depth > NESTING_MAX) return this.#fail(`messages are nested deeper than ${NESTING_MAX}`);
    const into = new Fields();
    while (this.#at < end) {
      const head = this.#varint(end);
      if (head === undefined) return undefined;
      const field = head <= HEAD_MAX ? type.byTag.get(head >>> 3) : undefined;
      if (field === undefined) return this.#fail(`no field has tag ${Math.floor(head / 8)}`);
      if (field.isVarint)
        this.#seen |= (head & 7) === 0 ? NODE : (head & 7) === 2 ? BROWSER : NEITHER;
      if (field.shape === Shape.ONE) {
        const value = this.#value(field.value, end, depth);
        if (value === undefined) return this.#under(field.name);
        into[field.name] = value;
      } else if (!this.#many(field, into, end, depth)) {
        return this.#under(field.name);
      }
    }
    return into;
  }

  /** A field that may come in parts: each appends to what is there. */
  #many(field: Field, into: Record<string, unknown>, end: number, depth: number): boolean {
    const { name, shape } = field;
    if (shape === Shape.MAP) {
      const entries = (into[name] ??= Object.create(null)) as Record<string, unknown>;
      return this.#entries(field, entries, end, depth);
    }
    const list = (into[name] ??= []) as unknown[];
    if (shape === Shape.PACKED) return this.#packed(field.value, list, end);
    const value = this.#value(field.value, end, depth);
    if (value === undefined) return this.#failedAt(list.length);
    list.push(value);
    return true;
  }

  #packed(type: ValueType, list: unknown[], end: number): boolean {
    const count = this.#count(type.bytesMin, end);
    if (count === undefined) return false;
    for (let i = 0; i < count; i++) {
      const value = this.#value(type, end, 0);
      if (value === undefined) return this.#failedAt(list.length);
      list.push(value);
    }
    return true;
  }

  #entries(field: Field, entries: Record<string, unknown>, end: number, depth: number): boolean {
    const keyType = field.key!;
    const count = this.#count(keyType.bytesMin + field.value.bytesMin, end);
    if (count === undefined) return false;
    for (let i = 0; i < count; i++) {
      const key = this.#value(keyType, end, 0);
      if (key === undefined) return false;
      const value = this.#value(field.value, end, depth);
      if (value === undefined) {
        this.#under(`${key as string}`);
        return false;
      }
      entries[key as string] = value;
    }
    return true;
  }

  #float(number: number): number {
    if (!Number.isFinite(number) || Object.is(number, -0)) this.#isPlain = false;
    return number;
  }

  #value(type: ValueType, end: number, depth: number): unknown {
    const left = end - this.#at;
    switch (type.kind) {
      case Kind.UNSIGNED:
        return this.#varint(end);
      case Kind.SIGNED:
        return this.#zigzag(end);
      case Kind.BOOL: {
        const value = this.#varint(end);
        return value === undefined ? undefined : value !== 0;
      }
      case Kind.FLOAT:
        if (left < 4) return this.#fail(`a float is cut off: it takes 4 bytes, ${left} are left`);
        this.#at += 4;
        return this.#float(this.#bytes.readFloatLE(this.#at - 4));
      case Kind.DOUBLE:
        if (left < 8) return this.#fail(`a double is cut off: it takes 8 bytes, ${left} are left`);
        this.#at += 8;
        return this.#float(this.#bytes.readDoubleLE(this.#at - 8));
      case Kind.STRING: {
        const length = this.#length('a string', end);
        if (length === undefined) return undefined;
        const start = this.#at;
        this.#at += length;
        const text = textFromClient(this.#bytes, start, this.#at);
        if (text.length < length && ASTRAL.test(text))
          this.#seen |= Buffer.byteLength(text) < length ? BROWSER : NODE;
        return text;
      }
      case Kind.MESSAGE: {
        const length = this.#length('a message', end);
        if (length === undefined) return undefined;
        return this.#message(type.message!, this.#at + length, depth + 1);
      }
    }
  }

  #varint(end: number): number | undefined {
    const bytes = this.#bytes;
    let at = this.#at;
    let value = 0;
    // Four groups fit a signed 32-bit number.
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#at = at;
        return value;
      }
    }
    const high = this.#highGroups(at, end);
    if (high === undefined) return undefined;
    value += high * 2 ** 28;
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#fail('a number is above 2^53 - 1');
  }

  #zigzag(end: number): number | undefined {
    const bytes = this.#bytes;
    let at = this.#at;
    let low = 0;
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = bytes[at++]!;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#at = at;
        return (low >>> 1) ^ -(low & 1);
      }
    }
    const high = this.#highGroups(at, end);
    if (high === undefined) return undefined;
    // Halved before the parts are combined, so that 54 bits are read without loss.
    const half = high * 2 ** 27 + (low >>> 1);
    const value = (low & 1) === 0 ? half : -half - 1;
    if (Number.isSafeInteger(value)) return value;
    return this.#fail('a number is beyond 2^53 - 1');
  }

  /** The groups from the fifth on, which begin at `start`, as a number. */
  #highGroups(start: number, end: number): number | undefined {
    const last = Math.min(end, this.#at + VARINT_BYTES_MAX);
    let value = 0;
    let scale = 1;
    for (let at = start; at < last; at++) {
      const byte = this.#bytes[at]!;
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        this.#at = at + 1;
        return value;
      }
    }
    return this.#fail(
      last === end ? 'a number is cut off' : `a number of more than ${VARINT_BYTES_MAX} bytes`,
    );
  }

  #length(what: string, end: number): number | undefined {
    const length = this.#varint(end);
    if (length === undefined) return undefined;
    const left = end - this.#at;
    return length <= left ? length : this.#fail(`${what} of ${length} bytes, ${left} are left`);
  }

  #count(bytesMin: number, end: number): number | undefined {
    const count = this.#varint(end);
    if (count === undefined) return undefined;
    const left = end - this.#at;
    if (count * bytesMin <= left) return count;
    return this.#fail(`${count} values of at least ${bytesMin} bytes, ${left} bytes are left`);
  }

  #fail(why: string): undefined {
    this.#why = why;
    return undefined;
  }

  #failedAt(index: number): false {
    this.#under(`[${index}]`);
    return false;
  }

  #under(name: string): undefined {
    this.#path = under(name, this.#path);
    return undefined;
  }
}
