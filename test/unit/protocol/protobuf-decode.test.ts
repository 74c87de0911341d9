/** Bodies of clients in pomelo-protobuf: whatever the bytes are, a value or a fault, and no more memory than they earn. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Protos, type WrittenBy } from '../../../src/protocol/protobuf/protos.ts';
import { allocatedBy } from '../../support/held.ts';
import { protosOf } from './protobuf-comparisons.ts';
import { vectors } from './vectors.ts';

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
    'repeated bool toString': 21,
    'obj Named valueOf': 22,
  },
});

const decode = (hex: string) => ALL.decode('r', Buffer.from(hex.replaceAll(' ', ''), 'hex'));

function valueOf(hex: string): unknown {
  const result = decode(hex);
  return 'fault' in result ? result : JSON.parse(JSON.stringify(result.value));
}

describe('a body', () => {
  test.each<[string, string, unknown]>([
    ['empty', '', {}],
    ['with a field twice: the last counts', '0801 0802', { u: 2 }],
    ['with a message twice: the last counts, whole', '3a04 0802 1002 3a02 0804', { p: { x: 2 } }],
    ['with any wire type', '09 05', { u: 5 }],
    ['with a number in more bytes than it needs', '08 858000', { u: 5 }],
    ['with 2^53 - 1', '08 ffffffffffffff0f', { u: Number.MAX_SAFE_INTEGER }],
    ['with the largest of a sign', '78 feffffffffffff1f', { l: Number.MAX_SAFE_INTEGER }],
    ['with the smallest of a sign', '78 fdffffffffffff1f', { l: Number.MIN_SAFE_INTEGER }],
    ['with -1', '10 01', { i: -1 }],
    ['with true as any number but 0', '18 ff01', { b: true }],
    ['with false', '18 00', { b: false }],
    ['with a count of 0', '40 00', { us: [] }],
    ['with a list in parts', '40 02 01 02 40 01 03', { us: [1, 2, 3] }],
    ['with strings', '52 01 61 52 00', { ss: ['a', ''] }],
    ['with messages', '5a 00 5a 02 0802', { ps: [{}, { x: 1 }] }],
    ['with a map in parts', '62 01 0161 02 0802 62 01 0162 00', { named: { a: { x: 1 }, b: {} } }],
    ['with a map by number', '6a 01 ac02 0000000000000040', { counted: { 300: 2 } }],
    ['with a map by truth', '72 02 01 00 00 01', { flagged: { false: true, true: false } }],
    ['with an empty map', '62 00', { named: {} }],
    ['with a float', '25 0000c03f', { f: 1.5 }],
    ['with what JSON has no number for', '25 0000c07f 29 000000000000f07f', { f: null, d: null }],
    [
      'with names that objects inherit',
      'a001 01 a801 01 00 b201 00',
      { constructor: true, toString: [false], valueOf: {} },
    ],
  ])('%s', (_what, hex, value) => {
    expect(valueOf(hex)).toEqual(value);
  });

  test('with a key that changes objects changes none', () => {
    const key = Buffer.from('__proto__').toString('hex');
    const result = decode(`62 02 09${key} 02 0802 0161 00`);
    const value = 'value' in result ? result.value : {};
    expect(JSON.stringify(value)).toBe('{"named":{"__proto__":{"x":1},"a":{}}}');
    expect(Object.keys(value['named'] as object)).toEqual(['__proto__', 'a']);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test('with strings shares no memory with what it was read from', () => {
    const bytes = Buffer.from('3203616263', 'hex');
    const result = ALL.decode('r', bytes);
    bytes.fill(0);
    expect(result).toMatchObject({ value: { s: 'abc' } });
  });
});

describe('a fault', () => {
  test.each<[string, string, string, string]>([
    ['an unknown tag', '9a06 00', '', 'no field has tag 99'],
    ['tag 0', '00', '', 'no field has tag 0'],
    ['a tag above 29 bits', '80808080 8001', '', 'no field has tag 4294967296'],
    ['an unknown tag inside', '3a02 1800', 'p', 'no field has tag 3'],
    ['a head that is cut off', '80', '', 'a number is cut off'],
    ['a number that is not there', '08', 'u', 'a number is cut off'],
    ['a number that is cut off', '08 ffff', 'u', 'a number is cut off'],
    ['a long number that is cut off', '08 ffffffffffff', 'u', 'a number is cut off'],
    ['a number without an end', `08 ${'ff'.repeat(12)}`, 'u', 'a number of more than 10 bytes'],
    ['2^53', '08 8080808080808010', 'u', 'a number is above 2^53 - 1'],
    ['70 bits', `08 ${'ff'.repeat(9)}7f`, 'u', 'a number is above 2^53 - 1'],
    ['2^53 with a sign', '78 8080808080808020', 'l', 'a number is beyond 2^53 - 1'],
    ['-2^53', '78 ffffffffffffff1f', 'l', 'a number is beyond 2^53 - 1'],
    ['half a float', '25 0000', 'f', 'a float is cut off: it takes 4 bytes, 2 are left'],
    ['half a double', '29 00000000', 'd', 'a double is cut off: it takes 8 bytes, 4 are left'],
    ['a string too long', '32 0a 6162', 's', 'a string of 10 bytes, 2 are left'],
    ['a huge string', '32 ffffffff0f 61', 's', 'a string of 4294967295 bytes, 1 are left'],
    ['a message too long', '3a 03 0802', 'p', 'a message of 3 bytes, 2 are left'],
    ['a message too short', '3a 01 0802', 'p.x', 'a number is cut off'],
    ['a string beyond its message', '5a 02 0802 5a 01 10', 'ps[1].y', 'a number is cut off'],
    [
      'a huge count',
      '40 ffffffff0f 01',
      'us',
      '4294967295 values of at least 1 bytes, 1 bytes are left',
    ],
    [
      'one too many',
      '48 02 0000000000000000',
      'ds',
      '2 values of at least 8 bytes, 8 bytes are left',
    ],
    ['an element', '40 02 01 ff', 'us[1]', 'a number is cut off'],
    ['an element of a later part', '40 01 01 40 01 ff', 'us[1]', 'a number is cut off'],
    ['a string in a list', '52 01 61 52 05 61', 'ss[1]', 'a string of 5 bytes, 1 are left'],
    [
      'a huge map',
      '62 ffffffff0f 0161',
      'named',
      '4294967295 values of at least 2 bytes, 2 bytes are left',
    ],
    [
      'a map one too long',
      '6a 01 01 00000000',
      'counted',
      '1 values of at least 9 bytes, 5 bytes are left',
    ],
    ['a key', '62 01 05 61', 'named', 'a string of 5 bytes, 1 are left'],
    ['a value in a map', '62 01 0161 02 0880', 'named.a.x', 'a number is cut off'],
  ])('for %s', (_what, hex, path, message) => {
    expect(decode(hex)).toEqual({ fault: { path, message } });
  });

  test('for an unknown route', () => {
    const fault = { path: '', message: 'no proto for nope' };
    expect(ALL.decode('nope', Buffer.from('0801', 'hex'))).toEqual({ fault });
  });

  test('shows no more than the beginning of a key', () => {
    const key = 'k'.repeat(100);
    const bytes = Buffer.concat([Buffer.from([0x62, 1, 100]), Buffer.from(key), Buffer.from([5])]);
    expect(ALL.decode('r', bytes)).toMatchObject({ fault: { path: `named.${key.slice(0, 64)}` } });
  });

  test('leaves nothing behind for the next body', () => {
    expect(decode('3a02 1800')).toHaveProperty('fault');
    expect(decode('0801')).toEqual({
      value: { u: 1 },
      writtenBy: 'node',
      isPlain: true,
    });
    expect(decode('80')).toEqual({ fault: { path: '', message: 'a number is cut off' } });
  });
});

describe('who wrote a body is told', () => {
  test.each<[WrittenBy, string]>([
    ['node', '0801 1002 1801 40 01 01'],
    ['browser', '0a01 1202 1a01 42 01 01'],
    ['unknown', ''],
    ['unknown', '32 01 61 3a 00 25 00000000'],
    ['unknown', '0801 1202'],
    ['unknown', '0901'],
    ['browser', '5a 02 0a02'],
    ['node', '62 01 0161 02 0802'],
    // Texts with a character beyond the basic plane.
    ['node', '32 04 f09f9882'],
    ['browser', '32 06 eda0bdedb882'],
    ['unknown', '32 03 e4bda0'],
  ])('%s by %s', (writtenBy, hex) => {
    expect(decode(hex)).toMatchObject({ writtenBy });
  });

  const written = vectors.filter(({ layer, hex }) => layer === 'protobuf' && hex !== null);
  test.each(written)('$name', (vector) => {
    const protos = protosOf(vector.input);
    const writers = (hex: string) => {
      const result = protos.decode(vector.input.route, Buffer.from(hex, 'hex'));
      return 'fault' in result ? 'unknown' : result.writtenBy;
    };
    expect(['node', 'unknown']).toContain(writers(vector['pinusHex'] ?? vector.hex!));
    expect(['browser', 'unknown']).toContain(writers(vector['browserHex'] ?? '0a00'));
  });
});

/** Bytes of a value that was made: of JSON text, with room for the objects themselves. */
const earned = (bytes: number) => 64 + bytes * 40;

