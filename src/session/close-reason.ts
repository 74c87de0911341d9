/**
 * Every way in which a session ends, in one table. The names are metric labels and log fields. Whether to come back is
 * the client's decision: stock Pomelo clients with `reconnect` do after any close, ours as `client/backoff.ts` says.
 */

type Row = {
  /**
   * Code of the WebSocket close frame. [RFC 6455 section 7.4] Stock clients do not read it; ours and people do.
   * None above 1011: the `ws` of old Node clients dies of those.
   */
  readonly webSocketCode: number;
  /** Reason in the body of a kick packet sent before the close; null: no kick packet. */
  readonly kick: string | null;
  /** The client's own doing is debug; what an operator should see is more. */
  readonly log: 'debug' | 'info' | 'warn';
};

export const CLOSE_REASONS = {
  client_closed: row(1000, null, 'debug'),
  connection_lost: row(1006, null, 'debug'),
  handshake_refused: row(1000, null, 'info'),
  handshake_timeout: row(1008, null, 'info'),
  ack_timeout: row(1008, null, 'info'),
  assemble_timeout: row(1008, null, 'info'),
  heartbeat_timeout: row(1008, null, 'info'),
  /** Its client sends heartbeats and nothing else. The kick tells ours not to come back by itself. */
  idle_timeout: row(1008, 'idle_timeout', 'info'),
  /** Open for as long as a session may be: the client is to come back. */
  max_age: row(1001, null, 'info'),
  bad_packet_type: row(1002, null, 'info'),
  packet_too_long: row(1009, null, 'info'),
  malformed: row(1002, null, 'info'),
  auth_expired: row(1008, 'auth_expired', 'info'),
  /** Had no uid in time: auth.bind_within. */
  bind_timeout: row(1008, 'bind_timeout', 'info'),
  bad_signature: row(1008, null, 'info'),
  ping_flood: row(1008, null, 'info'),
  /** Was offered what waits for it, and does not take it. */
  slow_consumer: row(1008, null, 'warn'),
  /** Got more than its outbox holds before any of it might be sent: before its ack, or while a bind is confirmed or a snapshot awaited. */
  outbox_full: row(1008, null, 'warn'),
  closed: row(1000, null, 'info'),
  kick: row(1000, 'kick', 'info'),
  /** Its uid has a newer session than auth.sessions_per_uid lets it share with. */
  logged_in_elsewhere: row(1000, 'logged_in_elsewhere', 'info'),
  /** Its address, uid or kind of client is on the block list. */
  blocked: row(1008, 'blocked', 'info'),
  /** Its client has come back with a token, and another session goes on from it. */
  resumed: row(1000, null, 'debug'),
  draining: row(1001, null, 'info'),
  drain_kick: row(1001, 'draining', 'info'),
  /** Sent to a gateway with fewer sessions. Clients know the kick of a drain, after which they come back. */
  rebalanced: row(1001, null, 'info'),
  rebalance_kick: row(1001, 'draining', 'info'),
  drain_forced: row(1001, null, 'warn'),
  internal: row(1011, null, 'warn'),
} as const satisfies Record<string, Row>;

export type CloseReason = keyof typeof CLOSE_REASONS;

function row(webSocketCode: number, kick: string | null, log: Row['log']): Row {
  return { webSocketCode, kick, log };
}

/** A reason must fit in a close frame, and in a log line. */
const WORDS_MAX = 256;

/** A backend's details, cut to what is shown. */
export function closeDetails(text: string, code: number, retryAfterMs: number): CloseDetails {
  return { text: text.slice(0, WORDS_MAX).toWellFormed(), code, retryAfterMs };
}

/** A backend's own details of a close; the text shows in the kick body, the close frame and the log. */
export type CloseDetails = {
  /** Empty: the reason's own. */
  readonly text: string;
  /** 0: the reason's own. Sent as `code` in the kick body. */
  readonly code: number;
  /** 0: none. Sent as `retry_after_ms` in the kick body. */
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
