/**
 * Strings as Pomelo's clients write and read them. Stock browser clients encode each UTF-16 unit separately (CESU-8:
 * six bytes for one character beyond the basic plane) and misread UTF-8 of four bytes; all others use UTF-8.
 */
import { isAscii, isUtf8 } from 'node:buffer';

import { isJson } from './json-scan.ts';

/** How a client reads strings outside JSON: `cesu8` for stock browser clients. */
export type StringForm = 'utf8' | 'cesu8';

/** Bytes of one character beyond the basic plane: in UTF-8, in CESU-8, and as two escapes in JSON. */
const UTF8_BYTES = 4;
const CESU8_BYTES = 6;
const ESCAPED_BYTES = 12;

/** Bytes up to which a text is first tried as ASCII, which is cheaper to read. */
const SHORT_BYTES = 32;

const HEX = Buffer.from('0123456789abcdef');
const SURROGATE = /[\ud800-\udfff]/;

/** The text in `bytes` from `start` to `end`: UTF-8 that may contain CESU-8 pairs; U+FFFD for anything else. */
export function textFromClient(bytes: Buffer, start = 0, end: number = bytes.length): string {
  if (end - start <= SHORT_BYTES) {
    let at = start;
    while (at < end && bytes[at]! < 0x80) at++;
    if (at === end) return bytes.toString('latin1', start, end);
  }
  const text = bytes.toString('utf8', start, end);
  // A pair is not valid UTF-8, so only a text with U+FFFD can contain one.
  if (!text.includes('\ufffd')) return text;
  return joinPairs(bytes.subarray(start, end)).toString('utf8');
}

/** A client's JSON as UTF-8: the same buffer if it is that already, otherwise with CESU-8 pairs joined. */
export function utf8FromClient(json: Buffer): Buffer {
  return isUtf8(json) ? json : joinPairs(json);
}

const BRACE = 0x7b;
const BRACKET = 0x5b;
/** White space that is skipped to find where JSON begins. */
const SPACES_MAX = 16;

/**
 * A client's body as a backend reads it: JSON in UTF-8, anything else unchanged. Other bytes may begin like a JSON
 * object or list, so the whole body is checked to be one. null: more than `bytesMax` to convert.
 */
export function bodyFromClient(body: Buffer, bytesMax: number): Buffer | null {
  if (!beginsAsJson(body) || isUtf8(body) || !isJson(body)) return body;
  return body.length > bytesMax ? null : joinPairs(body);
}

/**
 * A backend's body as every client can read it: JSON without characters of four bytes and without trailing white space
 * (libpomelo2 takes the newline of Go's encoder for broken JSON); anything else unchanged, see `bodyFromClient`. null:
 * more than `bytesMax` to escape.
 */
export function bodyForClient<T extends Uint8Array>(body: T, bytesMax: number): T | Buffer | null {
  if (!beginsAsJson(body)) return body;
  const trimmed = withoutTail(body);
  const hasAstral = !isAscii(body) && nextAstral(body, 0) < body.length;
  if ((trimmed === body && !hasAstral) || !isJson(body)) return body;
  if (!hasAstral) return trimmed;
  return body.length > bytesMax ? null : escapeAstral(trimmed);
}

/** True if it may be an object or a list; other bodies are the application's own bytes. */
export function beginsAsJson(body: Uint8Array): boolean {
  let at = 0;
  while (isSpace(body[at]) && at < SPACES_MAX) at++;
  return body[at] === BRACE || body[at] === BRACKET;
}

