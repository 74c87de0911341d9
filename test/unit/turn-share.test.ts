/** A turn of the event loop does its share; the rest comes in the next, in order. */
import { describe, expect, test } from 'vitest';

import { TurnShare } from '../../src/turn-share.ts';
import { TurnClock } from '../support/turn-clock.ts';

function stage(perTurn: number) {
  const clock = new TurnClock(1_000);
  const share = new TurnShare(clock, perTurn);
  const done: string[] = [];
  const soon = (name: string, cost: number): void => {
    share.soon(() => {
      done.push(name);
      share.spend(cost);
    });
  };
  const byTurn = (): string[] => {
    const turns: string[] = [];
    while (clock.turn()) turns.push(done.splice(0).join(''));
    return turns;
  };
  return { clock, share, soon, byTurn };
}

describe('a turn', () => {
  test('has room until its share is spent, and the next one has all of it again', () => {
    const { clock, share } = stage(4);
    share.spend(3);
    expect(share.isSpent).toBe(false);
    expect(share.hasRoom(1)).toBe(true);
    expect(share.hasRoom(2)).toBe(false);
    share.spend(3);
    expect(share.isSpent).toBe(true);
    clock.turn();
    expect(share.hasRoom(4)).toBe(true);
    expect(share.hasRoom(5)).toBe(false);
  });

  test('does as much as its share, in the order in which it was asked for', () => {
    const { soon, byTurn } = stage(4);
    for (const name of 'abcdefgh') soon(name, 2);
    expect(byTurn()).toEqual(['ab', 'cd', 'ef', 'gh', '']);
  });

  test('does one thing in any case, however much it costs', () => {
    const { soon, byTurn } = stage(4);
    for (const name of 'abc') soon(name, 100);
    expect(byTurn()).toEqual(['a', 'b', 'c', '']);
  });

  test('comes when nothing waits any more, too: what was spent before it does not count later', () => {
    const { clock, share, soon, byTurn } = stage(4);
    share.spend(4);
    expect(clock.turn()).toBe(true);
    expect(clock.turn()).toBe(false);
    soon('a', 4);
    expect(byTurn()).toEqual(['a', '']);
  });

  test('comes to those who have asked meanwhile after those who still wait', () => {
    const { share, soon, byTurn } = stage(2);
    share.soon(() => {
      share.spend(2);
      soon('z', 2);
    });
    soon('a', 2);
    expect(byTurn()).toEqual(['', 'a', 'z', '']);
  });

  test('is waited for with what it will cost', async () => {
    const { clock, share } = stage(4);
    const seen: string[] = [];
    for (const name of 'abc') void share.turn(2).then(() => seen.push(name));
    clock.turn();
    await Promise.resolve();
    expect(seen).toEqual(['a', 'b']);
    clock.turn();
    await Promise.resolve();
    expect(seen).toEqual(['a', 'b', 'c']);
  });
});
