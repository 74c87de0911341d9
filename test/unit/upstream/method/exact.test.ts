/** Values at their edges, from a client's JSON to a method's message and back: the same, or refused with the path. */
import { describe, expect, test } from 'vitest';

import { parseProto } from '../../../../src/upstream/method/proto/parser.ts';
import { makeSchema } from '../../../../src/upstream/method/schema.ts';
import { AnswerError, Transcoder } from '../../../../src/upstream/method/transcode.ts';

const PROTO = `syntax = "proto3"; package t;
  import "google/protobuf/any.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
  message M { int32 i = 1; int64 l = 2; uint64 u = 3; double d = 4; float f = 5; string s = 6; bytes b = 7; E e = 8;
    google.protobuf.Timestamp t = 9; google.protobuf.Duration w = 10; google.protobuf.Struct st = 11;
    google.protobuf.Value v = 12; google.protobuf.Any any = 13; repeated int64 ls = 14; map<string, double> ds = 15;
    repeated M ms = 16; repeated int32 is = 17; google.protobuf.FloatValue fv = 18; }
  enum E { A = 0; B = 1; }
  service S { rpc Call(M) returns (M); rpc Whole(google.protobuf.Int64Value) returns (google.protobuf.Int64Value);
    rpc Unsigned(google.protobuf.UInt64Value) returns (google.protobuf.UInt64Value);
    rpc Free(google.protobuf.Value) returns (google.protobuf.Value); }`;
const MAX = 64 * 1024;
const OPTIONS = {
  always_print_primitive_fields: false,
  always_print_enums_as_ints: false,
  preserve_proto_field_names: false,
  ignore_unknown_fields: false,
  print_int64_as_number: false,
};

const made = makeSchema(
  { files: [{ proto: parseProto('t.proto', PROTO), from: 't' }], problems: [] },
  ['t.S'],
);
if ('problems' in made) throw new Error(made.problems.join('\n'));
const { registry, methods } = made;

/** The JSON that a method that repeats its request answers, or what the client is told. */
function echo(method: string, json: string, options = OPTIONS): string | object {
  const { input } = methods.get(`/t.S/${method}`)!;
  const transcoder = new Transcoder(options, MAX);
  const bytes = transcoder.toRequest(input, registry, Buffer.from(json));
  return bytes instanceof Uint8Array ? transcoder.toJson(input, registry, bytes).toString() : bytes;
}

describe('a whole body that is one value', () => {
  test.each([
    ['Whole', '9007199254740993', '"9007199254740993"'],
    ['Whole', '1234567890123456789', '"1234567890123456789"'],
    ['Whole', '-9223372036854775808', '"-9223372036854775808"'],
    ['Whole', ' "1e3" ', '"1000"'],
    ['Unsigned', '18446744073709551615', '"18446744073709551615"'],
    ['Unsigned', '18446744073709551615.0', '"18446744073709551615"'],
    ['Free', '"x"', '"x"'],
    ['Free', '[1,null,-0]', '[1,null,-0]'],
    ['Free', '{"__proto__":{"n":1},"2":2,"1":1}', '{"1":1,"2":2,"__proto__":{"n":1}}'],
  ])('%s of %s is %s', (method, json, expected) => {
    expect(echo(method, json)).toBe(expected);
  });
});

test.each([
  ['{"l":9007199254740993.0}', '{"l":"9007199254740993"}'],
  ['{"l":9.007199254740993e15}', '{"l":"9007199254740993"}'],
  ['{"l":9223372036854775807e0}', '{"l":"9223372036854775807"}'],
  ['{"ls":[1e2,"1E+2",100.0,"-1.0"]}', '{"ls":["100","100","100","-1"]}'],
  ['{"i":1.0}', '{"i":1}'],
  ['{"i":"-21e2"}', '{"i":-2100}'],
  ['{"e":1e0}', '{"e":"B"}'],
  ['{"d":-0}', '{"d":-0}'],
  ['{"d":"-0"}', '{"d":-0}'],
  ['{"d":1E+2}', '{"d":100}'],
  ['{"d":"NaN"}', '{"d":"NaN"}'],
  ['{"d":5e-324}', '{"d":5e-324}'],
  ['{"f":"-Infinity"}', '{"f":"-Infinity"}'],
  ['{"ds":{"__proto__":1.50,"b":2}}', '{"ds":{"__proto__":1.5,"b":2}}'],
  ['{"b":"_-8"}', '{"b":"/+8="}'],
  ['{"b":"AQ"}', '{"b":"AQ=="}'],
  ['{"s":"\\u0000\\ud83d\\ude00"}', '{"s":"\\u0000\\ud83d\\ude00"}'],
  ['{"t":"0001-01-01T00:00:00Z"}', '{"t":"0001-01-01T00:00:00Z"}'],
  ['{"t":"9999-12-31T23:59:59.999999999Z"}', '{"t":"9999-12-31T23:59:59.999999999Z"}'],
  ['{"t":"2024-02-29T23:59:59+23:59"}', '{"t":"2024-02-29T00:00:59Z"}'],
  ['{"t":"2000-02-29T00:00:00Z"}', '{"t":"2000-02-29T00:00:00Z"}'],
  ['{"w":"-0.000000001s"}', '{"w":"-0.000000001s"}'],
  ['{"w":"315576000000.999999999s"}', '{"w":"315576000000.999999999s"}'],
  [
    '{"any":{"@type":"x/t.M","l":9007199254740993.0}}',
    '{"any":{"l":"9007199254740993","@type":"type.googleapis.com/t.M"}}',
  ],
])('%s is %s', (json, expected) => {
  expect(echo('Call', json)).toBe(expected);
});

