/** One class for all errors: those that the server answers, and those of the client itself. */

/** Reasons of the client's own errors, whose `code` is 0. A server's error answer has the server's reason. */
export type OwnReason =
  /** There was no answer, or no connection, in time. */
  | 'TIMEOUT'
  /** `close()` was called. */
  | 'CLOSED'
  /** The connection was lost, with requests pending or not. */
  | 'LOST'
  /** Not connected: nothing was sent. */
  | 'NOT_OPEN'
  /** The server cannot be reached. */
  | 'UNREACHABLE'
  | 'BAD_URL'
  /** The server ended the session on purpose. */
  | 'KICKED'
  /** `inFlightMax` requests are already pending. */
  | 'TOO_MANY'
  /** `bufferedBytesMax` are waiting to be sent already. */
  | 'BUFFER_FULL'
  /** Longer than `packetBytesMax`. */
  | 'TOO_LONG'
  | 'BAD_ROUTE'
  /** A body cannot be encoded, or one that was received cannot be read. */
  | 'BAD_BODY'
  /** The server does not speak this dialect. */
  | 'BAD_SERVER';

/** Why a request, a connection or a message failed. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  /** An `OwnReason` if `code` is 0; `REFUSED` for a handshake; otherwise the server's reason, e.g. `NO_ROUTE`. */
  declare readonly reason: string;
  /** The server's code, e.g. 503 or `PIT-404`; 0: the error is the client's own. */
  declare readonly code: number | string;
  /** The body of the error answer, the refused handshake or the kick; undefined: there is none. */
  declare readonly body: unknown;
  /** Milliseconds after which the server wants to be asked again; 0: not given. */
  declare readonly retryAfterMs: number;

  constructor(
    reason: string,
    message: string,
    more: { code?: number | string; body?: unknown; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : more);
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

/** The error for an error answer: `{code, reason, msg}`, or Pitaya's `{code, msg, metadata}`. */
export function errorOfAnswer(body: unknown): ClientError {
  const { code, reason = code, msg } = isObject(body) ? body : {};
  const word = wordOf(reason);
  return new ClientError(word, typeof msg === 'string' ? msg : word, {
    code: typeof code === 'number' ? code : wordOf(code),
    body,
  });
}

/** An object may have no text, and asking it for one would throw. */
function wordOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? `${value}` : 'unknown';
}

/** The number that a server sent, as a number or as text; NaN: none. */
export function numberOf(value: unknown): number {
  return typeof value === 'object' ? Number.NaN : Number(value);
}

/** True for a body that has the form of Pith's errors. */
export function isFailure(body: unknown): boolean {
  if (!isObject(body)) return false;
  return numberOf(body['code']) >= 400 && typeof body['reason'] === 'string';
}

/** @throws {ClientError} With this reason, if `length` is more than `most`. */
export function expectFits(reason: OwnReason, what: string, length: number, most: number): void {
  if (length > most) throw ownError(reason, `${what} has ${length} bytes; at most ${most} fit`);
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function retryAfterMs(body: unknown): number {
  const ms = isObject(body) ? body['retry_after_ms'] : 0;
  return typeof ms === 'number' && ms > 0 ? ms : 0;
}
