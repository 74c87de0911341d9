/** What gateways write to each other of their orders, and how it is read. Nothing in it is trusted. */
import type { JsonObject } from '../contract/commands.ts';
import { isObject } from '../protocol/exact-json.ts';
import { BUCKETS, type Entry } from '../orders/replica.ts';
import { isGatewayId } from './known-gateways.ts';

/** A key, and an entry's value as JSON. */
const KEY_CHARS_MAX = 600;
const VALUE_CHARS_MAX = 131_072;
/** What a Date can hold. [ECMA-262, Time Values] */
const TIME_MAX = 8_640_000_000_000_000;
const BITS_BYTES = BUCKETS / 8;

export function entryRow({ key, at, by, until, value }: Entry): JsonObject {
  return { key, at, by, ...(until > 0 && { until }), ...(value !== null && { value }) };
}

/** Those that can be read. */
export function readEntries(rows: unknown): Entry[] {
  return Array.isArray(rows) ? rows.flatMap((row) => readEntry(row) ?? []) : [];
}

function readEntry(row: unknown): Entry | null {
  if (!isObject(row)) return null;
  const { key, at, by, until = 0, value = null } = row;
  if (typeof key !== 'string' || key === '' || key.length > KEY_CHARS_MAX) return null;
  if (!key.isWellFormed() || typeof by !== 'string' || !isGatewayId(by)) return null;
  if (!isTime(at) || at === 0 || !isTime(until)) return null;
  if (value !== null && !isObject(value)) return null;
  if (value !== null && JSON.stringify(value).length > VALUE_CHARS_MAX) return null;
  return { key, at, by, until, value: value as JsonObject | null };
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < TIME_MAX;
}

/** The sums of all buckets. */
export function sumsText(sums: Uint32Array): string {
  const bytes = Buffer.alloc(BUCKETS * 4);
  for (const [i, sum] of sums.entries()) bytes.writeUInt32BE(sum, i * 4);
  return bytes.toString('base64url');
}

/** null: they cannot be compared, maybe of a release with another number of buckets. */
export function readSums(text: unknown): Uint32Array | null {
  if (typeof text !== 'string') return null;
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== BUCKETS * 4) return null;
  return Uint32Array.from({ length: BUCKETS }, (_, i) => bytes.readUInt32BE(i * 4));
}

/** Where the two differ. */
export function differing(sums: Uint32Array, others: Uint32Array): number[] {
  return [...sums.keys()].filter((i) => sums[i] !== others[i]);
}

/** A set of buckets. */
export function bucketsText(buckets: readonly number[]): string {
  const bits = Buffer.alloc(BITS_BYTES);
  for (const bucket of buckets) bits[bucket >> 3]! |= 1 << (bucket & 7);
  return bits.toString('base64url');
}

export function readBuckets(text: unknown): number[] {
  const bits = Buffer.from(typeof text === 'string' ? text : '', 'base64url');
  return Array.from({ length: BUCKETS }, (_, i) => i).filter(
    (i) => ((bits[i >> 3] ?? 0) & (1 << (i & 7))) !== 0,
  );
}
