/** What a resume token says: a session as it was, and whose it is. JSON, since it is sealed as a whole. */
import type { Json, JsonObject } from '../contract/commands.ts';
import { nestsTooDeep } from '../contract/json.ts';
import { isObject, parseAsWritten } from '../protocol/exact-json.ts';

/** Milliseconds since the epoch wherever it says `Wall`. */
export type ResumeState = {
  /** The sid of the first session: the same for all that go on from it. */
  readonly lineage: string;
  /** Grows with every token of the lineage. */
  readonly counter: number;
  /** The session that the token was made for. */
  readonly sid: string;
  readonly issuedAtWall: number;
  readonly expiresAtWall: number;
  /** '' if it was not bound. */
  readonly uid: string;
  /** 0: it was not bound. */
  readonly boundAtWall: number;
  readonly data: JsonObject;
  readonly groups: readonly GroupPlace[];
  /** Where it was in the stream of kept pushes; null: it did not follow it. */
  readonly kept: { readonly seq: number; readonly since: number } | null;
};

export type GroupPlace = {
  readonly name: string;
  /** When the membership ends by itself; 0: with the session. */
  readonly endsAtWall: number;
};

/** The names are short, because a token has little room. */
export function stateBytes(state: ResumeState): Buffer {
  const { lineage, counter, sid, uid, data, groups, kept } = state;
  const json = {
    l: lineage,
    c: counter,
    s: sid,
    t: state.issuedAtWall,
    x: state.expiresAtWall,
    ...(uid !== '' && { u: uid, b: state.boundAtWall }),
    ...(Object.keys(data).length > 0 && { d: data }),
    ...(groups.length > 0 && {
      g: groups.map(({ name, endsAtWall }) => (endsAtWall === 0 ? name : [name, endsAtWall])),
    }),
    ...(kept !== null && { k: [kept.seq, kept.since] }),
  };
  return Buffer.from(JSON.stringify(json));
}

/** null: a gateway of another release has written it in a way that is not understood here. */
export function readState(bytes: Buffer): ResumeState | null {
  const json = parsed(bytes);
  if (json === null) return null;
  const { l, c, s, t, x, u = '', b = 0, d = {}, g = [], k = null } = json;
  const isNamed = typeof l === 'string' && l !== '' && typeof s === 'string';
  const isTimed = isWhole(c) && isWhole(t) && isWhole(x);
  const isBound = typeof u === 'string' && isWhole(b);
  if (!isNamed || !isTimed || !isBound || !isObject(d) || nestsTooDeep(d)) return null;
  const groups = groupsOf(g);
  const kept = keptOf(k);
  if (groups === null || kept === undefined) return null;
  return {
    ...{ lineage: l, counter: c, sid: s, issuedAtWall: t, expiresAtWall: x },
    ...{ uid: u, boundAtWall: u === '' ? 0 : b, groups, kept },
    data: Object.assign(Object.create(null), d) as JsonObject,
  };
}

function parsed(bytes: Buffer): Record<string, unknown> | null {
  try {
    const json = parseAsWritten(bytes.toString());
    return isObject(json) ? json : null;
  } catch {
    return null;
  }
}

function groupsOf(value: unknown): GroupPlace[] | null {
  if (!Array.isArray(value)) return null;
  const groups: GroupPlace[] = [];
  for (const entry of value as Json[]) {
    const [name, endsAtWall] = Array.isArray(entry) ? entry : [entry, 0];
    if (typeof name !== 'string' || name === '' || !isWhole(endsAtWall)) return null;
    groups.push({ name, endsAtWall });
  }
  return groups;
}

/** undefined: it cannot be read. */
function keptOf(value: unknown): ResumeState['kept'] | undefined {
  if (value === null) return null;
  const [seq, since] = Array.isArray(value) ? (value as unknown[]) : [];
  return Number.isSafeInteger(seq) && isWhole(since) ? { seq: seq as number, since } : undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
