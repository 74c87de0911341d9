/** The inner Pomelo message of a DATA packet: flag, id, route, body. */
import { expectFits } from './client-error.ts';
import { writeVarint } from './proto-bytes.ts';
import { decodeText, encodeText } from './text.ts';

/** Kinds of messages: bits 1 to 3 of the flag. */
export const REQUEST = 0;
export const NOTIFY = 1;
export const RESPONSE = 2;
export const PUSH = 3;

const FLAG_ROUTE_CODE = 0x01;
const FLAG_COMPRESSED = 0x10;
const FLAG_ERROR = 0x20;
const ID_BYTES_MAX = 5;
/** What one byte of length can express. */
export const ROUTE_BYTES_MAX = 255;
/** Servers handle ids with 32-bit arithmetic, which wraps beyond this. */
export const ID_MAX = 0x7fffffff;

/** A message from a server. */
export type Message = {
  readonly kind: number;
  /** 0: none. */
  readonly id: number;
  /** A name, or a code of the dictionary; '' in a response. */
  readonly route: string | number;
  /** The body is compressed (Pitaya). */
  readonly isCompressed: boolean;
  /** The body is an error (Pitaya). */
  readonly isError: boolean;
  /** A view. */
  readonly body: Uint8Array;
};

/**
 * A request, or a notify where `id` is 0.
 *
 * @throws {ClientError} BAD_ROUTE.
 */
export function encodeMessage(id: number, route: string | number, body: Uint8Array): Uint8Array {
  const isCode = typeof route === 'number';
  const name = isCode ? Uint8Array.of(route >>> 8, route) : encodeText(route);
  expectFits('BAD_ROUTE', 'a route', name.length, ROUTE_BYTES_MAX);
  const head = [((id > 0 ? REQUEST : NOTIFY) << 1) | (isCode ? FLAG_ROUTE_CODE : 0)];
  if (id > 0) writeVarint(head, id);
  if (!isCode) head.push(name.length);
  const bytes = new Uint8Array(head.length + name.length + body.length);
  bytes.set(head);
  bytes.set(name, head.length);
  bytes.set(body, head.length + name.length);
  return bytes;
}

/** What is wrong with a message. */
export type MessageFault = 'bad_kind' | 'bad_id' | 'truncated';

/** Decodes a message from a server. */
export function decodeMessage(bytes: Uint8Array): Message | MessageFault {
  if (bytes.length === 0) return 'truncated';
  const flag = bytes[0]!;
  const kind = (flag >> 1) & 7;
  if (kind > PUSH) return 'bad_kind';
  let at = 1;
  let id = 0;
  if (kind === REQUEST || kind === RESPONSE) {
    let scale = 1;
    for (let byte = 0x80; byte > 0x7f; scale *= 128) {
      if (at === bytes.length) return 'truncated';
      if (at > ID_BYTES_MAX) return 'bad_id';
      byte = bytes[at++]!;
      id += (byte & 0x7f) * scale;
    }
  }
  let route: string | number = '';
  if (kind !== RESPONSE) {
    const isCode = (flag & FLAG_ROUTE_CODE) !== 0;
    const length = isCode ? 2 : (bytes[at++] ?? bytes.length);
    if (bytes.length - at < length) return 'truncated';
    route = isCode
      ? (bytes[at]! << 8) | bytes[at + 1]!
      : decodeText(bytes.subarray(at, at + length));
    at += length;
  }
  return {
    kind,
    id,
    route,
    isCompressed: (flag & FLAG_COMPRESSED) !== 0,
    isError: (flag & FLAG_ERROR) !== 0,
    body: bytes.subarray(at),
  };
}
