/** Which of the other gateways are silent for too long. */
import { expect, test } from 'vitest';

import { WatchedGateways } from '../../../src/bus/watched-gateways.ts';

const B = 'b-0123456789';

/** Another gateway, heard once. */
function stage(startedAtWall = 2_000) {
  const others = new WatchedGateways('a-0123456789', 1_000);
  const alive = { gateway: B, seq: 7, sessions: 3, term: 1, startedAtWall };
  const hear = (term = 1) => others.heard({ ...alive, term }, 5_000);
  hear();
  /** The looks, a second each, after which it is announced. */
  const announcedIn = (looks: number): number[] => {
    const found: number[] = [];
    for (let i = 1; i <= looks; i++) if (others.look(1_000).length > 0) found.push(i);
    return found;
  };
  return { others, hear, announcedIn };
}

test('is announced after 7.5 s of silence, and every second until that is known', () => {
  const { others, announcedIn } = stage();
  expect(announcedIn(10)).toEqual([8, 9, 10]);
  const lost = { id: '', lastHeardWall: 0, lastSeq: 0, seq: 0, sessions: 3, gateway: B };
  expect(others.lost({ ...lost, term: 1, by: B })).toBe(true);
  expect(others.lost({ ...lost, term: 1, by: B })).toBe(false);
  expect(announcedIn(60)).toEqual([]);
  expect(others.size).toBe(0);
});

test('one that is heard after 2.5 s of silence is back, and so is one that was lost', () => {
  const { others, hear } = stage();
  others.look(1_000);
  others.look(1_000);
  expect(hear()).toBe('alive');
  for (let i = 0; i < 3; i++) others.look(1_000);
  expect([hear(), hear()]).toEqual(['back', 'alive']);
  for (let i = 0; i < 8; i++) others.look(1_000);
  const lost = { id: '', lastHeardWall: 0, lastSeq: 0, seq: 0, sessions: 3, gateway: B };
  others.lost({ ...lost, term: 1, by: B });
  expect([hear(), hear(), hear(2), hear(2)]).toEqual(['back', 'alive', 'returned', 'alive']);
});

test('is lost in its last term, though what it said in an earlier one comes late', () => {
  const { others, hear } = stage();
  expect(hear(2)).toBe('alive');
  expect(hear(1)).toBe('alive');
  for (let i = 1; i <= 7; i++) expect(others.look(1_000)).toEqual([]);
  expect(others.look(1_000)).toMatchObject([{ gateway: B, term: 2 }]);
  // A term that nobody can have reached is forged: what the gateway says counts.
  hear(5_000);
  hear(2);
  for (let i = 1; i <= 7; i++) others.look(1_000);
  expect(others.look(1_000)).toMatchObject([{ gateway: B, term: 2 }]);
});

test('what passed while this process was stopped counts as a second', () => {
  const { others, announcedIn } = stage();
  expect(others.look(60_000)).toEqual([]);
  expect(announcedIn(7)).toEqual([7]);
});

test('silence before the bus was lost does not count', () => {
  const { others, announcedIn } = stage();
  expect(announcedIn(7)).toEqual([]);
  others.heardNothing();
  expect(announcedIn(8)).toEqual([8]);
});

test('a gateway that heard nothing after an announcement that was not confirmed begins again', () => {
  const { others, announcedIn } = stage();
  expect(announcedIn(8)).toEqual([8]);
  others.heardNothing();
  expect(announcedIn(8)).toEqual([8]);
});

test('the next oldest says it a second later, and others half a second after that', () => {
  const others = new WatchedGateways('z-0123456789', 9_000);
  const ages = [1_000, 2_000, 3_000];
  for (const [i, startedAtWall] of ages.entries())
    others.heard({ gateway: `g${i}`, seq: 0, sessions: 0, term: 1, startedAtWall }, 0);
  const found: number[] = [];
  for (let ms = 500; ms <= 10_000; ms += 500) {
    // All but g2 are heard all the time.
    for (const [i, startedAtWall] of ages.slice(0, 2).entries())
      others.heard({ gateway: `g${i}`, seq: 0, sessions: 0, term: 1, startedAtWall }, 0);
    if (others.look(500).some(({ gateway }) => gateway === 'g2')) found.push(ms);
  }
  expect(found[0]).toBe(9_000);
});

test('of two that were started in the same millisecond the one whose id is less says it first', () => {
  const first = (own: string, other: string): number => {
    const others = new WatchedGateways(own, 1_000);
    const alive = { seq: 0, sessions: 0, term: 1, startedAtWall: 1_000 };
    others.heard({ ...alive, gateway: 'gone' }, 0);
    for (let ms = 500; ms <= 10_000; ms += 500) {
      others.heard({ ...alive, gateway: other }, 0);
      if (others.look(500).length > 0) return ms;
    }
    return 0;
  };
  expect([first('a', 'b'), first('b', 'a')]).toEqual([7_500, 8_500]);
});
