/** Bodies between clients and backends: bytes that are no JSON are not touched, and what is converted is exact or refused. */
import { describe, expect, test } from 'vitest';

import { NanoDialect } from '../../../src/dialect/nano.ts';
import { PomeloDialect } from '../../../src/dialect/pomelo.ts';
import type { CodecContext, Wire } from '../../../src/dialect/wire.ts';
import { Message } from '../../../src/protocol/message.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { Protos } from '../../../src/protocol/protobuf/protos.ts';
import { ManualClock } from '../../support/clock.ts';

const MAX = 64 * 1024;
const FIELDS = {
  'optional uInt64 u': 1,
  'optional sInt64 s': 2,
  'optional float f': 3,
  'optional double d': 4,
  'optional string t': 5,
  'optional Inner in': 6,
  'repeated uInt32 list': 7,
};
const protos = {
  client: Protos.of({ 'message Inner': { 'repeated double x': 1 }, known: FIELDS }),
  server: Protos.of({ 'message Inner': { 'repeated double x': 1 }, known: FIELDS }),
  version: 'v',
};
const options = { heartbeatSeconds: 30, dictionary: null, convertBytesMax: MAX };
const pomelo = new PomeloDialect({ ...options, protos, signatures: null, profile: 'pomelo' }).wire;
const nano = new NanoDialect({ ...options, answerErrors: true, clock: new ManualClock() }).wire;
const wires: [string, Wire][] = [
  ['pomelo', pomelo],
  ['nano', nano],
];

/** What a client gets of an answer to request 1: the body in hex, or the failure's words. */
function answered(wire: Wire, route: string, body: Buffer): string {
  const encoded = wire.answer(1, route, body, 'auto');
  if (!Buffer.isBuffer(encoded)) return (encoded as { message: string }).message;
  // Behind the packet's head, the flag and the id.
  return encoded.subarray(packetOffset(encoded) + 6).toString('hex');
}

/** What the backend gets: the body, or the failure's words. */
function read(wire: Wire, route: string, body: Buffer): Buffer | string {
  const message = Object.assign(new Message(), { route, body });
  const context: CodecContext = { wire, publicKey: null };
  const got = wire.readBody(context, message, false);
  return Buffer.isBuffer(got) ? got : (got as { message: string }).message;
}

describe.each(wires)('bytes that are no JSON pass in %s', (_, wire) => {
  // A field of 123 bytes, 0a 7b, looks like a line break and a brace; so do 08 5b and others.
  const text = Buffer.concat([
    Buffer.from('0a7b', 'hex'),
    Buffer.alloc(119, 'x'),
    Buffer.from('😀'),
  ]);
  test.each([
    ['a message that ends as white space does', Buffer.concat([text, Buffer.from('100a', 'hex')])],
    ['a number that is a bracket', Buffer.from('085b100d', 'hex')],
    ['a number that is a brace', Buffer.from('087b1020', 'hex')],
    ['an astral character in it', Buffer.from('7b22f09f9880', 'hex')],
    ['a surrogate in it', Buffer.from('7b22eda080edb080', 'hex')],
    ['NUL before a brace', Buffer.from('007b7d0a', 'hex')],
  ])('%s', (_what, body) => {
    expect(answered(wire, 'a.b', body)).toBe(body.toString('hex'));
    expect(read(wire, 'a.b', body)).toEqual(body);
  });

  test('JSON is still made readable', () => {
    expect(answered(wire, 'a.b', Buffer.from(' {"a":"😀"}\n'))).toBe(
      Buffer.from(' {"a":"\\ud83d\\ude00"}').toString('hex'),
    );
    const cesu = Buffer.from('7b2261223a22eda0bdedb880227d', 'hex');
    expect(read(wire, 'a.b', cesu)).toEqual(Buffer.from('{"a":"😀"}'));
  });

  test('numbers in JSON stay as they are written', () => {
    const body = Buffer.from('{"i":9007199254740993,"e":1e400,"z":-0,"f":1.0}');
    expect(answered(wire, 'a.b', body)).toBe(body.toString('hex'));
    expect(read(wire, 'a.b', body)).toEqual(body);
  });

  test('more than may be converted is refused, and passes where nothing is to be done', () => {
    const long = 'x'.repeat(MAX);
    expect(answered(wire, 'a.b', Buffer.from(`{"a":"${long}😀"}`))).toBe(
      'the answer: 65548 bytes to convert; limits.convert allows 65536',
    );
    const cesu = Buffer.from(`{"a":"${long}\xed\xa0\xbd\xed\xb8\x80"}`, 'latin1');
    expect(read(wire, 'a.b', cesu)).toBe(
      'the body: 65550 bytes to convert; limits.convert allows 65536',
    );
    expect(wire.push('r', Buffer.from(`{"a":"${long}😀"}`))).toMatchObject({
      message: 'the push r: 65548 bytes to convert; limits.convert allows 65536',
    });
    const plain = Buffer.from(`{"a":"${long}é"}`);
    expect(answered(wire, 'a.b', plain)).toHaveLength(2 * plain.length);
    expect(read(wire, 'a.b', plain)).toEqual(plain);
  });
});

