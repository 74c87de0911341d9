/** How deep a client's JSON is nested, found without parsing it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { nestsDeeper } from '../../../src/protocol/conversion-limit.ts';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const lists = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('JSON nests deeper than', () => {
  test.each<[string, number, boolean]>([
    ['7', 1, false],
    ['[]', 1, false],
    ['[[]]', 1, true],
    [lists(32), 32, false],
    [lists(33), 32, true],
    [`{"a":${lists(31)}}`, 32, false],
    [`{"a":${lists(32)}}`, 32, true],
    [`[${'[],'.repeat(500)}[]]`, 2, false],
    [`"${'['.repeat(500)}"`, 1, false],
    [`{"${'{['.repeat(50)}":1}`, 1, false],
    [`["\\"[[[[[[[","\\\\",[]]`, 2, false],
    [`["\\\\",[[[[[[[]]]]]]]]`, 7, true],
    ['{"sys":'.repeat(100_000), 32, true],
    [lists(100_000), 1_000, true],
  ])('%.40s: %i', (text, depthMax, isDeeper) => {
    expect(nestsDeeper(Buffer.from(text), depthMax)).toBe(isDeeper);
  });

  test('its depth less one, and not than its depth, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 12 }), fc.constantFrom(0, 1, 3), (value, space) => {
        const json = Buffer.from(JSON.stringify([value], null, space));
        const depth = depthOf([value]);
        expect(nestsDeeper(json, depth)).toBe(false);
        expect(nestsDeeper(json, depth - 1)).toBe(true);
      }),
    );
  });

  test.each(['', '"', '["', '[[[["\\u12', ']]]]', '{"a":"\n'])(
    'is asked of %j, which is none, and nothing breaks',
    (text) => {
      expect(() => nestsDeeper(Buffer.from(text.repeat(40)), 8)).not.toThrow();
    },
  );
});
