/**
 * Scans JSON without parsing it: whether it is valid, where its members are, and how much there is to convert. One pass
 * over the bytes, without recursion or allocation, so that the text can pass unchanged. [RFC 8259]
 */
import { afterLarge, forgetLarge, remember } from './large-json.ts';

/** How deep arrays and objects may be nested; anything deeper counts as invalid. */
export const SCAN_DEPTH_MAX = 65_536;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** By byte: 1 for what may follow a backslash, except `u`. */
const ESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;
/** By byte: 1 for what a string may hold unescaped. Bytes beyond ASCII are not checked. */
const PLAIN = new Uint8Array(256).fill(1, 0x20);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;
const IS_DIGIT = new Uint8Array(256).fill(1, ZERO, NINE + 1);
/** By byte: 1 for what ends a number or a word; and for what opens or closes something within a list or an object. */
const ENDS_SCALAR = new Uint8Array(256).fill(1, 0, 0x21);
for (const mark of ',]}') ENDS_SCALAR[mark.charCodeAt(0)] = 1;
const IS_BRACKET = new Uint8Array(256);
for (const mark of '"[]{}') IS_BRACKET[mark.charCodeAt(0)] = 1;
const LITERALS: readonly Uint8Array[] = ['true', 'false', 'null'].map((word) => Buffer.from(word));

/** Where a member's value is; both 0: the object has no such member. */
export type Slice = { start: number; end: number };

/** The members to find in an object, and where their values are put. */
type Wanted = { readonly names: readonly Uint8Array[]; readonly slices: readonly Slice[] };

class Scanner {
  /** Arrays and objects. */
  containers = 0;
  /** All values, these included. */
  values = 0;
  /** Keys of objects. */
  keys = 0;
  /** The deepest nesting. */
  depthMax = 0;
  /** By depth: 1 for an object, and where each container began. */
  readonly #isObject = new Uint8Array(SCAN_DEPTH_MAX + 1);
  readonly #starts = new Uint32Array(SCAN_DEPTH_MAX + 1);

  #open(depth: number, isObject: boolean, start: number): void {
    if (depth > this.depthMax) this.depthMax = depth;
    this.containers++;
    this.#isObject[depth] = isObject ? 1 : 0;
    this.#starts[depth] = start;
  }

  /** End of the value that begins at or after `start`; -1: not valid. `wanted`: members to find in that object. */
  value(bytes: Uint8Array, start: number, wanted: Wanted | null = null): number {
    this.containers = 0;
    this.values = 0;
    this.keys = 0;
    this.depthMax = 0;
    forgetLarge();
    let at = start;
    let depth = 0;
    let member: Slice | null = null;
    for (;;) {
      // A value is expected.
      let first = bytes[at]!;
      if (first <= 0x20) {
        at = afterSpace(bytes, at);
        first = bytes[at]!;
      }
      this.values++;
      if (depth === 1 && member !== null) member.start = at;
      if (first === OPEN_OBJECT || first === OPEN_LIST) {
        if (++depth > SCAN_DEPTH_MAX) return -1;
        this.#open(depth, first === OPEN_OBJECT, at);
        at = afterSpace(bytes, at + 1);
        if (bytes[at] !== first + 2) {
          if (first === OPEN_LIST) continue;
          if (depth === 1) member = wantedAt(bytes, at, wanted);
          this.keys++;
          at = afterKey(bytes, at);
          if (at < 0) return -1;
          continue;
        }
        at++;
        depth--;
      } else if (first > ZERO && first <= NINE) {
        // Nearly every number is only digits.
        do at++;
        while (IS_DIGIT[bytes[at]!] === 1);
        if (bytes[at] === POINT || (bytes[at]! | 0x20) === 0x65) at = afterFraction(bytes, at);
        if (at < 0) return -1;
      } else {
        at = afterScalar(bytes, at);
        if (at < 0) return -1;
      }
      // A value has ended, and perhaps its containers as well.
      for (;;) {
        if (depth === 1 && member !== null) {
          member.end = at;
          member = null;
        }
        if (depth === 0) return at;
        let byte = bytes[at]!;
        if (byte <= 0x20) {
          at = afterSpace(bytes, at);
          byte = bytes[at]!;
        }
        const isObject = this.#isObject[depth] === 1;
        if (byte === COMMA) {
          at++;
          if (isObject) {
            at = afterSpace(bytes, at);
            if (depth === 1) member = wantedAt(bytes, at, wanted);
            this.keys++;
            at = afterKey(bytes, at);
            if (at < 0) return -1;
          }
          break;
        }
        if (byte !== (isObject ? CLOSE_OBJECT : CLOSE_LIST)) return -1;
        at++;
        remember(bytes, this.#starts[depth]!, at);
        depth--;
      }
    }
  }
}

// Each of these expects something at `start` and returns where it ends, or -1 if it is not there. Beyond the last byte
// reads give undefined, which matches nothing.

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
function afterKey(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  const after = afterString(bytes, start);
  if (after < 0) return -1;
  const colon = afterSpace(bytes, after);
  return bytes[colon] === COLON ? colon + 1 : -1;
}

function afterScalar(bytes: Uint8Array, start: number): number {
  const first = bytes[start]!;
  if (first === QUOTE) return afterString(bytes, start);
  if (first === MINUS || (first >= ZERO && first <= NINE)) return afterNumber(bytes, start);
  for (const word of LITERALS) if (first === word[0]) return afterWord(bytes, start, word);
  return -1;
}

