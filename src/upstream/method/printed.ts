/** What the library prints of a message, where something else is wanted: 64-bit integers as numbers, and -0 as it is. */
import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';

import { isObject, rawNumber } from '../../protocol/exact-json.ts';

const INT64: ReadonlySet<ScalarType | undefined> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

type Value = JsonValue;
type Fields = { [key: string]: Value };
/** What becomes of a value that is not a message, list or map. */
type Change = (value: Value, isInt64: boolean) => Value;

/** -0 as a double, and as a float. */
const MINUS_ZEROS = [Buffer.from('0000000000000080', 'hex'), Buffer.from('00000080', 'hex')];

/** True when a message may hold a -0, of which JSON.stringify makes 0. */
export function mayHoldMinusZero(bytes: Buffer): boolean {
  return MINUS_ZEROS.some((zero) => bytes.includes(zero));
}

/** The same, with each -0 kept. */
export function withMinusZero(json: Value): Value {
  return walkFree(json, (value) =>
    Object.is(value, -0) ? (rawNumber('-0') as unknown as Value) : value,
  );
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
