/** JetStream acknowledges what a stream captures: to the reply subject, where a backend's answer is awaited. */
import { asBuffer } from '../bytes.ts';
import { isObject } from '../protocol/exact-json.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** No acknowledgement is longer. */
const BYTES_MAX = 1_024;
/** The members that one may have. [github.com/nats-io/nats-server, server/stream.go: PubAck] */
const MEMBERS = new Set(['stream', 'seq', 'domain', 'duplicate', 'val', 'batch', 'count', 'error']);

const FIRST_LETTERS: ReadonlySet<number> = new Set([...MEMBERS].map((name) => name.charCodeAt(0)));

const BRACE = 0x7b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * True for exactly what a stream sends as an acknowledgement or a refusal. A backend may send the same, so this alone
 * does not tell which of them has.
 */
export function isPubAck(body: Uint8Array): boolean {
  if (body.length > BYTES_MAX || body[0] !== BRACE) return false;
  // Nearly every body is told by the first letter of its first member, if that is written plainly.
  if (body[1] === QUOTE && body[2] !== BACKSLASH && !FIRST_LETTERS.has(body[2]!)) return false;
  const text = asBuffer(body).toString('utf8');
  if (!text.includes('"stream"')) return false;
  let fields: Record<string, unknown>;
  try {
    fields = parseJsonText(text) as Record<string, unknown>;
  } catch {
    return false;
  }
  if (!Object.keys(fields).every((name) => MEMBERS.has(name))) return false;
  const { stream, seq, error } = fields;
  return typeof stream === 'string' && Number.isSafeInteger(seq) && isErrorOrAbsent(error);
}

/** Absent, or as JetStream writes one. */
function isErrorOrAbsent(error: unknown): boolean {
  if (error === undefined) return true;
  if (!isObject(error)) return false;
  const { code, err_code: number } = error;
  return typeof code === 'number' && typeof number === 'number';
}
