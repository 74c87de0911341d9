/** What each kind of failure means and what to do about it: the one place that says so, for people. Pure. */
import { isOwnReason, type Reason } from '../errors.ts';
import { CLOSE_REASONS, type CloseReason } from '../session/close-reason.ts';
import type { FailureRecord } from './failure-record.ts';

/** What to do about an error answer of the gateway's own. */
export const ANSWERED: Readonly<Record<Reason, string>> = {
  BAD_ROUTE:
    'Correct the route in the client. With a route dictionary, check that client and gateway have the same one.',
  BAD_BODY: 'The message says what is wrong: compare the body with the protos of the route.',
  BAD_ARGUMENT: 'The message names the argument.',
  UNAUTHENTICATED: 'Send a token that the port knows: authorization: Bearer <token>.',
  NOT_BOUND:
    'The route is `bound`, and the session has no uid yet: log in first, by a reply that binds it or by auth.',
  BAD_TOKEN:
    'The cause says which check failed: compare auth.jwt (keys, issuer, audience, clock) with what issues the tokens.',
  FORBIDDEN:
    'See routes[].roles and what Control.GetSession shows of the session; or the user is blocked: Control.ListBlocks.',
  NO_ROUTE:
    'Add a rule to `routes`, or correct the client: `pith routes ROUTE` shows which rules were tried.',
  NO_SESSION: 'The session has ended: `pith why SID` says how.',
  CONFLICT:
    'Somebody else has changed the session meanwhile: read it again, and repeat the change.',
  CLOSING: 'The session was ending: `pith why SID` says why.',
  UID_IN_USE:
    'The user is connected elsewhere, and auth.sessions_per_uid is refuse_new: Control.GetPresence shows where.',
  TOO_LARGE: 'The message names the limit: send less, or raise it.',
  TOO_MANY: 'The cause names the limit: slow the client down, or raise it.',
  BACKEND_ERROR: "Look into the backend's own log at that time, for the route and the sid.",
  INTERNAL: 'Look for `internal error` in the log of the gateway at that time, and report it.',
  UNSUPPORTED: 'The message says what this gateway or this kind of backend cannot do.',
  BAD_REPLY:
    'The cause says what cannot be read, or does not fit this client: compare it with proto/README.md.',
  BACKEND_AWAY:
    'Check that the backend runs, and that backends.<name> has its address; Control.ListBackends shows what is wrong with each.',
  BUS_AWAY: 'Check that nats-server runs, and that `bus` has its address.',
  NO_KEYS: 'The keys for tokens could not be loaded: check auth.jwt, and the log.',
  OVERLOADED: 'The cause names the limit: add gateways or instances of the backend, or raise it.',
  MAINTENANCE: 'Control.GetMaintenance shows who has closed what.',
  DRAINING:
    'Nothing: the client connects again. Where it is seen often, give requests more time: drain.budget.',
  TIMEOUT:
    'Find out why the backend is slow: its own log at that time, for the route and the sid. If it needs longer, raise routes[].timeout; if the message waited long for its turn, see routes[].order.',
};

/** What to do about the end of a session. */
export const ENDED: Readonly<Record<CloseReason, string>> = {
  client_closed: 'Nothing: the player has left, or the game disconnected.',
  connection_lost:
    'Nothing for one player. Many at once point to a proxy, a load balancer or the network.',
  handshake_refused: 'The cause says why the client was not let in.',
  handshake_timeout:
    "Check that it is a client of the listener's dialect; where auth.backend is asked, whether that is slow.",
  ack_timeout: "Check that the client acknowledges the handshake, as Pomelo's protocol wants it.",
  assemble_timeout: 'A very slow link, or an attack: see limits.assemble.',
  heartbeat_timeout:
    'Its network is gone, or its app asleep. Where clients are there, compare `heartbeat` with what they do.',
  idle_timeout: 'Nothing, or raise limits.idle.',
  max_age: 'Nothing: the client comes back.',
  bad_packet_type: 'The wrong dialect, another protocol, or a broken client: see listen[].dialect.',
  packet_too_long: 'Send less, or raise limits.packet. From a stranger it is an attack.',
  malformed:
    'Check that client and gateway have the same dialect, route dictionary and protos; the lines `message dropped` (log.level: debug) say what each was.',
  auth_expired:
    'The client logs in again; it may bring a newer token before that, on pith.refresh.',
  bind_timeout: 'See why the login did not come, or failed: the failures before this one.',
  bad_signature: 'Check the key that the client signs with, or set pomelo.on_bad_signature: drop.',
  ping_flood: 'A broken client, or an attack.',
  slow_consumer:
    'Send it less, or what may be dropped or replaced (droppable, latest_key); or raise limits.outbox and limits.slow.',
  outbox_full: 'Push less before the client is ready, or raise limits.outbox.',
  closed: 'Its own words say why; ask the programmers of the backend.',
  kick: 'Its own words say why; if an operator did it, the audit log has the call.',
  logged_in_elsewhere:
    'Nothing: auth.sessions_per_uid is kick_old. Control.GetPresence shows the newer session.',
  blocked: 'Control.ListBlocks shows the block, and Control.Unblock ends it.',
  resumed: 'Nothing: the client is back in a newer session.',
  draining: 'Nothing: the client comes back, to another gateway.',
  rebalanced: 'Nothing: the client comes back, to a gateway with fewer sessions.',
  drain_forced: 'Give sessions more time to end: drain.budget.',
  internal: 'Look for `internal error` in the log of the gateway at that time, and report it.',
};

/** What to do about a message that got no answer at all. */
export const DROPPED = {
  duplicate_id:
    'The client used the id of a request that still waits for its answer, so that one answer could not be told from the other: it must count its ids up.',
  unexpected_kind: 'The client sent an answer or a push, which only servers send.',
  bad_signature:
    'The message was not signed, or wrongly, and is dropped: check the key that the client signs with.',
} as const;

const OF_THE_BACKEND =
  'The backend has refused it, for a reason of its own: ask its programmers, or look into its log for the sid.';
const BREAKER =
  'Nothing was sent, after failures in a row (backends.<name>.breaker). The failures before it say what is wrong; it closes by itself when the backend answers again.';
/** In the cause. */
const BREAKER_IS_OPEN = 'its circuit breaker is open';

/** What it means, and what to do. Never empty. */
export function adviceOn({ what, reason, cause, by, backend }: FailureRecord): string {
  if (what === 'session') return endAdvice(reason, cause);
  if (what === 'dropped' && Object.hasOwn(DROPPED, reason))
    return DROPPED[reason as keyof typeof DROPPED];
  if (by === 'backend' || !isOwnReason(reason)) return OF_THE_BACKEND;
  const text = cause === BREAKER_IS_OPEN ? BREAKER : ANSWERED[reason];
  return backend === '' ? text : text.replace('<name>', backend);
}

/** A refused handshake has its reason before the cause: `BAD_TOKEN: …`. */
function endAdvice(reason: string, cause: string): string {
  if (!Object.hasOwn(CLOSE_REASONS, reason))
    return 'A later release has ended it so: see its pages.';
  const own = reason as CloseReason;
  const inner = /^([A-Z_]+): /.exec(cause)?.[1] ?? '';
  const advice = isOwnReason(inner) ? ANSWERED[inner] : ENDED[own];
  return `${CLOSE_REASONS[own].about} ${advice}`;
}
