/**
 * A client's JSON made ready for the library, along its message's fields: it takes JavaScript's numbers, dates and texts,
 * and with them changes some of what a client wrote. Here what it would change is given to it otherwise (a large number
 * as a bigint), or refused with its path. [protobuf.dev/programming-guides/json]
 */
import { type DescField, type DescMessage, type Registry, ScalarType } from '@bufbuild/protobuf';

import { doubleOf, isObject, isRawNumber, wholeOf } from '../../protocol/exact-json.ts';

/** At most this many are reported. */
export const FIELD_ERRORS_MAX = 16;
/** Longer keys of a client are cut, and longer values. */
const SHOWN_MAX = 64;

/** As it comes of `parseExact`, and as the library takes it. */
/** A RawNumber only looks like an object. */
export type Value = null | boolean | number | bigint | string | Value[] | Fields;
type Fields = { [key: string]: Value };
type Kind = 'whole32' | 'whole64' | 'float' | 'double' | 'text' | 'bytes' | 'other';

const KINDS: ReadonlyMap<ScalarType, Kind> = new Map([
  ...[ScalarType.INT32, ScalarType.UINT32, ScalarType.SINT32].map(
    (type) => [type, 'whole32'] as const,
  ),
  ...[ScalarType.FIXED32, ScalarType.SFIXED32].map((type) => [type, 'whole32'] as const),
  ...[ScalarType.INT64, ScalarType.UINT64, ScalarType.SINT64].map(
    (type) => [type, 'whole64'] as const,
  ),
  ...[ScalarType.FIXED64, ScalarType.SFIXED64].map((type) => [type, 'whole64'] as const),
  [ScalarType.DOUBLE, 'double'],
  [ScalarType.FLOAT, 'float'],
  [ScalarType.BYTES, 'bytes'],
]);

/** JSON's numbers; in quotes they are read too. */
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WHOLE = /^-?(?:0|[1-9][0-9]*)$/;
const NO_NUMBERS = new Set(['NaN', 'Infinity', '-Infinity']);
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;
const DURATION = /^(-?[0-9]{1,12})(?:\.[0-9]{1,9})?s$/;
const DURATION_SECONDS_MAX = 315_576_000_000;
/** The library reads dates with JavaScript's, which takes February 30th for March 2nd. */
const DATE = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):/;

/**
 * Changes what is in `json`, and returns it.
 *
 * @param fieldErrors Gets the path of each value that has no exact form, and why.
 */
export function ready(
  type: DescMessage,
  registry: Registry,
  json: Value,
  fieldErrors: Record<string, string>,
): Value {
  return new Preparation(registry, fieldErrors).message(type, json, '');
}

class Preparation {
  readonly #registry: Registry;
  readonly #fieldErrors: Record<string, string>;

  constructor(registry: Registry, fieldErrors: Record<string, string>) {
    this.#registry = registry;
    this.#fieldErrors = fieldErrors;
  }

  message(type: DescMessage, json: Value, path: string): Value {
    const { typeName } = type;
    if (typeName.startsWith('google.protobuf.')) {
      const special = this.#special(type, json, path);
      if (special !== undefined) return special;
    }
    if (!isObject(json)) return isRawNumber(json) ? this.#free(json, path) : json;
    const byKey = fieldsOf(type);
    for (const key of Object.keys(json)) {
      const field = byKey.get(key);
      // Unknown fields are rejected by the library, or ignored.
      if (field !== undefined) set(json, key, this.#field(field, json[key]!, join(path, key)));
    }
    return json;
  }

  /** Types with a form of their own; undefined: it has none. */
  #special(type: DescMessage, json: Value, path: string): Value | undefined {
    switch (type.typeName) {
      case 'google.protobuf.Struct':
      case 'google.protobuf.Value':
      case 'google.protobuf.ListValue':
        return this.#free(json, path);
      case 'google.protobuf.Any':
        return this.#any(json, path);
      case 'google.protobuf.Timestamp':
        return this.#timestamp(json, path);
      case 'google.protobuf.Duration':
        return this.#duration(json, path);
      default:
        return type.typeName.endsWith('Value') && type.fields.length === 1
          ? this.#scalar(type.fields[0]!.scalar, json, path)
          : undefined;
    }
  }

  #field(field: DescField, value: Value, path: string): Value {
    if (field.fieldKind === 'list' && Array.isArray(value)) {
      for (let i = 0; i < value.length; i++)
        value[i] = this.#one(field, value[i]!, `${path}[${i}]`);
      return value;
    }
    if (field.fieldKind !== 'map' || !isObject(value)) return this.#one(field, value, path);
    for (const key of Object.keys(value))
      set(value, key, this.#one(field, value[key]!, join(path, key)));
    return value;
  }

