/**
 * Encodes plain values as bodies for clients, byte for byte as Pomelo does: fields in the order of the value's keys,
 * whole numbers by parseInt, wire types as in Node's build.
 */
import { NOTHING } from '../../bytes.ts';
import { doubleOf, isObject, isRawNumber, type RawNumber } from '../exact-json.ts';
import { cesu8, type StringForm } from '../text.ts';
import { type Faulty, under } from './fault.ts';
import {
  type Field,
  Kind,
  type MessageType,
  NESTING_MAX,
  Shape,
  type ValueType,
} from './schema.ts';

/** Bytes of one encoded body: what fits into a packet. */
export const ENCODED_BYTES_MAX = 0xffffff;
/** Bytes of working memory that are kept between bodies; more is released. */
const SCRATCH_BYTES = 65_536;
/** For numbers below 2e21: parseInt gives at most 1e21, which zigzag doubles. */
const VARINT_BYTES_MAX = 11;
/** Below this, doubling a negative number loses bits, so no client would read the right value. */
const SIGNED_MIN = -(2 ** 52);
/** Characters up to which a string is first tried one by one as ASCII. */
const SHORT_CHARACTERS = 24;

/** Characters of a number that an error shows. */
const NUMBER_SHOWN_MAX = 64;

const SURROGATE = /[\ud800-\udfff]/;

/** A body in its own memory; empty if no field is set. */
export type Written = { readonly bytes: Buffer };

/** Writes whole bodies, one after the other. It reuses its memory; each result is a buffer of its own. */
export class Writer {
  #bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #at = 0;
  #strings: StringForm = 'utf8';
  /** Above 0 inside a map, where Pinus does not look for required fields. */
  #maps = 0;
  /** What is wrong, and where, built up from the innermost field. */
  #why = '';
  #path = '';

