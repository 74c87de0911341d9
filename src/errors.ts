/**
 * The one table of everything that can go wrong with a request, and the error class of the slow paths.
 *
 * On the hot path an error is a value (`Failure`) and is never thrown. Code, reason and meaning are part of the
 * contract with clients; the log level and the gRPC status are for operators.
 */

/** What the client of a failed request gets; the body is `{code, reason, msg, retry_after_ms?, fields?}`. */
export type Failure = {
  readonly code: number;
  /** UPPER_SNAKE. One of the rows below, or the backend's own. */
  readonly reason: string;
  readonly message: string;
  /** Milliseconds; 0: not given. */
  readonly retryAfterMs: number;
  /** What is wrong with each bad field, by its path. */
  readonly fields: Readonly<Record<string, string>> | null;
  /** Sent to the client unchanged, instead of the standard error body. */
  readonly body: Uint8Array | null;
  /** The backend's answer as it came, for routes and clients that get bytes unchanged; null: nothing. */
  readonly bytes: Uint8Array | null;
  /** Names what failed: `ref.ts`; absent: the client is not told. */
  readonly ref?: string;
  /** For the log only: what failed, in terms that are no use to a client; '' where the message says it. */
  readonly detail: string;
};

type Row = {
  readonly code: number;
  /** Shown to the client when nothing better is known; says what to do about it where something can be done. */
  readonly message: string;
  /** The gRPC status that Control answers with for the same failure. */
  readonly grpcStatus: number;
  readonly log: 'debug' | 'warn' | 'error';
};

/** The statuses of gRPC that are given. */
export const GRPC = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/** Every reason that the gateway itself gives; backends may give others. */
export const REASONS = {
  BAD_ROUTE: row(
    400,
    'invalid route: expected segments of A-Z a-z 0-9 _ - joined by dots',
    'INVALID_ARGUMENT',
    'debug',
  ),
  BAD_BODY: row(400, 'the body could not be read', 'INVALID_ARGUMENT', 'debug'),
  BAD_ARGUMENT: row(400, 'an argument is missing or wrong', 'INVALID_ARGUMENT', 'debug'),
  UNAUTHENTICATED: row(
    401,
    'this call needs a token: authorization: Bearer <token>',
    'UNAUTHENTICATED',
    'debug',
  ),
  NOT_BOUND: row(401, 'this route needs a session bound to a user', 'UNAUTHENTICATED', 'debug'),
  BAD_TOKEN: row(401, 'the token is not valid', 'UNAUTHENTICATED', 'debug'),
  FORBIDDEN: row(403, 'not allowed', 'PERMISSION_DENIED', 'debug'),
  NO_ROUTE: row(404, 'no such route', 'NOT_FOUND', 'debug'),
  NO_SESSION: row(404, 'no such session', 'NOT_FOUND', 'debug'),
  CONFLICT: row(
    409,
    'the session has changed, or is bound to another user',
    'FAILED_PRECONDITION',
    'debug',
  ),
  CLOSING: row(409, 'the session is closing', 'FAILED_PRECONDITION', 'debug'),
  UID_IN_USE: row(409, 'this user is connected elsewhere', 'FAILED_PRECONDITION', 'debug'),
  TOO_LARGE: row(413, 'a limit of this gateway is exceeded', 'RESOURCE_EXHAUSTED', 'warn'),
  TOO_MANY: row(429, 'too many messages; slow down', 'RESOURCE_EXHAUSTED', 'debug'),
  BACKEND_ERROR: row(500, 'the backend failed', 'INTERNAL', 'warn'),
  INTERNAL: row(500, 'the gateway failed', 'INTERNAL', 'error'),
  UNSUPPORTED: row(501, 'not supported by this gateway', 'UNIMPLEMENTED', 'debug'),
  BAD_REPLY: row(502, "the backend's answer could not be read", 'INTERNAL', 'error'),
  BACKEND_AWAY: row(503, 'the backend is unavailable; try again', 'UNAVAILABLE', 'warn'),
  BUS_AWAY: row(503, 'the bus is unavailable; try again', 'UNAVAILABLE', 'warn'),
  NO_KEYS: row(503, 'tokens cannot be verified now; try again', 'UNAVAILABLE', 'warn'),
  OVERLOADED: row(503, 'too much is in flight; try again', 'UNAVAILABLE', 'warn'),
  MAINTENANCE: row(503, 'closed for maintenance; try again later', 'UNAVAILABLE', 'debug'),
  DRAINING: row(503, 'this gateway is stopping; connect again', 'UNAVAILABLE', 'debug'),
  TIMEOUT: row(504, 'the backend did not answer in time', 'DEADLINE_EXCEEDED', 'warn'),
} as const;

export type Reason = keyof typeof REASONS;

function row(code: number, message: string, status: keyof typeof GRPC, log: Row['log']): Row {
  return { code, message, grpcStatus: GRPC[status], log };
}

/** A failure with the standard code of its reason. `message` replaces the standard text; `retryAfterMs` 0: not given. */
export function failure(reason: Reason, message?: string, retryAfterMs = 0): Failure {
  const { code, message: standard } = REASONS[reason];
  return {
    code,
    reason,
    message: message ?? standard,
    retryAfterMs,
    fields: null,
    body: null,
    bytes: null,
    detail: '',
  };
}

/** The reason for a code about which nothing else is known: 403 is FORBIDDEN, whatever the transport. */
export function reasonOfCode(code: number): Reason {
  return REASON_OF_CODE.get(code) ?? 'BACKEND_ERROR';
}

/** Tells a reason why not from what was wanted: nothing else has a `detail`. */
export function isFailure(value: object): value is Failure {
  // Read, not asked for with `in`: that takes five times as long for values of many shapes, and every message asks.
  return (value as Partial<Failure>).detail !== undefined;
}

/** True when the gateway itself gives this reason (so it may be a metric label). */
export function isOwnReason(reason: string): reason is Reason {
  return Object.hasOwn(REASONS, reason);
}

/** Where several rows share a code, the row that is about a backend; any other code is BACKEND_ERROR. */
const REASON_OF_CODE: ReadonlyMap<number, Reason> = new Map([
  [400, 'BAD_BODY'],
  [401, 'NOT_BOUND'],
  [403, 'FORBIDDEN'],
  [404, 'NO_ROUTE'],
  [409, 'CONFLICT'],
  [413, 'TOO_LARGE'],
  [429, 'TOO_MANY'],
  [501, 'UNSUPPORTED'],
  [502, 'BAD_REPLY'],
  [503, 'BACKEND_AWAY'],
  [504, 'TIMEOUT'],
]);

/** Thrown on the slow paths only: configuration, Control, start and stop. */
export class GatewayError extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, message?: string, options?: { cause?: unknown }) {
    super(message ?? REASONS[reason].message, options);
    this.name = 'GatewayError';
    this.reason = reason;
  }

  /** The only conversion: any other error becomes INTERNAL, and is kept as the cause for the log. */
  static from(error: unknown): GatewayError {
    if (error instanceof GatewayError) return error;
    return new GatewayError('INTERNAL', undefined, { cause: error });
  }
}

/** The text of anything thrown, for a log line. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ELOOP: 'its symbolic links form a loop',
};

/** Why a file could not be read, without its name. */
export function fileErrorText(error: unknown): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  return FILE_ERRORS[code] ?? errorText(error);
}
