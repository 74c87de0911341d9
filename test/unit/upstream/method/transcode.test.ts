import { describe, expect, test } from 'vitest';

import { type JsonOptions, Transcoder } from '../../../../src/upstream/method/transcode.ts';
import { AS_IT_IS, schemaOf } from './schemas.ts';

const schema = schemaOf(`syntax = "proto3"; package t;
  import "google/protobuf/any.proto"; import "google/protobuf/duration.proto";
  import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto"; import "google/rpc/status.proto";
  enum Color { COLOR_UNSPECIFIED = 0; RED = 1; }
  message Seat { int32 number = 1; string user_name = 2; Seat next = 3; }
  message M {
    string room_id = 1; int64 big = 2; uint64 ubig = 3; repeated int64 bigs = 4; map<string, int64> by_name = 5;
    map<int32, Seat> seats = 6; repeated Seat list = 7; Color color = 8; google.protobuf.Any any = 9;
    google.protobuf.Int64Value wrapped = 10; google.protobuf.Struct free = 11; double real = 12; Seat seat = 13;
    google.protobuf.Duration wait = 14; google.protobuf.Timestamp at = 15; bytes raw = 16; bool yes = 17;
    oneof which { string left = 18; string right = 19; } google.rpc.Status status = 20;
    google.protobuf.Value value = 21;
  }
  service S { rpc Echo(M) returns (M); }`);
const { registry } = schema;
const type = schema.methods.get('/t.S/Echo')!.input;

/** JSON there and back; a refusal as it is. */
function echo(body: unknown, options: Partial<JsonOptions> = {}): unknown {
  const transcoder = new Transcoder({ ...AS_IT_IS, ...options }, 1_048_576);
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const bytes = transcoder.toRequest(type, registry, Buffer.from(text));
  if (!Buffer.isBuffer(bytes)) return bytes;
  return JSON.parse(transcoder.toJson(type, registry, bytes).toString());
}

describe('what is read', () => {
  test('names in both forms, enums by name and number, integers in quotes and not', () => {
    expect(echo({ room_id: 'a', color: 1, big: 5, ubig: '6' })).toEqual({
      roomId: 'a',
      color: 'RED',
      big: '5',
      ubig: '6',
    });
  });

  test('an Any with its type, a Struct, a Status of google.rpc', () => {
    const body = {
      any: { '@type': 'type.googleapis.com/t.Seat', number: 3 },
      free: { a: [1, null, { b: 'x' }] },
      status: {
        code: 5,
        details: [{ '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1.500s' }],
      },
    };
    expect(echo(body)).toEqual(body);
  });

  test.each([
    ['{"big":9007199254740993}', { big: '9007199254740993' }],
    ['{"big":-9223372036854775808}', { big: '-9223372036854775808' }],
    ['{"ubig":18446744073709551615}', { ubig: '18446744073709551615' }],
    ['{ "bigs" : [ 9007199254740993 , 1 ] }', { bigs: ['9007199254740993', '1'] }],
    ['{"by_name":{"a":9007199254740993}}', { byName: { a: '9007199254740993' } }],
    ['{"wrapped":9007199254740993}', { wrapped: '9007199254740993' }],
    [
      '{"any":{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":9007199254740993}}',
      {
        any: {
          '@type': 'type.googleapis.com/google.protobuf.Int64Value',
          value: '9007199254740993',
        },
      },
    ],
    [
      '{"big":9007199254740993,"real":123456789012345678901,"free":{"x":[1E2,0.10]}}',
      { big: '9007199254740993', real: 123456789012345680000, free: { x: [100, 0.1] } },
    ],
    ['{"room_id":":1234567890123456789"}', { roomId: ':1234567890123456789' }],
  ])('whole numbers of any size: %s', (text, expected) => {
    expect(echo(text)).toEqual(expected);
  });

  test('no more than what fits 64 bits', () => {
    expect(echo('{"big":9223372036854775808}')).toMatchObject({ reason: 'BAD_BODY' });
    expect(echo('{"ubig":-9007199254740993}')).toMatchObject({ reason: 'BAD_BODY' });
  });
});

describe('what is printed', () => {
  const body = {
    roomId: 'x',
    big: '7',
    color: 'RED',
    bigs: ['1'],
    byName: { a: '9007199254740993' },
  };

  test('as the options say, which have the names that Envoy gives them', () => {
    expect(echo(body)).toEqual(body);
    expect(echo(body, { preserve_proto_field_names: true })).toMatchObject({ room_id: 'x' });
    expect(echo(body, { always_print_enums_as_ints: true })).toMatchObject({ color: 1 });
    expect(echo({}, { always_print_primitive_fields: true })).toEqual({
      ...{ roomId: '', big: '0', ubig: '0', bigs: [], byName: {}, seats: {}, list: [] },
      ...{ color: 'COLOR_UNSPECIFIED', real: 0, raw: '', yes: false },
    });
  });

  test('64-bit integers as numbers, where the option is set and a number holds them', () => {
    const any = { '@type': 'type.googleapis.com/t.M', big: '3', list: [{ number: 1 }] };
    const more = { ...body, any, wrapped: '4', seats: { '1': { number: 2 } } };
    expect(echo(more, { print_int64_as_number: true })).toEqual({
      ...more,
      big: 7,
      bigs: [1],
      any: { ...any, big: 3 },
      wrapped: 4,
    });
    const { byName } = echo({ by_name: { ['__proto__']: 1 } }, { print_int64_as_number: true }) as {
      byName: object;
    };
    expect(Object.entries(byName)).toEqual([['__proto__', 1]]);
  });

  test('beyond the basic plane escaped, which stock clients need', () => {
    const transcoder = new Transcoder(AS_IT_IS, 1_048_576);
    const bytes = transcoder.toRequest(type, registry, Buffer.from('{"roomId":"😀é"}')) as Buffer;
    expect(transcoder.toJson(type, registry, bytes).toString()).toBe(
      '{"roomId":"\\ud83d\\ude00é"}',
    );
  });
});

