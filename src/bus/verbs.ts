/**
 * The verbs of the reply bus: what a backend publishes to a session's, user's or group's subject, and what it
 * is answered. `proto/README.md` is the page about them.
 */
import {
  errorJson,
  readClose,
  readGroups,
  readObject,
  readPatch,
  sessionJson,
  ShapeError,
} from '../contract/json-shapes.ts';
import { type Failure, failure } from '../errors.ts';
import type { Close, Json, JsonObject, Patch } from '../session/commands.ts';
import type { Session } from '../session/session.ts';
import { HeaderError, type Headers, readPush } from '../upstream/nats/headers.ts';
import type { Scope } from '../upstream/nats/subjects.ts';
import type { Delivery } from './delivery.ts';
import { settle } from './reach.ts';

/** Sessions that one answer names; it must fit in one NATS message. */
const GET_SESSIONS_MAX = 1_000;

export type VerbCall = {
  readonly scope: Scope;
  readonly verb: string;
  /** Those of this gateway that the subject means; at least one, but for `all`. */
  readonly sessions: readonly Session[];
  readonly headers: Headers;
  readonly body: Uint8Array;
};

export type VerbAnswer = JsonObject | Failure;
type Verb = (call: VerbCall, delivery: Delivery) => VerbAnswer | Promise<VerbAnswer>;

const EVERYWHERE: readonly Scope[] = ['session', 'user', 'group', 'all'];
const ONE: readonly Scope[] = ['session'];

const VERBS: Readonly<Record<string, { readonly scopes: readonly Scope[]; readonly run: Verb }>> = {
  push: { scopes: EVERYWHERE, run: push },
  kick: { scopes: EVERYWHERE, run: (call, delivery) => close(call, delivery, true) },
  get: { scopes: EVERYWHERE, run: get },
  patch: {
    scopes: ['session', 'user'],
    run: (call, delivery) => patchAll(call, delivery, readPatch(readObject(call.body))),
  },
  bind: { scopes: ONE, run: bind },
  unbind: { scopes: ONE, run: (call, delivery) => patchAll(call, delivery, { uid: '' }) },
  set: { scopes: ONE, run: set },
  join: {
    scopes: ONE,
    run: (call, delivery) => patchAll(call, delivery, { join: readGroups(readObject(call.body)) }),
  },
  leave: {
    scopes: ONE,
    run: (call, delivery) => patchAll(call, delivery, { leave: readGroups(readObject(call.body)) }),
  },
  close: { scopes: ONE, run: (call, delivery) => close(call, delivery, false) },
};

/** Does what a verb says, and returns the answer. Never throws. */
export function runVerb(call: VerbCall, delivery: Delivery): VerbAnswer | Promise<VerbAnswer> {
  const verb = Object.hasOwn(VERBS, call.verb) ? VERBS[call.verb] : undefined;
  if (verb === undefined || !verb.scopes.includes(call.scope)) {
    const known = Object.keys(VERBS).filter((name) => VERBS[name]!.scopes.includes(call.scope));
    return failure(
      'UNSUPPORTED',
      `no verb ${call.verb} for a ${call.scope}; there are ${known.join(', ')}`,
    );
  }
  try {
    return verb.run(call, delivery);
  } catch (error) {
    if (error instanceof ShapeError || error instanceof HeaderError)
      return failure('BAD_ARGUMENT', error.message);
    throw error;
  }
}

function push(call: VerbCall, delivery: Delivery): VerbAnswer {
  const message = readPush(call.headers, call.body);
  const { target } = message;
  const refused = delivery.check({ ...message, target: null });
  if (refused !== null) return refused;
  const sessions = target === null ? call.sessions : delivery.except(call.sessions, target);
  return { ...delivery.push(sessions, message) };
}

function close(call: VerbCall, delivery: Delivery, kick: boolean): VerbAnswer {
  const words: Close = readClose(readObject(call.body));
  return { closed: delivery.close(call.sessions, { ...words, kick: kick || words.kick }) };
}

function get(call: VerbCall): VerbAnswer {
  if (call.scope === 'all') return { sessions: call.sessions.length };
  return {
    sessions: call.sessions
      .slice(0, GET_SESSIONS_MAX)
      .map((session) => sessionJson(session) as unknown as Json),
  };
}

function bind(call: VerbCall, delivery: Delivery): VerbAnswer | Promise<VerbAnswer> {
  const { uid } = readPatch(readObject(call.body));
  if (uid === undefined || uid === '')
    return failure('BAD_ARGUMENT', 'uid is missing: {"uid":"…"}');
  return patchAll(call, delivery, { uid });
}

function set(call: VerbCall, delivery: Delivery): VerbAnswer | Promise<VerbAnswer> {
  const { set: values, ifVersion } = readPatch(readObject(call.body));
  if (values === undefined)
    return failure('BAD_ARGUMENT', 'set is missing: {"set":{"key":"value"}}');
  return patchAll(call, delivery, { set: values, ...(ifVersion !== undefined && { ifVersion }) });
}

/** Changes every session at once, and answers when the changes are in force. */
async function patchAll(call: VerbCall, delivery: Delivery, patch: Patch): Promise<VerbAnswer> {
  const outcomes = await Promise.all(
    call.sessions.map((session) => settle(delivery.patch(session, patch))),
  );
  let changed = 0;
  let version = 0;
  for (const outcome of outcomes) {
    if ('code' in outcome) return outcome;
    changed += outcome.changed;
    version = Math.max(version, outcome.version);
  }
  return { changed, version };
}

/** The headers and the body of an answer. */
export function verbReply(answer: VerbAnswer): { readonly lines: string; readonly body: Buffer } {
  if (!isFailure(answer)) return { lines: '', body: Buffer.from(JSON.stringify(answer)) };
  const text = answer.message.replace(/[^\x20-\x7e]/g, '?');
  return {
    lines: `Nats-Service-Error-Code: ${answer.code}\r\nNats-Service-Error: ${text}\r\n`,
    body: Buffer.from(JSON.stringify(errorJson(answer))),
  };
}

function isFailure(answer: VerbAnswer): answer is Failure {
  return 'retryAfterMs' in answer;
}
