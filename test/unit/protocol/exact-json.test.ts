import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  doubleOf,
  isRawNumber,
  isSameNumber,
  parseAsWritten,
  parseExact,
  wholeOf,
} from '../../../src/protocol/exact-json.ts';

test.each([
  '{"a":9007199254740993,"b":1e400,"c":-0,"d":1.0,"e":1E+2,"f":0.10}',
  '[12345678901234567890.12345678901234567890,-1e-400]',
  '{"__proto__":{"n":9007199254740993},"constructor":1.0}',
  '1.0',
  '"9007199254740993"',
  '{"s":"1e5 \\ud800 9007199254740993"}',
])('written again it is what it was: %s', (text) => {
  expect(JSON.stringify(parseAsWritten(text))).toBe(text);
});

test('any JSON with any numbers is written again as it was', () => {
  const digits = fc.stringMatching(
    /^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,6})?$/,
  );
  fc.assert(
    fc.property(fc.array(digits), (numbers) => {
      const text = `{"a":[${numbers.join(',')}]}`;
      expect(JSON.stringify(parseAsWritten(text))).toBe(text);
    }),
  );
});

test('ordinary numbers stay numbers', () => {
  expect(parseAsWritten('[1,-2.5,1e21]')).toEqual([1, -2.5, expect.anything()]);
  const [raw] = parseExact('[9007199254740993]') as unknown[];
  expect(isRawNumber(raw)).toBe(true);
  expect(isRawNumber(parseExact('{"rawJSON":"1"}'))).toBe(false);
});

test('what is nested too deep to be walked is an error, no overflow', () => {
  const text = `${'['.repeat(200_000)}1e400${']'.repeat(200_000)}`;
  expect(() => parseAsWritten(text)).toThrow(SyntaxError);
});

test.each([
  ['1.0', 1],
  ['1E+2', 100],
  ['-0', -0],
  ['0e999999999999', 0],
  ['9007199254740992', 9007199254740992],
  ['9007199254740993', null],
  ['9007199254740993.0', null],
  ['90071992547409930e-1', null],
  ['1e23', 1e23],
  ['0.1', 0.1],
  ['3.14159265358979323846', Math.PI],
  ['5e-324', 5e-324],
  ['1e-400', null],
  ['1e400', null],
  ['-1e400', null],
])('the double for %s is %s', (source, expected) => {
  expect(doubleOf(source)).toBe(expected);
});

test.each([
  ['1e2', 100n],
  ['1.0', 1n],
  ['-0.0', 0n],
  ['9.007199254740993e15', 9007199254740993n],
  ['18446744073709551615.0', 18446744073709551615n],
  ['-922337203685477580800e-2', -9223372036854775808n],
  ['1.5', null],
  ['0.9999999999999999999', null],
  ['1e999999999', null],
])('the whole number that is %s is %s', (source, expected) => {
  expect(wholeOf(source)).toBe(expected);
});

test('numbers are the same in any notation', () => {
  expect(isSameNumber('1e2', '100.0')).toBe(true);
  expect(isSameNumber('0', '-0.0e5')).toBe(true);
  expect(isSameNumber('9007199254740993', '9007199254740992')).toBe(false);
  expect(isSameNumber('1', '-1')).toBe(false);
});

test('no number is made of an exponent that nobody means', () => {
  const made: number[] = [];
  const { BigInt } = globalThis;
  globalThis.BigInt = new Proxy(BigInt, {
    apply(target, that, args: [unknown]) {
      made.push(String(args[0]).length);
      return Reflect.apply(target, that, args);
    },
  });
  const long = '9'.repeat(1_000_000);
  try {
    expect(wholeOf(`1e${long}`)).toBe(null);
    expect(wholeOf(`1e-${long}`)).toBe(null);
    expect(doubleOf(`1e-${long}`)).toBe(null);
    expect(isSameNumber(`1e${long}`, '1e5')).toBe(false);
    expect(isSameNumber(`1e${long}`, `1e${long}`)).toBe(true);
    expect(isSameNumber(long, `${long}.0`)).toBe(false);
    expect(wholeOf(`1e${'0'.repeat(1_000_000)}2`)).toBe(100n);
    expect(isSameNumber('1e99999999999999999999', '1e+099999999999999999999')).toBe(false);
    expect(isSameNumber('1e-0000000000000000000000', '1')).toBe(true);
  } finally {
    globalThis.BigInt = BigInt;
  }
  expect(Math.max(...made)).toBeLessThan(500);
});
