/** How the families read and write text. */
import { isUtf8 } from 'node:buffer';

import { Trouble } from './wire.ts';

/** As JavaScript clients without TextEncoder do: each half of a surrogate pair is three bytes of its own. */
export function cesu8(text: string): Buffer {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes.push(unit);
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f));
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f));
  }
  return Buffer.from(bytes);
}

/**
 * As those clients read it: sequences of up to three bytes only, so that a character of four is misread.
 * pomelo-protocol 0.1.6 and all before it, `Protocol.strdecode`.
 */
export function readUpToThreeBytes(bytes: Buffer): string {
  if (bytes.some((byte) => byte >= 0xf0)) {
    throw new Trouble(`misreads a character of four bytes: ${bytes.toString('hex')}`);
  }
  // What is left is UTF-8, or UTF-8 with the halves of surrogate pairs: the same arithmetic reads both.
  let text = '';
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i]!;
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : 3;
    if (i + size > bytes.length) throw new Trouble('reads past the end of a text');
    const [second, third] = [bytes[i + 1]! & 0x3f, bytes[i + 2]! & 0x3f];
    if (size === 1) text += String.fromCharCode(first);
    else if (size === 2) text += String.fromCharCode(((first & 0x3f) << 6) | second);
    else text += String.fromCharCode(((first & 0x0f) << 12) | (second << 6) | third);
    i += size;
  }
  return text;
}

/** Text of a client that takes the bytes for UTF-8: anything else would reach the application as garbage. */
export function readUtf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Trouble(`misreads what is not UTF-8: ${bytes.toString('hex')}`);
  return bytes.toString();
}

/** What a client's JSON parser refuses stops it, or reaches nobody. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Trouble(`cannot parse ${JSON.stringify(text.slice(0, 200))}`);
  }
}
