/** JSON from outside: how it is parsed, how deep it may be nested, and the checks of its values. */
import { CONVERT_BYTES, tooMuchText, weightOfJson } from '../protocol/conversion-limit.ts';
import { isObject, isRawNumber, parseAsWritten, wholeOf } from '../protocol/exact-json.ts';
import { sizeOfJson } from '../protocol/json-scan.ts';
import { DELIVERIES, type Delivery } from './commands.ts';

/** What a backend or operator sent does not have the expected shape; the text says where. */
export class ShapeError extends Error {}

/** How deep JSON from a backend may be nested, in any form: code that walks it later may recurse. */
export const JSON_DEPTH_MAX = 64;

/**
 * How deep JSON that goes to a backend may be nested, and so a session's data. Protobuf libraries read messages that
 * are nested a hundred deep, each object in a Struct takes three of these, and one frame that cannot be read ends a
 * Link for everybody. [protobuf.dev/programming-guides/proto-limits]
 */
export const JSON_DEPTH_MAX_TO_BACKENDS = 32;

/** True when arrays and objects, empty ones too, are nested deeper than `depthMax`. Does not recurse itself. */
export function nestsTooDeep(value: unknown, depthMax = JSON_DEPTH_MAX_TO_BACKENDS): boolean {
  let level = containersIn([value]);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > depthMax) return true;
    level = level.flatMap((container) => containersIn(Object.values(container)));
  }
  return false;
}

function containersIn(values: readonly unknown[]): object[] {
  return values.filter(
    (item): item is object => typeof item === 'object' && item !== null && !isRawNumber(item),
  );
}

/**
 * Parses JSON, whose size and depth are checked first: nothing is made of what is over a limit.
 *
 * @param name For the error's text.
 * @param bytesMax `limits.convert`.
 * @throws {ShapeError}
 */
export function parseJson(
  json: Buffer,
  name: string,
  bytesMax = CONVERT_BYTES,
  parse: (text: string) => unknown = parseAsWritten,
): unknown {
  const weight = weightOfJson(json, bytesMax);
  if (weight > bytesMax) throw new ShapeError(tooMuchText(name, weight, bytesMax));
  const size = sizeOfJson(json);
  if (size === null) throw new ShapeError(`${name} is not JSON`);
  if (size.depth > JSON_DEPTH_MAX)
    throw new ShapeError(`${name} is nested deeper than ${JSON_DEPTH_MAX}`);
  return parse(json.toString());
}

/** @throws {ShapeError} */
export function objectOf(value: unknown, name: string): Record<string, unknown> {
  if (!isObject(value)) throw new ShapeError(`${name} is not a JSON object`);
  return value;
}

/** @throws {ShapeError} */
export function textOf(value: unknown, name: string): string {
  if (typeof value !== 'string') throw new ShapeError(`${name} is not a string`);
  return value;
}

/** @throws {ShapeError} */
export function textsOf(value: unknown, name: string): string[] {
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    throw new ShapeError(`${name} is not an array of strings`);
  return value as string[];
}

/** @throws {ShapeError} */
export function flagOf(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw new ShapeError(`${name} is neither true nor false`);
  return value;
}

/** The range of codes: an int32 in the contract. */
export const INT32 = [-0x8000_0000, 0x7fff_ffff] as const;
/** Any whole number that is exact. */
export const SAFE = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER] as const;
const NATURAL = [0, Number.MAX_SAFE_INTEGER] as const;

/**
 * A whole number, or a string that holds one: 64-bit numbers and headers are written like that.
 *
 * @param range The smallest and the largest value allowed.
 * @throws {ShapeError}
 */
export function wholeNumberOf(
  value: unknown,
  name: string,
  [min, max]: readonly [number, number] = NATURAL,
): number {
  let number = value;
  if (typeof value === 'string' && /^-?[0-9]{1,15}$/.test(value)) number = Number(value);
  else if (isRawNumber(value)) number = Number(wholeOf(value.rawJSON) ?? Number.NaN);
  if (!Number.isSafeInteger(number)) throw new ShapeError(`${name} is not a whole number`);
  const whole = number as number;
  if (whole < min) throw new ShapeError(`${name} is less than ${min}`);
  if (whole > max) throw new ShapeError(`${name} is more than ${max}`);
  return whole;
}

/** @throws {ShapeError} */
export function deliveryOf(value: unknown, name: string): Delivery {
  const delivery = DELIVERIES.find((one) => one === value);
  if (delivery === undefined) throw new ShapeError(`${name} is not ${DELIVERIES.join(', ')}`);
  return delivery;
}
