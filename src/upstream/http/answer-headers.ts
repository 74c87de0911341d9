/** Our own headers of an HTTP answer. */
import { isUtf8 } from 'node:buffer';

import { decodeValue, type Headers } from '../nats/headers.ts';
import type { AnswerHeaders } from './exchange.ts';

/** Those that an answer may have; others that begin so are passed over. */
const KNOWN = new Set([
  'pith-bind',
  'pith-set',
  'pith-join',
  'pith-leave',
  'pith-if-version',
  'pith-close',
  'pith-error-reason',
]);

/** By lower-case name, decoded; the first of several counts. null: there are none. */
export function answerHeaders(headers: AnswerHeaders): Headers | null {
  let read: Map<string, string> | null = null;
  for (const name in headers) {
    if (!KNOWN.has(name)) continue;
    const value = headers[name];
    const first = typeof value === 'string' ? value : (value?.[0] ?? '');
    read ??= new Map();
    read.set(name, decodeValue(readable(first)));
  }
  return read;
}

/** The client library reads bytes beyond ASCII as latin1; backends that do not escape mean UTF-8, mostly. */
function readable(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}
