/** The error body that a failed request is answered with, as JSON. */
import { type Failure, isOwnReason, REASONS } from '../errors.ts';
import { clientJsonBytes } from '../protocol/packet.ts';
import type { Codec } from './wire.ts';

/**
 * The backend's own error body, where this client gets it instead of the standard one; null: there is none.
 *
 * @param takesBytes The client and the backend understand each other without the gateway.
 */
export function ownBody({ body, bytes }: Failure, takesBytes: boolean): Uint8Array | null {
  const own = takesBytes ? (bytes ?? body) : body;
  return own === null || own.length === 0 ? null : own;
}

/** `raw` and `protobuf`: the route's bytes pass unchanged, both ways. */
export function passesBytes(codec: Codec = 'auto'): boolean {
  return codec !== 'auto';
}

/** The standard error body. */
export function errorJson(why: Failure): Buffer {
  return clientJsonBytes(errorObject(why));
}

/** `{code, reason, msg, retry_after_ms?, ref?, fields?}`. */
export function errorObject(why: Failure): Record<string, unknown> {
  const body: Record<string, unknown> = { code: why.code, reason: why.reason };
  body['msg'] = why.message || (isOwnReason(why.reason) ? REASONS[why.reason].message : '');
  if (why.retryAfterMs > 0) body['retry_after_ms'] = why.retryAfterMs;
  if (why.ref !== undefined) body['ref'] = why.ref;
  if (why.fields !== null && Object.keys(why.fields).length > 0) body['fields'] = why.fields;
  return body;
}

/** What a handshake answer has besides its code when a backend refuses it: `{reason, msg, retry_after_ms?, ref?}`. */
export function refusalFields(why: Failure): Record<string, unknown> {
  const { code: _, fields: __, ...rest } = errorObject(why);
  return rest;
}
