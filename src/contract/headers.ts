/** Our headers, in NATS, HTTP and gRPC metadata: names, encoding, values. `proto/README.md` documents them. */
import { isUtf8 } from 'node:buffer';

import type { Failure } from '../errors.ts';
import type { Close, JsonObject, Patch, Push } from './commands.ts';
import { type Cursor, cursorText, readCursor, readPushCursor } from './cursor.ts';
import { forwarded, type SessionFacts, type Trace, traceparentOf } from './facts.ts';
import { deliveryOf, objectOf, parseJson, ShapeError, textsOf, wholeNumberOf } from './json.ts';
import { refusal } from './refusal.ts';

/** Encodes a value of our own headers: printable ASCII except `%` stays, every other byte of UTF-8 becomes %XX. */
export function encodeValue(value: string): string {
  return value.replace(/[^\x21-\x24\x26-\x7e]+/g, (run) =>
    Buffer.from(run).toString('hex').toUpperCase().replace(/../g, '%$&'),
  );
}

/** A raw space, a `%` without two hex digits, and what would not be UTF-8, stay as they are, so no two values become one. */
export function decodeValue(value: string): string {
  if (!value.includes('%')) return value;
  const bytes = Buffer.from(value);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const high = bytes[i] === PERCENT ? hexDigit(bytes[i + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[i + 2]);
    if (low >= 0) i += 2;
    // Never ahead of what is read.
    bytes[length++] = low < 0 ? bytes[i]! : high * 16 + low;
  }
  const decoded = bytes.subarray(0, length);
  return isUtf8(decoded) ? decoded.toString() : value;
}

const PERCENT = 0x25;

/** -1: it is not one. */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** JSON for a header: ASCII, then encoded. */
export function encodeJsonValue(value: unknown): string {
  const ascii = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return encodeValue(ascii);
}

/**
 * The headers about a session, the same for all its messages until it changes: names and values in turn.
 *
 * @param forward The keys of its data that the route forwards.
 */
export function sessionHeaders(session: SessionFacts, forward: readonly string[]): string[] {
  const pairs = ['Pith-Sid', session.sid];
  if (session.uid !== '') pairs.push('Pith-Uid', encodeValue(session.uid));
  pairs.push('Pith-Client-Ip', encodeValue(session.remoteIp));
  const data = forwarded(session.data, forward);
  if (data !== null) pairs.push('Pith-Data', encodeJsonValue(data));
  return pairs;
}

/** Names and values in turn, in lower case as W3C writes the names. */
export function traceHeaders({ traceparent, tracestate }: Trace): string[] {
  const pairs = ['traceparent', traceparent];
  if (tracestate !== '') pairs.push('tracestate', tracestate);
  return pairs;
}

/** Header values by lower-case name, decoded. The first of several counts. */
export type Headers = ReadonlyMap<string, string>;

/** Text that was read as latin1, as UTF-8 if it is that. */
export function readable(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : text;
}

/** The JSON in a header; undefined: there is none. @throws {ShapeError} */
function json<T>(
  headers: Headers,
  name: string,
  shape: (value: unknown, name: string) => T,
): T | undefined {
  const value = headers.get(name);
  if (value === undefined || value === '') return undefined;
  const header = `header ${name}`;
  return shape(parseJson(Buffer.from(value), header), header);
}

function object(headers: Headers, name: string): JsonObject | undefined {
  return json(headers, name, objectOf) as JsonObject | undefined;
}

function wholeNumber(headers: Headers, name: string): number {
  return wholeNumberOf(headers.get(name) || '0', `header ${name}`);
}

/** Session changes in the headers of a reply; null: none. @throws {ShapeError} */
export function readPatch(headers: Headers): Patch | null {
  const patch: Patch = {};
  const uid = headers.get('pith-bind');
  const set = object(headers, 'pith-set');
  const join = json(headers, 'pith-join', textsOf);
  const leave = json(headers, 'pith-leave', textsOf);
  if (uid !== undefined) patch.uid = uid;
  if (set !== undefined) patch.set = set;
  if (join !== undefined) patch.join = join;
  if (leave !== undefined) patch.leave = leave;
  if (Object.keys(patch).length === 0) return null;
  patch.ifVersion = wholeNumber(headers, 'pith-if-version');
  return patch;
}

