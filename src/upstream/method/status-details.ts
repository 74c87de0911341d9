/** What a status other than OK means to the client, with the details that google.rpc.Status may carry. */
import { type Metadata, status } from '@grpc/grpc-js';

import { decodeDurationMs, WireError, WireReader } from '../../contract/protobuf-wire.ts';
import { type Failure, failure, type Reason } from '../../errors.ts';
import type { CallStatus } from '../grpc-client/grpc-connection.ts';
import {
  cut,
  FIELDS_MAX,
  REASON_CHARACTERS_MAX,
  RETRY_AFTER_MS_MAX,
  TEXT_CHARACTERS_MAX as TEXT_MAX,
} from '../../contract/refusal.ts';

const DETAILS = 'grpc-status-details-bin';

/** What a method says to its caller: the words are the client's. The code is HTTP's, as google.rpc.Code has it. */
const SPOKEN: ReadonlyMap<number, { readonly code: number; readonly reason: string }> = new Map([
  [status.INVALID_ARGUMENT, { code: 400, reason: 'INVALID_ARGUMENT' }],
  [status.FAILED_PRECONDITION, { code: 400, reason: 'FAILED_PRECONDITION' }],
  [status.OUT_OF_RANGE, { code: 400, reason: 'OUT_OF_RANGE' }],
  [status.UNAUTHENTICATED, { code: 401, reason: 'UNAUTHENTICATED' }],
  [status.PERMISSION_DENIED, { code: 403, reason: 'FORBIDDEN' }],
  [status.NOT_FOUND, { code: 404, reason: 'NOT_FOUND' }],
  [status.ABORTED, { code: 409, reason: 'ABORTED' }],
  [status.ALREADY_EXISTS, { code: 409, reason: 'ALREADY_EXISTS' }],
  [status.RESOURCE_EXHAUSTED, { code: 429, reason: 'RESOURCE_EXHAUSTED' }],
]);

/** What went wrong inside it: the text is for the log. */
const BEFALLEN: ReadonlyMap<number, Reason> = new Map([
  [status.UNAVAILABLE, 'BACKEND_AWAY'],
  // Nobody here has cancelled it: a server that is going does.
  [status.CANCELLED, 'BACKEND_AWAY'],
  [status.DEADLINE_EXCEEDED, 'TIMEOUT'],
  [status.UNIMPLEMENTED, 'UNSUPPORTED'],
]);

/** What the details of a Status say; empty where they say nothing. */
type Details = {
  reason: string;
  message: string;
  retryAfterMs: number;
  fields: Record<string, string> | null;
};

/** True when the status is the method's own word and not an accident. */
export function isSpoken({ code }: CallStatus): boolean {
  return SPOKEN.has(code);
}

export function failureOfMethod(ended: CallStatus): Failure {
  // grpc-js itself says RESOURCE_EXHAUSTED of a message that it does not take.
  if (
    ended.code === status.RESOURCE_EXHAUSTED &&
    ended.details.startsWith('Received message larger')
  )
    return failure('BAD_REPLY', "the backend's answer does not fit into a packet");
  const spoken = SPOKEN.get(ended.code);
  const standard = failure(
    BEFALLEN.get(ended.code) ?? 'BACKEND_ERROR',
    ended.code === status.UNIMPLEMENTED ? 'the backend does not have this method' : undefined,
  );
  const { reason, message, retryAfterMs, fields } = detailsOf(ended.metadata);
  return {
    code: spoken?.code ?? standard.code,
    reason: cut(reason, REASON_CHARACTERS_MAX) || (spoken?.reason ?? standard.reason),
    message: cut(message || (spoken === undefined ? standard.message : ended.details), TEXT_MAX),
    retryAfterMs,
    fields,
    body: null,
    bytes: null,
    detail: '',
  };
}

function detailsOf(metadata: Metadata): Details {
  const details: Details = { reason: '', message: '', retryAfterMs: 0, fields: null };
  const [bytes] = metadata.get(DETAILS);
  if (!Buffer.isBuffer(bytes)) return details;
  try {
    // google.rpc.Status: code = 1, message = 2, details = 3.
    const reader = new WireReader(bytes);
    while (reader.next()) {
      if (reader.field === 3) readDetail(reader.message(), details);
      else reader.skip();
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return details;
}

/** A google.protobuf.Any. */
function readDetail(any: WireReader, into: Details): void {
  let type = '';
  let value: WireReader | null = null;
  while (any.next()) {
    if (any.field === 1) type = any.string();
    else if (any.field === 2) value = any.message();
    else any.skip();
  }
  if (value === null) return;
  switch (type.slice(type.lastIndexOf('/') + 1)) {
    case 'google.rpc.ErrorInfo':
      into.reason = text(value, 1);
      return;
    case 'google.rpc.LocalizedMessage':
      into.message = text(value, 2);
      return;
    case 'google.rpc.RetryInfo':
      while (value.next()) {
        if (value.field === 1)
          into.retryAfterMs = Math.min(decodeDurationMs(value.message()), RETRY_AFTER_MS_MAX);
        else value.skip();
      }
      return;
    case 'google.rpc.BadRequest':
      while (value.next()) {
        if (value.field === 1) readViolation(value.message(), into);
        else value.skip();
      }
      return;
    default:
  }
}

function readViolation(reader: WireReader, into: Details): void {
  let field = '';
  let what = '';
  let localized = '';
  while (reader.next()) {
    if (reader.field === 1) field = reader.string();
    else if (reader.field === 2) what = reader.string();
    else if (reader.field === 4) localized = text(reader.message(), 2);
    else reader.skip();
  }
  const fields = (into.fields ??= Object.create(null) as Record<string, string>);
  if (Object.keys(fields).length < FIELDS_MAX)
    fields[cut(field, TEXT_MAX)] = cut(localized || what, TEXT_MAX);
}

/** The string of one field of a message. */
function text(reader: WireReader, field: number): string {
  let found = '';
  while (reader.next()) {
    if (reader.field === field) found = reader.string();
    else reader.skip();
  }
  return cut(found, TEXT_MAX);
}
