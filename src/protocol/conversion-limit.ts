/**
 * The bound on what has to be converted: parsed, transcoded, base64-encoded or escaped again. That takes time in
 * proportion to the size, and blocks the event loop. What passes unchanged is not bound by it. Pure.
 */
import { type Failure, failure } from '../errors.ts';
import { sizeOfJson } from './json-scan.ts';
import {
  afterString,
  CLOSE_LIST,
  CLOSE_OBJECT,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
} from './json-tokens.ts';

/** Default of `limits.convert`, in bytes. */
export const CONVERT_BYTES = 1024 * 1024;

/** Default of `limits.json_depth`: how deep JSON of a client that is parsed may be nested. */
export const JSON_DEPTH = 32;

/** An array, object or message counts as at least this many bytes, however short: creating one takes as long. */
export const CONTAINER_BYTES = 32;
/** The same for any other value. */
export const VALUE_BYTES = 8;
/** The most that one byte can count as: the shortest values of JSON and protobuf take two bytes. */
const WEIGHT_MAX = CONTAINER_BYTES / 2;

/** True for JSON that is nested deeper than `depthMax`. Of text that is not JSON it may say either: nothing parses it. */
export function nestsDeeper(json: Uint8Array, depthMax: number): boolean {
  // Each level takes two bytes.
  if (json.length <= 2 * depthMax) return false;
  let depth = 0;
  let at = 0;
  // A text that is no string ends it: that is not JSON.
  while (at >= 0 && at < json.length && depth <= depthMax) {
    const byte = json[at]!;
    if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++;
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    at = byte === QUOTE ? afterString(json, at) : at + 1;
  }
  return depth > depthMax;
}

/** The failure for a client's `what` that is nested too deep to be parsed. */
export function tooDeep(what: string, depthMax: number): Failure {
  return failure('BAD_BODY', `${what} is nested deeper than ${depthMax}, limits.json_depth`);
}

/** The failure for `what`, which is `bytes` long or counts as that, and so is over the bound. */
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

/** True for so few bytes that their values need not be counted. */
export function isSmall(bytes: number, bytesMax: number): boolean {
  return bytes * WEIGHT_MAX <= bytesMax;
}

/** The weight of JSON text: its bytes, or what its values count as if that is more. Other text counts its bytes. */
export function weightOfJson(json: Uint8Array, bytesMax: number): number {
  if (json.length > bytesMax || isSmall(json.length, bytesMax)) return json.length;
  const size = sizeOfJson(json);
  if (size === null) return json.length;
  const { containers, values, keys } = size;
  const inContainers = containers * (CONTAINER_BYTES - VALUE_BYTES);
  return Math.max(json.length, (values + keys) * VALUE_BYTES + inContainers);
}
