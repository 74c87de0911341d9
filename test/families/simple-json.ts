/** JSON as the SimpleJson.dll of pomelo-unityclient-socket reads and writes it. */
import { type Json } from './double.ts';
import { parseJson, readUtf8 } from './text.ts';
import { Trouble } from './wire.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Without spaces, and with control characters as they are, but for those that have a letter. */
export function print(value: unknown): string {
  if (typeof value === 'string') {
    return `"${value.replace(/["\\\b\f\n\r\t]/g, (char) => ESCAPES[char]!)}"`;
  }
  if (Array.isArray(value)) return `[${value.map(print).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, one]) => `${print(key)}:${print(one)}`);
  return `{${entries.join(',')}}`;
}

/** What the client casts to JsonObject: an object, or nothing else goes on. */
export function parse(bytes: Buffer): Json {
  const value = parseJson(readUtf8(bytes));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Trouble(`throws: no object: ${bytes.toString()}`);
  }
  return value as Json;
}
