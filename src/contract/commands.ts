/**
 * What backends and operators may do to sessions, and what backends answer: every form of `pith.v1` (protobuf, JSON,
 * headers) is read into these types.
 */
import type { Failure } from '../errors.ts';
import type { Cursor } from './cursor.ts';

/** JSON. A number that a double would change is a RawNumber of protocol/exact-json.ts, which only looks like an object. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** Changes to a session: all are applied, or none. */
export type Patch = {
  /** Binds; '' unbinds; undefined leaves it. */
  uid?: string;
  /** Key to value; null deletes. */
  set?: JsonObject;
  join?: readonly string[];
  leave?: readonly string[];
  /** How long membership of the groups in `join` lasts, in milliseconds; 0: to the end; absent: `sessions.group_ttl`. */
  groupTtlMs?: number;
  /** 0 or absent: any version; otherwise the patch is refused unless the session has this one. */
  ifVersion?: number;
  /** Why it cannot be applied; absent: it can. */
  fault?: string;
};

export type Close = {
  reason: string;
  code: number;
  /** Send a kick packet first. */
  kick: boolean;
  retryAfterMs: number;
  /** Absent: a backend. */
  by?: 'operator' | 'backend';
};

/** Which sessions: the union of sids, uids, groups and all, minus `except…`, of those the ones for which `where` holds. */
export type Target = {
  sids?: readonly string[];
  uids?: readonly string[];
  groups?: readonly string[];
  all?: boolean;
  exceptSids?: readonly string[];
  exceptUids?: readonly string[];
  /** Keys of the session's data, and the values that they must have. */
  where?: JsonObject;
  /** Only sessions of this gateway. */
  local?: boolean;
};

/**
 * By their numbers in `pith.v1.Delivery`. must: if it does not fit, the session is closed · droppable: dropped if the
 * client is slow · latest: of the unsent pushes with its key only the newest is kept.
 */
export const DELIVERIES = ['must', 'droppable', 'latest'] as const;
export type Delivery = (typeof DELIVERIES)[number];

export type Push = {
  /** null: the session whose request is being answered. */
  target: Target | null;
  route: string;
  body: Uint8Array;
  delivery: Delivery;
  latestKey: string;
  /** Milliseconds; 0: never. */
  expiresInMs: number;
  /** On a reply: after the answer instead of before it. */
  afterReply: boolean;
  /** Its number among the pushes to the one group that it is for; absent: they are not numbered. */
  cursor?: Cursor;
  /** It is kept for users who are away for a moment, and goes to all through the stream. Default: false. */
  keep?: boolean;
  /** The trace that its publisher is in, as `traceparentOf` takes it; absent: none. */
  traceparent?: string;
  /** Why it cannot be sent; absent: it can. */
  fault?: string;
};

/** Everything that the answer to one message may hold. */
export type Reply = {
  /** null or empty: the client gets `{}`. */
  body: Uint8Array | null;
  failure: Failure | null;
  patch: Patch | null;
  pushes: readonly Push[];
  close: Close | null;
  /** The last push to the group that the body has, where its route joins one; absent: nobody knows. */
  from?: Cursor;
};

/** A ConnectResponse that admits the client. */
export type Accepted = {
  readonly patch: Patch | null;
  /** The `user` block of the handshake's answer; null: none. */
  readonly user: JsonObject | null;
  /** Milliseconds; 0: never. */
  readonly expiresInMs: number;
};

/** The outcome of a push, in sessions, not users. */
export type PushCount = {
  /** Put into the outbox. */
  delivered: number;
  dropped: number;
  /** The session was closing, or was closed because the push did not fit; or too many pushes to many wait. */
  refused: number;
};

/** True if the target is one group and nobody else, but for exceptions. */
export function isOneGroup({ all, sids, uids, groups }: Target): boolean {
  return groups?.length === 1 && !all && !sids?.length && !uids?.length;
}

/** True if the target can match no session. */
export function namesNobody(target: Target): boolean {
  return !target.all && !target.sids?.length && !target.uids?.length && !target.groups?.length;
}
