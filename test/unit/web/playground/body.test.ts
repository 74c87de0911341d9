/** What is typed is sent as it is, and what came is shown as it is. */
import { expect, test } from 'vitest';

import { Received } from '../../../../src/client/received.ts';
import { compact, pretty, problemOf, textOf } from '../../../../src/web/playground/body.ts';

test.each([
  ['', '{}'],
  [' \n', '{}'],
  ['{ "a" : [ 1 , "x y" ] }', '{"a":[1,"x y"]}'],
  ['{"n": 12345678901234567890, "e": 1.50}', '{"n":12345678901234567890,"e":1.50}'],
  ['{"q": "a \\" b"}', '{"q":"a \\" b"}'],
])('%j is sent as %s', (typed, sent) => {
  expect(compact(typed)).toBe(sent);
});

test('what is not JSON is named', () => {
  expect(problemOf('{"a":1}')).toBe('');
  expect(problemOf('')).toBe('');
  expect(problemOf('{a:1}')).toMatch(/^Not JSON: /);
});

test('a number that JavaScript cannot hold keeps its digits', () => {
  expect(pretty('{"id":12345678901234567890}')).toBe('{"id":12345678901234567890}');
  expect(pretty('{"id":1}')).toBe('{\n  "id": 1\n}');
  expect(pretty('hello')).toBe('hello');
});

const received = (bytes: Uint8Array, isProtobuf = false): Received =>
  new Received('r', () => ({ a: 1 }), bytes, { isProtobuf });

test('a body is shown as it came: text, protobuf as JSON, other bytes in hex', () => {
  const html = '<img src=x onerror=alert(1)>';
  expect(textOf(received(new TextEncoder().encode(html)))).toBe(html);
  expect(textOf(received(Uint8Array.of(8, 2), true))).toBe('{"a":1}');
  expect(textOf(received(Uint8Array.of(0xff, 0xfe, 0x01)))).toBe('3 bytes: ff fe 01');
});

test('a long body is cut, and says how long it is', () => {
  const shown = textOf(received(new TextEncoder().encode('x'.repeat(100_000))));
  expect(shown).toHaveLength(20_000 + '… (100000 characters)'.length);
  expect(shown.endsWith('… (100000 characters)')).toBe(true);
});
