/** The names and the encoding of NATS headers: `proto/README.md` is the page about them. */
import { isUtf8 } from 'node:buffer';
import type { Msg, MsgHdrs } from 'nats';

import { JSON_DEPTH_MAX } from '../../contract/json-depth.ts';
import { refusal } from '../../contract/refusal.ts';
import type { Failure } from '../../errors.ts';
import { CONVERT_BYTES, weightOfJson } from '../../protocol/convert.ts';
import { parseAsWritten } from '../../protocol/exact-json.ts';
import { sizeOfJson } from '../../protocol/json-scan.ts';
import type { Close, Delivery, JsonObject, Patch, Push } from '../../contract/commands.ts';
import type { Session } from '../../session/session.ts';
import type { Trace } from '../call.ts';
import { forwarded } from '../upstream.ts';

/** A value of our own headers: printable ASCII but `%` stands for itself, every other byte of UTF-8 as %XX. */
export function encodeValue(value: string): string {
  return value.replace(/[^\x21-\x24\x26-\x7e]+/g, (run) =>
    Buffer.from(run).toString('hex').toUpperCase().replace(/../g, '%$&'),
  );
}

/** A raw space, a `%` without two hex digits, and what would not be UTF-8, stand for themselves: no two values become one. */
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

/** -1: it is none. */
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

/** A block of header lines that is encoded already. `publish` asks nothing of its headers but their bytes. */
export class HeaderBlock {
  readonly #bytes: Uint8Array;

  get bytes(): number {
    return this.#bytes.length;
  }

  /** @param lines `Name: value\r\n` each, in ASCII. */
  constructor(lines: string) {
    this.#bytes = Buffer.from(`NATS/1.0\r\n${lines}\r\n`, 'latin1');
  }

  encode(): Uint8Array {
    return this.#bytes;
  }

  /** As the client library's type has it. Guarded by test/integration/nats.test.ts. */
  asHeaders(): MsgHdrs {
    return this as unknown as MsgHdrs;
  }
}

/** The trace's lines, in lower case as W3C writes the names. */
export function traceLines({ traceparent, tracestate }: Trace): string {
  return `traceparent: ${traceparent}\r\n${tracestate === '' ? '' : `tracestate: ${tracestate}\r\n`}`;
}

/** The lines that are the same for every message of a session until it changes. */
export function sessionLines(session: Session, forward: readonly string[]): string {
  let lines = `Pith-Sid: ${session.sid}\r\n`;
  if (session.uid !== '') lines += `Pith-Uid: ${encodeValue(session.uid)}\r\n`;
  lines += `Pith-Client-Ip: ${encodeValue(session.remoteIp)}\r\n`;
  const data = forwarded(session.data, forward);
  if (data !== null) lines += `Pith-Data: ${encodeJsonValue(data)}\r\n`;
  return lines;
}

/** Header lines of one message. What has more is refused as a whole. */
export const HEADER_LINES_MAX = 256;
/** Bytes of all header lines of one message, in and out. */
export const HEADER_BYTES_MAX = 1_048_576;

/** Header values by lower-case name, decoded. The first of several counts. */
export type Headers = ReadonlyMap<string, string>;

const NONE: Headers = new Map();

/** Reads what came with `message`. @throws {HeaderError} when it is too much, or no header block. */
export function readHeaders(message: Msg): Headers {
  const block = blockOf(message);
  return block === null ? NONE : readBlock(block);
}

/** True when anything stands before the message's data. */
export function hasHeaders(message: Msg): boolean {
  return blockOf(message) !== null;
}

/** True for what the server says where nobody listens to what was asked. */
export function saysNobody(message: Msg): boolean {
  if (message.data.length > 0) return false;
  return blockOf(message)?.toString('latin1', 0, NOBODY.length) === NOBODY;
}

const VERSION = 'NATS/1.0';
const NOBODY = `${VERSION} 503`;

/** What the client library keeps of a message; its own reading of the headers takes quadratic time. */
type Inside = { readonly _msg: { readonly hdr: number }; readonly _rdata: Uint8Array };

/** Guarded by test/integration/nats-headers.test.ts. */
function blockOf(message: Msg): Buffer | null {
  const { _msg, _rdata } = message as unknown as Inside;
  if (_msg.hdr <= 0) return null;
  return Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr);
}

/** In one pass. Our own headers are decoded, other people's left as they are. @throws {HeaderError} */
export function readBlock(block: Buffer): Headers {
  if (block.length > HEADER_BYTES_MAX)
    throw new HeaderError(`${block.length} bytes of headers; at most ${HEADER_BYTES_MAX} are read`);
  const isText = isUtf8(block);
  const text = block.toString(isText ? 'utf8' : 'latin1');
  let at = endOfLine(text, 0);
  if (!text.startsWith(VERSION)) throw new HeaderError(`the headers do not begin with ${VERSION}`);
  const read = new Map<string, string>();
  for (let lines = 0; at < text.length; lines++) {
    const end = endOfLine(text, at);
    const line = text.slice(at, end - LINE_END.length);
    at = end;
    if (line !== '' && lines >= HEADER_LINES_MAX)
      throw new HeaderError(`more than ${HEADER_LINES_MAX} headers`);
    readLine(isText ? line : readable(line), read);
  }
  return read;
}

/** What was read as latin1, as UTF-8 where it is that. */
export function readable(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : text;
}

const LINE_END = '\r\n';

