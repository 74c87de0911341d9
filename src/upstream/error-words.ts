/** The words of a refusal as backends write them in JSON: over HTTP and IPC. Pure. */
import type { Failure } from '../errors.ts';

/** What a refusal says for itself; the rest is the standard's. */
export type ErrorWords = { -readonly [Key in keyof Failure]?: Failure[Key] };

/** The longest wait that a client is told. */
export const RETRY_AFTER_MS_MAX = 86_400_000;
/** How many fields of an error are passed on. */
const FIELDS_MAX = 64;

/** Reads `{"code":…,"reason":…,"msg":…,"retry_after_ms":…,"fields":{…}}`; null: it has none of the first three. */
export function errorWords(error: Readonly<Record<string, unknown>>): ErrorWords | null {
  const { code, reason, msg, message, retry_after_ms: retryAfter, fields } = error;
  const words: ErrorWords = {};
  if (Number.isSafeInteger(code) && (code as number) > 0) words.code = code as number;
  if (typeof reason === 'string' && reason !== '') words.reason = reason;
  if (typeof msg === 'string') words.message = msg;
  else if (typeof message === 'string') words.message = message;
  if (Object.keys(words).length === 0) return null;
  if (typeof retryAfter === 'number' && retryAfter > 0)
    words.retryAfterMs = Math.min(Math.round(retryAfter), RETRY_AFTER_MS_MAX);
  const texts = fieldTexts(fields);
  if (texts !== null) words.fields = texts;
  return words;
}

function fieldTexts(fields: unknown): Record<string, string> | null {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return null;
  const texts = Object.entries(fields).filter(([, text]) => typeof text === 'string');
  return texts.length === 0 ? null : Object.fromEntries(texts.slice(0, FIELDS_MAX));
}
