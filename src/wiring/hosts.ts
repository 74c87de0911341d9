/** What happens at the edges of a session and of the relay: counted, logged, and passed on to the other parts. */
import { type Failure, failure } from '../errors.ts';
import type { MessageFault } from '../protocol/message.ts';
import type { Relay } from '../relay/relay.ts';
import { CLOSE_REASONS } from '../session/close-reason.ts';
import type { Registry } from '../session/registry.ts';
import type { SessionHost } from '../session/session-parts.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { ConnectAuth } from '../auth/connect-auth.ts';

export type SessionHostParts = {
  readonly registry: Registry;
  readonly relay: Relay;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly wheel: TimerWheel;
  /** Of the listener that the sessions came by. */
  readonly auth: ConnectAuth;
};

/** What a client is told of a message that cannot be relayed. */
export const UNREADABLE: Readonly<Partial<Record<MessageFault | 'before_ack', Failure>>> = {
  truncated: failure('BAD_ROUTE', 'the message is cut off'),
  unknown_route_code: failure('BAD_ROUTE', 'no route has this code'),
  not_json: failure(
    'BAD_BODY',
    'expected a JSON object, as {"id":1,"route":"chat.room.join","body":{}}',
  ),
  bad_id: failure('BAD_BODY', 'id: expected a whole number from 1 to 9007199254740991'),
  bad_message: failure(
    'BAD_ROUTE',
    'expected a route and a body, as {"route":"chat.room.join","body":{}}',
  ),
  before_ack: failure('NOT_BOUND', 'the handshake comes first: {"handshake":{"user":{}}}'),
};

export function makeSessionHost(parts: SessionHostParts): SessionHost {
  const { registry, relay, metrics, log, wheel, auth } = parts;
  return {
    onHandshake(session, request) {
      auth.onHandshake(session, request);
    },
    onActive(session) {
      const { sid, remoteIp, clientType, clientVersion } = session;
      log.debug(
        { sid, remoteIp, transport: session.connection.transport, clientType, clientVersion },
        'session active',
      );
    },
    onMessage(session, message) {
      relay.onMessage(session, message);
    },
    onUnreadable(session, message, fault) {
      relay.refuse(session, message, UNREADABLE[fault] ?? failure('BAD_BODY'));
    },
    onDropped(session, why) {
      metrics.add('pith_messages_dropped_total', [why]);
      log.debug({ sid: session.sid, why }, 'message dropped');
    },
    onClosed(session, reason, words, cause) {
      registry.remove(session);
      auth.onClosed(session);
      metrics.add('pith_sessions_closed_total', [reason]);
      for (const [why, pushes] of Object.entries(session.outbox.skipped))
        if (pushes > 0) metrics.add('pith_pushes_skipped_total', [why], pushes);
      const lastedMs = Math.round(wheel.now() - session.openedAt);
      const { sid, uid, remoteIp } = session;
      log[CLOSE_REASONS[reason].log](
        {
          sid,
          uid,
          remoteIp,
          reason,
          ...(words.text !== '' && { words: words.text }),
          ...(cause !== '' && { error: cause }),
          lastedMs,
        },
        'session closed',
      );
      const closed = { session, reason: words.text || reason, code: words.code, lastedMs };
      for (const lane of session.lanes) lane?.peer?.forget(closed);
    },
  };
}
