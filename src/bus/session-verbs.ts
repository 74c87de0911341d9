/**
 * What backends do to sessions on their own: over NATS by a verb at the end of a subject, over a Link or a Unix socket
 * by a SessionVerb. `proto/README.md` describes both.
 */
import { readClose, readGroups, readJoin, readObject, readPatch } from '../contract/json-shapes.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { SessionVerb } from '../contract/backend-frames.ts';
import { namesNobody } from '../contract/commands.ts';
import type { DoneFields } from '../contract/gateway-frames.ts';
import type { Session } from '../session/session.ts';
import { type Headers, isOwnPush, readPush } from '../contract/headers.ts';
import type { Scope } from '../upstream/nats/subjects.ts';
import type { Incomplete } from './change-outcome.ts';
import type { SessionCommands } from './session-commands.ts';
import { cursorRefusal } from './push-cursors.ts';
import { pageOf, readPage } from './session-pages.ts';
import type { FleetCommands } from './fleet-commands.ts';
import { ShapeError } from '../contract/json.ts';

export type VerbCall = {
  readonly scope: Scope;
  readonly verb: string;
  /** The group that the subject means; '': none. */
  readonly group: string;
  /** The sessions of this gateway that the subject means; at least one, except for `all`. */
  readonly sessions: readonly Session[];
  /** @throws {ShapeError} */
  headers(): Headers;
  readonly body: Uint8Array;
  /** Of this gateway. */
  readonly gatewayId: string;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  /** The most bytes that the answer may have. */
  readonly answerBytesMax: number;
};

/** The answer, as JSON; or why the verb was refused, or not carried out on all sessions. */
export type VerbAnswer = object | Failure | Incomplete;
type Verb = (call: VerbCall, commands: SessionCommands) => VerbAnswer | Promise<VerbAnswer>;

const EVERYWHERE: readonly Scope[] = ['session', 'user', 'group', 'all'];
const ONE: readonly Scope[] = ['session'];

const VERBS: Readonly<Record<string, { readonly scopes: readonly Scope[]; readonly run: Verb }>> = {
  push: { scopes: EVERYWHERE, run: push },
  kick: { scopes: EVERYWHERE, run: (call, commands) => close(call, commands, true) },
  get: { scopes: EVERYWHERE, run: get },
  patch: {
    scopes: ['session', 'user'],
    run: (call, commands) => commands.patchAll(call.sessions, readPatch(fieldsOf(call))),
  },
  bind: { scopes: ONE, run: bind },
  unbind: {
    scopes: ONE,
    run: (call, commands) => commands.patchAll(call.sessions, { uid: '' }),
  },
  set: { scopes: ONE, run: set },
  join: {
    scopes: ONE,
    run: (call, commands) => commands.patchAll(call.sessions, readJoin(fieldsOf(call))),
  },
  leave: {
    scopes: ONE,
    run: (call, commands) =>
      commands.patchAll(call.sessions, { leave: readGroups(fieldsOf(call)) }),
  },
  close: { scopes: ONE, run: (call, commands) => close(call, commands, false) },
};

/** Carries out a verb that came over NATS, and returns the answer. */
export function runVerb(
  call: VerbCall,
  commands: SessionCommands,
): VerbAnswer | Promise<VerbAnswer> {
  const verb = Object.hasOwn(VERBS, call.verb) ? VERBS[call.verb] : undefined;
  if (verb === undefined || !verb.scopes.includes(call.scope)) {
    const known = Object.keys(VERBS).filter((name) => VERBS[name]!.scopes.includes(call.scope));
    return failure(
      'UNSUPPORTED',
      `no verb ${call.verb} for a ${call.scope}; there are ${known.join(', ')}`,
    );
  }
  try {
    return verb.run(call, commands);
  } catch (error) {
    if (error instanceof ShapeError) return failure('BAD_ARGUMENT', error.message);
    throw error;
  }
}

function fieldsOf({ body, convertBytesMax }: VerbCall): ReturnType<typeof readObject> {
  return readObject(body, convertBytesMax);
}

function push(call: VerbCall, commands: SessionCommands): VerbAnswer | Promise<VerbAnswer> {
  const headers = call.headers();
  if (isOwnPush(headers, call.gatewayId)) return { delivered: 0, dropped: 0, refused: 0 };
  const message = readPush(headers, call.body);
  const target = { ...message.target, ...(call.group !== '' && { groups: [call.group] }) };
  const refused = commands.check({ ...message, target: null }) ?? cursorRefusal(message, target);
  if (refused !== null) return refused;
  return commands.pushCounted({ ...message, target }, call.sessions);
}

function close(
  call: VerbCall,
  commands: SessionCommands,
  kick: boolean,
): VerbAnswer | Promise<VerbAnswer> {
  const asked = readClose(fieldsOf(call));
  const closed = commands.closeAll(call.sessions, { ...asked, kick: kick || asked.kick });
  return closed instanceof Promise ? closed.then((count) => ({ closed: count })) : { closed };
}

/** The sessions of a page that fit, and whether there are more. */
function get(call: VerbCall): VerbAnswer {
  if (call.scope === 'all') return { sessions: call.sessions.length };
  const fields = fieldsOf(call);
  const page = {
    ...readPage(fields['limit'], fields['page_token'] ?? fields['pageToken']),
    stats: fields['stats'] === true,
  };
  const part = pageOf(call.sessions, page, call.answerBytesMax);
  if (isFailure(part)) return part;
  return { sessions: part.sessions, ...(part.more && { more: true }) };
}

function bind(call: VerbCall, commands: SessionCommands): VerbAnswer | Promise<VerbAnswer> {
  const { uid } = readPatch(fieldsOf(call));
  if (uid === undefined || uid === '')
    return failure('BAD_ARGUMENT', 'uid is missing: {"uid":"…"}');
  return commands.patchAll(call.sessions, { uid });
}

function set(call: VerbCall, commands: SessionCommands): VerbAnswer | Promise<VerbAnswer> {
  const { set: values, ifVersion } = readPatch(fieldsOf(call));
  if (values === undefined)
    return failure('BAD_ARGUMENT', 'set is missing: {"set":{"key":"value"}}');
  const version = ifVersion !== undefined && { ifVersion };
  return commands.patchAll(call.sessions, { set: values, ...version });
}

/**
 * Runs what a backend asks for over its Link or Unix socket, whichever gateways the sessions are on. A patch takes
 * effect at once, in the order of the frames; the promise resolves when it is in force.
 */
export async function runSessionVerb(verb: SessionVerb, fleet: FleetCommands): Promise<DoneFields> {
  const { target, patch, close: closing } = verb;
  if (patch?.fault !== undefined) return notDone(failure('BAD_ARGUMENT', patch.fault));
  if (namesNobody(target))
    return notDone(
      failure('BAD_ARGUMENT', 'the verb has no target: give sids, uids, groups or all'),
    );
  if (closing !== null) {
    const outcome = await fleet.close(target, closing);
    return isFailure(outcome)
      ? notDone(outcome)
      : { changed: outcome.closed, version: 0, failure: null };
  }
  if (patch === null) return { changed: 0, version: 0, failure: null };
  const outcome = await fleet.patchAll(target, patch);
  const { changed, version } = outcome;
  return { changed, version, failure: isFailure(outcome) ? outcome : null };
}

export function notDone(why: Failure): DoneFields {
  return { changed: 0, version: 0, failure: why };
}
