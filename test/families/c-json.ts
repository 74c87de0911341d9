/** JSON as cJSON of 2009 reads and writes it, which libpomelo2 and libpitaya carry with them as pc_JSON. */
import { parseJson, readUtf8 } from './text.ts';
import { Trouble } from './wire.ts';

/** Writes JSON without spaces; pc_JSON.c: `print_value`, `print_number`, `print_string_ptr`. */
export function print(value: unknown): string {
  if (typeof value === 'number') return printNumber(value);
  if (Array.isArray(value)) return `[${value.map(print).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}:${print(one)}`);
  return `{${entries.join(',')}}`;
}

/**
 * Parses the whole of the bytes, or throws Trouble: they must begin with the value, but for spaces, and end with it
 * without any (pr_msg_json.c `pc_body_json_decode`). Bytes that are no UTF-8 would reach the application as they are.
 */
export function parse(bytes: Buffer): unknown {
  const text = readUtf8(bytes);
  if (/\s$/.test(text)) throw new Trouble(`a space after the value: ${JSON.stringify(text)}`);
  return parseJson(text);
}

/** A member by its name, whose case does not count; pc_JSON.c `pc_JSON_GetObjectItem`. */
export function member(object: unknown, name: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined;
  const found = Object.entries(object).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found?.[1];
}

function printNumber(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e21) return String(value);
  if (size < 1e-6 || size > 1e9) throw new RangeError(`with an exponent: ${value}`);
  return value.toFixed(6);
}