describe('what is refused says where', () => {
  test.each([
    [{ rooom_id: 'x' }, { rooom_id: /^unknown field; did you mean "roomId"\?$/ }],
    [
      { seat: { next: { nummer: 1 } } },
      { 'seat.next.nummer': /^unknown field; did you mean "number"/ },
    ],
    [{ list: [{ number: 1 }, { number: 'x' }] }, { 'list[1].number': /"x" is not a number/ }],
    [{ seats: { 7: { other: 1 } } }, { 'seats.7.other': /^unknown field/ }],
    [{ seats: { x: {} } }, { 'seats.x': /map key/ }],
    [{ bigs: [1, 1.5] }, { 'bigs[1]': /int64/ }],
    [{ color: 'BLUE' }, { color: /BLUE/ }],
    [{ wait: '1 minute' }, { wait: /1 minute.* is not a duration/ }],
    [{ wait: 10 }, { wait: /^10 is not a duration: it is text, such as "1.5s"$/ }],
    [{ wait: 1.5e-7 }, { wait: /^1\.5e-7 is not a duration: it is text/ }],
    [{ at: 'yesterday' }, { at: /RFC 3339/ }],
    [{ any: { number: 1 } }, { any: /@type/ }],
    [{ any: { '@type': 'x/t.Unknown' } }, { any: /t\.Unknown is not in the type registry/ }],
    [
      { yes: 'true', real: 'x' },
      { real: /"x" is not a number/, yes: /bool/ },
    ],
    [{ seat: 'x' }, { seat: /.+/ }],
    [{ list: {} }, { list: /Array/ }],
  ])('%j', (body, fields) => {
    const refused = echo(body) as { fields: Record<string, string>; message: string };
    expect(refused).toMatchObject({ code: 400, reason: 'BAD_BODY' });
    expect(Object.keys(refused.fields)).toEqual(Object.keys(fields));
    for (const [path, what] of Object.entries(fields)) expect(refused.fields[path]).toMatch(what);
    expect(refused.message).toContain(Object.keys(fields)[0]);
  });

  test('at most sixteen places, and keys of a bounded length', () => {
    const body = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`${'k'.repeat(500)}${i}`, 1]),
    );
    const refused = echo(body) as { fields: Record<string, string> };
    const keys = Object.keys(refused.fields);
    expect(keys.length).toBeLessThanOrEqual(16);
    for (const key of keys) expect(key.length).toBeLessThanOrEqual(64);
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 1]));
    expect(Object.keys((echo(many) as { fields: object }).fields)).toHaveLength(16);
  });

  test.each([
    ['two of a oneof', '{"left":"a","right":"b"}', /oneof/],
    ['a name twice', '{"roomId":"a","roomId":"b"}', /duplicate/],
    ['a field by both its names', '{"roomId":"a","room_id":"b"}', /multiple/],
    ['text that is cut off', '{"roomId":', /JSON/],
    ['no object', '7', /7/],
  ])('or what is wrong with the whole: %s', (_, text, what) => {
    expect(echo(text)).toMatchObject({ reason: 'BAD_BODY', message: expect.stringMatching(what) });
  });

  test('bytes that are no UTF-8', () => {
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(new Transcoder(AS_IT_IS, 1_048_576).toRequest(type, registry, body)).toMatchObject({
      message: 'the body is not UTF-8',
    });
  });

  test.each([32, 5_000, 70_000])('nesting deeper than limits.json_depth, by %i more', (depth) => {
    const message = 'the body is nested deeper than 32, limits.json_depth';
    const deep = `${'{"next":'.repeat(depth)}{}${'}'.repeat(depth)}`;
    expect(echo(`{"seat":${deep}}`)).toMatchObject({ reason: 'BAD_BODY', message });
    const list = `{"value":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(echo(list)).toMatchObject({ reason: 'BAD_BODY', message });
  });

  test('unless unknown fields are to be passed over', () => {
    expect(echo({ other: 1, color: 'BLUE' }, { ignore_unknown_fields: true })).toEqual({});
    expect(echo({ other: 1, big: 'x' }, { ignore_unknown_fields: true })).toMatchObject({
      fields: { big: expect.any(String) },
    });
  });
});
