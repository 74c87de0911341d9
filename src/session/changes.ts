/** Applies a backend's changes to a session: all of them, or none and a reason. */
import { type Failure, failure } from '../errors.ts';
import { isRawNumber, isSameNumber } from '../protocol/exact-json.ts';
import type { Json, JsonObject, Patch } from '../contract/commands.ts';
import { JSON_DEPTH_MAX_TO_BACKENDS, nestsTooDeep } from '../contract/json.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';

export type ChangeLimits = {
  /** Bytes of a session's data as JSON. */
  readonly dataBytesMax: number;
  readonly groupsMax: number;
  /** Why no session may have this uid; absent: any may. */
  readonly uidRefusal?: (uid: string) => Failure | null;
};

/** Bytes of UTF-8 in a uid, a group's name or a data key. */
export const NAME_BYTES_MAX = 256;

/** A key and a value as JSON: `"":1,`. More keys than can go and come are not looked at further. */
const KEY_BYTES_MIN = 5;
/** Groups that one change names beyond those that a session may be in: leaving what one is not in is allowed. */
const SPARE_GROUPS = 1_000;

export type Changed = {
  /** 1 when anything is different now. */
  readonly changed: 0 | 1;
  readonly version: number;
  /** Resolves when pushes to the new user or groups reach this session; null: they do now. Never rejects. */
  readonly confirmed: Promise<void> | null;
};

/**
 * Applies `patch`. While a new subscription is being confirmed the session's outbox is corked, so that whatever
 * is sent to the client after the change, the answer first of all, leaves after the confirmation.
 *
 * @param wallNow Milliseconds since the epoch.
 */
export function applyPatch(
  registry: Registry,
  session: Session,
  patch: Patch,
  limits: ChangeLimits,
  wallNow: number,
): Changed | Failure {
  const refused = refusal(session, patch, limits);
  if (refused !== null) return refused;
  const pending: Promise<void>[] = [];
  const wait = (confirmed: Promise<void> | null): void => {
    if (confirmed !== null) pending.push(confirmed);
  };
  const uidBefore = session.uid;
  let changed = changeData(session, patch.set);
  if (patch.uid !== undefined && patch.uid !== session.uid) {
    wait(registry.bind(session, patch.uid, wallNow));
    changed = true;
  }
  const joined = new Set(patch.join);
  for (const group of patch.leave ?? []) {
    if (!session.groups.has(group) || joined.has(group)) continue;
    registry.leave(session, group);
    changed = true;
  }
  for (const group of patch.join ?? []) {
    if (session.groups.has(group)) continue;
    wait(registry.join(session, group));
    changed = true;
  }
  if (changed) session.changed();
  if (session.uid !== uidBefore) {
    if (session.uid === '') {
      session.resuming?.unbound();
      registry.events.unbound(session, uidBefore);
    } else registry.events.bound(session);
  }
  return {
    changed: changed ? 1 : 0,
    version: session.version,
    confirmed: corkUntil(session, pending),
  };
}

function corkUntil(session: Session, pending: Promise<void>[]): Promise<void> | null {
  if (pending.length === 0) return null;
  session.outbox.cork();
  return Promise.all(pending).then(() => {
    session.outbox.uncork();
  });
}

/** Why the patch cannot be applied; null: it can. */
export function refusal(session: Session, patch: Patch, limits: ChangeLimits): Failure | null {
  if (session.state === 'closed') return failure('CLOSING');
  const { uid, ifVersion, fault } = patch;
  if (fault !== undefined) return failure('BAD_ARGUMENT', fault);
  if (ifVersion !== undefined && ifVersion !== 0 && ifVersion !== session.version) {
    return failure('CONFLICT', `the session is at version ${session.version}, not ${ifVersion}`);
  }
  if (uid !== undefined && uid !== '' && session.state === 'draining') return failure('CLOSING');
  if (uid !== undefined && uid !== '' && session.uid !== '' && uid !== session.uid) {
    return failure('CONFLICT', `the session is bound to ${session.uid}; unbind it first`);
  }
  if (uid !== undefined && uid !== '') {
    const blocked = limits.uidRefusal?.(uid) ?? null;
    if (blocked !== null) return blocked;
  }
  const tooMany = groupsRefusal(session, patch, limits) ?? dataRefusal(session, patch.set, limits);
  if (tooMany !== null) return tooMany;
  return nameRefusal(patch);
}

