/** JSON as jansson 2.5 reads and writes it, which libpomelo 0.3.4 carries with it. */
import { parseJson, readUtf8 } from './text.ts';
import { Trouble } from './wire.ts';

/** Sizes of jansson's hash table, each the next of the last; hashtable.c. */
const BUCKETS = [5, 13, 23, 53, 97, 193, 389, 769];

/** Writes compact JSON, with the keys in the order of jansson's hash table on a machine of 64 bits. */
export function print(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(print).join(',')}]`;
  if (typeof value !== 'object' || value === null) return printScalar(value);
  const object = value as Record<string, unknown>;
  const entries = order(Object.keys(object)).map(
    (key) => `${printScalar(key)}:${print(object[key])}`,
  );
  return `{${entries.join(',')}}`;
}

/**
 * Parses the whole of the bytes, or throws Trouble: what is not UTF-8, neither object nor list, has a NUL or half of a
 * surrogate pair in a text, or a number that is too big, is refused by `json_loadb` without flags.
 */
export function parse(bytes: Buffer): object {
  const text = readUtf8(bytes);
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null)
    throw new Trouble(`neither object nor list: ${text}`);
  if (/\\u0000/.test(text)) throw new Trouble(`a NUL: ${text}`);
  if (!JSON.stringify(value).isWellFormed() || /\\ud[89a-f]/.test(JSON.stringify(value))) {
    throw new Trouble(`half of a surrogate pair: ${text}`);
  }
  return value;
}

/** An integer as `json_integer_value` gives it: 0 for all else. A number written with a point is none. */
export function integerIn(text: string, key: string): number {
  const found = new RegExp(`"${key}"\\s*:\\s*(-?\\d+)(?![\\d.eE])`).exec(text);
  return found === null ? 0 : Number(found[1]);
}

/** The keys in the order in which the table is walked; hashtable.c: `hash_str`, `insert_to_bucket`, `hashtable_set`. */
export function order(keys: readonly string[]): string[] {
  let walked: string[] = [];
  let size = 0;
  for (const key of keys) {
    if (walked.length >= BUCKETS[size]!) {
      size += 1;
      const before = walked;
      walked = [];
      for (const old of before) insert(walked, old, BUCKETS[size]!);
    }
    insert(walked, key, BUCKETS[size]!);
  }
  return walked;
}

/** A key goes before the first one of its bucket, or to the end. */
function insert(walked: string[], key: string, buckets: number): void {
  const bucket = hash(key) % BigInt(buckets);
  const first = walked.findIndex((one) => hash(one) % BigInt(buckets) === bucket);
  walked.splice(first === -1 ? walked.length : first, 0, key);
}

function hash(key: string): bigint {
  let value = 5381n;
  // A byte is a signed char.
  for (const byte of Buffer.from(key)) {
    value = BigInt.asUintN(64, value * 33n + BigInt((byte << 24) >> 24));
  }
  return value;
}

function printScalar(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return printReal(value);
  return JSON.stringify(value);
}

/** `%.17g`, within the range that needs no exponent. */
function printReal(value: number): string {
  const digits = value.toPrecision(17);
  if (digits.includes('e')) throw new RangeError(`not written here: ${value}`);
  return digits.replace(/\.?0+$/, '');
}
