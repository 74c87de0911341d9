/** What a status other than 2xx means to the client; proto/README.md has the table. */
import { refusal, RETRY_AFTER_MS_MAX, speaks, textOf } from '../../contract/refusal.ts';
import type { Failure } from '../../errors.ts';

/** Statuses whose number the client is told; of the others those in `CODE_OF_STATUS` mean another, the rest 500. */
const SAME = new Set([400, 401, 403, 404, 409, 413, 429, 503, 504]);
const CODE_OF_STATUS: ReadonlyMap<number, number> = new Map([
  [408, 504],
  [502, 503],
]);

/** What a status usually comes from when the backend says nothing itself. */
export const HINTS: ReadonlyMap<number, string> = new Map([
  [404, ": it serves no such path; serve it, or set the route's path"],
  [405, ': it takes no POST there'],
  [415, ': it does not take this Content-Type'],
  [426, ': it does not speak HTTP/1.1'],
  [431, ': the headers are too large for it; forward fewer keys'],
  [505, ': it does not speak HTTP/1.1'],
]);

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
  const otherwise = SAME.has(status) ? status : (CODE_OF_STATUS.get(status) ?? 500);
  const given = {
    otherwise,
    reason,
    message: textOf(otherwise),
    retryAfterMs: retryAfter === '' ? 0 : retryAfterMs(retryAfter, wallNow),
  };
  return { failure: refusal(given, body), spoken: reason !== '' || speaks(body) };
}

/** [RFC 9110 section 10.2.3] Seconds, or a date; 0: it says neither. */
export function retryAfterMs(text: string, wallNow: number): number {
  const ms = /^[0-9]{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - wallNow;
  return ms > 0 ? Math.min(Math.round(ms), RETRY_AFTER_MS_MAX) : 0;
}
