/** pomelo-protobuf as the client writes and reads it, held to the vectors of the reference implementations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ClientError } from '../../../src/client/client-error.ts';
import { Protos } from '../../../src/client/protobuf.ts';
import { parseProtos } from '../../../src/protocol/protobuf/definition.ts';
import { type Vector, vector, vectors } from '../protocol/vectors.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const make = (definition: object): Protos => new Protos(parseProtos(definition).parsed);

function protosOf({ input }: Vector): Protos {
  return make({ [input.route]: input.proto ?? {}, ...input.rootMessages });
}

/** `{$map: entries}` of the vectors is a Map. */
function revive(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, one: unknown) =>
    typeof one === 'object' && one !== null && '$map' in one
      ? new Map((one as { $map: [unknown, unknown][] }).$map)
      : one,
  );
}

/** What the client does instead; null: it refuses to write. */
const WRITTEN_OTHERWISE: Readonly<Record<string, string | null>> = {
  // Types of Pinus alone: as Pinus writes them.
  'pb-bool': '0801',
  'pb-uInt64': '0880e497d012',
  'pb-sInt64-neg': '08ffc7afa025',
  // The reference takes the digits at the front of any text.
  'pb-uInt32-string-12': null,
  'pb-uInt32-1e21': null,
  // Null is as good as absent, and nothing is an empty body, not a failure.
  'pb-optional-null': '',
  'pb-repeated-uInt32-empty': '',
};
const ENCODE = vectors.filter(({ layer }) => layer === 'protobuf' || layer === 'protobuf-pinus');

describe('what is written', () => {
  const rows = ENCODE.filter(({ input }) => input.proto !== undefined);
  const written = (row: Vector): string | null =>
    row.name in WRITTEN_OTHERWISE ? WRITTEN_OTHERWISE[row.name]! : row.hex;
  const encode = (row: Vector): Uint8Array =>
    protosOf(row).encode(row.input.route, revive(row.input.msg));
  // The reference runs out of its buffer.
  const overflows = (row: Vector): boolean => row.encodeResult?.throws === 'ERR_OUT_OF_RANGE';

  test.each(rows.filter((row) => written(row) !== null))('$name', (row) => {
    expect(hex(encode(row))).toBe(written(row));
  });

  test.each(rows.filter((row) => written(row) === null && !overflows(row)))('not $name', (row) => {
    expect(() => encode(row)).toThrow(ClientError);
  });

  test.each(rows.filter(overflows))('$name, and read again', (row) => {
    expect(protosOf(row).decode(row.input.route, encode(row))).toEqual(row.input.msg);
  });

  test.each([
    [{ a: 'x', n: { b: 1 } }, 'the body of r.n: c is required'],
    [{ n: { b: 1, c: 'x' } }, 'the body of r: a is required'],
    [{ a: 7, n: { b: 1, c: 'x' } }, 'the body of r.a: expected a string'],
    [{ a: 'x', n: 7 }, 'the body of r.n: expected an object'],
    [{ a: 'x', n: { b: 'x', c: 'x' } }, 'the body of r.n.b: expected a number'],
    [{ a: 'x', n: { b: [], c: 'x' } }, 'the body of r.n.b: expected a number'],
    [{ a: 'x', n: { b: -1, c: 'x' } }, 'the body of r.n.b: out of range'],
    [{ a: 'x', n: { b: 2 ** 53, c: 'x' } }, 'the body of r.n.b: out of range'],
    [{ a: 'x', n: { b: Infinity, c: 'x' } }, 'the body of r.n.b: out of range'],
    [{ a: 'x', n: { b: 1, c: 'x' }, l: 7 }, 'the body of r.l: expected an array'],
    [{ a: 'x', n: { b: 1, c: 'x' }, u: 7 }, 'the body of r.u: unknown type Nowhere'],
    ['x', 'the body of r: expected an object'],
  ])('not: %j', (value, why) => {
    const protos = make({
      r: {
        'required string a': 1,
        'message N': { 'required uInt32 b': 1, 'required string c': 2 },
        'required N n': 2,
        'repeated uInt32 l': 3,
        'optional Nowhere u': 4,
      },
    });
    expect(() => protos.encode('r', value)).toThrow(why);
  });
});

