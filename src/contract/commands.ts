/**
 * What backends and operators may do to sessions: the shapes of `pith.v1` that every way in (Link, NATS,
 * Control) decodes to.
 */
import type { Failure } from '../errors.ts';

/** JSON. A number that a double would change is a RawNumber of protocol/exact-json.ts, which only looks like an object. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** Changes to a session, applied all or nothing. */
export type Patch = {
  /** Binds; '' unbinds; undefined leaves it. */
  uid?: string;
  /** Key to value; null deletes. */
  set?: JsonObject;
  join?: readonly string[];
  leave?: readonly string[];
  /** 0 or absent: whatever the version is; else refused unless equal. */
  ifVersion?: number;
  /** Why it cannot be applied as it was said; absent: it can. */
  fault?: string;
};

export type Close = {
  reason: string;
  code: number;
  /** Send a kick packet first. */
  kick: boolean;
  retryAfterMs: number;
};

/** Who is meant: sids, uids, groups and all are united, `except…` taken away, then `where` must hold. */
export type Target = {
  sids?: readonly string[];
  uids?: readonly string[];
  groups?: readonly string[];
  all?: boolean;
  exceptSids?: readonly string[];
  exceptUids?: readonly string[];
  /** Session data keys and the values that they must equal. */
  where?: JsonObject;
  /** Only sessions of this gateway. */
  local?: boolean;
};

/**
 * By their numbers in `pith.v1.Delivery`. must: the session is closed when it does not fit · droppable: dropped when
 * the client is slow · latest: only the newest unsent push of its key is kept.
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
  /** Why it cannot be sent as it was said; absent: it can. */
  fault?: string;
};

/** Everything that a backend may say in answer to one message. */
export type Reply = {
  /** null or empty: the client gets `{}`. */
  body: Uint8Array | null;
  failure: Failure | null;
  patch: Patch | null;
  pushes: readonly Push[];
  close: Close | null;
};

/** A ConnectResponse that lets the client in. */
export type Accepted = {
  readonly patch: Patch | null;
  /** The `user` block of the handshake's answer; null: none. */
  readonly user: JsonObject | null;
  /** Milliseconds; 0: never. */
  readonly expiresInMs: number;
};

/** What became of a push: sessions, not users. */
export type PushCount = {
  /** Taken into the outbox. */
  delivered: number;
  dropped: number;
  /** The session was closing, or was closed by this push not fitting. */
  refused: number;
};

/** True when the target names nobody. */
export function namesNobody(target: Target): boolean {
  return !target.all && !target.sids?.length && !target.uids?.length && !target.groups?.length;
}
