/** What goes wrong, in one class: what the server answered, and what the client itself finds. */

/** Reasons of the client's own errors, whose `code` is 0. A server's error answer has the server's reason. */
export type OwnReason =
  /** No answer in time, or no connection in time. */
  | 'TIMEOUT'
  /** `close()` was called. */
  | 'CLOSED'
  /** The connection ended under a request, or while it was open. */
  | 'LOST'
  /** There is no connection now: nothing was sent. */
  | 'NOT_OPEN'
  /** The server cannot be reached. */
  | 'UNREACHABLE'
  | 'BAD_URL'
  /** The server ended the session on purpose. */
  | 'KICKED'
  /** `inFlightMax` requests wait already. */
  | 'TOO_MANY'
  /** `bufferedBytesMax` wait to be sent already. */
  | 'BUFFER_FULL'
  /** Longer than `packetBytesMax`. */
  | 'TOO_LONG'
  | 'BAD_ROUTE'
  /** A body that cannot be written, or one that came and cannot be read. */
  | 'BAD_BODY'
  /** The server does not speak this dialect. */
  | 'BAD_SERVER';

/** Why a request, a connection or a message failed. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  /** An `OwnReason` where `code` is 0; `REFUSED` for a handshake; else the server's word, e.g. `NO_ROUTE`. */
  readonly reason: string;
  /** The server's code, e.g. 503 or `PIT-404`; 0: the server did not say this, the client did. */
  readonly code: number | string;
  /** The body of the error answer, of the refusal or of the kick; undefined: there is none. */
  readonly body: unknown;
  /** When the server would like to be asked again; 0: it did not say. */
  readonly retryAfterMs: number;

  constructor(
    reason: string,
    message: string,
    more: { code?: number | string; body?: unknown; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.reason = reason;
    this.code = more.code ?? 0;
    this.body = more.body;
    this.retryAfterMs = retryAfterMs(more.body);
  }
}

/** An error of the client's own. */
export function ownError(reason: OwnReason, message: string, cause?: unknown): ClientError {
  return new ClientError(reason, message, { cause });
}

/** What an error answer says: `{code, reason, msg}`, or Pitaya's `{code, msg, metadata}`. */
export function errorOfAnswer(body: unknown): ClientError {
  const { code = 'unknown', reason = code, msg } = isObject(body) ? body : {};
  const word = String(reason);
  return new ClientError(word, typeof msg === 'string' ? msg : word, {
    code: typeof code === 'number' ? code : String(code),
    body,
  });
}

/** @throws {ClientError} of this reason, when it is longer than that. */
export function expectFits(reason: OwnReason, what: string, length: number, most: number): void {
  if (length > most) throw ownError(reason, `${what} of ${length} bytes; at most ${most} fit`);
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function retryAfterMs(body: unknown): number {
  const ms = isObject(body) ? body['retry_after_ms'] : 0;
  return typeof ms === 'number' && ms > 0 ? ms : 0;
}
