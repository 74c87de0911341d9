/** What a failed request tells its client, as JSON. */
import { type Failure, isOwnReason, REASONS } from '../errors.ts';
import { clientJson } from '../protocol/packet.ts';
import { ANSWER_BYTES_MAX, tooLong } from './wire.ts';

/** The standard error body, or the failure's own; never more than a packet holds. */
export function errorBody(why: Failure): Uint8Array {
  const body = anyErrorBody(why);
  return body.length > ANSWER_BYTES_MAX ? anyErrorBody(tooLong()) : body;
}

function anyErrorBody(why: Failure): Uint8Array {
  if (why.body !== null && why.body.length > 0) return why.body;
  return Buffer.from(clientJson(errorObject(why)));
}

/** `{code, reason, msg, retry_after_ms?, fields?}`. */
export function errorObject(why: Failure): Record<string, unknown> {
  const body: Record<string, unknown> = { code: why.code, reason: why.reason };
  body['msg'] = why.message || (isOwnReason(why.reason) ? REASONS[why.reason].message : '');
  if (why.retryAfterMs > 0) body['retry_after_ms'] = why.retryAfterMs;
  if (why.fields !== null && Object.keys(why.fields).length > 0) body['fields'] = why.fields;
  return body;
}

/** What a handshake that a backend refuses says beside its code: `{reason, msg, retry_after_ms?}`. */
export function refusalWords(why: Failure): Record<string, unknown> {
  const { reason, msg, retry_after_ms: retryAfterMs } = errorObject(why);
  return { reason, msg, ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) };
}
