/** serverProtos.json and clientProtos.json: what is made of them, and what is said of mistakes. */
import { describe, expect, test } from 'vitest';

import { Protos, protosVersion } from '../../../src/protocol/protobuf/protos.ts';

const encoded = (protos: Protos, route: string, value: unknown) => {
  const result = protos.encodeValue(route, value, 'utf8');
  return 'fault' in result ? result.fault : result.bytes.toString('hex');
};

const GAME = {
  'area.move': {
    'required uInt32 entityId': 1,
    'message Pos': { 'required sInt32 x': 1, 'required sInt32 y': 2 },
    'repeated Pos path': 2,
    'optional Item item': 7,
  },
  'message Item': { 'required string id': 1, 'optional Item inside': 2 },
  onChat: { 'required string msg': 1 },
};

describe('the parsed form', () => {
  test('has fields in their order, then messages and tags, as Pomelo sends it', () => {
    const protos = Protos.of(GAME);
    expect([protos.problems, protos.warnings]).toEqual([[], []]);
    expect(JSON.stringify(protos.parsed)).toBe(
      '{"area.move":{"entityId":{"option":"required","type":"uInt32","tag":1},' +
        '"path":{"option":"repeated","type":"Pos","tag":2},"item":{"option":"optional","type":"Item","tag":7},' +
        '"__messages":{"Pos":{"x":{"option":"required","type":"sInt32","tag":1},' +
        '"y":{"option":"required","type":"sInt32","tag":2},"__messages":{},"__tags":{"1":"x","2":"y"}}},' +
        '"__tags":{"1":"entityId","2":"path","7":"item"}},' +
        '"message Item":{"id":{"option":"required","type":"string","tag":1},' +
        '"inside":{"option":"optional","type":"Item","tag":2},"__messages":{},"__tags":{"1":"id","2":"inside"}},' +
        '"onChat":{"msg":{"option":"required","type":"string","tag":1},"__messages":{},"__tags":{"1":"msg"}}}',
    );
  });

  test('knows routes, and no root message as one', () => {
    const protos = Protos.of(GAME);
    const asked = ['area.move', 'onChat', 'message Item', 'Item', 'constructor', '__proto__', ''];
    expect(asked.filter((route) => protos.knows(route))).toEqual(['area.move', 'onChat']);
  });

  test('of no file is an empty object, and its version is known', () => {
    const none = Protos.of({});
    expect(none.parsed).toEqual({});
    // MD5 of "{}{}".
    expect(protosVersion(none, none)).toBe('xT9OvpsqULwrUv2IpdUD4Q==');
  });
});

describe('a message type', () => {
  test('is looked for in the same message and at the top, and the nearer one counts', () => {
    const protos = Protos.of({
      'message Foo': { 'optional uInt32 top': 1 },
      near: { 'message Foo': { 'optional uInt32 near': 1 }, 'optional Foo foo': 1 },
      far: { 'optional Foo foo': 1 },
    });
    expect(encoded(protos, 'near', { foo: { near: 1, top: 1 } })).toBe('0a020801');
    expect(encoded(protos, 'far', { foo: { near: 1, top: 2 } })).toBe('0a020802');
  });

  test('may hold itself', () => {
    const protos = Protos.of(GAME);
    const value = { entityId: 1, item: { id: 'a', inside: { id: 'b', inside: { id: 'c' } } } };
    const hex = '08013a0d0a016112080a01621203' + '0a0163';
    expect(encoded(protos, 'area.move', value)).toBe(hex);
    expect(protos.decode('area.move', Buffer.from(hex, 'hex'))).toMatchObject({ value });
  });

  test('may be the last of a long row', () => {
    const row = Array.from({ length: 5000 }, (_, i) => [
      `message M${i}`,
      { [`optional M${i + 1} m`]: 1 },
    ]);
    const last = { 'message M5000': { 'optional bool b': 1 } };
    const protos = Protos.of({ r: { 'optional M0 m': 1 }, ...Object.fromEntries(row), ...last });
    expect(protos.problems).toEqual([]);
    expect(encoded(protos, 'r', { m: { m: {} } })).toBe('0a020a00');
  });

  test('of a value in a map is looked for where the map is', () => {
    const protos = Protos.of({
      r: {
        'message KV': { 'required string key': 1, 'required Item value': 2 },
        'message Item': { 'optional uInt32 n': 1 },
        'obj KV items': 1,
      },
    });
    expect(protos.problems).toEqual([]);
    expect(encoded(protos, 'r', { items: { a: { n: 5 } } })).toBe('0a010161020805');
  });
});

