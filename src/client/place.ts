/** How a client comes back to its session at Pith: what it says, and hears, beside the application. */
import { isObject } from './client-error.ts';
import type { Received } from './received.ts';

/** `user.pith` of a handshake. Other servers than Pith do not look at it. */
export type Place = {
  /** The token of the session; '': a session of its own is wanted, and a token. */
  resume: string;
  /** The number of the last kept push; 0: none yet. */
  cursor: number;
};

/** The `user` block of the server's answer, as far as it is about that. */
export type Placed = {
  readonly pith?: { readonly resume?: string; readonly resumed?: true };
} | null;

/** The `user` block with the place in it, if it is one that takes it. */
export function withPlace(block: unknown, pith?: Place): unknown {
  const user = block ?? {};
  return isObject(user) && pith ? { ...user, pith } : user;
}

/**
 * Keeps what a push is for; false: it is for the application, too, as one that says that others are missing.
 * @throws {ClientError} BAD_BODY.
 */
export function movePlace(place: Place, push: Received): boolean {
  if (push.route !== 'pith.resume' && push.route !== 'pith.cursor') return false;
  const body = (push.body ?? {}) as Partial<Told>;
  place.resume = body.token ?? place.resume;
  place.cursor = body.seq ?? place.cursor;
  return !body.missed;
}

type Told = { readonly token: string; readonly seq: number; readonly missed: true };
