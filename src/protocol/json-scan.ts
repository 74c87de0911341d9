/**
 * Scans JSON without parsing it: whether it is valid, where its members are, and how much there is to convert. One pass
 * over the bytes, without recursion or allocation, so that the text can pass unchanged. [RFC 8259]
 */
import { afterLarge, forgetLarge, remember } from './large-json.ts';
import {
  QUOTE,
  BACKSLASH,
  COMMA,
  POINT,
  ZERO,
  NINE,
  OPEN_LIST,
  CLOSE_LIST,
  OPEN_OBJECT,
  CLOSE_OBJECT,
  IS_DIGIT,
  ENDS_SCALAR,
  IS_BRACKET,
  afterSpace,
  afterKey,
  afterScalar,
  afterString,
  afterFraction,
} from './json-tokens.ts';

/** How deep arrays and objects may be nested; anything deeper counts as invalid. */
export const SCAN_DEPTH_MAX = 65_536;

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
