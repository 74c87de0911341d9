/**
 * The verbs of the reply bus: what a backend publishes to a session's, user's or group's subject, and what it
 * is answered. `proto/README.md` is the page about them.
 */
import {
  readClose,
  readGroups,
  readObject,
  readPatch,
  ShapeError,
} from '../contract/json-shapes.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import type { Close, Patch } from '../contract/commands.ts';
import type { Session } from '../session/session.ts';
import { HeaderError, type Headers, readPush } from '../contract/headers.ts';
import type { Scope } from '../upstream/nats/subjects.ts';
import type { SessionCommands } from './session-commands.ts';
import { pageOf, readPage } from './session-pages.ts';
import { settle } from './fleet-commands.ts';

export type VerbCall = {
  readonly scope: Scope;
  readonly verb: string;
  /** Those of this gateway that the subject means; at least one, but for `all`. */
  readonly sessions: readonly Session[];
  /** @throws {HeaderError} */
  headers(): Headers;
  readonly body: Uint8Array;
  /** `limits.convert`. */
  readonly convertBytesMax: number;
  /** How long the answer may be. */
  readonly answerBytesMax: number;
};

/** What is answered, in JSON, or why not. */
export type VerbAnswer = object | Failure;
type Verb = (call: VerbCall, sessionCommands: SessionCommands) => VerbAnswer | Promise<VerbAnswer>;

const EVERYWHERE: readonly Scope[] = ['session', 'user', 'group', 'all'];
const ONE: readonly Scope[] = ['session'];

const VERBS: Readonly<Record<string, { readonly scopes: readonly Scope[]; readonly run: Verb }>> = {
  push: { scopes: EVERYWHERE, run: push },
  kick: { scopes: EVERYWHERE, run: (call, sessionCommands) => close(call, sessionCommands, true) },
  get: { scopes: EVERYWHERE, run: get },
  patch: {
    scopes: ['session', 'user'],
    run: (call, sessionCommands) => patchAll(call, sessionCommands, readPatch(fieldsOf(call))),
  },
  bind: { scopes: ONE, run: bind },
  unbind: {
    scopes: ONE,
    run: (call, sessionCommands) => patchAll(call, sessionCommands, { uid: '' }),
  },
  set: { scopes: ONE, run: set },
  join: {
    scopes: ONE,
    run: (call, sessionCommands) =>
      patchAll(call, sessionCommands, { join: readGroups(fieldsOf(call)) }),
  },
  leave: {
    scopes: ONE,
    run: (call, sessionCommands) =>
      patchAll(call, sessionCommands, { leave: readGroups(fieldsOf(call)) }),
  },
  close: { scopes: ONE, run: (call, sessionCommands) => close(call, sessionCommands, false) },
};

/** Does what a verb says, and returns the answer. Never throws. */
export function runVerb(
  call: VerbCall,
  sessionCommands: SessionCommands,
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
    return verb.run(call, sessionCommands);
  } catch (error) {
    if (error instanceof ShapeError || error instanceof HeaderError)
      return failure('BAD_ARGUMENT', error.message);
    throw error;
  }
}

function fieldsOf({ body, convertBytesMax }: VerbCall): ReturnType<typeof readObject> {
  return readObject(body, convertBytesMax);
}

function push(call: VerbCall, sessionCommands: SessionCommands): VerbAnswer {
  const message = readPush(call.headers(), call.body);
  const { target } = message;
  const refused = sessionCommands.check({ ...message, target: null });
  if (refused !== null) return refused;
  const sessions = target === null ? call.sessions : sessionCommands.except(call.sessions, target);
  return { ...sessionCommands.push(sessions, message) };
}

function close(call: VerbCall, sessionCommands: SessionCommands, kick: boolean): VerbAnswer {
  const words: Close = readClose(fieldsOf(call));
  return { closed: sessionCommands.close(call.sessions, { ...words, kick: kick || words.kick }) };
}

/** What fits of a page, and whether there is more. */
function get(call: VerbCall): VerbAnswer {
  if (call.scope === 'all') return { sessions: call.sessions.length };
  const fields = fieldsOf(call);
  const page = readPage(fields['limit'], fields['page_token'] ?? fields['pageToken']);
  const part = pageOf(call.sessions, page, call.answerBytesMax);
  if (isFailure(part)) return part;
  return { sessions: part.sessions, ...(part.more && { more: true }) };
}

function bind(call: VerbCall, sessionCommands: SessionCommands): VerbAnswer | Promise<VerbAnswer> {
  const { uid } = readPatch(fieldsOf(call));
  if (uid === undefined || uid === '')
    return failure('BAD_ARGUMENT', 'uid is missing: {"uid":"…"}');
  return patchAll(call, sessionCommands, { uid });
}

function set(call: VerbCall, sessionCommands: SessionCommands): VerbAnswer | Promise<VerbAnswer> {
  const { set: values, ifVersion } = readPatch(fieldsOf(call));
  if (values === undefined)
    return failure('BAD_ARGUMENT', 'set is missing: {"set":{"key":"value"}}');
  return patchAll(call, sessionCommands, {
    set: values,
    ...(ifVersion !== undefined && { ifVersion }),
  });
}

/** Changes every session at once, and answers when the changes are in force. */
async function patchAll(
  call: VerbCall,
  sessionCommands: SessionCommands,
  patch: Patch,
): Promise<VerbAnswer> {
  const outcomes = await Promise.all(
    call.sessions.map((session) => settle(sessionCommands.patch(session, patch))),
  );
  let changed = 0;
  let version = 0;
  for (const outcome of outcomes) {
    if (isFailure(outcome)) return outcome;
    changed += outcome.changed;
    version = Math.max(version, outcome.version);
  }
  return { changed, version };
}
