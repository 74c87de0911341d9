/** google.protobuf.Struct and Value, read and written by hand. */
import type { Json, JsonObject } from '../session/commands.ts';
import { JSON_DEPTH_MAX } from './json-depth.ts';
import { BYTES, fieldBytes, VARINT, WireError, type WireReader, WireWriter } from './wire.ts';

/** Fields of Value. */
const NULL = 1;
const NUMBER = 2;
const STRING = 3;
const BOOL = 4;
const STRUCT = 5;
const LIST = 6;

/** The bytes of a Struct. @throws {WireError} nested deeper than JSON_DEPTH_MAX */
export function encodeStruct(object: JsonObject): Buffer {
  const lengths = new Lengths();
  // A writer makes room for ten bytes before each number, the last one too.
  const writer = new WireWriter(measureStruct(object, lengths, 0) + 10);
  lengths.next();
  writeStruct(writer, object, lengths);
  return writer.take();
}

/** What each length-delimited part takes, in the order in which they are written: so each byte is written once. */
class Lengths {
  readonly #bytes: number[] = [];
  #at = 0;

  /** Keeps a place, since a part's length is known after those inside it. */
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
    const keyBytes = key === '' ? 0 : fieldBytes(Buffer.byteLength(key));
    const valueBytes = measureValue(object[key]!, lengths, depth);
    bytes += fieldBytes(lengths.set(entry, keyBytes + fieldBytes(valueBytes)));
  }
  return lengths.set(place, bytes);
}

function measureValue(value: Json, lengths: Lengths, depth: number): number {
  if (depth >= JSON_DEPTH_MAX) throw new WireError(`JSON nested deeper than ${JSON_DEPTH_MAX}`);
  const place = lengths.place();
  if (typeof value === 'number') return lengths.set(place, Number.isFinite(value) ? 9 : 2);
  if (typeof value === 'string') return lengths.set(place, fieldBytes(Buffer.byteLength(value)));
  if (value === null || typeof value === 'boolean') return lengths.set(place, 2);
  const inside = Array.isArray(value)
    ? measureList(value, lengths, depth + 1)
    : measureStruct(value, lengths, depth + 1);
  return lengths.set(place, fieldBytes(inside));
}

function measureList(list: readonly Json[], lengths: Lengths, depth: number): number {
  const place = lengths.place();
  let bytes = 0;
  for (const item of list) bytes += fieldBytes(measureValue(item, lengths, depth));
  return lengths.set(place, bytes);
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
  } else if (typeof value === 'number' && Number.isFinite(value)) {
    writer.double(NUMBER, value);
  } else if (value === null || typeof value === 'number') {
    // JSON has no infinity, though 1e999 reads as one; backends refuse it in a Value.
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

/** Reads a Struct into an object without a prototype. @throws {WireError} nested deeper than JSON_DEPTH_MAX */
export function decodeStruct(reader: WireReader, depth = 0): JsonObject {
  const object = Object.create(null) as JsonObject;
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const entry = reader.message();
    let key = '';
    let value: Json = null;
    while (entry.next()) {
      if (entry.field === 1) key = entry.string();
      else if (entry.field === 2) value = decodeJsonValue(entry.message(), depth);
      else entry.skip();
    }
    object[key] = value;
  }
  return object;
}

export function decodeJsonValue(reader: WireReader, depth = 0): Json {
  if (depth >= JSON_DEPTH_MAX) throw new WireError(`JSON nested deeper than ${JSON_DEPTH_MAX}`);
  let value: Json = null;
  while (reader.next()) {
    if (reader.field === NUMBER) value = reader.double();
    else if (reader.field === STRING) value = reader.string();
    else if (reader.field === BOOL) value = reader.bool();
    else if (reader.field === STRUCT) value = decodeStruct(reader.message(), depth + 1);
    else if (reader.field === LIST) value = decodeList(reader.message(), depth + 1);
    else reader.skip();
  }
  return value;
}

function decodeList(reader: WireReader, depth: number): Json[] {
  const list: Json[] = [];
  while (reader.next()) {
    if (reader.field === 1) list.push(decodeJsonValue(reader.message(), depth));
    else reader.skip();
  }
  return list;
}
