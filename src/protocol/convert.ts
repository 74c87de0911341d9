/**
 * The bound of what has to be converted, which takes time by its size and holds up everybody: parsed, transcoded, encoded in
 * base64 or escaped again. What passes as it came is not bound by it. Pure.
 */
import { type Failure, failure } from '../errors.ts';
import { sizeOfJson } from './json-scan.ts';

/** Bytes of `limits.convert` where nothing else is configured. */
export const CONVERT_BYTES = 1024 * 1024;

/** An array, object or message counts at least so many bytes, however few it has: making one takes as long. */
export const CONTAINER_BYTES = 32;
/** The same for any other value. */
export const VALUE_BYTES = 8;
/** A part of this many bytes cannot count more than 1: the shortest values of JSON and protobuf take two. */
const WEIGHT_MAX = CONTAINER_BYTES / 2;

/** `what` is of `bytes`, or counts so many, and more than is converted. */
export function tooMuch(
  reason: 'BAD_BODY' | 'BAD_REPLY' | 'BAD_ARGUMENT',
  what: string,
  bytes: number,
  bytesMax: number,
): Failure {
  return failure(reason, tooMuchText(what, bytes, bytesMax));
}

/** See `tooMuch`. */
export function tooMuchText(what: string, bytes: number, bytesMax: number): string {
  return `${what}: ${bytes} bytes to convert; limits.convert allows ${bytesMax}`;
}

/** True for so few bytes that nothing in them needs to be counted. */
export function isSmall(bytes: number, bytesMax: number): boolean {
  return bytes * WEIGHT_MAX <= bytesMax;
}

/** What JSON text counts: its bytes, or what its values count if that is more. What is no JSON counts its bytes. */
export function weightOfJson(json: Uint8Array, bytesMax: number): number {
  if (json.length > bytesMax || isSmall(json.length, bytesMax)) return json.length;
  const size = sizeOfJson(json);
  if (size === null) return json.length;
  const { containers, values, keys } = size;
  const inContainers = containers * (CONTAINER_BYTES - VALUE_BYTES);
  return Math.max(json.length, (values + keys) * VALUE_BYTES + inContainers);
}
