/** Values to pomelo-protobuf: what is written, what is left out, what is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Protos } from '../../../src/protocol/protobuf/protos.ts';

const ALL = Protos.of({
  r: {
    'message Pos': { 'required int32 x': 1, 'optional int32 y': 2 },
    'message Named': { 'required string key': 1, 'required Pos value': 2 },
    'message Counted': { 'required uInt32 key': 1, 'required double value': 2 },
    'message Flagged': { 'required bool key': 1, 'required bool value': 2 },
    'optional uInt32 u': 1,
    'optional int32 i': 2,
    'optional bool b': 3,
    'optional float f': 4,
    'optional double d': 5,
    'optional string s': 6,
    'optional Pos p': 7,
    'repeated uInt64 us': 8,
    'repeated double ds': 9,
    'repeated string ss': 10,
    'repeated Pos ps': 11,
    'obj Named named': 12,
    'map Counted counted': 13,
    'map Flagged flagged': 14,
    'optional sInt64 l': 15,
    'optional bool constructor': 20,
  },
  strict: { 'required uInt32 a': 1, 'required string toString': 2 },
  error: { 'required uInt32 code': 1, 'optional string msg': 2, 'optional Detail reason': 3 },
  unfit: { 'optional string code': 1, 'optional string msg': 2 },
  'message Detail': { 'required string text': 1 },
});

function encode(value: unknown, strings: 'utf8' | 'cesu8' = 'utf8', route = 'r'): unknown {
  const result = ALL.encodeValue(route, value, strings);
  return 'fault' in result ? result.fault : result.bytes.toString('hex');
}

const hexOf = (text: string) => text.replaceAll(' ', '');

describe('a value', () => {
  test.each<[string, unknown, string]>([
    ['empty', {}, ''],
    ['of nulls', { u: null, p: null, us: null, named: null, counted: undefined }, ''],
    ['of empty lists', { us: [], ps: [], named: {} }, ''],
    ['with an empty map of Pinus', { counted: {} }, '6a 00'],
    ['with keys that are no fields', { zzz: 1, toString: 1, u: 1 }, '08 01'],
    ['in the order of its own keys', { s: 'a', u: 1, b: true }, '32 01 61 08 01 18 01'],
    ['with a field that objects inherit', { constructor: true }, 'a001 01'],
    [
      'with numbers as text',
      { u: '12abc', i: '-0x10', f: '1.5', l: ' 7 ' },
      '08 0c 10 1f 25 0000c03f 78 0e',
    ],
    ['with broken numbers', { u: 3.9, i: -3.9, l: 1e21 }, '08 03 10 05 78 02'],
    ['with a number that is written with an exponent', { u: 1e-7, i: 2.5e22 }, '08 01 10 04'],
    ['with -0', { u: -0, i: -0, d: -0 }, '08 00 10 00 29 0000000000000080'],
    [
      'with large numbers',
      { u: 2 ** 53 - 1, l: 2 ** 53 - 1 },
      '08 ffffffffffffff0f 78 feffffffffffff1f',
    ],
    ['with numbers beyond 2^53, as Pomelo', { u: 2 ** 64 }, '08 80808080808080808002'],
    ['with the smallest number that a client reads', { l: -(2 ** 52) }, '78 ffffffffffffff0f'],
    ['with numbers for truth', { b: 2 }, '18 01'],
    ['with infinity', { f: Infinity, d: -Infinity }, '25 0000807f 29 000000000000f0ff'],
    ['with truth for a number', { d: true }, '29 000000000000f03f'],
    [
      'with lists',
      { us: [1, 300], ss: ['', 'a'], ps: [{ x: 1 }] },
      '40 02 01 ac02 52 00 52 01 61 5a 02 08 02',
    ],
    [
      'with maps',
      { named: { a: { x: 1 } }, counted: { 300: 2 } },
      '62 01 01 61 02 08 02 6a 01 ac02 0000000000000040',
    ],
    ['with a map of truths', { flagged: { false: true, true: false } }, '72 02 00 01 01 00'],
    [
      'in a map without what it requires, as Pinus',
      { named: { a: { y: 1 } } },
      '62 01 01 61 02 10 02',
    ],
  ])('%s', (_what, value, hex) => {
    expect(encode(value)).toBe(hexOf(hex));
  });

  test('with strings of every length has them whole', () => {
    for (const length of [0, 1, 24, 25, 127, 128, 16_383, 16_384, 100_000]) {
      for (const character of ['a', 'é', '你', '\u{1f602}']) {
        const text = character.repeat(length);
        for (const strings of ['utf8', 'cesu8'] as const) {
          const result = ALL.encodeValue('r', { p: { x: 1 }, s: text }, strings);
          const { bytes } = result as { bytes: Buffer };
          const decoded = ALL.decode('r', bytes) as { value: Record<string, unknown> };
          expect(decoded.value['s'] === text).toBe(true);
        }
      }
    }
  });

  test('with messages of every length has them whole', () => {
    const holder = Protos.of({
      r: { 'optional N n': 1, 'optional uInt32 after': 2 },
      'message N': { 'optional string s': 1, 'optional N n': 2 },
    });
    for (const length of [
      0, 124, 125, 126, 127, 128, 16_379, 16_380, 16_381, 2_097_151, 2_097_152,
    ]) {
      const value = { n: { s: 'a'.repeat(length), n: { s: 'b' } }, after: 5 };
      const { bytes } = holder.encodeValue('r', value, 'utf8') as { bytes: Buffer };
      const decoded = holder.decode('r', bytes) as { value: unknown };
      expect(JSON.stringify(decoded.value) === JSON.stringify(value)).toBe(true);
    }
  });

  test('gets strings in CESU-8 where that is asked for', () => {
    expect(encode({ s: '\u{1f602}' })).toBe('3204f09f9882');
    expect(encode({ s: '\u{1f602}' }, 'cesu8')).toBe('3206eda0bdedb882');
    expect(encode({ s: '你a' }, 'cesu8')).toBe('3204e4bda061');
    expect(encode({ s: '\ud83d' })).toBe('3203efbfbd');
    expect(encode({ s: '\ud83d' }, 'cesu8')).toBe('3203eda0bd');
  });

  test('has memory of its own', () => {
    const first = ALL.encodeValue('r', { s: 'first' }, 'utf8') as { bytes: Buffer };
    ALL.encodeValue('r', { s: 'other' }, 'utf8');
    expect(first.bytes.toString()).toBe('2\u0005first');
  });
});

describe('a fault', () => {
  test.each<[string, unknown, string, string]>([
    ['nothing', null, '', 'null for a message; expected an object'],
    ['a list', [], '', 'an array for a message; expected an object'],
    ['text', 'x', '', 'a string for a message; expected an object'],
    ['a negative number', { u: -1 }, 'u', '-1 for an unsigned number'],
    ['no number', { u: 'abc' }, 'u', 'a string for an unsigned number'],
    ['an object for a number', { u: {} }, 'u', 'an object for an unsigned number'],
    ['a list for a number', { i: [5] }, 'i', 'an array for a whole number'],
    ['truth for a whole number', { i: true }, 'i', 'true for a whole number'],
    ['infinity for a whole number', { i: Infinity }, 'i', 'Infinity for a whole number'],
    [
      'a number no client reads',
      { l: -(2 ** 52) - 1 },
      'l',
      '-4503599627370497 for a whole number; no client reads one below -2^52',
    ],
    ['no truth', { b: 'true' }, 'b', 'a string for true or false'],
    ['NaN', { d: NaN }, 'd', 'NaN for a number'],
    ['text for a float', { f: 'abc' }, 'f', 'a string for a number'],
    ['an object for a float', { f: {} }, 'f', 'an object for a number'],
    ['a list for a float', { f: [1] }, 'f', 'an array for a number'],
    ['a number for text', { s: 5 }, 's', '5 for a string'],
    ['text for a message', { p: 'x' }, 'p', 'a string for a message; expected an object'],
    ['a list for a message', { p: [] }, 'p', 'an array for a message; expected an object'],
    ['text for a list', { us: '12' }, 'us', 'a string; expected an array'],
    ['an object for a list', { ps: {} }, 'ps', 'an object; expected an array'],
    [
      'nothing in a list',
      { ps: [{ x: 1 }, null] },
      'ps[1]',
      'null for a message; expected an object',
    ],
    ['nothing among numbers', { us: [1, null] }, 'us[1]', 'null for an unsigned number'],
    ['what is required', { p: { y: 1 } }, 'p.x', 'required but missing'],
    [
      'null for what is required',
      { ps: [{ x: 1 }, { x: null }] },
      'ps[1].x',
      'required but missing',
    ],
    ['a list for a map', { named: [] }, 'named', 'an array for a map; expected an object'],
    ['a value in a map', { named: { a: { x: 'z' } } }, 'named.a.x', 'a string for a whole number'],
    [
      'a key that is no number',
      { counted: { k: 1 } },
      'counted.k',
      'a string for an unsigned number',
    ],
    [
      'a key that is no truth',
      { flagged: { yes: true } },
      'flagged.yes',
      'a key that is neither true nor false',
    ],
  ])('for %s', (_what, value, path, message) => {
    expect(encode(value)).toEqual({ path, message });
  });

  test('for what is required and only inherited', () => {
    expect(encode({ a: 1 }, 'utf8', 'strict')).toEqual({
      path: 'toString',
      message: 'required but missing',
    });
    expect(encode({ a: 1, toString: 'x' }, 'utf8', 'strict')).toBe('0801120178');
  });

  test('for more than a packet can hold', () => {
    const fits = 'a'.repeat(16_777_215 - 100);
    expect((ALL.encodeValue('r', { s: fits }, 'utf8') as { bytes: Buffer }).bytes).toHaveLength(
      fits.length + 5,
    );
    const message = 'the body is longer than 16777215 bytes';
    expect(encode({ s: `${fits}${'a'.repeat(100)}` })).toEqual({ path: 's', message });
    expect(encode({ ss: Array.from({ length: 20 }, () => 'a'.repeat(1_000_000)) })).toEqual({
      path: 'ss[16]',
      message,
    });
    expect(encode({ u: 1 })).toBe('0801');
  });

  test('for an unknown route, and for what is no JSON', () => {
    const noProto = { path: '', message: 'no proto for nope' };
    expect(encode({}, 'utf8', 'nope')).toEqual(noProto);
    expect(ALL.encode('nope', Buffer.from('{}'), 'utf8')).toEqual({ fault: noProto });
    for (const json of ['', '{', '{"u":1}x']) {
      const fault = { path: '', message: 'not JSON' };
      expect(ALL.encode('r', Buffer.from(json), 'utf8')).toEqual({ fault });
    }
  });

  test('leaves nothing behind for the next value', () => {
    expect(encode({ named: { a: { x: {} } } })).toHaveProperty('path', 'named.a.x');
    expect(encode({ p: { y: 1 } })).toHaveProperty('path', 'p.x');
  });
});

describe('JSON', () => {
  test('is encoded as its value', () => {
    const around = Buffer.from('x{"s":"你\\ud83d\\ude02"}x');
    const json = new Uint8Array(around.buffer, around.byteOffset + 1, around.length - 2);
    const result = ALL.encode('r', json, 'utf8') as { bytes: Buffer };
    expect(result.bytes.toString('hex')).toBe('3207e4bda0f09f9882');
  });
});

describe('loosely', () => {
  const loosely = (route: string, value: unknown) =>
    ALL.encodeLoosely(route, Buffer.from(JSON.stringify(value)), 'utf8').toString('hex');

  test.each<[string, string, unknown, string]>([
    ['what fits is written', 'error', { code: 500, msg: 'a' }, '08f403120161'],
    ['what has no field is left out', 'error', { code: 503, retry_after_ms: 5 }, '08f703'],
    ['what does not fit is left out', 'error', { msg: 7, code: 500, reason: 'AWAY' }, '08f403'],
    [
      'half of what does not fit is left out',
      'error',
      { reason: { text: 5 }, code: 500 },
      '08f403',
    ],
    ['a number is no text', 'unfit', { code: 500, msg: 'a' }, '120161'],
    ['without what is required nothing is left', 'error', { msg: 'a' }, ''],
    ['what is required and does not fit is missing', 'error', { code: 'x', msg: 'a' }, ''],
    ['without any field nothing is left', 'unfit', { nope: 1 }, ''],
    ['an unknown route has nothing', 'nope', { code: 500 }, ''],
    ['a list has nothing', 'error', [1], ''],
    [
      'a failed map does not excuse what comes after',
      'r',
      { named: { a: 1 }, p: { y: 1 }, u: 1 },
      '0801',
    ],
  ])('%s', (_what, route, value, hex) => {
    expect(loosely(route, value)).toBe(hex);
  });

  test('what is no JSON has nothing', () => {
    expect(ALL.encodeLoosely('error', Buffer.from('{'), 'utf8')).toHaveLength(0);
  });
});

describe('what is written is read again', () => {
  const whole = (max: number) => fc.integer({ min: -max, max });
  const natural = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  const pos = fc.record({ x: whole(2 ** 31 - 1), y: whole(300) }, { requiredKeys: ['x'] });
  const double = fc.double({ noNaN: true, noDefaultInfinity: true });
  const message = fc.record(
    {
      u: natural,
      i: whole(2 ** 31),
      b: fc.boolean(),
      f: fc.float({ noNaN: true, noDefaultInfinity: true }),
      d: double,
      s: text,
      p: pos,
      us: fc.array(natural, { minLength: 1, maxLength: 200 }),
      ds: fc.array(double, { minLength: 1, maxLength: 5 }),
      ss: fc.array(text, { minLength: 1, maxLength: 5 }),
      ps: fc.array(pos, { minLength: 1, maxLength: 40 }),
      named: fc.dictionary(text, pos, { minKeys: 1, maxKeys: 5, noNullPrototype: true }),
      counted: fc.dictionary(fc.nat().map(String), double, { maxKeys: 5, noNullPrototype: true }),
      flagged: fc.record({ true: fc.boolean(), false: fc.boolean() }, { requiredKeys: [] }),
      l: whole(2 ** 52),
    },
    { requiredKeys: [] },
  );

  test('equal, in both forms of strings', () => {
    const check = (value: object, strings: 'utf8' | 'cesu8') => {
      const result = ALL.encodeValue('r', value, strings) as { bytes: Buffer };
      const decoded = ALL.decode('r', result.bytes) as { value: object };
      expect(decoded.value).toEqual(value);
      const again = ALL.encodeValue('r', decoded.value, strings) as { bytes: Buffer };
      expect(again.bytes.equals(result.bytes)).toBe(true);
    };
    const strings = fc.constantFrom('utf8' as const, 'cesu8' as const);
    fc.assert(fc.property(message, strings, check), { numRuns: 300 });
  });

  test('or there is a fault, whatever JSON it is', () => {
    const names = [
      'u',
      'i',
      'b',
      'f',
      'd',
      's',
      'p',
      'us',
      'ds',
      'ss',
      'ps',
      'named',
      'counted',
      'x',
      'l',
    ];
    const any = fc.jsonValue({ maxDepth: 3 });
    const object = fc.dictionary(
      fc.constantFrom(...names),
      fc.oneof(any, fc.dictionary(fc.constantFrom(...names), any)),
    );
    const check = (value: unknown) => {
      const result = ALL.encodeValue('r', value, 'utf8');
      const isRead =
        'fault' in result ? result.fault.message !== '' : 'value' in ALL.decode('r', result.bytes);
      expect(isRead).toBe(true);
      ALL.encodeLoosely('r', Buffer.from(JSON.stringify(value)), 'utf8');
    };
    fc.assert(fc.property(fc.oneof(any, object, object), check), { numRuns: 500 });
  });
});
