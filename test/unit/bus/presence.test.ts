/** One gateway's part of the answer to who is online: bounded in bytes, whatever is asked. */
import { expect, test } from 'vitest';

import { presenceHere, presenceOf } from '../../../src/bus/presence.ts';
import { presenceJson, readPeerReply } from '../../../src/bus/peer-reply.ts';
import type { Session } from '../../../src/session/session.ts';

/** `users[uid]` sessions, with the largest numbers that there may be. */
function registry(users: Record<string, number>) {
  let n = 9_007_199_254_740_000;
  const sessions = new Map(
    Object.entries(users).map(([uid, count]) => [
      uid,
      new Set(
        Array.from(
          { length: count },
          () => ({ n: n--, boundAtWall: 8_000_000_000_000 }) as Session,
        ),
      ),
    ]),
  );
  return { byUid: (uid: string) => sessions.get(uid) ?? new Set<Session>() };
}

const named = (here: ReturnType<typeof presenceHere>) =>
  here.map(({ index, sessions, entries }) => [index, sessions, entries.length]);

test('counts every session, and names a hundred of one uid', () => {
  const here = presenceHere(registry({ a: 1, c: 250 }), ['a', 'b', 'c'], 1_000_000);
  expect(named(here)).toEqual([
    [0, 1, 1],
    [2, 250, 100],
  ]);
});

test('names fewer where they do not fit, and still counts all', () => {
  const uids = Array.from({ length: 100 }, (_, i) => `u${i}`);
  const here = presenceHere(
    registry(Object.fromEntries(uids.map((uid) => [uid, 50]))),
    uids,
    16_384,
  );
  const bytes = Buffer.byteLength(
    JSON.stringify({ gateway: 'g'.repeat(64), did: 'presence', presence: presenceJson(here) }),
  );
  expect(bytes).toBeLessThan(16_384);
  expect(here.map(({ sessions }) => sessions)).toEqual(uids.map(() => 50));
  expect(here[0]!.entries.length).toBe(50);
  expect(here.at(-1)!.entries).toEqual([]);
});

test('what another gateway says is read only where it makes sense', () => {
  const presence = [
    [0, 1, [[7, 2_000]]],
    ...[[1, 0, []], [-1, 1, []], ['0', 1, []], [0.5, 1, []], [1, 1], null, 'x', [9, 4, []]],
    [2, 3, [[1, 5], [0, 5], [1.5, 5], ['1', 5], [1, -1], [1, 1e300], [1], null]],
  ];
  const reply = readPeerReply(
    Buffer.from(JSON.stringify({ gateway: 'g', did: 'presence', presence })),
  )!;
  expect(Object.fromEntries(presenceOf(['a', 'b', 'c'], [reply]))).toEqual({
    a: { sessions: 1, entries: [{ sid: 'g.7', gateway: 'g', boundAtWall: 2_000 }] },
    c: { sessions: 3, entries: [{ sid: 'g.1', gateway: 'g', boundAtWall: 5 }] },
  });
});