function withoutTail<T extends Uint8Array>(body: T): T {
  let end = body.length;
  while (isSpace(body[end - 1])) end--;
  return end === body.length ? body : (body.subarray(0, end) as T);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Joins CESU-8 pairs; other bytes stay, valid or not. The same buffer if there is no pair. */
function joinPairs(bytes: Buffer): Buffer {
  let joined: Buffer | null = null;
  let written = 0;
  let copied = 0;
  for (let at = bytes.indexOf(0xed); at >= 0 && at + CESU8_BYTES <= bytes.length;) {
    if (!isPair(bytes, at)) {
      at = bytes.indexOf(0xed, at + 1);
      continue;
    }
    joined ??= Buffer.allocUnsafe(bytes.length - (CESU8_BYTES - UTF8_BYTES));
    written += bytes.copy(joined, written, copied, at);
    const high = ((bytes[at + 1]! & 0x0f) << 6) | (bytes[at + 2]! & 0x3f);
    const low = ((bytes[at + 4]! & 0x0f) << 6) | (bytes[at + 5]! & 0x3f);
    written = writeAstral(joined, written, 0x10000 + (high << 10) + low);
    copied = at + CESU8_BYTES;
    at = bytes.indexOf(0xed, copied);
  }
  if (joined === null) return bytes;
  written += bytes.copy(joined, written, copied);
  return joined.subarray(0, written);
}

/** True for ED A0..AF xx ED B0..BF xx: a high and a low surrogate, each as three bytes. */
function isPair(bytes: Buffer, at: number): boolean {
  return (
    (bytes[at + 1]! & 0xf0) === 0xa0 &&
    isContinuation(bytes[at + 2]!) &&
    bytes[at + 3] === 0xed &&
    (bytes[at + 4]! & 0xf0) === 0xb0 &&
    isContinuation(bytes[at + 5]!)
  );
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function writeAstral(into: Buffer, start: number, codePoint: number): number {
  into[start] = 0xf0 | (codePoint >> 18);
  into[start + 1] = 0x80 | ((codePoint >> 12) & 0x3f);
  into[start + 2] = 0x80 | ((codePoint >> 6) & 0x3f);
  into[start + 3] = 0x80 | (codePoint & 0x3f);
  return start + UTF8_BYTES;
}

/**
 * JSON for any client: every character of four bytes as two escapes, as `clientJson` writes them. The same buffer if
 * there is none. Invalid UTF-8 stays unchanged.
 */
export function escapeAstral<T extends Uint8Array>(json: T): T | Buffer {
  if (isAscii(json)) return json;
  let count = 0;
  for (let at = nextAstral(json, 0); at < json.length; at = nextAstral(json, at + UTF8_BYTES)) {
    count++;
  }
  if (count === 0) return json;
  const escaped = Buffer.allocUnsafe(json.length + count * (ESCAPED_BYTES - UTF8_BYTES));
  let written = 0;
  let copied = 0;
  for (let at = nextAstral(json, 0); at < json.length; at = nextAstral(json, copied)) {
    // Often one immediately follows another.
    if (at > copied) escaped.set(json.subarray(copied, at), written);
    written += at - copied;
    const offset = codePointAt(json, at) - 0x10000;
    written = writeEscape(escaped, written, 0xd800 | (offset >> 10));
    written = writeEscape(escaped, written, 0xdc00 | (offset & 0x3ff));
    copied = at + UTF8_BYTES;
  }
  escaped.set(json.subarray(copied), written);
  return escaped;
}

/** Where the next character of four bytes begins; the length if there is none. */
function nextAstral(bytes: Uint8Array, start: number): number {
  const { length } = bytes;
  for (let at = start; at < length; at++) {
    if (bytes[at]! >= 0xf0 && at + UTF8_BYTES <= length && codePointAt(bytes, at) > 0) return at;
  }
  return length;
}

/** The character of four bytes at `at`; 0: there is none. */
function codePointAt(bytes: Uint8Array, at: number): number {
  const b = bytes[at + 1]!;
  const c = bytes[at + 2]!;
  const d = bytes[at + 3]!;
  if (!isContinuation(b) || !isContinuation(c) || !isContinuation(d)) return 0;
  const codePoint =
    ((bytes[at]! & 0x0f) << 18) | ((b & 0x3f) << 12) | ((c & 0x3f) << 6) | (d & 0x3f);
  return codePoint >= 0x10000 && codePoint <= 0x10ffff ? codePoint : 0;
}

function writeEscape(into: Buffer, start: number, unit: number): number {
  into[start] = 0x5c; // \
  into[start + 1] = 0x75; // u
  into[start + 2] = HEX[unit >> 12]!;
  into[start + 3] = HEX[(unit >> 8) & 0xf]!;
  into[start + 4] = HEX[(unit >> 4) & 0xf]!;
  into[start + 5] = HEX[unit & 0xf]!;
  return start + 6;
}

/** `text` as stock browser clients write it: each UTF-16 unit separately, unpaired ones too. */
export function cesu8(text: string): Buffer {
  if (!SURROGATE.test(text)) return Buffer.from(text);
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) {
      bytes[at++] = unit;
    } else if (unit < 0x800) {
      bytes[at++] = 0xc0 | (unit >> 6);
      bytes[at++] = 0x80 | (unit & 0x3f);
    } else {
      bytes[at++] = 0xe0 | (unit >> 12);
      bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
      bytes[at++] = 0x80 | (unit & 0x3f);
    }
  }
  return bytes.subarray(0, at);
}
