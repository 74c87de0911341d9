/** Bodies as text: what is typed becomes a body, and what came becomes text that can be shown. Pure. */
import type { Received } from '../../client/client.ts';

/** Characters of a body that is kept and shown; with 500 messages this bounds a session's history. */
export const TEXT_CHARS_MAX = 20_000;
/** Bytes of a body that is no text. */
const HEX_BYTES_MAX = 256;

/** What is wrong with a body that was typed; '': nothing. Empty is `{}`. */
export function problemOf(text: string): string {
  if (text.trim() === '') return '';
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return `Not JSON: ${(error as Error).message}`;
  }
}

/** On one line, as it is sent; numbers stay as they were typed, however long. */
export function compact(text: string): string {
  if (text.trim() === '') return '{}';
  // Outside of strings, white space means nothing.
  return text.replaceAll(
    /("(?:[^"\\]|\\.)*")|\s+/g,
    (_, quoted: string | undefined) => quoted ?? '',
  );
}

/** JSON with a line for each value, if it is short; anything else as it is. */
export function pretty(text: string): string {
  if (text.length > TEXT_CHARS_MAX || /\d{16}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A body that came: the text as it was sent, protobuf as JSON, and anything else in hex. */
export function textOf(received: Received): string {
  if (received.isProtobuf) {
    try {
      return cut(JSON.stringify(received.body));
    } catch (error) {
      return `${hexOf(received.bytes)} (${(error as Error).message})`;
    }
  }
  try {
    return cut(UTF_8.decode(received.bytes));
  } catch {
    return hexOf(received.bytes);
  }
}

/** A value of the handshake. */
export function jsonText(value: unknown): string {
  return cut(JSON.stringify(value, null, 2) ?? '');
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

function cut(text: string): string {
  if (text.length <= TEXT_CHARS_MAX) return text;
  return `${text.slice(0, TEXT_CHARS_MAX)}… (${text.length} characters)`;
}

function hexOf(bytes: Uint8Array): string {
  const shown = [...bytes.subarray(0, HEX_BYTES_MAX)].map((byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  const more = bytes.length > HEX_BYTES_MAX ? '…' : '';
  return `${bytes.length} bytes: ${shown.join(' ')}${more}`;
}
