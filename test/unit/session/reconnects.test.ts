/** How often users come and go: counted for a while, and for so many users. */
import { expect, test } from 'vitest';

import { Reconnects } from '../../../src/session/reconnects.ts';
import { ManualClock } from '../../support/clock.ts';

const MINUTE = 60_000;

test('ends are counted by user for five to ten minutes; those of nobody are not', () => {
  const clock = new ManualClock();
  const reconnects = new Reconnects(clock);
  reconnects.ended('ann');
  reconnects.ended('');
  clock.advance(4 * MINUTE);
  reconnects.ended('ann');
  reconnects.ended('bob');
  expect(['ann', 'bob', 'eve', ''].map((uid) => reconnects.of(uid))).toEqual([2, 1, 0, 0]);
  clock.advance(3 * MINUTE);
  reconnects.ended('bob');
  expect(['ann', 'bob'].map((uid) => reconnects.of(uid))).toEqual([2, 2]);
  clock.advance(4 * MINUTE);
  expect(['ann', 'bob'].map((uid) => reconnects.of(uid))).toEqual([0, 1]);
  clock.advance(60 * MINUTE);
  expect(reconnects.of('bob')).toBe(0);
});

test('of 10,000 users at most; those that are known go on being counted', () => {
  const reconnects = new Reconnects(new ManualClock());
  for (let i = 0; i < 10_001; i++) reconnects.ended(`u${i}`);
  reconnects.ended('u0');
  expect(['u0', 'u9999', 'u10000'].map((uid) => reconnects.of(uid))).toEqual([2, 1, 0]);
});