const TYPES = 'uInt32, int32, sInt32, float, double, string, bool, uInt64, sInt64';
const noType = (name: string) =>
  `unknown type "${name}"; expected ${TYPES}, or a message declared in the same message or at the top of the file`;
const noTag = (value: string) => `${value} is not a tag; expected a whole number, 1 to 536870911`;
const noEntry = (name: string) =>
  `message ${name} is not a map entry; expected a field key of a scalar type and a field value`;
const passedOver =
  'Pomelo ignores it; expected "<option> <type> <name>" with an option of required, optional, repeated, map, obj, or "message <Name>"';

describe('a mistake', () => {
  test.each<[string, unknown, string, string]>([
    ['no object', 7, '', 'expected an object, found 7'],
    ['a list', [], '', 'expected an object, found an array'],
    ['nothing', null, '', 'expected an object, found null'],
    [
      'a tag that is an object without a text',
      { r: { 'optional string x': { toString: 0 } } },
      'r > optional string x',
      noTag('an object'),
    ],
    ['a route that is no object', { r: 'x' }, 'r', 'expected an object, found "x"'],
    [
      'a message that is none',
      { r: { 'message M': 1 } },
      'r > message M',
      'expected an object, found 1',
    ],
    ['an unknown type', { r: { 'optional int64 a': 1 } }, 'r > optional int64 a', noType('int64')],
    [
      'a type of an outer message',
      { r: { 'message A': {}, 'message B': { 'optional A a': 1 }, 'optional B b': 1 } },
      'r > message B > optional A a',
      noType('A'),
    ],
    [
      'an unknown type at the top',
      { 'message M': { 'repeated Nope a': 1 }, r: { 'optional M m': 1 } },
      'message M > repeated Nope a',
      noType('Nope'),
    ],
    [
      'a type that objects inherit',
      { r: { 'optional toString a': 1 } },
      'r > optional toString a',
      noType('toString'),
    ],
    ['tag 0', { r: { 'optional bool a': 0 } }, 'r > optional bool a', noTag('0')],
    ['a broken tag', { r: { 'optional bool a': 1.5 } }, 'r > optional bool a', noTag('1.5')],
    [
      'a huge tag',
      { r: { 'optional bool a': 2 ** 29 } },
      'r > optional bool a',
      noTag('536870912'),
    ],
    ['a tag of text', { r: { 'optional bool a': 'x' } }, 'r > optional bool a', noTag('"x"')],
    ['a tag of nothing', { r: { 'optional bool a': null } }, 'r > optional bool a', noTag('null')],
    [
      'a tag twice',
      { r: { 'optional bool a': 1, 'optional bool b': 1 } },
      'r > optional bool b',
      'tag 1 is already used by a',
    ],
    [
      'a name twice',
      { r: { 'optional bool a': 1, 'required bool a': 2 } },
      'r > required bool a',
      'there is already a field a',
    ],
    [
      'no name',
      { r: { 'optional bool ': 1 } },
      'r > optional bool ',
      "an empty name cannot be a field's name",
    ],
    [
      'a name of Pomelo',
      { r: { 'optional bool __tags': 1 } },
      'r > optional bool __tags',
      "__tags cannot be a field's name",
    ],
    [
      'a message called as a type',
      { r: { 'message string': {} } },
      'r > message string',
      'string is a built-in type; choose another name',
    ],
    ['a map of no message', { r: { 'map string a': 1 } }, 'r > map string a', noType('string')],
    [
      'a map without a key',
      { r: { 'message M': { 'required bool value': 2 }, 'map M a': 1 } },
      'r > map M a',
      noEntry('M'),
    ],
    [
      'a map with messages for keys',
      { r: { 'message M': { 'required M key': 1, 'required bool value': 2 }, 'map M a': 1 } },
      'r > map M a',
      noEntry('M'),
    ],
    [
      'a map of lists',
      { r: { 'message M': { 'required bool key': 1, 'repeated bool value': 2 }, 'obj M a': 1 } },
      'r > obj M a',
      noEntry('M'),
    ],
    [
      'a map whose value is of a message beside the entry',
      {
        r: {
          'message M': {
            'message V': {},
            'required bool key': 1,
            'required V value': 2,
          },
          'obj M a': 1,
        },
      },
      'r > obj M a',
      noType('V'),
    ],
  ])('%s', (_what, definition, path, message) => {
    expect(Protos.of(definition).problems[0]).toEqual({ path, message });
  });

  test('in a name that JavaScript takes for its own', () => {
    const definition: unknown = JSON.parse(
      '{"__proto__":{"optional bool a":1},"r":{"__proto__":1}}',
    );
    const { problems, parsed } = Protos.of(definition);
    const message = 'not a name that a JavaScript object can have';
    expect(problems).toEqual([
      { path: '__proto__', message },
      { path: 'r > __proto__', message },
    ]);
    expect(JSON.stringify(parsed)).toBe('{"r":{"__messages":{},"__tags":{}}}');
  });

  test('in messages nested without an end', () => {
    let definition: object = {};
    for (let i = 0; i < 40; i++) definition = { 'message M': definition };
    const { problems } = Protos.of({ r: definition });
    expect(problems).toHaveLength(1);
    expect(problems[0]!.message).toBe('messages are nested deeper than 32');
  });

  test('is one of all, and what has none still works', () => {
    const protos = Protos.of({
      r: {
        'optional Nope a': 1,
        'optional bool b': 2,
        'optional bool c': 2,
        'optional bool d': -1,
      },
    });
    expect(protos.problems.map(({ path }) => path)).toEqual([
      'r > optional bool c',
      'r > optional bool d',
      'r > optional Nope a',
    ]);
    expect(encoded(protos, 'r', { a: 1, b: true, c: true, d: true })).toBe('1001');
    expect(protos.decode('r', Buffer.from('0801', 'hex'))).toEqual({
      fault: { path: '', message: 'no field has tag 1' },
    });
  });
});

