/** Our own headers of an HTTP answer. */
import { decodeValue, type Headers, readable } from '../../contract/headers.ts';
import type { AnswerHeaders } from './exchange.ts';

/** Those that an answer may have; others with this prefix are ignored. */
const KNOWN = new Set([
  'pith-bind',
  'pith-set',
  'pith-join',
  'pith-leave',
  'pith-if-version',
  'pith-close',
  'pith-from',
  'pith-error-reason',
]);

/** By lower-case name, decoded; the first of several counts. null if the answer has none of them. */
export function answerHeaders(headers: AnswerHeaders): Headers | null {
  let read: Map<string, string> | null = null;
  for (const name in headers) {
    if (!KNOWN.has(name)) continue;
    const value = headers[name];
    const first = typeof value === 'string' ? value : (value?.[0] ?? '');
    read ??= new Map();
    // The client library reads bytes beyond ASCII as latin1; backends that do not escape mean UTF-8, mostly.
    read.set(name, decodeValue(readable(first)));
  }
  return read;
}
