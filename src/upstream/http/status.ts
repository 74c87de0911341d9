/**
 * What a status other than 2xx means to the client; proto/README.md has the table. The backend's own words pass
 * where they are in the form of this contract, and nothing else of its body.
 */
import { type Failure, failure, type Reason } from '../../errors.ts';
import { type ErrorWords, errorWords, RETRY_AFTER_MS_MAX } from '../error-words.ts';

const REASON_OF_STATUS: ReadonlyMap<number, Reason> = new Map([
  [400, 'BAD_BODY'],
  [401, 'NOT_BOUND'],
  [403, 'FORBIDDEN'],
  [404, 'NO_ROUTE'],
  [408, 'TIMEOUT'],
  [409, 'CONFLICT'],
  [413, 'TOO_LARGE'],
  [429, 'TOO_MANY'],
  [502, 'BACKEND_AWAY'],
  [503, 'BACKEND_AWAY'],
  [504, 'TIMEOUT'],
]);

/** What a client reads where the standard text speaks of the gateway. */
const TEXTS: ReadonlyMap<number, string> = new Map([
  [400, 'the backend could not read the body'],
  [401, 'the backend needs to know who asks'],
  [404, 'the backend has no such route'],
  [409, 'the backend refused: a conflict'],
  [413, 'the backend refused: too large'],
]);

/** Error bodies beyond this are not looked into. */
const WORDS_BYTES_MAX = 64 * 1024;

/** A refusal, and whether the backend itself had something to say. */
export type Refusal = { readonly failure: Failure; readonly spoken: boolean };

export type RefusalFacts = {
  readonly status: number;
  readonly body: Uint8Array;
  /** `Pith-Error-Reason`; '' for none. */
  readonly reason: string;
  /** `Retry-After` as it came; '' for none. */
  readonly retryAfter: string;
  /** Milliseconds since the epoch. */
  readonly wallNow: number;
};

export function refusalOf(facts: RefusalFacts): Refusal {
  const { status, body, reason, retryAfter, wallNow } = facts;
  const waitMs = retryAfter === '' ? 0 : retryAfterMs(retryAfter, wallNow);
  const standard = failure(
    REASON_OF_STATUS.get(status) ?? 'BACKEND_ERROR',
    TEXTS.get(status),
    waitMs,
  );
  const words = wordsOf(body);
  const own = reason === '' ? {} : { reason };
  if (words === null) return { failure: { ...standard, ...own }, spoken: reason !== '' };
  return { failure: { ...standard, ...words, ...own }, spoken: true };
}

/** [RFC 9110 section 10.2.3] Seconds, or a date; 0: it says neither. */
export function retryAfterMs(text: string, wallNow: number): number {
  const ms = /^[0-9]{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - wallNow;
  return ms > 0 ? Math.min(Math.round(ms), RETRY_AFTER_MS_MAX) : 0;
}

/** `{"code":…,"reason":…,"msg":…}`, at the top or under `error`; null: the body has no such words. */
function wordsOf(body: Uint8Array): ErrorWords | null {
  if (body.length === 0 || body.length > WORDS_BYTES_MAX) return null;
  const top = jsonObject(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  if (top === null) return null;
  const under = top['error'];
  if (typeof under === 'object' && under !== null && !Array.isArray(under)) {
    return errorWords(under as Record<string, unknown>);
  }
  const words = errorWords(top);
  // What has a code is what Pomelo's clients look for: it may say more than we know, and passes as it is.
  return words !== null && words.code !== undefined ? { ...words, body } : words;
}

function jsonObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
