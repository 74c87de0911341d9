/** One message to two processes of one gateway is handled once, in order, whichever of the two hears it first. */
import { expect, test } from 'vitest';

import { Crossing } from '../../../src/takeover/crossing.ts';
import { seededRandom } from '../../support/random.ts';

function crossing() {
  const handled: string[] = [];
  const one = new Crossing<string>((message) => void handled.push(message));
  return {
    handled,
    one,
    passed: (text: string) => one.passed(text, 's', Buffer.from(text)),
    direct: (text: string) => one.direct(text, 's', Buffer.from(text)),
  };
}

test('what both hear is handled when it is passed on, once, on both sides of the mark', () => {
  const { handled, one, passed, direct } = crossing();
  direct('a');
  passed('a');
  passed('b');
  one.markPassed();
  direct('b');
  passed('c');
  expect(one.isMarked).toBe(false);
  one.markDirect();
  expect(one.isMarked).toBe(true);
  direct('c');
  direct('d');
  passed('d');
  one.end();
  expect(handled).toEqual(['a', 'b', 'c', 'd']);
});

test('what only the new one hears is handled once the old one has left, in its order', () => {
  const { handled, one, passed, direct } = crossing();
  passed('a');
  one.markDirect();
  direct('b');
  direct('c');
  one.markPassed();
  direct('d');
  passed('b');
  expect(handled).toEqual(['a', 'b']);
  one.end();
  direct('e');
  expect(handled).toEqual(['a', 'b', 'c', 'd', 'e']);
});

/** Publishes alike messages at random; each of the two hears them in their order, late by up to fifty milliseconds. */
test.each([1, 2, 3, 4, 5, 6, 7, 8])('of alike ones as many as were published, seed %i', (seed) => {
  const random = seededRandom(seed);
  const { handled, one, passed, direct } = crossing();
  const old: (() => void)[] = [];
  const next: (() => void)[] = [];
  let published = 0;
  const publish = (toOld: boolean, toNext: boolean): void => {
    published++;
    if (toOld) old.push(() => passed('x'));
    if (toNext) next.push(() => direct('x'));
  };
  for (let i = 0; i < 20; i++) publish(true, false);
  for (let i = 0; i < 50; i++) publish(true, true);
  old.push(() => one.markPassed());
  next.push(() => one.markDirect());
  for (let i = 0; i < 30; i++) publish(true, true);
  for (let i = 0; i < 10; i++) publish(false, true);
  while (old.length + next.length > 0) {
    const queue = next.length === 0 || (old.length > 0 && random.number() < 0.5) ? old : next;
    queue.shift()!();
  }
  one.end();
  expect(handled.length).toBe(published);
});