describe('a warning', () => {
  test.each<[string, unknown, string, string]>([
    ['a key of two words', { r: { 'optional a': 1 } }, 'r > optional a', passedOver],
    ['a key of four words', { r: { 'optional bool  a': 1 } }, 'r > optional bool  a', passedOver],
    ['an unknown option', { r: { 'require bool a': 1 } }, 'r > require bool a', passedOver],
    [
      'a message without a name',
      { r: { message: {} } },
      'r > message',
      'Pomelo ignores it; expected "message <Name>"',
    ],
    [
      'a route that is none',
      { 'message A B': {} },
      'message A B',
      'a route has no spaces, so no client can ask for this one',
    ],
    [
      'a tag in quotes',
      { r: { 'optional bool a': '1' } },
      'r > optional bool a',
      'the tag is a string, which clients in C do not read; write a number',
    ],
    [
      'a tag that JavaScript cannot write',
      { r: { 'optional bool a': 2 ** 28 } },
      'r > optional bool a',
      'clients in JavaScript cannot write tags above 268435455',
    ],
  ])('%s', (_what, definition, path, message) => {
    const { problems, warnings } = Protos.of(definition);
    expect([problems, warnings]).toEqual([[], [{ path, message }]]);
  });

  test('about a tag does not keep the field from working', () => {
    const quoted = Protos.of({ r: { 'optional uInt32 a': '16' } });
    expect(encoded(quoted, 'r', { a: 1 })).toBe('800101');
    expect(quoted.decode('r', Buffer.from('800101', 'hex'))).toMatchObject({ value: { a: 1 } });
    const large = Protos.of({ r: { 'optional uInt32 a': 2 ** 29 - 1 } });
    expect(encoded(large, 'r', { a: 1 })).toBe('f8ffffff0f01');
    expect(large.decode('r', Buffer.from('f8ffffff0f01', 'hex'))).toMatchObject({
      value: { a: 1 },
    });
  });
});

test('a definition that holds itself is nested as deep as a body may be, no deeper', () => {
  const protos = Protos.of({ r: { 'optional N n': 1 }, 'message N': { 'optional N n': 1 } });
  const value = (depth: number) => {
    let inner: object = {};
    for (let i = 0; i < depth; i++) inner = { n: inner };
    return inner;
  };
  const deepest = protos.encodeValue('r', value(32), 'utf8') as { bytes: Buffer };
  expect(protos.decode('r', deepest.bytes)).toMatchObject({ value: value(32) });
  const path = Array.from({ length: 33 }, () => 'n').join('.');
  const fault = { path, message: 'messages are nested deeper than 32' };
  expect(protos.encodeValue('r', value(33), 'utf8')).toEqual({ fault });
  const tooDeep = Buffer.concat([Buffer.from([0x0a, deepest.bytes.length]), deepest.bytes]);
  expect(protos.decode('r', tooDeep)).toEqual({ fault });
});