  #one({ message, enum: choice, scalar }: DescField, value: Value, path: string): Value {
    if (message !== undefined) return this.message(message, value, path);
    if (choice !== undefined)
      return isRawNumber(value) ? this.#whole(value.rawJSON, path, false) : value;
    return this.#scalar(scalar, value, path);
  }

  #scalar(scalar: ScalarType | undefined, value: Value, path: string): Value {
    switch (KINDS.get(scalar!)) {
      case 'whole32':
      case 'whole64':
        return this.#wholeOrText(value, path, KINDS.get(scalar!) === 'whole64');
      case 'float':
        return this.#float(value, path, Math.fround);
      case 'double':
        return this.#float(value, path, (number) => number);
      case 'bytes':
        if (typeof value !== 'string' || isBase64(value)) return value;
        return this.#fieldError(path, `${shown(value)} is not base64`);
      default:
        return isRawNumber(value) ? this.#free(value, path) : value;
    }
  }

  #wholeOrText(value: Value, path: string, is64: boolean): Value {
    if (isRawNumber(value)) return this.#whole(value.rawJSON, path, is64);
    if (typeof value !== 'string' || WHOLE.test(value)) return value;
    if (!NUMBER.test(value)) return this.#fieldError(path, `${shown(value)} is not a number`);
    return this.#whole(value, path, is64);
  }

  #whole(source: string, path: string, is64: boolean): Value {
    const whole = wholeOf(source);
    if (whole === null) return this.#fieldError(path, `${cut(source)} is not a whole number`);
    return is64 ? whole : Number(whole);
  }

  /** The nearest that there is, as everywhere; what would become an infinity, or 0, is refused. */
  #float(value: Value, path: string, nearest: (number: number) => number): Value {
    if (typeof value === 'number') {
      const held = nearest(value);
      const isHeld = Number.isFinite(held) && (held !== 0 || value === 0);
      return isHeld ? value : this.#fieldError(path, `${value} is out of range`);
    }
    const source = isRawNumber(value) ? value.rawJSON : value;
    if (typeof source !== 'string') return value;
    if (!isRawNumber(value) && NO_NUMBERS.has(source)) return value;
    if (!NUMBER.test(source)) return this.#fieldError(path, `${shown(source)} is not a number`);
    const number = Number(source);
    const held = nearest(number);
    const isLost = held === 0 && (number !== 0 || wholeOf(source) !== 0n);
    if (Number.isFinite(held) && !isLost) return number;
    return this.#fieldError(path, `${cut(source)} is out of range`);
  }

  /** JSON without a message of its own: its numbers are doubles, and its texts UTF-8. */
  #free(json: Value, path: string): Value {
    if (isRawNumber(json)) {
      const number = doubleOf(json.rawJSON);
      if (number !== null) return number;
      const why = 'does not fit a double; write it as a string';
      return this.#fieldError(path, `${cut(json.rawJSON)} ${why}`);
    }
    if (typeof json === 'string')
      return json.isWellFormed()
        ? json
        : this.#fieldError(path, 'half a character, which is not valid UTF-8');
    if (Array.isArray(json)) {
      for (let i = 0; i < json.length; i++) json[i] = this.#free(json[i]!, `${path}[${i}]`);
    } else if (isObject(json)) {
      for (const key of Object.keys(json)) {
        if (!key.isWellFormed())
          this.#fieldError(path, 'half a character in a key, which is not valid UTF-8');
        set(json, key, this.#free(json[key]!, join(path, key)));
      }
    }
    return json;
  }

  #any(json: Value, path: string): Value {
    const url = isObject(json) ? json['@type'] : undefined;
    if (!isObject(json) || typeof url !== 'string') return json;
    const type = this.#registry.getMessage(url.slice(url.lastIndexOf('/') + 1));
    if (type === undefined) return json;
    // Types with a form of their own stand under `value`.
    if (!type.typeName.startsWith('google.protobuf.') || !Object.hasOwn(json, 'value'))
      return this.message(type, json, path);
    set(json, 'value', this.message(type, json['value']!, join(path, 'value')));
    return json;
  }

  #timestamp(json: Value, path: string): Value {
    if (typeof json !== 'string') return isRawNumber(json) ? this.#free(json, path) : json;
    const [, year, month, day, hour] = DATE.exec(json) ?? [];
    // Of any other form the library says what is wrong.
    if (year === undefined) return json;
    const last = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
    const isDate = Number(month) >= 1 && Number(month) <= 12 && Number(day) <= last;
    if (isDate && Number(day) >= 1 && Number(hour) <= 23) return json;
    return this.#fieldError(path, `${shown(json)} is not a valid date`);
  }

  #duration(json: Value, path: string): Value {
    const number = isRawNumber(json) ? json.rawJSON : typeof json === 'number' ? String(json) : '';
    // Of seconds, mostly.
    if (number !== '')
      return this.#fieldError(path, `${cut(number)} is not a duration: it is text, such as "1.5s"`);
    if (typeof json !== 'string') return json;
    const [, seconds] = DURATION.exec(json) ?? [];
    if (seconds === undefined)
      return this.#fieldError(
        path,
        `${shown(json)} is not a duration such as "1.5s" with at most nine decimals`,
      );
    if (Math.abs(Number(seconds)) <= DURATION_SECONDS_MAX) return json;
    return this.#fieldError(path, `${shown(json)} is longer than ${DURATION_SECONDS_MAX}s`);
  }

  /** What stands there meanwhile is never used. */
  #fieldError(path: string, why: string): null {
    if (Object.keys(this.#fieldErrors).length < FIELD_ERRORS_MAX) this.#fieldErrors[path] ??= why;
    return null;
  }
}

const fieldsByKey = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>();

/** By each name that JSON may have for it. */
function fieldsOf(type: DescMessage): ReadonlyMap<string, DescField> {
  let fields = fieldsByKey.get(type);
  if (fields === undefined) {
    fields = new Map(
      type.fields.flatMap(
        (one) =>
          [
            [one.name, one],
            [one.jsonName, one],
          ] as const,
      ),
    );
    fieldsByKey.set(type, fields);
  }
  return fields;
}

function isBase64(text: string): boolean {
  return BASE64.test(text) && text.replace(/=+$/, '').length % 4 !== 1;
}

/** Not by assignment: a key may be __proto__. */
function set(object: Fields, key: string, value: Value): void {
  if (object[key] !== value) Object.defineProperty(object, key, { value });
}

export function join(path: string, key: string): string {
  const shownKey = key.slice(0, SHOWN_MAX);
  return path === '' ? shownKey : `${path}.${shownKey}`;
}

function shown(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}