function problemOf(protos: Protos, route: string, bytes: Buffer): string | null {
  const before = Buffer.from(bytes);
  const result = protos.decode(route, bytes);
  if (!bytes.equals(before)) return 'wrote to its input';
  if ('fault' in result) return result.fault.message === '' ? 'no reason' : null;
  const { length } = JSON.stringify(result.value);
  return length <= earned(bytes.length) ? null : `${length} characters of ${bytes.length} bytes`;
}

describe('every truncation', () => {
  const inputs = vectors
    .filter(({ layer }) => layer.startsWith('protobuf'))
    .flatMap(({ name, input, hex, ...more }) =>
      [hex, more['pinusHex'], more['browserHex'], input.hex].flatMap((one) =>
        typeof one === 'string' ? [{ name, input, bytes: Buffer.from(one, 'hex') }] : [],
      ),
    );

  test('is tried with all vectors', () => {
    expect(inputs.length).toBeGreaterThan(80);
  });

  test.each(inputs)('of $name is a value or a fault', ({ input, bytes }) => {
    const protos = protosOf(input);
    for (let length = 0; length <= bytes.length; length++) {
      expect(problemOf(protos, input.route, bytes.subarray(0, length))).toBeNull();
    }
  });
});

describe('any bytes', () => {
  const head = fc.integer({ min: 1, max: 22 }).map((tag) => (tag << 3) | 2);
  const anyBytes = fc
    .array(fc.oneof(head, fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 255 })), {
      maxLength: 60,
    })
    .map((list) => Buffer.from(list));

  test('are a value or a fault', () => {
    const check = (bytes: Buffer) => {
      expect(problemOf(ALL, 'r', bytes)).toBeNull();
    };
    fc.assert(fc.property(anyBytes, check), { numRuns: 2000 });
  });

  test('of up to two, every one of them', () => {
    const problems = new Set<string | null>();
    for (let first = 0; first < 256; first++) {
      problems.add(problemOf(ALL, 'r', Buffer.from([first])));
      for (let second = 0; second < 256; second++) {
        problems.add(problemOf(ALL, 'r', Buffer.from([first, second])));
      }
    }
    expect(problems).toEqual(new Set([null]));
  });

  test('that announce much take little memory', async () => {
    const announced = ['32', '3a', '40', '48', '52', '5a', '62', '6a', '72'].map((tag) =>
      Buffer.from(`${tag}ffffffff0f0000`, 'hex'),
    );
    for (const bytes of announced) ALL.decode('r', bytes);
    for (const bytes of announced) {
      let result;
      const allocated = await allocatedBy(() => {
        result = ALL.decode('r', bytes);
      });
      expect(result).toHaveProperty('fault');
      expect(allocated).toBeLessThan(1 << 20);
    }
  });
});
