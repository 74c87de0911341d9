/** The headers of a NATS message, as the client library gives and takes them. */
import { isUtf8 } from 'node:buffer';

import { decodeValue, type Headers, readable } from '../../contract/headers.ts';
import { ShapeError } from '../../contract/json.ts';
import type { NatsHeaders, NatsMessage } from './nats-connection.ts';

/** Header lines of one message; one with more is refused. */
export const HEADER_LINES_MAX = 256;
/** Bytes of all header lines of one message, incoming or outgoing. */
export const HEADER_BYTES_MAX = 1_048_576;

const VERSION = 'NATS/1.0';
const NOBODY = `${VERSION} 503`;
const LINE_END = '\r\n';
/** The first of the lines that JetStream adds. */
const STREAM_LINE = `${LINE_END}Nats-Stream: `;
/** All of them: a name of a stream, a subject, three numbers and a time. */
const STREAM_LINES_BYTES_MAX = 2_048;
const NONE: Headers = new Map();

/** Header lines of a message that is published. */
export class HeaderBlock implements NatsHeaders {
  readonly text: string;

  /** @param lines `Name: value\r\n` each, in ASCII. */
  constructor(lines: string) {
    this.text = `${VERSION}\r\n${lines}\r\n`;
  }

  get bytes(): number {
    return this.text.length;
  }

  encode(): Uint8Array {
    return Buffer.from(this.text, 'latin1');
  }
}

/** @param pairs Names and values in turn. */
export function linesOf(pairs: readonly string[]): string {
  const parts: string[] = [];
  for (let i = 0; i < pairs.length; i += 2) parts.push(pairs[i]!, ': ', pairs[i + 1]!, LINE_END);
  // Joined, it is one flat string: what is kept for a session is copied into each of its messages.
  return parts.join('');
}

/** Reads what came with `message`. @throws {ShapeError} They are too large, or malformed. */
export function readHeaders(message: NatsMessage): Headers {
  const block = blockOf(message);
  return block === null ? NONE : readBlock(block);
}

/** True if the message has headers, or a status. */
export function hasHeaders(message: NatsMessage): boolean {
  return blockOf(message) !== null;
}

/** True for the server's answer to a request that has no subscriber. */
export function saysNobody(message: NatsMessage): boolean {
  if (message.data.length > 0) return false;
  return blockOf(message)?.toString('latin1', 0, NOBODY.length) === NOBODY;
}

/** The status of a message that has one, such as 404; 0: it has none. */
export function statusOf(message: NatsMessage): number {
  const block = blockOf(message);
  if (block === null) return 0;
  return Number(/^NATS\/1\.0 ([1-9][0-9]{2})/.exec(block.toString('latin1', 0, 12))?.[1] ?? 0);
}

/**
 * The lines that JetStream has added to a message: they are the last, whatever its sender has written. By name, in the
 * server's own spelling.
 */
export function streamLines(message: NatsMessage): Headers {
  const block = blockOf(message);
  const text =
    block === null
      ? ''
      : block.toString('latin1', Math.max(0, block.length - STREAM_LINES_BYTES_MAX));
  const at = text.lastIndexOf(STREAM_LINE);
  const lines = new Map<string, string>();
  if (at < 0) return lines;
  for (const line of text.slice(at + LINE_END.length).split(LINE_END)) {
    const colon = line.indexOf(': ');
    if (colon > 0) lines.set(line.slice(0, colon), line.slice(colon + 2));
  }
  return lines;
}

function blockOf({ _msg, _rdata }: NatsMessage): Buffer | null {
  if (_msg.hdr <= 0) return null;
  return Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr);
}

/** Reads in one pass; our own headers are decoded, others left as they are. @throws {ShapeError} */
export function readBlock(block: Buffer): Headers {
  if (block.length > HEADER_BYTES_MAX)
    throw new ShapeError(`${block.length} bytes of headers; at most ${HEADER_BYTES_MAX} are read`);
  const isText = isUtf8(block);
  const text = block.toString(isText ? 'utf8' : 'latin1');
  let at = endOfLine(text, 0);
  if (!text.startsWith(VERSION)) throw new ShapeError(`the headers do not begin with ${VERSION}`);
  const read = new Map<string, string>();
  for (let lines = 0; at < text.length; lines++) {
    const end = endOfLine(text, at);
    const line = text.slice(at, end - LINE_END.length);
    at = end;
    if (line !== '' && lines >= HEADER_LINES_MAX)
      throw new ShapeError(`more than ${HEADER_LINES_MAX} headers`);
    readLine(isText ? line : readable(line), read);
  }
  return read;
}

/** Where the line after the one at `at` begins. */
function endOfLine(text: string, at: number): number {
  const end = text.indexOf(LINE_END, at);
  if (end < 0) throw new ShapeError('the headers are truncated');
  return end + LINE_END.length;
}

/** Lines without a colon are ignored. */
function readLine(line: string, read: Map<string, string>): void {
  const colon = line.indexOf(':');
  if (colon < 0) return;
  const name = line.slice(0, colon).toLowerCase();
  if (!/^[\x21-\x7e]*$/.test(name))
    throw new ShapeError('the name of a header has a space or is not ASCII');
  if (/[\r\n]/.test(line))
    throw new ShapeError(`header ${name.slice(0, 64)} has a line break in its value`);
  if (read.has(name)) return;
  // A copy: a slice of a string keeps all of it in memory, and a uid is kept as long as its session.
  const value = Buffer.from(line.slice(colon + 1).trim()).toString();
  read.set(name, name.startsWith('pith-') ? decodeValue(value) : value);
}
