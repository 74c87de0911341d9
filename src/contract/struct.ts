/** google.protobuf.Struct and Value, read and written by hand. */
import type { Json, JsonObject } from './commands.ts';
import { CONTAINER_BYTES, VALUE_BYTES } from '../protocol/conversion-limit.ts';
import { doubleOf, isRawNumber, rawNumber, type RawNumber } from '../protocol/exact-json.ts';
import { JSON_DEPTH_MAX } from './json.ts';
import {
  BYTES,
  fieldBytes,
  VARINT,
  WireError,
  type WireReader,
  WireWriter,
} from './protobuf-wire.ts';

/** Fields of Value. */
const NULL = 1;
const NUMBER = 2;
const STRING = 3;
const BOOL = 4;
const STRUCT = 5;
const LIST = 6;

/** JSON that no Struct can hold, or a Struct that JSON cannot: its text is the path and what is wrong there. */
export class StructError extends WireError {
  readonly #path: string;
  readonly #what: string;

  constructor(what: string, path = '') {
    super(path === '' ? what : `${path} ${what}`);
    this.#what = what;
    this.#path = path;
  }

  /** The same, with the key of what holds it in front of its path. */
  under(key: string): StructError {
    const path = this.#path;
    const isIndex = path === '' || path.startsWith('[');
    return new StructError(this.#what, isIndex ? key + path : `${key}.${path}`);
  }
}

/**
 * The bytes of a Struct, whose numbers are doubles and whose texts are UTF-8.
 *
 * @throws {StructError} A number that no double holds, half a character, or nesting deeper than JSON_DEPTH_MAX.
 */
export function encodeStruct(object: JsonObject): Buffer {
  const lengths = new Lengths();
  const bytes = measureStruct(object, lengths, 0);
  // A writer makes room for ten bytes before each number, the last one too.
  const writer = new WireWriter(bytes + 10);
  lengths.next();
  writeStruct(writer, object, lengths);
  return writer.take();
}

/** The length of each length-delimited part, in the order of writing, so that each byte is written once. */
class Lengths {
  readonly #bytes: number[] = [];
  #at = 0;

  /** Reserves a place: the length of a part is known only after the lengths inside it. */
  place(): number {
    return this.#bytes.push(0) - 1;
  }

  set(place: number, bytes: number): number {
    this.#bytes[place] = bytes;
    return bytes;
  }

