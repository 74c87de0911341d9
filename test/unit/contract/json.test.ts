/** How JSON from others is parsed, and what a value of it must be. */
import { describe, expect, test } from 'vitest';

import {
  deliveryOf,
  INT32,
  nestsTooDeep,
  objectOf,
  parseJson,
  textsOf,
  wholeNumberOf,
} from '../../../src/contract/json.ts';

const parse = (text: string, bytesMax?: number): unknown =>
  parseJson(Buffer.from(text), 'x', bytesMax);

describe('it is parsed', () => {
  test.each<readonly [text: string, written: string]>([
    ['{"a":[1,"b",null,true]}', '{"a":[1,"b",null,true]}'],
    ['12345678901234567890', '12345678901234567890'],
    ['{"a":1.0}', '{"a":1.0}'],
    ['[-0]', '[-0]'],
  ])('%s, and written again as %s', (text, written) => {
    expect(JSON.stringify(parse(text))).toBe(written);
  });

  test.each<readonly [what: string, text: string, error: string]>([
    ['half of it', '{"a":', 'x is not JSON'],
    ['nothing', '', 'x is not JSON'],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'x is nested deeper than 64'],
    ['a million levels', '['.repeat(1_000_000), 'x is not JSON'],
  ])('unless it is %s', (_what, text, error) => {
    expect(() => parse(text, Infinity)).toThrow(error);
  });

  test('unless more is made of it than allowed', () => {
    expect(() => parse(`"${'y'.repeat(1_001)}"`, 1_000)).toThrow(
      'x: 1003 bytes to convert; limits.convert allows 1000',
    );
  });

  test('64 levels deep', () => {
    expect(parse(`${'['.repeat(64)}${']'.repeat(64)}`)).toBeInstanceOf(Array);
  });
});

test.each<readonly [what: string, levels: number, isTooDeep: boolean]>([
  ['32 objects', 32, false],
  ['33 objects', 33, true],
])('%s in each other with a value inside', (_what, levels, isTooDeep) => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = { o: value };
  expect(nestsTooDeep(value)).toBe(isTooDeep);
});

test.each<readonly [what: string, innermost: unknown, levels: number, isTooDeep: boolean]>([
  ['an empty object is the 32nd', {}, 31, false],
  ['an empty object is the 33rd', {}, 32, true],
  ['an empty list is the 33rd', [], 32, true],
])('%s level', (_what, innermost, levels, isTooDeep) => {
  let value = innermost;
  for (let i = 0; i < levels; i++) value = { o: value };
  expect(nestsTooDeep(value)).toBe(isTooDeep);
});

test.each<readonly [text: string]>([['[]'], ['null'], ['"x"'], ['7'], ['12345678901234567890']])(
  '%s is not an object',
  (text) => {
    expect(() => objectOf(parse(text), 'set')).toThrow('set is not a JSON object');
  },
);

test.each<readonly [text: string]>([['{}'], ['["a",1]'], ['"a"'], ['12345678901234567890']])(
  '%s is not a list of names',
  (text) => {
    expect(() => textsOf(parse(text), 'join')).toThrow('join is not an array of strings');
  },
);

test.each<readonly [value: unknown, number: number]>([
  [7, 7],
  ['7', 7],
  ['999999999999999', 999_999_999_999_999],
  [parse('7.0'), 7],
  [parse('70e-1'), 7],
  [9_007_199_254_740_991, 9_007_199_254_740_991],
])('%j is %i', (value, number) => {
  expect(wholeNumberOf(value, 'n')).toBe(number);
});

test.each<readonly [value: unknown, error: string]>([
  [1.5, 'n is not a whole number'],
  ['1e3', 'n is not a whole number'],
  ['', 'n is not a whole number'],
  ['1234567890123456', 'n is not a whole number'],
  [null, 'n is not a whole number'],
  [true, 'n is not a whole number'],
  [parse('9007199254740993'), 'n is not a whole number'],
  [-1, 'n is less than 0'],
  ['-1', 'n is less than 0'],
])('%j is refused: %s', (value, error) => {
  expect(() => wholeNumberOf(value, 'n')).toThrow(error);
});

test('a code is an int32', () => {
  expect(wholeNumberOf(-2_147_483_648, 'code', INT32)).toBe(-2_147_483_648);
  expect(wholeNumberOf(2_147_483_647, 'code', INT32)).toBe(2_147_483_647);
  expect(() => wholeNumberOf(2_147_483_648, 'code', INT32)).toThrow('code is more than 2147483647');
  expect(() => wholeNumberOf(-2_147_483_649, 'code', INT32)).toThrow(
    'code is less than -2147483648',
  );
});

test('a delivery is one of three', () => {
  for (const name of ['must', 'droppable', 'latest']) expect(deliveryOf(name, 'd')).toBe(name);
  for (const name of ['Must', '', 0, null])
    expect(() => deliveryOf(name, 'd')).toThrow('d is not must, droppable, latest');
});
