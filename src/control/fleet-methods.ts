/** The methods of `pith.v1.Control` that reach sessions wherever they are: each does one thing through FleetCommands. */
import type { Clock } from '../clock.ts';
import { FLEET_WAIT_MS, type FleetCommands, type SessionsOutcome } from '../bus/fleet-commands.ts';
import { GROUPS_PAGE_MAX } from '../bus/group-pages.ts';
import type { Close, Patch } from '../contract/commands.ts';
import { encodePushed } from '../contract/gateway-frames.ts';
import { GatewayError } from '../errors.ts';
import type { AuditedCall } from './audit.ts';
import type { BusApiParts } from './bus-api.ts';
import {
  groupMessages,
  groupPage,
  groupResult,
  kickResult,
  presenceMessage,
  sessionMessage,
  sessionMessages,
  sessionPage,
} from './answers.ts';
import { whyMessage } from './why-answer.ts';
import type { Request } from './requests.ts';
import { type MakeMethods, type Methods, orThrow } from './method.ts';
import { PUSH_WAIT_MS_MAX, pushMany } from './push-many.ts';

/** Sessions on one page, and the default of those that one ListSessions call returns; and their maximum. */
export const LIST_LIMIT = 1_000;
export const LIST_LIMIT_MAX = 100_000;

/** Characters of what sessions are searched by: longer than any uid that is sensible. */
export const SEARCH_CHARS_MAX = 256;

/** Bytes of the sessions on one page as JSON; a larger one comes alone. */
export const SESSION_PAGE_BYTES_MAX = 524_288;

export function fleetMethods(
  fleet: FleetCommands,
  { one, many, total }: MakeMethods,
  clock: Clock,
): Methods {
  const change = async (sid: string, patch: Patch, call: AuditedCall): Promise<Buffer> => {
    orThrow(await fleet.patch(sid, patch));
    call.touched = 1;
    return sessionMessage(orThrow(await fleet.get(sid)));
  };
  const changeGroups =
    (verb: 'join' | 'leave') =>
    async ({ target = {}, groups = [], ttlMs }: Request, call: AuditedCall): Promise<Buffer> => {
      const outcome = orThrow(await fleet.changeGroups({ verb, target, groups, ttlMs }));
      call.touched = outcome.changed;
      return groupResult(outcome);
    };
  return {
    Push: one('Push', async ({ push, waitMs = FLEET_WAIT_MS }, call) => {
      if (push === undefined) throw new GatewayError('BAD_ARGUMENT', 'push is missing');
      const most = Math.min(waitMs, PUSH_WAIT_MS_MAX);
      const outcome = orThrow(await fleet.pushCounted(push, most));
      call.touched = outcome.delivered;
      return encodePushed(outcome);
    }),
    PushMany: total('PushMany', async (requests, call) => {
      const outcome = await pushMany(fleet, requests);
      call.touched = outcome.delivered;
      return encodePushed(outcome);
    }),
    Kick: one('Kick', async ({ target = {}, close = NO_CLOSE }, call) => {
      const outcome = orThrow(await fleet.close(target, { ...close, kick: true, by: 'operator' }));
      call.touched = outcome.closed;
      return kickResult(outcome);
    }),
    Bind: one('Bind', ({ sid = '', uid = '' }, call) => {
      if (uid === '') throw new GatewayError('BAD_ARGUMENT', 'uid is missing');
      return change(sid, { uid }, call);
    }),
    Unbind: one('Unbind', ({ sid = '' }, call) => change(sid, { uid: '' }, call)),
    SetData: one('SetData', ({ sid = '', set, ifVersion = 0 }, call) => {
      if (set === undefined) throw new GatewayError('BAD_ARGUMENT', 'set is missing');
      return change(sid, { set, ifVersion }, call);
    }),
    Join: one('Join', changeGroups('join')),
    Leave: one('Leave', changeGroups('leave')),
    GetSession: one('GetSession', async ({ sid = '', stats = false }) =>
      sessionMessage(orThrow(await fleet.get(sid, stats))),
    ),
    ListSessions: many('ListSessions', (request) =>
      sessionMessages(sessionPages(fleet, request), clock),
    ),
    GetPresence: one('GetPresence', async ({ uids = [] }) =>
      presenceMessage(orThrow(await fleet.presence(uids))),
    ),
    ListGroups: many('ListGroups', async function* (request) {
      yield* groupMessages(orThrow(await groupsOf(fleet, request)));
    }),
    Why: one('Why', async ({ about = '' }) => whyMessage(orThrow(await fleet.why(about)))),
  };
}

/** ListSessions and ListGroups where there can be one answer only: a page of each, with what a stream says at its end. */
export function fleetPages(
  fleet: FleetCommands,
  { one }: MakeMethods,
  clock: Clock,
): BusApiParts['pages'] {
  return {
    ListSessions: {
      type: 'pith.v1.SessionPage',
      method: one('ListSessions', async (request) => {
        const page = await sessionsOf(fleet, request, request.limit ?? 0);
        return sessionPage(page, SESSION_PAGE_BYTES_MAX, clock);
      }),
    },
    ListGroups: {
      type: 'pith.v1.GroupPage',
      method: one('ListGroups', async (request) =>
        groupPage(orThrow(await groupsOf(fleet, request))),
      ),
    },
  };
}

/** At most `limit` sessions, and no more than one page has. */
async function sessionsOf(
  fleet: FleetCommands,
  { target = {}, pageToken = '', search = '', stats = false }: Request,
  limit: number,
): Promise<SessionsOutcome> {
  if (search.length > SEARCH_CHARS_MAX)
    throw new GatewayError('BAD_ARGUMENT', `search has more than ${SEARCH_CHARS_MAX} characters`);
  const page = {
    ...{ limit: Math.min(limit || LIST_LIMIT, LIST_LIMIT), after: pageToken },
    ...(search !== '' && { search }),
    ...(stats && { stats }),
  };
  return orThrow(await fleet.list(target, page));
}

/** As many as are asked for, a page at a time: each gateway gives no more in one answer. */
async function* sessionPages(
  fleet: FleetCommands,
  request: Request,
): AsyncGenerator<SessionsOutcome> {
  let left = Math.min(request.limit || LIST_LIMIT, LIST_LIMIT_MAX);
  let { pageToken = '' } = request;
  while (left > 0) {
    const page = await sessionsOf(fleet, { ...request, pageToken }, left);
    yield page;
    const last = page.sessions.at(-1);
    if (!page.more || last === undefined) return;
    left -= page.sessions.length;
    pageToken = last.sid;
  }
}

function groupsOf(fleet: FleetCommands, { prefix = '', limit = 0, pageToken = '' }: Request) {
  const page = { limit: Math.min(limit || GROUPS_PAGE_MAX, GROUPS_PAGE_MAX), after: pageToken };
  return fleet.groups(prefix, page);
}

const NO_CLOSE: Close = { reason: '', code: 0, kick: true, retryAfterMs: 0 };
