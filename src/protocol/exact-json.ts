/**
 * JSON whose numbers stay exact: JavaScript only has doubles, and reads 9007199254740993 as ...992 and 1e400 as
 * Infinity. Here such a number is kept as its text, which `JSON.stringify` writes unchanged. Pure.
 */

import { parseJsonText } from './json-parse.ts';

/** A number as it was written. [ECMAScript JSON.rawJSON] */
export type RawNumber = { readonly rawJSON: string };

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
/** Not yet in TypeScript's library. */
const RAW = JSON as unknown as {
  isRawJSON(value: unknown): boolean;
  rawJSON(text: string): RawNumber;
};

/** Matches text with a number that could change when read as a double and written again; digits in strings match too. */
const MAY_CHANGE = /[0-9]{16}|[0-9][eE.]|-0/;
/** Matches text with a number whose value could change when read as a double. */
const MAY_LOSE = /[0-9.]{16}|[0-9][eE]|-0(?:\.0*)?(?![0-9.])/;

export function isRawNumber(value: unknown): value is RawNumber {
  return RAW.isRawJSON(value);
}

/** True for a JSON object: a RawNumber only looks like one. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value)
  );
}

/** @param text A number as JSON writes one. */
export function rawNumber(text: string): RawNumber {
  return RAW.rawJSON(text);
}

/**
 * `JSON.parse`, except that each number that would be written differently is a RawNumber; 1.0, 1E2 and -0 too.
 *
 * @throws {SyntaxError} Not JSON, or nested deeper than can be walked.
 */
export function parseAsWritten(text: string): unknown {
  return MAY_CHANGE.test(text) ? parseRaw(text) : parseJsonText(text);
}

/** The same for bodies that are converted: only numbers that a double may not hold are kept, which is cheaper. */
export function parseExact(text: string): unknown {
  return MAY_LOSE.test(text) ? parseRaw(text) : parseJsonText(text);
}

/** True if the text may hold a number whose value `JSON.parse` would change. */
export function mayLose(text: string): boolean {
  return MAY_LOSE.test(text);
}

function parseRaw(text: string): unknown {
  try {
    return parseJsonText(text, keepNumber);
  } catch (error) {
    if (error instanceof RangeError) throw new SyntaxError('nested too deeply', { cause: error });
    throw error;
  }
}

const keepNumber: Reviver = (_key, value, { source }) =>
  typeof value === 'number' && source !== undefined && String(value) !== source
    ? RAW.rawJSON(source)
    : value;

/** Digits of an exponent up to which it is computed: parsing digits takes time by their square. */
const EXPONENT_DIGITS_MAX = 18;

/**
 * A number in any of JSON's notations, as sign, digits and exponent: equal numbers give equal texts. Numbers with an
 * absurdly long exponent are equal only if written alike.
 */
function canonical(source: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(source)!;
  const digits = whole! + fraction;
  let start = 0;
  while (digits[start] === '0') start++;
  if (start === digits.length) return '0';
  let end = digits.length;
  while (digits[end - 1] === '0') end--;
  const power = exponent.replace(/^([+-]?)0+(?=[0-9])/, '$1');
  if (power.length > EXPONENT_DIGITS_MAX) return `${sign}${digits.slice(start, end)}e${power}`;
  const scale = BigInt(power) - BigInt(fraction.length) + BigInt(digits.length - end);
  return `${sign}${digits.slice(start, end)}e${scale}`;
}

/** Characters up to which numbers are compared by value; longer ones are equal only if written alike. */
const COMPARED_CHARACTERS_MAX = 1_024;

/** True if two numbers in JSON's notation are equal. */
export function isSameNumber(a: string, b: string): boolean {
  if (a === b) return true;
  const isShort = Math.max(a.length, b.length) <= COMPARED_CHARACTERS_MAX;
  return isShort && canonical(a) === canonical(b);
}

/** A number as text that is the same for every notation of it: 1 for 1.0 and 1e0. */
export function plainText({ rawJSON }: RawNumber): string {
  return String(wholeOf(rawJSON) ?? doubleOf(rawJSON) ?? rawJSON);
}

/** Digits of the longest whole number that is expanded from a notation with an exponent. */
const WHOLE_DIGITS_MAX = 400;

/** The whole number in any of JSON's notations (1e2, 1.0); null: not a whole number, or absurdly long. */
export function wholeOf(source: string): bigint | null {
  const [digits, exponent] = canonical(source).split('e') as [string, string | undefined];
  if (exponent === undefined) return 0n;
  const zeros = Number(exponent);
  if (zeros < 0 || digits.length + zeros > WHOLE_DIGITS_MAX) return null;
  return BigInt(digits + '0'.repeat(zeros));
}

/**
 * The double for a number in JSON's notation; null: there is none. A whole number must be exact; a fraction gets the
 * nearest double, as usual; numbers that overflow, or underflow to 0, have none.
 */
export function doubleOf(source: string): number | null {
  const number = Number(source);
  if (!Number.isFinite(number)) return null;
  const exact = canonical(source);
  if (number === 0) return exact === '0' ? number : null;
  const exponent = exact.slice(exact.indexOf('e') + 1);
  if (exponent.startsWith('-')) return number;
  return exact === canonical(String(number)) ? number : null;
}
