/** Where the tokens of a JSON text end: white space, strings, numbers, words. [RFC 8259] */

export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
export const POINT = 0x2e;
export const ZERO = 0x30;
export const NINE = 0x39;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;

/** By byte: 1 for what may follow a backslash, except `u`. */
const ESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;
/** By byte: 1 for what a string may hold unescaped. Bytes beyond ASCII are not checked. */
const PLAIN = new Uint8Array(256).fill(1, 0x20);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;
export const IS_DIGIT = new Uint8Array(256).fill(1, ZERO, NINE + 1);
/** By byte: 1 for what ends a number or a word; and for what opens or closes something within a list or an object. */
export const ENDS_SCALAR = new Uint8Array(256).fill(1, 0, 0x21);
for (const mark of ',]}') ENDS_SCALAR[mark.charCodeAt(0)] = 1;
export const IS_BRACKET = new Uint8Array(256);
for (const mark of '"[]{}') IS_BRACKET[mark.charCodeAt(0)] = 1;
const LITERALS: readonly Uint8Array[] = ['true', 'false', 'null'].map((word) => Buffer.from(word));

export function afterSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    const byte = bytes[at]!;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09))
      return at;
    at++;
  }
}

/** A key and its colon. */
export function afterKey(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  const after = afterString(bytes, start);
  if (after < 0) return -1;
  const colon = afterSpace(bytes, after);
  return bytes[colon] === COLON ? colon + 1 : -1;
}

export function afterScalar(bytes: Uint8Array, start: number): number {
  const first = bytes[start]!;
  if (first === QUOTE) return afterString(bytes, start);
  if (first === MINUS || (first >= ZERO && first <= NINE)) return afterNumber(bytes, start);
  for (const word of LITERALS) if (first === word[0]) return afterWord(bytes, start, word);
  return -1;
}

export function afterString(bytes: Uint8Array, start: number): number {
  const end = bytes.length;
  let at = start + 1;
  for (;;) {
    while (at < end && PLAIN[bytes[at]!] === 1) at++;
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte !== BACKSLASH) return -1;
    const escape = bytes[at + 1]!;
    if (escape === 0x75 && isHex4(bytes, at + 2)) at += 6;
    else if (ESCAPED[escape] === 1) at += 2;
    else return -1;
  }
}

function afterNumber(bytes: Uint8Array, start: number): number {
  const at = bytes[start] === MINUS ? start + 1 : start;
  const whole = afterDigits(bytes, at);
  if (whole === at || (bytes[at] === ZERO && whole > at + 1)) return -1;
  return afterFraction(bytes, whole);
}

/** What may follow the digits of a number. */
export function afterFraction(bytes: Uint8Array, start: number): number {
  let at = start;
  if (bytes[at] === POINT) {
    const fraction = afterDigits(bytes, at + 1);
    if (fraction === at + 1) return -1;
    at = fraction;
  }
  // e or E
  if ((bytes[at]! | 0x20) !== 0x65) return at;
  const sign = bytes[at + 1];
  const from = sign === 0x2b || sign === MINUS ? at + 2 : at + 1;
  const exponent = afterDigits(bytes, from);
  return exponent === from ? -1 : exponent;
}

function afterDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at]! >= ZERO && bytes[at]! <= NINE) at++;
  return at;
}

function afterWord(bytes: Uint8Array, start: number, word: Uint8Array): number {
  for (let i = 1; i < word.length; i++) if (bytes[start + i] !== word[i]) return -1;
  return start + word.length;
}

function isHex4(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < start + 4; at++) {
    const byte = bytes[at]!;
    const letter = byte | 0x20;
    const isHex = (byte >= ZERO && byte <= NINE) || (letter >= 0x61 && letter <= 0x66);
    if (!isHex) return false;
  }
  return true;
}
