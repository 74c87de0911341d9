import { describe, expect, test } from 'vitest';

import { Others } from '../../../src/bus/others.ts';
import { ManualClock } from '../../support/clock.ts';

function make(): { others: Others; clock: ManualClock; names: () => string[] } {
  const clock = new ManualClock();
  const others = new Others('own-0123456789', clock);
  return { others, clock, names: () => [...others.names()] };
}

describe('a gateway that is heard', () => {
  test('is known until it is silent three times in a row', () => {
    const { others, names } = make();
    expect(others.heard('a', true)).toBe(true);
    for (let i = 0; i < 2; i++) others.silent('a');
    others.heard('a', false);
    for (let i = 0; i < 2; i++) others.silent('a');
    expect(names()).toEqual(['a']);
    others.silent('a');
    expect(names()).toEqual([]);
  });

  test.each(['', 'x'.repeat(65), 'a b', 'a.b', '*', 'zoë', 'a\n'])('as %j is none', (name) => {
    const { others, names } = make();
    expect(others.heard(name, true)).toBe(false);
    expect(names()).toEqual([]);
  });

  test('as ourselves is no other', () => {
    const { others, names } = make();
    expect(others.heard('own-0123456789', true)).toBe(true);
    expect(names()).toEqual([]);
  });
});

describe('among a thousand', () => {
  test('one more is not kept, unless it has answered and another has not', () => {
    const { others, names } = make();
    for (let i = 0; i < 1_000; i++) others.heard(`g${i}`, i === 0);
    expect(others.heard('more', false)).toBe(false);
    expect(others.size).toBe(1_000);
    expect(others.heard('more', true)).toBe(true);
    expect(others.size).toBe(1_000);
    expect(names()).toContain('g0');
    expect(names()).not.toContain('g1');
    for (let i = 0; i < 2_000; i++) others.heard(`h${i}`, true);
    expect(others.size).toBe(1_000);
    expect(others.heard('last', true)).toBe(false);
  });
});

describe('there may be more than are known', () => {
  test('while nobody is known', () => {
    const { others } = make();
    expect(others.mayBeMore).toBe(true);
    others.heard('a', false);
    expect(others.mayBeMore).toBe(false);
  });

  test('for ten minutes after one that had answered was lost, and not for one that never had', () => {
    const { others, clock } = make();
    for (const [name, answered] of [
      ['a', true],
      ['b', true],
      ['c', false],
    ] as const)
      // prettier-ignore
      others.heard(name, answered);
    for (let i = 0; i < 3; i++) others.silent('c');
    expect(others.mayBeMore).toBe(false);
    for (let i = 0; i < 3; i++) others.silent('b');
    expect(others.mayBeMore).toBe(true);
    clock.advance(599_999);
    expect(others.mayBeMore).toBe(true);
    clock.advance(1);
    expect(others.mayBeMore).toBe(false);
  });

  test('for twenty seconds after a goodbye, which anybody may have said, unless it is heard again', () => {
    const { others, clock } = make();
    for (const name of ['a', 'b']) others.heard(name, true);
    others.left('b');
    others.left('never heard of');
    expect(others.mayBeMore).toBe(true);
    others.heard('b', false);
    expect(others.mayBeMore).toBe(false);
    others.heard('b', true);
    others.left('b');
    clock.advance(20_000);
    expect(others.mayBeMore).toBe(false);
  });
});
