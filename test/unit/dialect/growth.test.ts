/**
 * What is sent to clients may be as long as it likes, and longer when it is escaped: no encoder throws, and what fits
 * in no packet is said so in words that fit.
 */
import { inflateSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { JsonDialect } from '../../../src/dialect/json.ts';
import { NanoDialect } from '../../../src/dialect/nano.ts';
import { PitayaDialect } from '../../../src/dialect/pitaya.ts';
import { PomeloDialect } from '../../../src/dialect/pomelo.ts';
import type { Codec, Dialect } from '../../../src/dialect/wire.ts';
import { type Failure, failure } from '../../../src/errors.ts';
import { parseHandshake } from '../../../src/protocol/handshake.ts';
import { rawIdOf } from '../../../src/protocol/message.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { Protos } from '../../../src/protocol/protobuf/protos.ts';
import { ManualClock } from '../../support/clock.ts';

/** What three bytes of length can say. */
const PACKET_MAX = 16_777_215;
const MIB = 1024 * 1024;
const REQUEST = parseHandshake(Buffer.from('{"sys":{}}'))!;

const protos = {
  client: Protos.of({}),
  server: Protos.of({ known: { 'optional string msg': 1, 'optional uInt32 code': 2 } }),
  version: 'v',
};
const pomelo = (profile: 'pomelo' | 'browser') =>
  new PomeloDialect({ heartbeatSeconds: 30, dictionary: null, protos, signatures: null, profile });
const pitaya = (serializer: 'json' | 'protobuf', compress = false) =>
  new PitayaDialect({
    heartbeatSeconds: 30,
    dictionary: null,
    serializer,
    compress,
    inflateBytesMax: MIB,
  });

const DIALECTS: Readonly<Record<string, Dialect>> = {
  pomelo: pomelo('pomelo'),
  'pomelo of a browser': pomelo('browser'),
  'pitaya json': pitaya('json'),
  'pitaya protobuf': pitaya('protobuf'),
  'pitaya compressed': pitaya('json', true),
  nano: new NanoDialect({
    heartbeatSeconds: 30,
    dictionary: null,
    answerErrors: true,
    clock: new ManualClock(),
  }),
  json: new JsonDialect(),
};

/** Texts that take more room when they are escaped, or not, and lengths on both sides of a packet's. */
const TEXTS: readonly (readonly [string, string, number])[] = [
  ['of ASCII', 'a', 17 * MIB],
  ['of characters beyond the basic plane', '😀', 1_450_000],
  ['of lone halves', '\ud83d', 10_000],
  ['of control characters', '\u0001', 10_000],
  ['of CJK', '你', 10_000],
];
const CODECS: readonly Codec[] = ['auto', 'raw', 'protobuf'];

/** The length that the packet says; in the json dialect the length of the text. */
function bodyBytes(dialect: Dialect, encoded: Buffer): number {
  const head = dialect.name === 'json' ? 10 : packetOffset(encoded) + 4;
  return encoded.length - head;
}

/** What became of a message: it fits, its dialect has no such message, or the reason why it does not go out. */
function outcome(dialect: Dialect, said: Buffer | Failure | null): string {
  if (said === null) return 'fits';
  if (!(said instanceof Uint8Array)) return said.reason;
  return bodyBytes(dialect, said) <= PACKET_MAX ? 'fits' : 'too long';
}

function expectFits(dialect: Dialect, said: Buffer | Failure | null): void {
  expect(['fits', 'BAD_REPLY', 'TOO_LARGE', 'BAD_ARGUMENT']).toContain(outcome(dialect, said));
}

/** What is said with a text, made once for all dialects: the long ones take a while. */
function saying(text: string): { text: string; json: Buffer; errors: Failure[] } {
  const coded = Buffer.from(JSON.stringify({ code: 402, msg: text }));
  return {
    text,
    json: Buffer.from(JSON.stringify({ msg: text })),
    errors: [
      { ...failure('FORBIDDEN', text), fields: { path: text } },
      { ...failure('FORBIDDEN'), body: coded, bytes: coded },
      { ...failure('FORBIDDEN'), bytes: Buffer.from(text) },
    ],
  };
}

describe.each(TEXTS)('a text %s', (_what, unit, longest) => {
  const texts = [0, 1, 1_000, longest].map((length) => saying(unit.repeat(length)));
  for (const [name, dialect] of Object.entries(DIALECTS)) {
    test(`is answered, pushed, refused, kicked and greeted with at any length: ${name}`, () => {
      const { wire } = dialect;
      for (const { text, json, errors } of texts) {
        // What is long is tried once each: it is the same code.
        const isLong = text.length === unit.length * longest;
        for (const codec of isLong ? CODECS.slice(0, 1) : CODECS) {
          for (const route of isLong ? ['x.y.z'] : ['x.y.z', 'known']) {
            expectFits(dialect, wire.answer(1, route, json, codec));
            expectFits(dialect, wire.push(route, json));
            for (const why of errors) {
              const said = wire.failure(1, route, why, codec);
              expect(said).toBeInstanceOf(Uint8Array);
              expectFits(dialect, said);
            }
          }
        }
        expectFits(dialect, dialect.accept(REQUEST, { text }));
        if (!isLong) expectFits(dialect, dialect.refuse(500, failure('FORBIDDEN', text)));
        expectFits(dialect, dialect.kick({ reason: text }));
        expectFits(dialect, wire.push(text, Buffer.from('{}')));
      }
    });
  }
});

test('an error that grows beyond a packet is a 502 in the client’s form', () => {
  const grows = Buffer.from(JSON.stringify({ code: 402, e: '😀'.repeat(1_450_000) }));
  const why = { ...failure('FORBIDDEN'), body: grows, bytes: grows };
  const said = DIALECTS['pomelo']!.wire.failure(7, 'x.y.z', why, 'auto')!;
  expect(said.subarray(packetOffset(said) + 4).toString('latin1')).toBe(
    '\x04\x07{"code":502,"reason":"BAD_REPLY","msg":"the error: 5800019 bytes to convert; limits.convert allows 1048576"}',
  );
});

test('the longest answers go out whole, and one byte more does not', () => {
  const { wire } = DIALECTS['pomelo']!;
  // Behind the flag and the id.
  const body = Buffer.alloc(PACKET_MAX - 2, 0x20);
  expect(bodyBytes(DIALECTS['pomelo']!, wire.answer(1, 'x', body, 'raw') as Buffer)).toBe(
    PACKET_MAX,
  );
  expect(wire.answer(rawIdOf(300), 'x', body, 'raw')).toHaveProperty('reason', 'BAD_REPLY');
});

test('an answer to the handshake that grows beyond a packet says so', () => {
  const user = { e: '😀'.repeat(1_450_000) };
  for (const name of ['pomelo', 'nano', 'pitaya json'])
    expect(DIALECTS[name]!.accept(REQUEST, user)).toMatchObject({
      code: 502,
      reason: 'BAD_REPLY',
      message: 'the answer to the handshake is more than the 16777215 bytes that a packet holds',
    });
  const refused = DIALECTS['pomelo']!.refuse(500, failure('FORBIDDEN', user.e))!;
  expect(refused.subarray(packetOffset(refused) + 4).toString()).toBe('{"code":500}');
});

test('Pitaya’s large bodies are not compressed, which would hold up everybody', () => {
  const { wire } = DIALECTS['pitaya compressed']!;
  const small = wire.answer(1, 'x', Buffer.alloc(MIB, 0x61), 'auto') as Buffer;
  expect(inflateSync(small.subarray(packetOffset(small) + 6))).toHaveLength(MIB);
  const large = wire.answer(1, 'x', Buffer.alloc(MIB + 1, 0x61), 'auto') as Buffer;
  expect(large.length).toBe(10 + 4 + 2 + MIB + 1);
});
