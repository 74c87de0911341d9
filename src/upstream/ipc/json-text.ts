/** JSON text that is passed on as it is, inside other JSON. Pure. */
import { isUtf8 } from 'node:buffer';

/**
 * How deep a client's JSON may be nested on its way to a backend: decoders give up at some depth (Go's at 10,000),
 * and one that gives up on a line may give up on the connection.
 */
export const PAYLOAD_DEPTH_MAX = 256;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;

/** What keeps `body` from standing inside a line as a value; null: nothing. */
export function faultOfJson(body: Buffer): string | null {
  if (!isUtf8(body)) return 'it is not UTF-8';
  if (nestsDeeper(body, PAYLOAD_DEPTH_MAX)) return `it is nested deeper than ${PAYLOAD_DEPTH_MAX}`;
  try {
    JSON.parse(body.toString());
    return null;
  } catch {
    return 'it is not JSON';
  }
}

/** Copies JSON text to `into` on one line: a line break in it can only stand between its tokens. */
export function copyOnOneLine(body: Buffer, into: Buffer, start: number): void {
  const end = start + body.copy(into, start);
  for (const mark of [NEWLINE, RETURN]) {
    let at = body.indexOf(mark) < 0 ? -1 : into.indexOf(mark, start);
    while (at >= 0 && at < end) {
      into[at] = SPACE;
      at = into.indexOf(mark, at + 1);
    }
  }
}

/** Counts brackets outside strings; what is no JSON may give any answer. */
function nestsDeeper(body: Buffer, max: number): boolean {
  let depth = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]!;
    if (byte === QUOTE) {
      at = afterString(body, at) - 1;
    } else if (isOpening(byte)) {
      depth++;
      if (depth > max) return true;
    } else if (isClosing(byte)) {
      depth--;
    }
  }
  return false;
}

/**
 * The bytes of a member's value, in a line that is known to be a JSON object; null: it has no such member. Of
 * several the last counts, as in `JSON.parse`.
 *
 * @param name In ASCII without escapes, and looked for as it is.
 */
export function memberOf(line: Buffer, name: string): Buffer | null {
  let found: Buffer | null = null;
  let at = line.indexOf(0x7b) + 1;
  for (;;) {
    const key = line.indexOf(QUOTE, at);
    if (key < 0) return found;
    const keyEnd = afterString(line, key);
    const start = skipSpace(line, line.indexOf(0x3a, keyEnd) + 1);
    const end = afterValue(line, start);
    if (keyEnd - key - 2 === name.length && line.toString('latin1', key + 1, keyEnd - 1) === name)
      found = line.subarray(start, end);
    at = end;
  }
}

/** Where the string that begins at `start` has ended. */
function afterString(text: Buffer, start: number): number {
  let quote = text.indexOf(QUOTE, start + 1);
  while (quote >= 0) {
    let slashes = 0;
    while (text[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return quote + 1;
    quote = text.indexOf(QUOTE, quote + 1);
  }
  return text.length;
}

function afterValue(text: Buffer, start: number): number {
  if (text[start] === QUOTE) return afterString(text, start);
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const byte = text[at]!;
    if (byte === QUOTE) {
      at = afterString(text, at) - 1;
    } else if (isOpening(byte)) {
      depth++;
    } else if (isClosing(byte)) {
      // The brace of the object itself, behind a number or a word.
      if (depth === 0) return trimEnd(text, at);
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && byte === 0x2c) {
      return trimEnd(text, at);
    }
  }
  return text.length;
}

function trimEnd(text: Buffer, end: number): number {
  let at = end;
  while (isSpace(text[at - 1])) at--;
  return at;
}

function skipSpace(text: Buffer, start: number): number {
  let at = start;
  while (isSpace(text[at])) at++;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === 0x09 || byte === NEWLINE || byte === RETURN;
}

function isOpening(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b;
}

function isClosing(byte: number): boolean {
  return byte === 0x7d || byte === 0x5d;
}