describe('what the protos know', () => {
  test.each([
    ['{"u":9007199254740991}', '08ffffffffffffff0f'],
    ['{"u":1e2}', '0864'],
    ['{"s":-1.0}', '1001'],
    [' {"u":200}', '08c801'],
    ['\r\n\t{"u":200}\n', '08c801'],
    ['\ufeff{"u":200}', '08c801'],
    ['', ''],
    ['{"d":-0}', '210000000000000080'],
  ])('%j is written as %s', (json, hex) => {
    expect(answered(pomelo, 'known', Buffer.from(json))).toBe(hex);
  });

  test.each([
    ['{"u":9007199254740993}', 'u: 9007199254740993 is more than a client can read'],
    ['{"s":-1234567890123456789}', 's: -1234567890123456789 is more than a client can read'],
    ['{"d":1e400}', 'd: 1e400 is more than a client can read'],
    ['{"f":1e39}', 'f: 1e+39 does not fit into a float'],
    ['{"in":{"x":[1,1e999]}}', 'in.x[1]: 1e999 is more than a client can read'],
    [`{"list":[${Array(9_000).fill('1').join(',')}]}`, 'limits.convert allows 65536'],
  ])('%.40s is refused with its path', (json, words) => {
    expect(answered(pomelo, 'known', Buffer.from(json))).toContain(words);
    expect(pomelo.push('known', Buffer.from(json))).toMatchObject({
      message: expect.stringContaining(words) as string,
    });
  });

  test('protobuf that looks like white space and a brace is protobuf', () => {
    const body = Buffer.concat([Buffer.from('0a7b', 'hex'), Buffer.alloc(123, 'x')]);
    expect(answered(pomelo, 'known', body)).toBe(body.toString('hex'));
  });

  test.each([
    ['210000000000000080', '{"d":-0}'],
    ['1d00000080', '{"f":-0}'],
    ['08ffffffffffffff0f', '{"u":9007199254740991}'],
  ])('%s is read as %s', (hex, json) => {
    expect(read(pomelo, 'known', Buffer.from(hex, 'hex')).toString()).toBe(json);
  });

  test.each([
    ['21000000000000f07f', 'd: Infinity, which JSON cannot represent'],
    ['1d0000c07f', 'f: NaN, which JSON cannot represent'],
    ['32120a02000000000000f03f000000000000f0ff', 'in.x[1]: -Infinity, which JSON cannot represent'],
  ])('%s is refused: %s', (hex, words) => {
    expect(read(pomelo, 'known', Buffer.from(hex, 'hex'))).toBe(words);
  });

  test('more of it than may be converted is refused', () => {
    const body = Buffer.concat([Buffer.from('2a808004', 'hex'), Buffer.alloc(MAX, 'x')]);
    expect(read(pomelo, 'known', body)).toBe(
      'the body: 65540 bytes to convert; limits.convert allows 65536',
    );
  });
});
