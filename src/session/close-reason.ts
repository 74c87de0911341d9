/** Every way in which a session ends, in one table. The names are metric labels and log fields. */

type Row = {
  /**
   * Code of the WebSocket close frame. [RFC 6455 section 7.4] Stock clients do not read it; ours and people do.
   * None above 1011: the `ws` of old Node clients dies of those.
   */
  readonly webSocketCode: number;
  /** Reason in the body of a kick packet sent before the close; null: no kick packet. */
  readonly kick: string | null;
  /** What a client should do then; stock Pomelo clients with `reconnect` come back after any close. */
  readonly reconnect: 'now' | 'backoff' | 'never';
  /** The client's own doing is debug; what an operator should see is more. */
  readonly log: 'debug' | 'info' | 'warn';
};

export const CLOSE_REASONS = {
  client_closed: row(1000, null, 'now', 'debug'),
  connection_lost: row(1006, null, 'now', 'debug'),
  handshake_refused: row(1000, null, 'backoff', 'info'),
  handshake_timeout: row(1008, null, 'backoff', 'info'),
  ack_timeout: row(1008, null, 'backoff', 'info'),
  assemble_timeout: row(1008, null, 'backoff', 'info'),
  heartbeat_timeout: row(1008, null, 'now', 'info'),
  bad_packet_type: row(1002, null, 'never', 'info'),
  packet_too_long: row(1009, null, 'never', 'info'),
  malformed: row(1002, null, 'never', 'info'),
  auth_expired: row(1008, 'auth_expired', 'backoff', 'info'),
  bad_signature: row(1008, null, 'never', 'info'),
  ping_flood: row(1008, null, 'backoff', 'info'),
  /** Was offered what waits for it, and does not take it. */
  slow_consumer: row(1008, null, 'backoff', 'warn'),
  /** Got more than its outbox holds before any of it might be sent: before its ack, or while a bind is confirmed. */
  outbox_full: row(1008, null, 'backoff', 'warn'),
  closed: row(1000, null, 'backoff', 'info'),
  kick: row(1000, 'kick', 'never', 'info'),
  draining: row(1001, null, 'now', 'info'),
  drain_kick: row(1001, 'draining', 'now', 'info'),
  drain_forced: row(1001, null, 'now', 'warn'),
  internal: row(1011, null, 'backoff', 'warn'),
} as const satisfies Record<string, Row>;

export type CloseReason = keyof typeof CLOSE_REASONS;

function row(
  webSocketCode: number,
  kick: string | null,
  reconnect: Row['reconnect'],
  log: Row['log'],
): Row {
  return { webSocketCode, kick, reconnect, log };
}

/** A reason must fit in a close frame, and in a log line. */
const WORDS_MAX = 256;

/** A backend's details, cut to what is shown. */
export function closeDetails(text: string, code: number, retryAfterMs: number): CloseDetails {
  return { text: text.slice(0, WORDS_MAX).toWellFormed(), code, retryAfterMs };
}

/** A backend's own details of a close; they show in the kick body, the close frame and the log. */
export type CloseDetails = {
  /** Empty: the reason's own. */
  readonly text: string;
  /** 0: the reason's own. Sent as `code` in the kick body. */
  readonly code: number;
  readonly retryAfterMs: number;
};

export const NO_DETAILS: CloseDetails = { text: '', code: 0, retryAfterMs: 0 };

/** The kick packet's body; null where the reason has none. Always a JSON object: JS clients parse it. */
export function kickBody(
  reason: CloseReason,
  details: CloseDetails,
): Record<string, unknown> | null {
  const standard = CLOSE_REASONS[reason].kick;
  if (standard === null) return null;
  const body: Record<string, unknown> = { reason: details.text || standard };
  if (details.code !== 0) body['code'] = details.code;
  if (details.retryAfterMs > 0) body['retry_after_ms'] = details.retryAfterMs;
  return body;
}
