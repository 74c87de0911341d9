import { describe, expect, test } from 'vitest';

import { KnownGateways } from '../../../src/bus/known-gateways.ts';
import { ManualClock } from '../../support/clock.ts';

function make(): { known: KnownGateways; clock: ManualClock; names: () => string[] } {
  const clock = new ManualClock();
  const known = new KnownGateways('own-0123456789', clock);
  return { known, clock, names: () => [...known.names()] };
}

describe('a gateway that is heard', () => {
  test('is known until it is silent three times in a row', () => {
    const { known, names } = make();
    expect(known.heard('a', true)).toBe(true);
    for (let i = 0; i < 2; i++) known.silent('a');
    known.heard('a', false);
    for (let i = 0; i < 2; i++) known.silent('a');
    expect(names()).toEqual(['a']);
    known.silent('a');
    expect(names()).toEqual([]);
  });

  test.each(['', 'x'.repeat(65), 'a b', 'a.b', '*', 'zoë', 'a\n'])('as %j is none', (name) => {
    const { known, names } = make();
    expect(known.heard(name, true)).toBe(false);
    expect(names()).toEqual([]);
  });

  test('as ourselves is no other', () => {
    const { known, names } = make();
    expect(known.heard('own-0123456789', true)).toBe(true);
    expect(names()).toEqual([]);
  });
});

describe('a gateway that calls no longer wait for', () => {
  test('is still named for a minute, unless it is heard again', () => {
    const { known, clock } = make();
    for (const name of ['a', 'b']) known.heard(name, true);
    expect(known.lostNames()).toEqual([]);
    for (let i = 0; i < 3; i++) for (const name of ['a', 'b']) known.silent(name);
    expect(known.lostNames()).toEqual(['a', 'b']);
    known.heard('b', true);
    clock.advance(59_999);
    expect(known.lostNames()).toEqual(['a']);
    clock.advance(1);
    expect(known.lostNames()).toEqual([]);
  });

  test('is named again when it has greeted since, and is silent again', () => {
    const { known } = make();
    known.heard('a', true);
    for (let i = 0; i < 3; i++) known.silent('a');
    known.heard('a', false);
    expect(known.lostNames()).toEqual([]);
    for (let i = 0; i < 3; i++) known.silent('a');
    expect(known.lostNames()).toEqual(['a']);
  });

  test('is not named if it has never answered', () => {
    const { known } = make();
    known.heard('a', false);
    for (let i = 0; i < 3; i++) known.silent('a');
    expect(known.lostNames()).toEqual([]);
  });

  test('is not named once it has said goodbye', () => {
    const { known } = make();
    known.heard('a', true);
    known.left('a');
    expect(known.lostNames()).toEqual([]);
  });
});

describe('a gateway that was announced to be lost', () => {
  test('is not waited for from then on, but still named for a minute', () => {
    const { known, clock, names } = make();
    for (const name of ['a', 'b']) known.heard(name, true);
    known.lost('a');
    known.lost('a');
    expect([names(), known.lostNames(), known.mayBeMore]).toEqual([['b'], ['a'], true]);
    clock.advance(60_000);
    expect(known.lostNames()).toEqual([]);
    known.heard('a', false);
    expect(names()).toEqual(['b', 'a']);
  });

  test('is not taken for new when another tells of it, which has not heard of its loss', () => {
    const { known, clock, names } = make();
    known.heard('answered', true);
    known.heard('greeted', false);
    for (const name of ['answered', 'greeted']) known.lost(name);
    known.toldOf(['answered', 'greeted', 'new']);
    expect([names(), known.lostNames()]).toEqual([['new'], ['answered', 'greeted']]);
    clock.advance(60_000);
    known.toldOf(['greeted']);
    expect([names(), known.lostNames()]).toEqual([['new'], []]);
  });

  test('and has only greeted takes no place of those that have answered', () => {
    const { known, names } = make();
    for (let i = 0; i < 1_000; i++) {
      known.heard(`gw-${i}`, true);
      known.lost(`gw-${i}`);
    }
    known.heard('greeted', false);
    known.lost('greeted');
    expect(known.lostNames()).toHaveLength(1_000);
    expect(known.lostNames()).not.toContain('greeted');
    // What has never answered makes room for what has, though it was lost in between.
    for (let i = 0; i < 1_000; i++) known.heard(`gw-${i}`, true);
    known.heard('other', false);
    known.lost('gw-0');
    known.heard('other', false);
    known.lost('other');
    known.heard('other', false);
    expect(known.heard('gw-0', true)).toBe(true);
    expect(names()).not.toContain('other');
  });

  test('is not told of to one that is new, whether or not it was silent before', () => {
    const { known } = make();
    for (const name of ['a', 'b', 'c']) known.heard(name, true);
    for (let i = 0; i < 3; i++) known.silent('b');
    expect(known.recentNames()).toEqual(['b', 'a', 'c']);
    for (const name of ['a', 'b', 'never heard of']) known.lost(name);
    expect(known.recentNames()).toEqual(['c']);
    known.heard('a', true);
    expect(known.recentNames()).toEqual(['c', 'a']);
  });
});

