/** A session as one process writes it, in JSON, and another reads it: nothing in it is taken on trust. */
import { createPublicKey, type KeyObject } from 'node:crypto';

import type { JsonObject } from '../contract/commands.ts';
import type { Cursor } from '../contract/cursor.ts';
import { nestsTooDeep, ShapeError } from '../contract/json.ts';
import type { HandshakeRequest } from '../protocol/handshake.ts';
import { parseAsWritten } from '../protocol/exact-json.ts';
import type {
  FrozenAuth,
  FrozenBucket,
  FrozenDeadlines,
  FrozenDeltas,
  FrozenKept,
  FrozenLane,
  FrozenResuming,
  FrozenSession,
  FrozenView,
  FrozenWord,
} from '../session/frozen.ts';
import type { Gap } from '../session/group-view.ts';
import {
  anObject,
  base64,
  count,
  type Fields,
  fieldsOf,
  flag,
  listOf,
  number,
  oneOf,
  orNull,
  type ReadAs,
  someOf,
  text,
} from './read-as.ts';

/**
 * Of all that one process tells another of itself and its sessions. It changes with every field that comes, goes or
 * means something else: a process that has another one refuses, and nothing changes hands.
 */
export const STATE_VERSION = 5;

/** JSON in a string, of which numbers stay as they were written. */
function written<T>(read: ReadAs<T>): ReadAs<T> {
  return (value, name) => {
    const json = text(value, name);
    let parsed: unknown;
    try {
      parsed = parseAsWritten(json);
    } catch {
      throw new ShapeError(`${name} is not JSON`);
    }
    return read(parsed, name);
  };
}

const data: ReadAs<JsonObject> = (value, name) => {
  const object = anObject(value, name);
  if (nestsTooDeep(object)) throw new ShapeError(`${name} is nested too deep`);
  return object as JsonObject;
};

const cursor = fieldsOf<Cursor>({ epoch: text, n: count });
const gap = fieldsOf<Gap>({ from: cursor, to: cursor });
const bucket = { tokens: number, agoMs: number };

const deadlines = fieldsOf<FrozenDeadlines>({
  ...{ openedMs: number, heardMs: number, spokeMs: number, lookMs: number, openingMs: number },
  ...{ handshakenMs: orNull(number), pingedMs: orNull(number), incompleteMs: orNull(number) },
  ...{ endsMs: orNull(number), tickMs: orNull(number), hadUid: flag },
});

const view = fieldsOf<FrozenView>({
  ...{ group: text, from: orNull(cursor), seen: orNull(cursor), missed: orNull(gap) },
  forgetMs: orNull(number),
});

const resuming = fieldsOf<FrozenResuming>({
  ...{ lineage: text, resumedFrom: text, counter: count, cameWith: count },
  ...{ isTooLarge: flag, isStale: flag, grantedMs: orNull(number), madeMs: orNull(number) },
  dueMs: number,
});

const request = fieldsOf<HandshakeRequest>({
  ...{ clientType: text, clientVersion: text, dictVersion: text, protoVersion: text },
  ...{ sys: anObject, user: (value) => value ?? null, pith: anObject },
});

const word = fieldsOf<FrozenWord>({
  ...{ request, expiresMs: number, retryAfterMs: number, refreshMs: number },
});

const auth = fieldsOf<FrozenAuth>({
  token: orNull(fieldsOf<NonNullable<FrozenAuth['token']>>({ holder: text, leftMs: number })),
  backend: orNull(word),
});

const FIELDS: Fields<FrozenSession> = {
  ...{ n: count, listener: count, transport: oneOf('ws', 'tcp'), remoteIp: text },
  ...{ openedAtWall: count, state: oneOf('opening', 'handshaking', 'active', 'draining') },
  ...{ greeted: flag, profile: text, publicKey: base64, clientType: text, clientVersion: text },
  ...{ uid: text, boundAtWall: count, data: written(data), version: count },
  groups: listOf(fieldsOf<FrozenSession['groups'][number]>({ name: text, leftMs: orNull(number) })),
  kept: orNull(fieldsOf<FrozenKept>({ seq: number, isOwn: flag, since: count, tellsCursor: flag })),
  deltas: orNull(fieldsOf<FrozenDeltas>({ tellsGaps: flag, views: listOf(view) })),
  resuming: orNull(resuming),
  ...{ roundTripMs: number, isAnnounced: flag, seq: count, malformed: count },
  bucket: orNull(fieldsOf<FrozenBucket>(bucket)),
  buckets: listOf(fieldsOf<FrozenSession['buckets'][number]>({ match: text, ...bucket })),
  lanes: listOf(fieldsOf<FrozenLane>({ backend: text, places: listOf(text) })),
  ...{ deadlines, auth: orNull(written(auth)) },
  ...{ sent: count, readBytes: count, sentBytes: count, held: base64 },
};
const whole = fieldsOf(FIELDS);
const changes = someOf(FIELDS);

/** For JSON. What applications and clients have said is text in it: to read it exactly is slow, and the rest need not be. */
export type WrittenSession = Omit<FrozenSession, 'data' | 'auth'> & {
  readonly data: string;
  readonly auth: string | null;
};

export function writeSession(frozen: FrozenSession): WrittenSession {
  const { data: said, auth: asked } = frozen;
  return { ...frozen, data: JSON.stringify(said), auth: asked && JSON.stringify(asked) };
}

/** @throws {ShapeError} naming what is wrong. */
export function readSession(written: unknown): FrozenSession {
  const frozen = whole(written, '');
  if (frozen.n === 0) throw new ShapeError('n is not a whole number from 1 on');
  return frozen;
}

/** What was written of a session: each field as it is, and what is inside of others as text, since that may change in place. */
export type Sent = Readonly<Record<string, unknown>>;

export function sentOf(written: WrittenSession): Sent {
  const sent: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(written)) sent[key] = asSent(value);
  return sent;
}

/** What is not as it was; of all others nothing is said but which one it is. */
export function changesOf(written: WrittenSession, sent: Sent): Partial<WrittenSession> {
  const found: Record<string, unknown> = { n: written.n };
  for (const key of Object.keys(written) as (keyof WrittenSession)[]) {
    const value = written[key];
    // Times never stay as they are.
    if (key === 'deadlines' || asSent(value) !== sent[key]) found[key] = value;
  }
  return found;
}

/** Which session it is about. @throws {ShapeError} */
export function numberOf(written: unknown): number {
  return count(anObject(written, 'session')['n'], 'n');
}

/** @param before What was read of it before, which becomes what it is now. @throws {ShapeError} naming what is wrong. */
export function readChanges(written: unknown, before: FrozenSession): FrozenSession {
  return Object.assign(before, changes(written, ''));
}

function asSent(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
}

/** '': the client does not sign. */
export function writeKey(key: KeyObject | null): string {
  return key === null ? '' : key.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** @throws {ShapeError} */
export function readKey(written: string): KeyObject | null {
  if (written === '') return null;
  try {
    const key = Buffer.from(written, 'base64');
    return createPublicKey({ key, format: 'der', type: 'spki' });
  } catch {
    throw new ShapeError('publicKey is no key');
  }
}