test.each([
  ['{"i":2147483647.0000000001}', 'i'],
  ['{"i":1e-400}', 'i'],
  ['{"i":"0x10"}', 'i'],
  ['{"i":"01"}', 'i'],
  ['{"i":" 1"}', 'i'],
  ['{"l":9223372036854775808}', 'l'],
  ['{"l":0.9999999999999999999}', 'l'],
  ['{"l":"1e-1"}', 'l'],
  ['{"u":-1e0}', 'u'],
  ['{"d":1e400}', 'd'],
  ['{"d":"-1e400"}', 'd'],
  ['{"d":1e-400}', 'd'],
  ['{"d":"0x10"}', 'd'],
  ['{"d":"Inf"}', 'd'],
  ['{"f":3.5e38}', 'f'],
  ['{"fv":1e39}', 'fv'],
  ['{"f":1e-46}', 'f'],
  ['{"f":"-1e-46"}', 'f'],
  ['{"f":0.00000000000000000000000000000000000000000000000000001}', 'f'],
  ['{"fv":5e-300}', 'fv'],
  ['{"e":9007199254740993}', 'e'],
  ['{"e":0.99999999999999999999}', 'e'],
  ['{"s":"\\ud800"}', 's'],
  ['{"b":"A"}', 'b'],
  ['{"b":"AQ==\\n"}', 'b'],
  ['{"v":"\\udc00"}', 'v'],
  ['{"st":{"a":[{"b":9007199254740993}]}}', 'st.a[0].b'],
  ['{"st":{"a":1e400}}', 'st.a'],
  ['{"ms":[{},{"ls":[1,1.5e0]}]}', 'ms[1].ls[1]'],
  ['{"ds":{"x":1e999}}', 'ds.x'],
  ['{"any":{"@type":"x/t.M","i":"1_0"}}', 'any.i'],
  ['{"t":"2021-02-29T00:00:00Z"}', 't'],
  ['{"t":"1900-02-29T00:00:00Z"}', 't'],
  ['{"t":"2021-04-31T00:00:00Z"}', 't'],
  ['{"t":"2021-01-01T24:00:00Z"}', 't'],
  ['{"t":"2021-01-01T23:59:60Z"}', 't'],
  ['{"t":"2021-01-01t00:00:00Z"}', 't'],
  ['{"t":"2021-01-01T00:00:00.1234567891Z"}', 't'],
  ['{"t":"2021-01-01T00:00:00+24:00"}', 't'],
  ['{"t":"0001-01-01T00:00:00+00:01"}', 't'],
  ['{"w":"1s1s"}', 'w'],
  ['{"w":"1sx"}', 'w'],
  ['{"w":"1.0000000001s"}', 'w'],
  ['{"w":"315576000001s"}', 'w'],
  ['{"w":1e2}', 'w'],
])('%s is refused for %s', (json, path) => {
  const refused = echo('Call', json) as { fields: object; message: string };
  expect(refused).toMatchObject({ code: 400, reason: 'BAD_BODY' });
  expect(Object.keys(refused.fields)).toEqual([path]);
  expect(refused.message).toContain(`: ${path}: `);
});

test.each([
  ['null', 'the body does not fit: cannot be null; expected the JSON of t.M'],
  ['7', 'the body does not fit: cannot be 7; expected the JSON of t.M'],
  ['{"i":1,"\\u0069":2}', 'the body does not fit: duplicate object key "i"'],
])('of %s it is said: %s', (json, message) => {
  expect(echo('Call', json)).toMatchObject({ message, fields: null });
});

describe('limits.convert bounds what is converted', () => {
  const many = (one: string, count: number): string => Array(count).fill(one).join(',');

  test.each([
    ['bytes', `{"s":"${'x'.repeat(MAX)}"}`],
    ['objects, which take longer than their bytes say', `{"ms":[${many('{}', 3_000)}]}`],
    ['values', `{"is":[${many('1', 9_000)}]}`],
  ])('of a request: %s', (_, json) => {
    expect(echo('Call', json)).toMatchObject({
      code: 400,
      reason: 'BAD_BODY',
      message: expect.stringMatching(
        /^the body: \d+ bytes to convert; limits\.convert allows 65536$/,
      ),
    });
  });

  test.each([
    ['bytes', Buffer.concat([Buffer.from('32808004', 'hex'), Buffer.alloc(MAX, 'x')]), {}],
    ['messages', Buffer.from('820100'.repeat(3_000), 'hex'), {}],
    ['numbers', Buffer.concat([Buffer.from('8a01a846', 'hex'), Buffer.alloc(9_000, 1)]), {}],
    [
      'what is printed of it',
      Buffer.from('820100'.repeat(1_000), 'hex'),
      { always_print_primitive_fields: true },
    ],
  ])('of an answer: %s', (_, bytes, options) => {
    const { output } = methods.get('/t.S/Call')!;
    const transcoder = new Transcoder({ ...OPTIONS, ...options }, MAX);
    const words = /^the answer: \d+ bytes to convert; limits\.convert allows 65536$/;
    expect(() => transcoder.toJson(output, registry, bytes)).toThrow(AnswerError);
    expect(() => transcoder.toJson(output, registry, bytes)).toThrow(words);
  });

  test('and nothing that is as large as it may be', () => {
    expect(echo('Call', `{"s":"${'x'.repeat(MAX - 8)}"}`)).toContain('xxx');
    expect(echo('Call', `{"ms":[${many('{}', 1_500)}]}`)).toContain('{},{}');
  });
});