  /** A field that is `null` counts as absent. */
  encode(type: MessageType, value: unknown, strings: StringForm): Written | Faulty {
    this.#begin(strings);
    const isWritten = this.#message(type, value, 0);
    const result = isWritten
      ? { bytes: this.#take() }
      : { fault: { path: this.#path, message: this.#why } };
    this.#end();
    return result;
  }

  /**
   * For bodies that were not made for this message, such as the gateway's errors: fields that cannot be written are
   * omitted. An empty buffer if a required field is missing, as in Pomelo.
   */
  encodeLoosely(type: MessageType, value: unknown, strings: StringForm): Buffer {
    if (!isObject(value)) return NOTHING;
    this.#begin(strings);
    let required = 0;
    for (const name in value) {
      const field = type.byName.get(name);
      const inner = value[name];
      if (field === undefined || inner === null || inner === undefined) continue;
      const start = this.#at;
      if (this.#field(field, inner, 0)) {
        if (field.isRequired) required++;
      } else {
        this.#at = start;
        this.#maps = 0;
      }
    }
    const result = required < type.requiredCount ? NOTHING : this.#take();
    this.#end();
    return result;
  }

  #begin(strings: StringForm): void {
    this.#at = 0;
    this.#maps = 0;
    this.#strings = strings;
    this.#path = '';
  }

  #take(): Buffer {
    return this.#at === 0 ? NOTHING : Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  #end(): void {
    if (this.#bytes.length > SCRATCH_BYTES) this.#bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  }

  /** False, here and below: it failed, and `#why` says how. */
  #message(type: MessageType, value: unknown, depth: number): boolean {
    if (depth > NESTING_MAX) return this.#fail(`messages are nested deeper than ${NESTING_MAX}`);
    if (!isObject(value)) return this.#fail(`${describe(value)} for a message; expected an object`);
    let required = 0;
    for (const name in value) {
      const field = type.byName.get(name);
      if (field === undefined) continue;
      const inner = value[name];
      if (inner === null || inner === undefined) continue;
      if (field.isRequired) required++;
      if (!this.#field(field, inner, depth)) return this.#failAt(field.name);
    }
    if (required === type.requiredCount || this.#maps > 0) return true;
    for (const [name, field] of type.byName) {
      if (!field.isRequired) continue;
      if (Object.hasOwn(value, name) && (value[name] ?? null) !== null) continue;
      this.#fail('required but missing');
      return this.#failAt(name);
    }
    return true;
  }

  #field(field: Field, value: unknown, depth: number): boolean {
    if (field.shape === Shape.MAP) return this.#map(field, value, depth);
    if (field.shape === Shape.ONE) {
      return this.#varint(field.head) && this.#value(field.value, value, depth);
    }
    if (!Array.isArray(value)) return this.#fail(`${describe(value)}; expected an array`);
    if (value.length === 0) return true;
    const isPacked = field.shape === Shape.PACKED;
    if (isPacked && !(this.#varint(field.head) && this.#varint(value.length))) return false;
    for (let i = 0; i < value.length; i++) {
      if (!isPacked && !this.#varint(field.head)) return false;
      if (!this.#value(field.value, value[i], depth)) return this.#failAt(`[${i}]`);
    }
    return true;
  }

  #map(field: Field, value: unknown, depth: number): boolean {
    if (!isObject(value)) return this.#fail(`${describe(value)} for a map; expected an object`);
    const keys = Object.keys(value);
    if (keys.length === 0 && !field.isWrittenEmpty) return true;
    if (!this.#varint(field.head) || !this.#varint(keys.length)) return false;
    this.#maps++;
    for (const key of keys) {
      if (!this.#key(field.key!, key) || !this.#value(field.value, value[key], depth)) {
        return this.#failAt(key);
      }
    }
    this.#maps--;
    return true;
  }

  #key(type: ValueType, key: string): boolean {
    if (type.kind !== Kind.BOOL) return this.#value(type, key, 0);
    if (key !== 'true' && key !== 'false')
      return this.#fail('a key that is neither true nor false');
    return this.#varint(key === 'true' ? 1 : 0);
  }

  #value(type: ValueType, value: unknown, depth: number): boolean {
    if (isRawNumber(value)) return this.#raw(type, value, depth);
    switch (type.kind) {
      case Kind.UNSIGNED: {
        const number = wholeNumber(value);
        if (number >= 0) return this.#varint(number);
        return this.#fail(`${describe(value)} for an unsigned number`);
      }
      case Kind.SIGNED: {
        const number = wholeNumber(value);
        if (number >= SIGNED_MIN) {
          return this.#varint(number < 0 ? number * -2 - 1 : number * 2);
        }
        const why = number < 0 ? '; no client reads one below -2^52' : '';
        return this.#fail(`${describe(value)} for a whole number${why}`);
      }
      case Kind.BOOL:
        if (typeof value === 'boolean') return this.#varint(value ? 1 : 0);
        if (typeof value === 'number') return this.#varint(value === 0 ? 0 : 1);
        return this.#fail(`${describe(value)} for true or false`);
      case Kind.FLOAT:
      case Kind.DOUBLE:
        return this.#float(type.kind, value);
      case Kind.STRING:
        if (typeof value === 'string') return this.#string(value);
        return this.#fail(`${describe(value)} for a string`);
      case Kind.MESSAGE:
        return this.#nested(type.message!, value, depth + 1);
    }
  }

  /** A number that JavaScript might change when reading it: a whole number is kept exact, or rejected. */
  #raw(type: ValueType, { rawJSON }: RawNumber, depth: number): boolean {
    const number = Number(rawJSON);
    const isFloat = type.kind === Kind.FLOAT || type.kind === Kind.DOUBLE;
    const isLost = isFloat ? !Number.isFinite(number) : doubleOf(rawJSON) === null;
    if (!isLost) return this.#value(type, number, depth);
    return this.#fail(`${rawJSON.slice(0, NUMBER_SHOWN_MAX)} is more than a client can read`);
  }

  #float(kind: Kind, value: unknown): boolean {
    const number = typeof value === 'object' ? NaN : Number(value);
    if (Number.isNaN(number)) return this.#fail(`${describe(value)} for a number`);
    if (kind === Kind.FLOAT && Number.isFinite(number) && !Number.isFinite(Math.fround(number)))
      return this.#fail(`${number} does not fit into a float`);
    if (!this.#reserve(8)) return false;
    const at = this.#at;
    this.#at =
      kind === Kind.FLOAT
        ? this.#bytes.writeFloatLE(number, at)
        : this.#bytes.writeDoubleLE(number, at);
    return true;
  }

  #string(text: string): boolean {
    if (text.length <= SHORT_CHARACTERS) {
      if (!this.#reserve(VARINT_BYTES_MAX + SHORT_CHARACTERS)) return false;
      if (this.#shortAscii(text)) return true;
    }
    const encoded = this.#strings === 'cesu8' && SURROGATE.test(text) ? cesu8(text) : null;
    const length = encoded === null ? Buffer.byteLength(text) : encoded.length;
    if (!this.#reserve(VARINT_BYTES_MAX + length)) return false;
    this.#varint(length);
    if (encoded === null) this.#bytes.write(text, this.#at);
    else this.#bytes.set(encoded, this.#at);
    this.#at += length;
    return true;
  }

  /** Cheaper than calling the native encoder. False if there is more than ASCII; then nothing is written. */
  #shortAscii(text: string): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return false;
      bytes[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  /** Leaves one byte for the length, which is nearly always enough; otherwise the message is moved. */
  #nested(type: MessageType, value: unknown, depth: number): boolean {
    if (!this.#reserve(VARINT_BYTES_MAX)) return false;
    const start = ++this.#at;
    if (!this.#message(type, value, depth)) return false;
    const length = this.#at - start;
    if (!this.#reserve(VARINT_BYTES_MAX)) return false;
    const end = this.#at;
    this.#at = start - 1;
    if (length < 0x80) {
      this.#bytes[this.#at] = length;
      this.#at = end;
      return true;
    }
    const moved = length < 0x4000 ? 1 : length < 0x200000 ? 2 : 3;
    this.#bytes.copyWithin(start + moved, start, end);
    this.#varint(length);
    this.#at = end + moved;
    return true;
  }

  #varint(value: number): boolean {
    if (!this.#reserve(VARINT_BYTES_MAX)) return false;
    const bytes = this.#bytes;
    let at = this.#at;
    let rest = value;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#at = at;
    return true;
  }

  #reserve(count: number): boolean {
    const needed = this.#at + count;
    if (needed <= this.#bytes.length) return true;
    if (needed > ENCODED_BYTES_MAX) {
      return this.#fail(`the body is longer than ${ENCODED_BYTES_MAX} bytes`);
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    return true;
  }

  #fail(why: string): false {
    this.#why = why;
    return false;
  }

  #failAt(name: string): false {
    this.#path = under(name, this.#path);
    return false;
  }
}

/** As parseInt reads it: 3.9 is 3, '12abc' is 12, 1e21 is 1. NaN: not a number. */
function wholeNumber(value: unknown): number {
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) ? value : Number.parseInt(String(value));
  }
  return typeof value === 'string' ? Number.parseInt(value) : NaN;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (value === null) return 'null';
  const kind = typeof value;
  if (kind === 'number' || kind === 'boolean') return `${value as number | boolean}`;
  return kind === 'object' ? 'an object' : `a ${kind}`;
}
