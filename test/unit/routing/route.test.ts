import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { isRoute, namesConstructor } from '../../../src/routing/route.ts';

const cases: [string, boolean][] = [
  ['chat.room.join', true],
  ['a', true],
  ['A-Z_a-z_0-9', true],
  [`${'x'.repeat(64)}.y`, true],
  [`${'x'.repeat(63)}.${'y'.repeat(63)}`, true],
  ['', false],
  ['.', false],
  ['a.', false],
  ['.a', false],
  ['a..b', false],
  ['x'.repeat(65), false],
  [`${'x'.repeat(64)}.${'y'.repeat(63)}`, false],
  ['chat.*', false],
  ['chat.>', false],
  ['a b', false],
  ['a/b', false],
  ['a\r\nb', false],
  ['a\0', false],
  ['zoë', false],
  ['ａ', false],
  ['a%2e', false],
  ['a=b', false],
  ['$SRV.PING', false],
];

describe('a route', () => {
  test.each(cases)('%j is one: %j', (route, is) => {
    expect(isRoute(route, 127)).toBe(is);
  });

  test('is what the grammar says, for any string', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_-]{0,66}$/);
    const near = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join('.'));
    const odd = fc.tuple(near, fc.string({ maxLength: 2 }), near).map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.oneof(near, odd, fc.string()),
        fc.integer({ min: 1, max: 140 }),
        (route, max) => {
          const grammar = /^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})*$/;
          expect(isRoute(route, max)).toBe(route.length <= max && grammar.test(route));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ['constructor', true],
    ['a.b.constructor', true],
    ['constructor.a', false],
    ['a.myconstructor', false],
  ])('%s names the constructor: %j', (route, names) => {
    expect(namesConstructor(route)).toBe(names);
  });
});
