/** JSON text that is passed on as it is, inside other JSON. Pure. */
import { isUtf8 } from 'node:buffer';

import { sizeOfJson } from '../../protocol/json-scan.ts';

/**
 * How deep a client's JSON may be nested on its way to a backend: decoders give up at some depth (Go's at 10,000),
 * and one that gives up on a line may give up on the connection.
 */
export const PAYLOAD_DEPTH_MAX = 256;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;

/** What keeps `body` from standing inside a line as a value; null: nothing. */
export function faultOfJson(body: Buffer): string | null {
  if (!isUtf8(body)) return 'it is not UTF-8';
  const size = sizeOfJson(body);
  if (size === null) return 'it is not JSON';
  return size.depth > PAYLOAD_DEPTH_MAX ? `it is nested deeper than ${PAYLOAD_DEPTH_MAX}` : null;
}

/** Copies JSON text to `into` on one line: a line break in it can only stand between its tokens. */
export function copyOnOneLine(body: Buffer, into: Buffer, start: number): void {
  const end = start + body.copy(into, start);
  if (!body.includes(NEWLINE) && !body.includes(RETURN)) return;
  for (let at = start; at < end; at++) {
    const byte = into[at];
    if (byte === NEWLINE || byte === RETURN) into[at] = SPACE;
  }
}
