/** Numbers and texts on their way between JSON and what protobuf has for it: as they came, or refused with the path. */
import { describe, expect, test } from 'vitest';

import {
  durationText,
  readClose,
  readError,
  readObject,
  readPatch,
} from '../../../src/contract/json-shapes.ts';
import {
  decodeBody,
  decodePatch,
  decodePush,
  decodeReply,
} from '../../../src/contract/protobuf-shapes.ts';
import { encodeStruct } from '../../../src/contract/struct.ts';
import { WireReader, WireWriter } from '../../../src/contract/protobuf-wire.ts';
import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import type { JsonObject } from '../../../src/contract/commands.ts';
import { encodeJsonValue } from '../../../src/contract/headers.ts';

const MAX = 64 * 1024;

/** A message with one field of length-delimited bytes. */
function message(field: number, bytes: Uint8Array): Buffer {
  const writer = new WireWriter();
  writer.bytes(field, bytes);
  return writer.take();
}

/** A Value that is this number. */
function value(number: number): Buffer {
  const writer = new WireWriter();
  writer.double(2, number);
  return writer.take();
}

/** A Struct with one key. */
function struct(key: string, inner: Uint8Array): Buffer {
  return message(1, Buffer.concat([message(1, Buffer.from(key)), message(2, inner)]));
}

const AWKWARD =
  '{"i":9007199254740993,"e":1e400,"z":-0,"f":1.0,"x":1E+2,"d":0.10,"s":"\\ud800","__proto__":{"n":18446744073709551615}}';

test('session data from JSON goes out as it came in', () => {
  const { set } = readPatch(readObject(Buffer.from(`{"set":${AWKWARD}}`)));
  expect(JSON.stringify(set)).toBe(AWKWARD);
  expect(encodeJsonValue(set)).toBe(AWKWARD);
});

test.each([
  ['{"guild":1234567890123456789}', "guild is 1234567890123456789, which a Struct's"],
  ['{"a":[{"b":1e400}]}', "a[0].b is 1e400, which a Struct's"],
  ['{"a":"\\udc00"}', 'a holds half a character'],
])('%s is more than a Struct says', (json, words) => {
  expect(() => encodeStruct(parseAsWritten(json) as JsonObject)).toThrow(words);
});

describe('what JSON cannot say of a Struct', () => {
  test.each([Number.NaN, Infinity, -Infinity])('%s fails the answer, with its path', (number) => {
    const inner = message(5, struct('b', value(number)));
    const body = message(2, message(5, struct('a', inner)));
    const words = `json.a.b is ${number}, which JSON cannot represent`;
    expect(() => decodeBody(new WireReader(body), MAX)).toThrow(words);
    expect(decodeReply(new WireReader(message(1, body)), MAX)).toMatchObject({
      failure: { code: 502, message: `the answer: ${words}` },
    });
  });

  test('fails the push and the patch that hold it, and nothing beside them', () => {
    const push = message(3, message(2, value(Number.NaN)));
    expect(decodePush(new WireReader(push), MAX)).toMatchObject({
      fault: 'push.body.json is NaN, which JSON cannot represent',
    });
    const patch = message(2, struct('hp', value(Infinity)));
    expect(decodePatch(new WireReader(patch), MAX)).toEqual({
      fault: 'set.hp is Infinity, which JSON cannot represent',
    });
  });

  test('is not the sign of zero', () => {
    const body = message(2, value(-0));
    expect(Buffer.from(decodeBody(new WireReader(body), MAX)).toString()).toBe('-0');
  });

  test('has a bound in bytes, which names its key', () => {
    const text = message(3, Buffer.alloc(MAX, 'x'));
    const words = `limits.convert allows ${MAX}`;
    expect(() => decodeBody(new WireReader(message(2, text)), MAX)).toThrow(words);
    const patch = message(2, struct('k', text));
    expect(decodePatch(new WireReader(patch), MAX).fault).toContain(words);
    // Bytes pass as they are.
    expect(decodeBody(new WireReader(message(1, text)), MAX)).toHaveLength(text.length);
  });
});

describe('a duration in JSON', () => {
  test.each([
    [0, '0s'],
    [1, '0.001s'],
    [0.0001, '0.0000001s'],
    [1234.5678, '1.2345678s'],
    [10_000, '10s'],
    [1e15, '1000000000000s'],
  ])('%d ms is %s', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test.each(['315576000001s', '1e3s', '1.s', '.5s', '+1s', '1.0000000001s', '1s ', '1', 's', ''])(
    '%j is none',
    (text) => {
      expect(() => readClose({ retry_after: text })).toThrow('retry_after is');
    },
  );
});

test.each([
  ['AQ==', [1]],
  ['AQ', [1]],
  ['_-8', [0xff, 0xef]],
  ['/+8=', [0xff, 0xef]],
  ['', []],
])('the bytes %j are base64', (bytes, expected) => {
  expect([...(readError({ body: { bytes } }).bytes ?? [])]).toEqual(expected);
});

test.each(['A', 'AQ=Q', 'AQ===', 'A Q', 'AQ==\n', '!!', '='.repeat(200_000) + 'x'])(
  'the bytes %.20j are no base64',
  (bytes) => {
    expect(() => readError({ body: { bytes } })).toThrow('body.bytes is not base64');
  },
);

test.each([
  ['1e2', 100],
  ['7.0', 7],
  ['"9"', 9],
])('a version may be written as %s', (json, version) => {
  const fields = readObject(Buffer.from(`{"if_version":${json}}`));
  expect(readPatch(fields).ifVersion).toBe(version);
});

test.each(['9007199254740993', '1.5', '1e400', '"1.0"', '1e-400'])('a version is no %s', (json) => {
  const fields = readObject(Buffer.from(`{"if_version":${json}}`));
  expect(() => readPatch(fields)).toThrow('if_version is not a whole number');
});
