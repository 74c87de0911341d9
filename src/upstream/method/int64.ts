/**
 * 64-bit integers in JSON: the mapping writes them as strings and takes numbers too, which JavaScript rounds beyond
 * 2^53. What is here walks over JSON along its message's fields, and is only needed for an option, or for a large
 * number that a client did not put in quotes.
 */
import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf';
import { fromJsonString, ScalarType } from '@bufbuild/protobuf';
import { ValueSchema } from '@bufbuild/protobuf/wkt';

const INT64: ReadonlySet<ScalarType | undefined> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

/** A number that may have more digits than a double keeps; also in a string, which costs a look in vain. */
const LARGE = /[:,[]\s*-?[0-9]{16}/;
/** What JSON has for a whole number. */
const WHOLE = /^-?[0-9]+$/;

/** As it comes out of `parseLarge`: numbers that are too large are bigints. */
type Value = JsonValue | bigint | Value[] | { [key: string]: Value };
type Fields = { [key: string]: Value };
/** What becomes of a value that is no message, list or map. */
type Change = (value: Value, isInt64: boolean) => Value;

export function mayHoldLarge(text: string): boolean {
  return LARGE.test(text);
}

/**
 * Parses JSON whose 64-bit integers may be larger than a number can be; they are bigints, for the library.
 *
 * @throws {Error} Not JSON, or a name twice in an object.
 */
export function parseLarge(type: DescMessage, registry: Registry, text: string): JsonValue {
  // Reads anything, and is as strict about the text as with any other message.
  fromJsonString(ValueSchema, text);
  const json = JSON.parse(text, keepLarge) as Value;
  return walk(type, registry, json, (value, isInt64) =>
    typeof value === 'bigint' && !isInt64 ? Number(value) : value,
  ) as JsonValue;
}

function keepLarge(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined)
    return value;
  return WHOLE.test(source) ? BigInt(source) : value;
}

/** JSON that was printed of a message of this type, with numbers for those 64-bit integers that fit one. */
export function numberInt64(type: DescMessage, registry: Registry, json: JsonValue): JsonValue {
  return walk(type, registry, json, (value, isInt64) => {
    const number = isInt64 ? Number(value) : Number.NaN;
    return Number.isSafeInteger(number) ? number : value;
  }) as JsonValue;
}

function walk(type: DescMessage, registry: Registry, json: Value, change: Change): Value {
  const { typeName } = type;
  if (typeName === 'google.protobuf.Int64Value' || typeName === 'google.protobuf.UInt64Value')
    return change(json, true);
  if (typeName === 'google.protobuf.Any') return walkAny(registry, json, change);
  if (typeName.startsWith('google.protobuf.') || !isObject(json)) return walkFree(json, change);
  for (const field of type.fields) {
    const key = [field.jsonName, field.name].find((name) => Object.hasOwn(json, name));
    if (key !== undefined) set(json, key, walkField(field, registry, json[key]!, change));
  }
  return json;
}

function walkField(field: DescField, registry: Registry, value: Value, change: Change): Value {
  const { message, scalar } = field;
  const one = (item: Value): Value =>
    message === undefined ? change(item, INT64.has(scalar)) : walk(message, registry, item, change);
  if (field.fieldKind === 'list' && Array.isArray(value)) return value.map(one);
  if (field.fieldKind !== 'map' || !isObject(value)) return one(value);
  for (const key of Object.keys(value)) set(value, key, one(value[key]!));
  return value;
}

function walkAny(registry: Registry, json: Value, change: Change): Value {
  const url = isObject(json) ? json['@type'] : undefined;
  if (!isObject(json) || typeof url !== 'string') return json;
  const type = registry.getMessage(url.slice(url.lastIndexOf('/') + 1));
  if (type === undefined) return json;
  // Types with a form of their own stand under `value`.
  if (!type.typeName.startsWith('google.protobuf.')) return walk(type, registry, json, change);
  if (json['value'] !== undefined) set(json, 'value', walk(type, registry, json['value'], change));
  return json;
}

/** JSON without a message: a Struct, or what does not fit. */
function walkFree(json: Value, change: Change): Value {
  if (Array.isArray(json)) return json.map((item) => walkFree(item, change));
  if (!isObject(json)) return change(json, false);
  for (const key of Object.keys(json)) set(json, key, walkFree(json[key]!, change));
  return json;
}

/** Not by assignment: a key may be __proto__. */
function set(object: Fields, key: string, value: Value): void {
  Object.defineProperty(object, key, { value });
}

function isObject(json: Value): json is Fields {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
