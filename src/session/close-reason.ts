/**
 * Every way in which a session ends, in one table. The names are metric labels and log fields. Whether to come back is
 * the client's decision: stock Pomelo clients with `reconnect` do after any close, ours as `client/backoff.ts` says.
 */

import type { By } from '../failures/failure-record.ts';

type Row = {
  /**
   * Code of the WebSocket close frame. [RFC 6455 section 7.4] Stock clients do not read it; ours and people do.
   * None above 1011: the `ws` of old Node clients dies of those.
   */
  readonly webSocketCode: number;
  /** A kick packet is sent before the close, with this reason, unless the details have words of their own. */
  readonly kicks: boolean;
  /** What somebody should look at is more than info. */
  readonly log: 'info' | 'warn';
  /** Who ends it so, where the details do not say. */
  readonly by: By;
  /** What has happened, for operators. */
  readonly about: string;
};

export const CLOSE_REASONS = {
  client_closed: row(1000, false, 'info', 'client', 'The client has closed the connection.'),
  connection_lost: row(
    1006,
    false,
    'info',
    'network',
    'The connection has broken: the client, its machine or the network is gone.',
  ),
  handshake_refused: row(
    1000,
    false,
    'info',
    'gateway',
    'The handshake was answered with an error, which says why.',
  ),
  handshake_timeout: row(
    1008,
    false,
    'info',
    'gateway',
    'The handshake did not come within limits.handshake.',
  ),
  ack_timeout: row(
    1008,
    false,
    'info',
    'gateway',
    'The handshake was not acknowledged within limits.ack.',
  ),
  assemble_timeout: row(
    1008,
    false,
    'info',
    'gateway',
    'A packet was begun, and not ended within limits.assemble.',
  ),
  heartbeat_timeout: row(
    1008,
    false,
    'info',
    'gateway',
    'Nothing came from the client for two intervals of heartbeat.',
  ),
  idle_timeout: row(
    1008,
    true,
    'info',
    'gateway',
    'The client has sent nothing but heartbeats for limits.idle. The kick tells ours not to come back by itself.',
  ),
  max_age: row(
    1001,
    false,
    'info',
    'gateway',
    'Open for sessions.max_age, which is as long as a session may be: the client is to come back.',
  ),
  bad_packet_type: row(
    1002,
    false,
    'info',
    'gateway',
    'The client sent what is no packet, or a packet that is not allowed at this point.',
  ),
  packet_too_long: row(
    1009,
    false,
    'info',
    'gateway',
    'The client sent a packet that is longer than limits.packet.',
  ),
  malformed: row(
    1002,
    false,
    'info',
    'gateway',
    'The client sent messages that could not be read.',
  ),
  auth_expired: row(
    1008,
    true,
    'info',
    'gateway',
    'The time for which its token or its backend had let it in is over.',
  ),
  bind_timeout: row(1008, true, 'info', 'gateway', 'It had no uid within auth.bind_within.'),
  bad_signature: row(
    1008,
    false,
    'info',
    'gateway',
    'The client signs its messages, and a signature was wrong.',
  ),
  ping_flood: row(
    1008,
    false,
    'info',
    'gateway',
    'The client sent more pings of WebSocket than it read answers to.',
  ),
  slow_consumer: row(
    1008,
    false,
    'warn',
    'gateway',
    'The client was offered what waits for it, and does not take it.',
  ),
  outbox_full: row(
    1008,
    false,
    'warn',
    'gateway',
    'It got more than limits.outbox holds before any of it might be sent: before its ack, or while a bind is confirmed or a snapshot awaited.',
  ),
  closed: row(
    1000,
    false,
    'info',
    'backend',
    'A backend or an operator has closed it, without a kick.',
  ),
  kick: row(1000, true, 'info', 'backend', 'A backend or an operator has kicked it.'),
  logged_in_elsewhere: row(
    1000,
    true,
    'info',
    'gateway',
    'Its uid has a newer session than auth.sessions_per_uid lets it share with.',
  ),
  blocked: row(
    1008,
    true,
    'info',
    'operator',
    'Its address, uid or kind of client is on the block list.',
  ),
  resumed: row(
    1000,
    false,
    'info',
    'client',
    'Its client has come back with a token, and another session goes on from it.',
  ),
  draining: row(1001, false, 'info', 'operator', 'The gateway is stopping.'),
  rebalanced: row(
    1001,
    false,
    'info',
    'gateway',
    'Sent to a gateway with fewer sessions (drain.rebalance).',
  ),
  drain_forced: row(1001, false, 'warn', 'operator', 'It was left when drain.budget was over.'),
  internal: row(1011, false, 'warn', 'gateway', 'A fault of the gateway.'),
} as const satisfies Record<string, Row>;

export type CloseReason = keyof typeof CLOSE_REASONS;

function row(webSocketCode: number, kicks: boolean, log: Row['log'], by: By, about: string): Row {
  return { webSocketCode, kicks, log, by, about };
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
  /** A kick packet is sent although the reason has none. */
  readonly kicks?: true;
  /** Absent: the reason's own. */
  readonly by?: By;
};

export const NO_DETAILS: CloseDetails = { text: '', code: 0, retryAfterMs: 0 };
/** With a kick packet, as clients need it that know no other sign that they should not wait. */
export const WITH_KICK: CloseDetails = { ...NO_DETAILS, kicks: true };
/** The same after which every client of ours comes back, whether or not it knows the reason. */
export const COME_BACK: CloseDetails = { ...WITH_KICK, retryAfterMs: 1 };

/** The kick packet's body; null where there is none. `ref` '': the client is not told it. Always a JSON object: JS clients parse it. */
export function kickBody(
  reason: CloseReason,
  details: CloseDetails,
  ref = '',
): Record<string, unknown> | null {
  if (!CLOSE_REASONS[reason].kicks && details.kicks !== true) return null;
  const body: Record<string, unknown> = { reason: details.text || reason };
  if (details.code !== 0) body['code'] = details.code;
  if (details.retryAfterMs > 0) body['retry_after_ms'] = details.retryAfterMs;
  if (ref !== '') body['ref'] = ref;
  return body;
}