/** Where the line after the one at `at` begins. */
function endOfLine(text: string, at: number): number {
  const end = text.indexOf(LINE_END, at);
  if (end < 0) throw new HeaderError('the headers are cut off');
  return end + LINE_END.length;
}

/** Lines without a colon say nothing. */
function readLine(line: string, read: Map<string, string>): void {
  const colon = line.indexOf(':');
  if (colon < 0) return;
  const name = line.slice(0, colon).toLowerCase();
  if (!/^[\x21-\x7e]*$/.test(name))
    throw new HeaderError('a header name with a space, or with other than ASCII');
  if (/[\r\n]/.test(line))
    throw new HeaderError(`header ${name.slice(0, 64)}: a line break in its value`);
  if (read.has(name)) return;
  // A copy: what is cut out of a text holds all of it, and a uid is kept as long as its session.
  const value = Buffer.from(line.slice(colon + 1).trim()).toString();
  read.set(name, name.startsWith('pith-') ? decodeValue(value) : value);
}

/** A value could not be read: what a backend is told, or the log where nobody can be told. */
export class HeaderError extends Error {}

function json(headers: Headers, name: string): unknown {
  const value = headers.get(name);
  if (value === undefined || value === '') return undefined;
  const bytes = Buffer.from(value);
  const weight = weightOfJson(bytes, CONVERT_BYTES);
  if (weight > CONVERT_BYTES)
    throw new HeaderError(`header ${name}: ${weight} bytes of JSON; at most ${CONVERT_BYTES}`);
  const size = sizeOfJson(bytes);
  if (size === null) throw new HeaderError(`header ${name}: not JSON`);
  if (size.depth > JSON_DEPTH_MAX)
    throw new HeaderError(`header ${name}: nested deeper than ${JSON_DEPTH_MAX}`);
  return parseAsWritten(value);
}

function object(headers: Headers, name: string): JsonObject | undefined {
  const value = json(headers, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HeaderError(`header ${name}: not a JSON object`);
  }
  return value as JsonObject;
}

function strings(headers: Headers, name: string): string[] | undefined {
  const value = json(headers, name);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw new HeaderError(`header ${name}: not a JSON array of strings`);
  }
  return value as string[];
}

function wholeNumber(headers: Headers, name: string): number {
  const value = headers.get(name);
  if (value === undefined || value === '') return 0;
  if (!/^[0-9]{1,15}$/.test(value)) throw new HeaderError(`header ${name}: not a whole number`);
  return Number(value);
}

/** Session changes in the headers of a reply; null: none. @throws {HeaderError} */
export function readPatch(headers: Headers): Patch | null {
  const patch: Patch = {};
  const uid = headers.get('pith-bind');
  const set = object(headers, 'pith-set');
  const join = strings(headers, 'pith-join');
  const leave = strings(headers, 'pith-leave');
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

/** The error in the headers of a reply, as NATS micro services send it; null: it is a success. */
export function readFailure(headers: Headers, body: Uint8Array): Failure | null {
  const code = headers.get('nats-service-error-code');
  const message = headers.get('nats-service-error');
  if (code === undefined && message === undefined) return null;
  const said = {
    code: codeOf(code ?? ''),
    reason: headers.get('pith-error-reason') ?? '',
    message: message ?? '',
  };
  return refusal(said, body);
}

/** Any code that the other ways to a backend can say, which is 32 bits with a sign; 0: it is none. */
function codeOf(text: string): number {
  const code = /^-?[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  return code === (code | 0) ? code : 0;
}

/** The lines of a push as `readPush` reads them; `target` for a push to the whole fleet. */
export function pushLines(push: Push, target: JsonObject | null): string {
  let lines = `Pith-Route: ${encodeValue(push.route)}\r\n`;
  if (push.delivery !== 'must') lines += `Pith-Delivery: ${push.delivery}\r\n`;
  if (push.latestKey !== '') lines += `Pith-Latest-Key: ${encodeValue(push.latestKey)}\r\n`;
  if (push.expiresInMs > 0) lines += `Pith-Expires-Ms: ${Math.ceil(push.expiresInMs)}\r\n`;
  if (target !== null) return `${lines}Pith-Target: ${encodeJsonValue(target)}\r\n`;
  const { exceptSids, exceptUids, where } = push.target ?? {};
  if (exceptSids?.length) lines += `Pith-Except-Sids: ${encodeJsonValue(exceptSids)}\r\n`;
  if (exceptUids?.length) lines += `Pith-Except-Uids: ${encodeJsonValue(exceptUids)}\r\n`;
  if (where !== undefined) lines += `Pith-Where: ${encodeJsonValue(where)}\r\n`;
  return lines;
}

const DELIVERIES: ReadonlyMap<string, Delivery> = new Map([
  ['must', 'must'],
  ['droppable', 'droppable'],
  ['latest', 'latest'],
]);

/** The push in a verb's headers and body, its target to be filled in from the subject. @throws {HeaderError} */
export function readPush(headers: Headers, body: Uint8Array): Push {
  const route = headers.get('pith-route');
  if (route === undefined || route === '')
    throw new HeaderError('header Pith-Route is missing: what the client listens to');
  const delivery = DELIVERIES.get(headers.get('pith-delivery') ?? 'must');
  if (delivery === undefined)
    throw new HeaderError('header Pith-Delivery: must, droppable or latest');
  const exceptSids = strings(headers, 'pith-except-sids');
  const exceptUids = strings(headers, 'pith-except-uids');
  const where = object(headers, 'pith-where');
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
  };
}
