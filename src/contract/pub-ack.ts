/** JetStream acknowledges what a stream captures: to the reply subject, where a backend's answer is awaited. */
import { asBuffer } from '../bytes.ts';
import { isObject } from '../protocol/exact-json.ts';
import { parseJsonText } from '../protocol/json-parse.ts';

/** No acknowledgement is longer. */
const BYTES_MAX = 1_024;
/** The members that one may have. [github.com/nats-io/nats-server, server/stream.go: PubAck] */
const MEMBERS = new Set(['stream', 'seq', 'domain', 'duplicate', 'val', 'batch', 'count', 'error']);

/**
 * True for exactly what a stream sends as an acknowledgement or a refusal. A backend may send the same, so this alone
 * does not tell which of them has.
 */
export function isPubAck(body: Uint8Array): boolean {
  if (body.length > BYTES_MAX || body[0] !== 0x7b) return false;
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