/** Why a name in the patch can be no uid, group or key. */
export function nameRefusal(patch: Patch): Failure | null {
  const names = [
    patch.uid ?? '',
    ...(patch.join ?? []),
    ...(patch.leave ?? []),
    ...Object.keys(patch.set ?? {}),
  ];
  for (const name of names) {
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
      return failure('TOO_LARGE', `a uid, group or key of more than ${NAME_BYTES_MAX} bytes`);
    }
  }
  // They become subjects and headers, in which all of these would be one name.
  for (const name of [patch.uid ?? '', ...(patch.join ?? [])]) {
    if (!name.isWellFormed())
      return failure(
        'BAD_ARGUMENT',
        'a uid or group holds half a character, which is not valid UTF-8',
      );
  }
  if ((patch.join ?? []).includes('')) return failure('BAD_ARGUMENT', 'a group has no name');
  return null;
}

function groupsRefusal(session: Session, patch: Patch, limits: ChangeLimits): Failure | null {
  const named = (patch.join?.length ?? 0) + (patch.leave?.length ?? 0);
  if (named > 2 * limits.groupsMax + SPARE_GROUPS)
    return failure('TOO_LARGE', `${named} groups; sessions.groups allows ${limits.groupsMax}`);
  if (patch.join === undefined || patch.join.length === 0) return null;
  const after = new Set(session.groups);
  for (const group of patch.leave ?? []) after.delete(group);
  for (const group of patch.join) after.add(group);
  if (after.size <= limits.groupsMax) return null;
  return failure('TOO_LARGE', `${after.size} groups; sessions.groups allows ${limits.groupsMax}`);
}

function dataRefusal(
  session: Session,
  set: JsonObject | undefined,
  limits: ChangeLimits,
): Failure | null {
  if (set === undefined) return null;
  const keys = Object.keys(set).length;
  if (keys * KEY_BYTES_MIN > 2 * limits.dataBytesMax)
    return failure(
      'TOO_LARGE',
      `${keys} keys of session data; sessions.data allows ${limits.dataBytesMax} bytes`,
    );
  if (nestsTooDeep(set))
    return failure('TOO_LARGE', `session data nested deeper than ${JSON_DEPTH_MAX_TO_BACKENDS}`);
  const after = Object.assign(Object.create(null), session.data) as JsonObject;
  assign(after, set);
  const bytes = Buffer.byteLength(JSON.stringify(after));
  if (bytes <= limits.dataBytesMax) return null;
  return failure(
    'TOO_LARGE',
    `${bytes} bytes of session data; sessions.data allows ${limits.dataBytesMax}`,
  );
}

function numberText(value: Json | undefined): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  return isRawNumber(value) ? value.rawJSON : null;
}

function changeData(session: Session, set: JsonObject | undefined): boolean {
  return set !== undefined && assign(session.data, set);
}

/** `into` must have no prototype: a key may be called anything. */
function assign(into: JsonObject, set: JsonObject): boolean {
  let changed = false;
  for (const key of Object.keys(set)) {
    const value = set[key] as Json;
    if (value === null) {
      changed = key in into || changed;
      delete into[key];
    } else {
      changed = changed || !equal(into[key], value);
      into[key] = value;
    }
  }
  return changed;
}

/**
 * Tells whose session data has the equal value for every key of `where`. What is asked of each session takes time by
 * the size of its data, however large `where` is.
 */
export function matcherOf(where: JsonObject): (data: JsonObject) => boolean {
  const entries = Object.entries(where);
  return (data) =>
    entries.every(([key, value]) => Object.hasOwn(data, key) && equal(data[key], value));
}

/**
 * Equal as JSON: in objects the order of the keys means nothing, and a Struct has none; a number is the same in any
 * notation.
 */
function equal(a: Json | undefined, b: Json): boolean {
  const [textA, textB] = [numberText(a), numberText(b)];
  if (textA !== null || textB !== null)
    return textA !== null && textB !== null && isSameNumber(textA, textB);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => equal(item, b[i]!));
  }
  const keys = Object.keys(a);
  return (
    keys.length === countOfKeys(b) &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]!))
  );
}

/** Of what many sessions are compared with. */
const keyCounts = new WeakMap<object, number>();

function countOfKeys(object: JsonObject): number {
  let count = keyCounts.get(object);
  if (count === undefined) {
    count = Object.keys(object).length;
    keyCounts.set(object, count);
  }
  return count;
}
