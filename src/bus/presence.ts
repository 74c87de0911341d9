/** Which users are online, and where: this gateway's part of the answer, and the sum of all parts. */
import type { Registry } from '../session/registry.ts';
import type { PeerReply, PresenceHere } from './bus.ts';

/** Uids that one question may name. */
export const PRESENCE_UIDS_MAX = 10_000;
/** Sessions of one uid that one gateway names; it counts all. */
export const PRESENCE_NAMED_MAX = 100;
/** Bytes of an answer besides its uids; of a uid's counts; and of one session: numbers of at most 16 digits. */
const AROUND_BYTES = 256;
const UID_BYTES = 64;
const ENTRY_BYTES = 36;

/** A session of a user: the longest bound comes first. */
export type PresenceEntry = {
  readonly sid: string;
  readonly gateway: string;
  /** Milliseconds since the epoch. */
  readonly boundAtWall: number;
};

/** The sessions of one user: all are counted, and the first are named. */
export type Presence = { sessions: number; entries: PresenceEntry[] };

/** This gateway's sessions of these uids; sessions are named as long as the answer stays below `bytesMax`. */
export function presenceHere(
  registry: Pick<Registry, 'byUid'>,
  uids: readonly string[],
  bytesMax: number,
): PresenceHere[] {
  const found: PresenceHere[] = [];
  // What everyone's counts may take comes first.
  let bytes = AROUND_BYTES + uids.length * UID_BYTES;
  for (const [index, uid] of uids.entries()) {
    const sessions = registry.byUid(uid);
    if (sessions.size === 0) continue;
    const entries: [number, number][] = [];
    for (const { n, boundAtWall } of sessions) {
      if (entries.length === PRESENCE_NAMED_MAX || bytes + ENTRY_BYTES > bytesMax) break;
      bytes += ENTRY_BYTES;
      entries.push([n, boundAtWall]);
    }
    found.push({ index, sessions: sessions.size, entries });
  }
  return found;
}

/** The parts of all gateways together: only users that are online. */
export function presenceOf(
  uids: readonly string[],
  parts: readonly Pick<PeerReply, 'gateway' | 'presence'>[],
): Map<string, Presence> {
  const users = new Map<string, Presence>();
  for (const { gateway, presence = [] } of parts) {
    for (const { index, sessions, entries } of presence) {
      const uid = uids[index];
      if (uid === undefined) continue;
      let user = users.get(uid);
      if (user === undefined) users.set(uid, (user = { sessions: 0, entries: [] }));
      user.sessions += sessions;
      for (const [n, boundAtWall] of entries)
        user.entries.push({ sid: `${gateway}.${n}`, gateway, boundAtWall });
    }
  }
  for (const { entries } of users.values()) entries.sort((a, b) => a.boundAtWall - b.boundAtWall);
  return users;
}