/** `Pith-Close: reason` of a reply; null: none. */
export function readClose(headers: Headers): Close | null {
  const reason = headers.get('pith-close');
  return reason === undefined ? null : { reason, code: 0, kick: false, retryAfterMs: 0 };
}

/** `Pith-From: <epoch>.<n>` of a reply; undefined: it does not say. @throws {ShapeError} */
export function readFrom(headers: Headers): Cursor | undefined {
  const text = headers.get('pith-from');
  return text ? readCursor(text, 'header pith-from') : undefined;
}

/** The error in the headers of a reply, as NATS micro services send it; null: it is a success. */
export function readFailure(headers: Headers, body: Uint8Array): Failure | null {
  const code = headers.get('nats-service-error-code');
  const message = headers.get('nats-service-error');
  if (code === undefined && message === undefined) return null;
  const given = {
    code: Number(/^-?[0-9]{1,10}$/.exec(code ?? '')?.[0] ?? 0),
    reason: headers.get('pith-error-reason') ?? '',
    message: message ?? '',
  };
  return refusal(given, body);
}

/** The lines of a push, as `readPush` reads them. @param target For a push to the whole fleet; null: the subject has it. */
export function pushLines(push: Push, target: JsonObject | null): string {
  let lines = `Pith-Route: ${encodeValue(push.route)}\r\n`;
  if (push.delivery !== 'must') lines += `Pith-Delivery: ${push.delivery}\r\n`;
  if (push.latestKey !== '') lines += `Pith-Latest-Key: ${encodeValue(push.latestKey)}\r\n`;
  if (push.expiresInMs > 0) lines += `Pith-Expires-Ms: ${Math.ceil(push.expiresInMs)}\r\n`;
  if (push.traceparent !== undefined) lines += `traceparent: ${push.traceparent}\r\n`;
  if (push.cursor !== undefined) lines += `Pith-Cursor: ${cursorText(push.cursor)}\r\n`;
  if (target !== null) return `${lines}Pith-Target: ${encodeJsonValue(target)}\r\n`;
  const { exceptSids, exceptUids, where } = push.target ?? {};
  if (exceptSids?.length) lines += `Pith-Except-Sids: ${encodeJsonValue(exceptSids)}\r\n`;
  if (exceptUids?.length) lines += `Pith-Except-Uids: ${encodeJsonValue(exceptUids)}\r\n`;
  if (where !== undefined) lines += `Pith-Where: ${encodeJsonValue(where)}\r\n`;
  return lines;
}

/** Names the gateway that has published a push. It is the only one that does not carry it out. */
export function publisherLine(gatewayId: string): string {
  return `Pith-Gateway: ${gatewayId}\r\n`;
}

/**
 * True for a push of this gateway's own. NATS does not give a connection its own messages, but what a server has held
 * back may come after the gateway has another connection.
 */
export function isOwnPush(headers: Headers, gatewayId: string): boolean {
  return headers.get('pith-gateway') === gatewayId;
}

/** The push in a verb's headers and body; the rest of its target is in the subject. @throws {ShapeError} */
export function readPush(headers: Headers, body: Uint8Array): Push {
  const route = headers.get('pith-route');
  if (route === undefined || route === '')
    throw new ShapeError('header Pith-Route is missing: the route that the client listens to');
  const delivery = deliveryOf(headers.get('pith-delivery') ?? 'must', 'header pith-delivery');
  const exceptSids = json(headers, 'pith-except-sids', textsOf);
  const exceptUids = json(headers, 'pith-except-uids', textsOf);
  const where = object(headers, 'pith-where');
  const cursor = headers.get('pith-cursor');
  const traceparent = traceparentOf(headers.get('traceparent'));
  return {
    target: {
      ...(exceptSids && { exceptSids }),
      ...(exceptUids && { exceptUids }),
      ...(where && { where }),
    },
    route,
    body,
    delivery,
    latestKey: headers.get('pith-latest-key') ?? '',
    expiresInMs: wholeNumber(headers, 'pith-expires-ms'),
    afterReply: false,
    ...(cursor && { cursor: readPushCursor(cursor, 'header pith-cursor') }),
    ...(traceparent !== undefined && { traceparent }),
  };
}