  next(): number {
    return this.#bytes[this.#at++]!;
  }
}

function measureStruct(object: JsonObject, lengths: Lengths, depth: number): number {
  const place = lengths.place();
  let bytes = 0;
  for (const key of Object.keys(object)) {
    const entry = lengths.place();
    const keyBytes = key === '' ? 0 : fieldBytes(textBytes(key));
    const valueBytes = measureAt(object[key]!, lengths, depth, key);
    bytes += fieldBytes(lengths.set(entry, keyBytes + fieldBytes(valueBytes)));
  }
  return lengths.set(place, bytes);
}

function measureValue(value: Json, lengths: Lengths, depth: number): number {
  if (depth >= JSON_DEPTH_MAX)
    throw new StructError(`is JSON nested deeper than ${JSON_DEPTH_MAX}`);
  const place = lengths.place();
  if (typeof value === 'number' || isRawNumber(value)) {
    if (doubleIn(value) === null) {
      const text = JSON.stringify(value).slice(0, NUMBER_MAX);
      throw new StructError(`is ${text}, which a Struct's double cannot hold; send it as a string`);
    }
    return lengths.set(place, 9);
  }
  if (typeof value === 'string') return lengths.set(place, fieldBytes(textBytes(value)));
  if (value === null || typeof value === 'boolean') return lengths.set(place, 2);
  const inside = Array.isArray(value)
    ? measureList(value, lengths, depth + 1)
    : measureStruct(value, lengths, depth + 1);
  return lengths.set(place, fieldBytes(inside));
}

function measureList(list: readonly Json[], lengths: Lengths, depth: number): number {
  const place = lengths.place();
  let bytes = 0;
  for (const [i, item] of list.entries())
    bytes += fieldBytes(measureAt(item, lengths, depth, `[${i}]`));
  return lengths.set(place, bytes);
}

/** Characters of a number that are shown. */
const NUMBER_MAX = 64;

function measureAt(value: Json, lengths: Lengths, depth: number, key: string): number {
  try {
    return measureValue(value, lengths, depth);
  } catch (error) {
    if (error instanceof StructError) throw error.under(key);
    throw error;
  }
}

/** null: a double does not hold it. */
function doubleIn(value: number | RawNumber): number | null {
  const number = typeof value === 'number' ? value : doubleOf(value.rawJSON);
  return Number.isFinite(number) ? number : null;
}

function textBytes(text: string): number {
  if (!text.isWellFormed())
    throw new StructError('holds half a character, which is not valid UTF-8');
  return Buffer.byteLength(text);
}

function writeStruct(writer: WireWriter, object: JsonObject, lengths: Lengths): void {
  for (const key of Object.keys(object)) {
    writer.tag(1, BYTES);
    writer.varint(lengths.next());
    writer.string(1, key);
    writeValue(writer, 2, object[key]!, lengths);
  }
}

function writeValue(writer: WireWriter, field: number, value: Json, lengths: Lengths): void {
  writer.tag(field, BYTES);
  writer.varint(lengths.next());
  if (typeof value === 'string') {
    writer.text(STRING, value);
  } else if (typeof value === 'boolean') {
    writer.tag(BOOL, VARINT);
    writer.varint(value ? 1 : 0);
  } else if (typeof value === 'number' || isRawNumber(value)) {
    writer.double(NUMBER, doubleIn(value)!);
  } else if (value === null) {
    writer.tag(NULL, VARINT);
    writer.varint(0);
  } else if (Array.isArray(value)) {
    writer.tag(LIST, BYTES);
    writer.varint(lengths.next());
    for (const item of value) writeValue(writer, 1, item, lengths);
  } else {
    writer.tag(STRUCT, BYTES);
    writer.varint(lengths.next());
    writeStruct(writer, value, lengths);
  }
}

/**
 * Reads a Struct into an object without a prototype.
 *
 * @throws {WireError} It is not valid protobuf; a StructError, with the path, for what JSON cannot represent (NaN and the
 * infinities) and for nesting deeper than JSON_DEPTH_MAX.
 */
export function decodeStruct(reader: WireReader, depth = 0): JsonObject {
  const object = Object.create(null) as JsonObject;
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const entry = reader.message();
    let key = '';
    let value: WireReader | null = null;
    while (entry.next()) {
      if (entry.field === 1) key = entry.string();
      else if (entry.field === 2) value = entry.message();
      else entry.skip();
    }
    object[key] = value === null ? null : valueAt(value, depth, key);
  }
  return object;
}

/** What the current decoding may still make, as `limits.convert` counts it. */
let left = Infinity;

/** Decodes with a bound on what is made. @throws {StructError} It would be more. */
export function bounded<T>(reader: WireReader, bytesMax: number, decode: (of: WireReader) => T): T {
  left = bytesMax;
  try {
    return decode(reader);
  } finally {
    left = Infinity;
  }
}

/** See `decodeStruct`. */
export function decodeJsonValue(reader: WireReader, depth = 0): Json {
  left -= VALUE_BYTES;
  if (left < 0) throw new StructError('holds more than limits.convert allows');
  if (depth >= JSON_DEPTH_MAX)
    throw new StructError(`is JSON nested deeper than ${JSON_DEPTH_MAX}`);
  let value: Json = null;
  while (reader.next()) {
    if (reader.field === NUMBER) value = numberOf(reader.double());
    else if (reader.field === STRING) value = reader.string();
    else if (reader.field === BOOL) value = reader.bool();
    else if (reader.field === STRUCT || reader.field === LIST) value = container(reader, depth + 1);
    else reader.skip();
  }
  return value;
}

function container(reader: WireReader, depth: number): Json {
  left -= CONTAINER_BYTES - VALUE_BYTES;
  const inside = reader.message();
  return reader.field === STRUCT ? decodeStruct(inside, depth) : decodeList(inside, depth);
}

function numberOf(double: number): Json {
  if (!Number.isFinite(double)) throw new StructError(`is ${double}, which JSON cannot represent`);
  // Written as JSON a -0 would lose its sign.
  return Object.is(double, -0) ? (rawNumber('-0') as unknown as Json) : double;
}

function valueAt(reader: WireReader, depth: number, key: string): Json {
  try {
    return decodeJsonValue(reader, depth);
  } catch (error) {
    if (error instanceof StructError) throw error.under(key);
    throw error;
  }
}

function decodeList(reader: WireReader, depth: number): Json[] {
  const list: Json[] = [];
  while (reader.next()) {
    if (reader.field === 1) list.push(valueAt(reader.message(), depth, `[${list.length}]`));
    else reader.skip();
  }
  return list;
}