/** What the client makes of it; null: it refuses to read. */
const READ_OTHERWISE: Readonly<Record<string, unknown>> = {
  'pbdec-browser-cesu8-emoji': { v: '😂' },
  'pbdec-string-too-long': null,
  'pbdec-string-huge-len': null,
  'pbdec-uint32-10-bytes': null,
  'pbdec-repeated-google-packed-multibyte': null,
};

describe('what is read', () => {
  test.each(ENCODE.filter(({ decoded, pinusHex }) => decoded && !pinusHex))('$name', (row) => {
    const read = protosOf(row).decode(row.input.route, bytesOf(row.hex!));
    expect(read).toStrictEqual(revive(row.decoded));
  });

  const decode = vectors.filter(({ layer, input }) => layer === 'protobuf-decode' && input.proto);

  const isRefused = ({ name, pomeloResult }: Vector): boolean =>
    READ_OTHERWISE[name] === null || pomeloResult.throws !== undefined;

  test.each(decode.filter((row) => !isRefused(row)))('$name', (row) => {
    const { name, input, pomeloResult } = row;
    const read = protosOf(row).decode(input.route, bytesOf(input.hex));
    expect(read).toStrictEqual(READ_OTHERWISE[name] ?? pomeloResult);
  });

  test.each(decode.filter(isRefused))('not $name', (row) => {
    const { route, hex: bytes } = row.input;
    expect(() => protosOf(row).decode(route, bytesOf(bytes))).toThrow(ClientError);
  });

  test('names the field that is wrong', () => {
    const row = vector('pb-realistic');
    const cut = bytesOf(row.hex!.slice(0, -2));
    expect(() => protosOf(row).decode(row.input.route, cut)).toThrow(
      'the body of onUpdateAll.name: 6 bytes expected, but 5 are left',
    );
  });

  test('is a value or a refusal, wherever it is cut', () => {
    const refusals: unknown[] = [];
    for (const row of ENCODE.filter(({ hex: bytes, input }) => bytes && input.proto)) {
      const protos = protosOf(row);
      const whole = bytesOf(row.hex!);
      for (let end = 0; end < whole.length; end++) {
        try {
          protos.decode(row.input.route, whole.subarray(0, end));
        } catch (error) {
          refusals.push(error);
        }
      }
    }
    expect(refusals.length).toBeGreaterThan(50);
    expect(refusals.every((error) => error instanceof ClientError)).toBe(true);
  });

  test.each([
    ['a count', { 'repeated uInt32 v': 1 }, '08ffffffff0f01'],
    ['a count of doubles', { 'repeated double v': 1 }, '0902000000000000f03f'],
    [
      'a count of a map',
      { 'message M': { 'required uInt32 key': 1, 'required uInt32 value': 2 }, 'map M v': 1 },
      '0aff0101',
    ],
    ['a length', { 'message M': { 'optional uInt32 a': 1 }, 'optional M v': 1 }, '0affffffff0f08'],
  ])('is refused where %s is longer than what is left', (_, proto, bytes) => {
    expect(() => make({ r: proto }).decode('r', bytesOf(bytes))).toThrow('are left');
  });

  test('is refused where messages lie in each other without end', () => {
    const protos = make({ r: { 'message M': {}, 'optional M v': 1 }, 'message M': {} });
    expect(protos.decode('r', bytesOf('0a00'))).toEqual({ v: {} });
    const endless = make({ r: { 'optional M v': 1 }, 'message M': { 'optional M v': 1 } });
    let body = '';
    for (let depth = 0; depth < 60; depth++) {
      body = `0a${(body.length / 2).toString(16).padStart(2, '0')}${body}`;
    }
    expect(() => endless.decode('r', bytesOf(body))).toThrow('nested too deeply');
    const value: { v?: unknown } = {};
    value.v = value;
    expect(() => endless.encode('r', value)).toThrow('nested too deeply');
  });

  test('cannot reach a prototype', () => {
    const map = { 'message M': { 'required string key': 1, 'required uInt32 value': 2 } };
    const protos = make({ r: { ...map, 'obj M v': 1 } });
    const body = bytesOf('0a01095f5f70726f746f5f5f07');
    const read = protos.decode('r', body)['v'] as object;
    expect(Object.keys(read)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    const named = new Protos(
      JSON.parse(
        `{"r":{"__messages":{"M":{"key":{"tag":1,"type":"string"},"value":{"tag":2,"type":"uInt32"}}},
          "__tags":{"1":"__proto__"},"__proto__":{"tag":1,"type":"M","option":"obj"}}}`,
      ),
    );
    expect(Object.keys(named.decode('r', body))).toEqual(['__proto__']);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('goes on with a list or a map that comes twice', () => {
    const map = { 'message M': { 'required string key': 1, 'required uInt32 value': 2 } };
    const protos = make({ r: { ...map, 'obj M o': 1, 'map M m': 2, 'repeated string l': 3 } });
    expect(
      protos.decode(
        'r',
        bytesOf('0a01016101 0a01016202 12010163031201016404 1a0165 1a0166'.replaceAll(' ', '')),
      ),
    ).toEqual({
      o: { a: 1, b: 2 },
      m: new Map([
        ['c', 3],
        ['d', 4],
      ]),
      l: ['e', 'f'],
    });
  });

  test('is nothing where the definitions are nonsense', () => {
    expect(new Protos(null).knows('r')).toBe(false);
    expect(new Protos([{}]).knows('0')).toBe(false);
    expect(new Protos({}).knows('constructor')).toBe(false);
    expect(new Protos({ r: 7 }).knows('r')).toBe(false);
    expect(() => new Protos({ r: {} }).decode('r', bytesOf('0801'))).toThrow('no field has tag 1');
    const odd = new Protos({ r: { v: { tag: 1, type: 'constructor' }, __tags: { 1: 'v' } } });
    expect(() => odd.decode('r', bytesOf('0a00'))).toThrow('unknown type constructor');
  });
});

test('what is written is read again', () => {
  const definition = {
    'message Item': { 'required string id': 1, 'optional double weight': 2 },
    r: {
      'message Pos': { 'required sInt32 x': 1, 'required int32 y': 2 },
      'required uInt32 u': 1,
      'optional sInt64 s': 2,
      'optional float f': 3,
      'optional bool b': 4,
      'repeated Pos path': 5,
      'repeated string names': 16,
      'repeated double ds': 17,
      'repeated bool bs': 18,
      'optional Item item': 2048,
    },
  };
  const protos = make(definition);
  const int = fc.integer();
  const double = fc.double({ noNaN: true });
  const item = fc.record(
    { id: fc.string({ unit: 'grapheme' }), weight: double },
    { requiredKeys: ['id'] },
  );
  const some = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 5 });
  const value = fc.record(
    {
      u: fc.nat(),
      s: fc.integer({ min: -(2 ** 52), max: 2 ** 52 - 1 }),
      f: fc.float({ noNaN: true }),
      b: fc.boolean(),
      path: some(fc.record({ x: int, y: int })),
      names: some(fc.string({ unit: 'grapheme' })),
      ds: some(double),
      bs: some(fc.boolean()),
      item,
    },
    { requiredKeys: ['u'] },
  );
  fc.assert(
    fc.property(value, (sent) => {
      expect(protos.decode('r', protos.encode('r', sent))).toEqual(sent);
    }),
    { numRuns: 200 },
  );
});
