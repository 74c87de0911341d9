/** Pages of sessions, sorted by the id of their gateway, then by when they were opened. */
import {
  durationText,
  type SessionJson,
  sessionJson,
  type SessionStatsJson,
} from '../contract/json-shapes.ts';
import { type Failure, failure } from '../errors.ts';
import type { Session } from '../session/session.ts';
import type { PeerReply, Page } from './bus.ts';
import { ShapeError } from '../contract/json.ts';

/** Sessions on one page. */
const PAGE_MAX = 1_000;
/** Bytes of a reply besides its sessions. */
const AROUND_BYTES = 256;

/** Reads which page is asked for. @throws {ShapeError} */
export function readPage(limit: unknown, after: unknown): Page {
  const number = limit ?? 0;
  if (!Number.isSafeInteger(number) || (number as number) < 0)
    throw new ShapeError('limit is not a whole number');
  if (after !== undefined && after !== null && typeof after !== 'string')
    throw new ShapeError('the page token is not a string');
  return { limit: Math.min((number as number) || PAGE_MAX, PAGE_MAX), after: after ?? '' };
}

/** One gateway's part of a page: the sessions that fit. A Failure: not even the first one does. */
export function pageOf(
  sessions: readonly Session[],
  { limit, after, search, stats = false }: Page,
  bytesMax: number,
): { sessions: SessionJson[]; more: boolean } | Failure {
  const rest = sessionsAfter(search === undefined ? sessions : found(sessions, search), after);
  const page: SessionJson[] = [];
  let bytes = AROUND_BYTES;
  for (const session of rest.sort((a, b) => a.n - b.n)) {
    if (page.length === limit) break;
    const json = stats ? sessionJsonWithStats(session) : sessionJson(session);
    if (bytesMax < Infinity) bytes += Buffer.byteLength(JSON.stringify(json)) + 1;
    if (bytes > bytesMax) {
      if (page.length > 0) break;
      return failure(
        'TOO_LARGE',
        `the session ${session.sid} takes ${bytes} bytes, but a message may have ${bytesMax}: raise max_payload of nats-server`,
      );
    }
    page.push(json);
  }
  return { sessions: page, more: page.length < rest.length };
}

/** A session with what it is doing. */
export function sessionJsonWithStats(session: Session): SessionJson {
  const outboxAgeMs = session.outbox.backlogMs(session.deadlines.now());
  const stats: SessionStatsJson = {
    state: session.state,
    messages: session.seq,
    in_flight: session.inFlight,
    outbox_bytes: session.outbox.unsentBytes,
    ...(outboxAgeMs > 0 && { outbox_age: durationText(outboxAgeMs) }),
    reconnects: session.reconnects,
    ...(session.roundTripMs >= 0 && { round_trip: durationText(session.roundTripMs) }),
    silent_for: durationText(Math.max(0, session.deadlines.silentMs)),
  };
  return { ...sessionJson(session), stats };
}

/** Those with `search` in their sid or uid, or at the beginning of their address. */
function found(sessions: readonly Session[], search: string): Session[] {
  const text = search.toLowerCase();
  return sessions.filter(
    ({ sid, uid, remoteIp }) =>
      uid.toLowerCase().includes(text) ||
      sid.toLowerCase().includes(text) ||
      remoteIp.startsWith(text),
  );
}

/** As many rows as fit into an answer. */
export function rowsThatFit(
  rows: readonly object[],
  bytesMax: number,
): { readonly rows: readonly object[]; readonly more: boolean } {
  let bytes = AROUND_BYTES;
  for (const [i, row] of rows.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(row)) + 1;
    if (bytes > bytesMax) return { rows: rows.slice(0, i), more: true };
  }
  return { rows, more: false };
}

/** A copy. All are of one gateway, so that mostly their numbers need to be compared, and no sids. */
function sessionsAfter(sessions: readonly Session[], after: string): Session[] {
  const [first] = sessions;
  if (after === '' || first === undefined) return [...sessions];
  const [gateway] = splitSid(first.sid);
  const [afterGateway, afterN] = splitSid(after);
  if (gateway === afterGateway) return sessions.filter(({ n }) => n > afterN);
  return gateway > afterGateway ? [...sessions] : [];
}

/** All parts in order, up to the first point where a gateway has more sessions than it gave: the next page begins there. */
export function merged(answers: readonly PeerReply[]): SessionJson[] {
  const all = answers
    .flatMap((answer) => answer.sessions ?? [])
    .sort((a, b) => compareSids(a.sid, b.sid));
  let end = all.length;
  for (const { more, sessions = [] } of answers) {
    const last = sessions.at(-1);
    if (more && last !== undefined) end = Math.min(end, all.indexOf(last) + 1);
  }
  return all.slice(0, end);
}

/** By gateway, then by number: a gateway numbers its sessions as they are opened. */
export function compareSids(a: string, b: string): number {
  const [gatewayA, nA] = splitSid(a);
  const [gatewayB, nB] = splitSid(b);
  if (gatewayA !== gatewayB) return gatewayA < gatewayB ? -1 : 1;
  return nA - nB;
}

function splitSid(sid: string): [string, number] {
  const dot = sid.lastIndexOf('.');
  return [sid.slice(0, dot), Number(sid.slice(dot + 1))];
}