test('gateways that sids name are unheard of if they are others, and neither known nor lost', () => {
  const { known } = make();
  for (const name of ['known', 'lost', 'left']) known.heard(name, true);
  for (let i = 0; i < 3; i++) known.silent('lost');
  known.left('left');
  const sids = [
    'known.1',
    'lost.1',
    'left.1',
    'own-0123456789.1',
    'new.1',
    'new.2',
    'a b.1',
    'x',
    '',
  ];
  expect([...known.unheardOf(sids)]).toEqual(['new']);
  const many = Array.from({ length: 1_001 }, (_, i) => `g${i}.1`);
  expect(known.unheardOf(many).size).toBe(1_000);
});

test('a gateway that answers while it leaves is not known again; one that greets is', () => {
  const { known, names } = make();
  known.heard('a', true);
  known.left('a');
  known.heard('a', true);
  expect([names(), known.lostNames(), known.recentNames()]).toEqual([[], [], []]);
  known.heard('a', false);
  expect(names()).toEqual(['a']);
});

describe('a gateway that others tell of', () => {
  test('is known as one that has answered, and is not told of in turn', () => {
    const { known, names } = make();
    known.toldOf(['a', 'own-0123456789', 'a b', '']);
    expect(names()).toEqual(['a']);
    expect(known.recentNames()).toEqual([]);
    for (let i = 0; i < 3; i++) known.silent('a');
    expect([names(), known.lostNames()]).toEqual([[], ['a']]);
    expect(known.recentNames()).toEqual([]);
    known.toldOf(['a']);
    expect(names()).toEqual([]);
  });

  test('is not told of when it does not answer, and was last heard longer ago', () => {
    const { known, clock } = make();
    known.heard('a', true);
    clock.advance(50_000);
    for (let i = 0; i < 3; i++) known.silent('a');
    expect(known.recentNames()).toEqual(['a']);
    clock.advance(10_000);
    expect(known.lostNames()).toEqual(['a']);
    expect(known.recentNames()).toEqual([]);
  });

  test('is one that was heard within a minute', () => {
    const { known, clock } = make();
    known.heard('a', true);
    clock.advance(59_999);
    expect(known.recentNames()).toEqual(['a']);
    clock.advance(1);
    expect(known.recentNames()).toEqual([]);
  });
});

describe('among a thousand', () => {
  test('one more is not kept, unless it has answered and another has not', () => {
    const { known, names } = make();
    for (let i = 0; i < 1_000; i++) known.heard(`g${i}`, i === 0);
    expect(known.heard('more', false)).toBe(false);
    expect(known.size).toBe(1_000);
    expect(known.heard('more', true)).toBe(true);
    expect(known.size).toBe(1_000);
    expect(names()).toContain('g0');
    expect(names()).not.toContain('g1');
    for (let i = 0; i < 2_000; i++) known.heard(`h${i}`, true);
    expect(known.size).toBe(1_000);
    expect(known.heard('last', true)).toBe(false);
  });
});

describe('there may be more than are known', () => {
  test('while nobody is known', () => {
    const { known } = make();
    expect(known.mayBeMore).toBe(true);
    known.heard('a', false);
    expect(known.mayBeMore).toBe(false);
  });

  test('for ten minutes after one that had answered was lost, and not for one that never had', () => {
    const { known, clock } = make();
    for (const [name, answered] of [
      ['a', true],
      ['b', true],
      ['c', false],
    ] as const)
      // prettier-ignore
      known.heard(name, answered);
    for (let i = 0; i < 3; i++) known.silent('c');
    expect(known.mayBeMore).toBe(false);
    for (let i = 0; i < 3; i++) known.silent('b');
    expect(known.mayBeMore).toBe(true);
    clock.advance(599_999);
    expect(known.mayBeMore).toBe(true);
    clock.advance(1);
    expect(known.mayBeMore).toBe(false);
  });

  test('for twenty seconds after a goodbye, which anybody may have said, unless it is heard again', () => {
    const { known, clock } = make();
    for (const name of ['a', 'b']) known.heard(name, true);
    known.left('b');
    known.left('never heard of');
    expect(known.mayBeMore).toBe(true);
    known.heard('b', false);
    expect(known.mayBeMore).toBe(false);
    known.heard('b', true);
    known.left('b');
    clock.advance(20_000);
    expect(known.mayBeMore).toBe(false);
  });
});