function afterString(bytes: Uint8Array, start: number): number {
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
function afterFraction(bytes: Uint8Array, start: number): number {
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

/** The slice for the key that begins at `start`; null: not wanted. */
function wantedAt(bytes: Uint8Array, start: number, wanted: Wanted | null): Slice | null {
  if (wanted === null || bytes[start] !== QUOTE) return null;
  const end = afterString(bytes, start);
  if (end < 0) return null;
  for (let i = 0; i < wanted.names.length; i++)
    if (isKey(bytes, start, end, wanted.names[i]!)) return wanted.slices[i]!;
  return null;
}

/** Also true if the key is written with escapes. */
function isKey(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  const length = end - start - 2;
  if (length === name.length) {
    let i = 0;
    while (i < length && bytes[start + 1 + i] === name[i]) i++;
    return i === length;
  }
  if (length < name.length || length > 6 * name.length) return false;
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  if (!key.includes(BACKSLASH)) return false;
  return (JSON.parse(key.toString()) as string) === Buffer.from(name).toString();
}

const EMPTY = new Uint8Array(0);
/** Shared: a scan is synchronous. */
const scanner = new Scanner();

/** True for valid JSON text, with white space around it allowed. Strings are not checked for valid UTF-8. */
export function isJson(bytes: Uint8Array): boolean {
  return isWhole(bytes, scanner.value(bytes, 0));
}

/** How much a JSON text holds. */
export type JsonSize = {
  /** Arrays and objects. */
  readonly containers: number;
  /** All values, arrays and objects among them. */
  readonly values: number;
  readonly keys: number;
  /** How deep arrays and objects are nested. */
  readonly depth: number;
};

/** null: not valid JSON. */
export function sizeOfJson(bytes: Uint8Array): JsonSize | null {
  if (!isJson(bytes)) return null;
  const { containers, values, keys, depthMax: depth } = scanner;
  return { containers, values, keys, depth };
}

function isWhole(bytes: Uint8Array, after: number): boolean {
  if (after < 0) return false;
  return afterSpace(bytes, after) === bytes.length;
}

/**
 * Finds members of objects by name; made once, for use on many objects. Of duplicates the last one counts, as in
 * `JSON.parse`; names with escapes are found too.
 */
export class Members<const Name extends string> {
  readonly #wanted: Wanted;
  readonly #places: ReadonlyMap<string, Slice>;
  #bytes: Uint8Array = EMPTY;
  #depth = 0;

  /** @param named In ASCII, without characters that JSON escapes. */
  constructor(named: readonly Name[]) {
    const names = [...new Set(named)];
    const slices = names.map(() => ({ start: 0, end: 0 }));
    this.#wanted = { names: names.map((name) => Buffer.from(name)), slices };
    this.#places = new Map(names.map((name, i) => [name, slices[i]!]));
  }

  /** False: not valid JSON, or not an object. The members are views, valid until the next call. */
  read(bytes: Uint8Array): boolean {
    for (const slice of this.#wanted.slices) slice.start = slice.end = 0;
    this.#bytes = bytes;
    const after = scanner.value(bytes, 0, this.#wanted);
    this.#depth = scanner.depthMax;
    if (!isWhole(bytes, after)) return false;
    return bytes[afterSpace(bytes, 0)] === OPEN_OBJECT;
  }

  /** The same for what is known to be valid JSON, which is faster. */
  readKnown(bytes: Uint8Array): boolean {
    for (const slice of this.#wanted.slices) slice.start = slice.end = 0;
    this.#bytes = bytes;
    let at = afterSpace(bytes, 0);
    if (bytes[at] !== OPEN_OBJECT) return false;
    at = afterSpace(bytes, at + 1);
    while (bytes[at] === QUOTE) {
      const member = wantedAt(bytes, at, this.#wanted);
      const start = afterSpace(bytes, afterKey(bytes, at));
      at = afterKnown(bytes, start);
      if (member !== null) Object.assign(member, { start, end: at });
      at = afterSpace(bytes, at);
      if (bytes[at] === COMMA) at = afterSpace(bytes, at + 1);
    }
    return true;
  }

  /** How deep the last object read is nested. */
  get depth(): number {
    return this.#depth;
  }

  /** The bytes of a member's value; null: there is none. */
  get(name: Name): Buffer | null {
    const { start, end } = this.#places.get(name)!;
    const { buffer, byteOffset } = this.#bytes;
    return end === 0 ? null : Buffer.from(buffer, byteOffset + start, end - start);
  }

  /** Releases the bytes that were read. */
  forget(): void {
    this.#bytes = EMPTY;
  }
}

/** End of a value that is known to be valid JSON: brackets are counted, and strings skipped. */
export function afterKnown(bytes: Uint8Array, start: number): number {
  const end = bytes.length;
  let at = start;
  const first = bytes[at]!;
  if (first === QUOTE) return afterString(bytes, at);
  if (first !== OPEN_OBJECT && first !== OPEN_LIST) {
    while (at < end && ENDS_SCALAR[bytes[at]!] === 0) at++;
    return at;
  }
  const known = afterLarge(bytes, at);
  if (known > 0) return known;
  let depth = 0;
  for (;;) {
    while (at < end && IS_BRACKET[bytes[at]!] === 0) at++;
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = afterString(bytes, at);
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth++;
      at++;
    } else {
      at++;
      if (--depth === 0 || at >= end) return at;
    }
  }
}
