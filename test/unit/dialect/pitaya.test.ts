import { deflateSync, gzipSync, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';

import { PitayaDialect, type PitayaOptions } from '../../../src/dialect/pitaya.ts';
import type { Encoded } from '../../../src/protocol/packet.ts';
import { failure } from '../../../src/errors.ts';
import { readHandshake } from '../../../src/protocol/handshake.ts';
import { Message } from '../../../src/protocol/message.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';
import { vector } from '../protocol/vectors.ts';

const OPTIONS: PitayaOptions = {
  heartbeatSeconds: 30,
  dictionary: null,
  serializer: 'json',
  compress: true,
  inflateBytesMax: 4_096,
};
const make = (more: Partial<PitayaOptions> = {}): PitayaDialect =>
  new PitayaDialect({ ...OPTIONS, ...more });
const body = (encoded: unknown): Buffer => {
  const packet = encoded as Encoded;
  return packet.subarray(packetOffset(packet) + 4);
};
const read = (bytes: Buffer, compressed = true): unknown => {
  const message = new Message();
  message.body = bytes;
  message.compressed = compressed;
  const { wire } = make();
  return wire.readBody({ wire, publicKey: null }, message, false);
};
const REQUEST = readHandshake({}, false)!;

test('an error is flagged, and has a code of its own', () => {
  const why = { ...failure('NO_ROUTE', 'x'), reason: '' };
  const { hex } = vector('pitaya-response-error');
  expect(body(make().wire.failure(5, 'a.b', why)).toString('hex')).toBe(hex);
  const more = body(make().wire.failure(5, 'a.b', failure('BACKEND_AWAY', 'x', 250)));
  expect(JSON.parse(more.subarray(2).toString())).toEqual({
    code: 'PIT-503',
    msg: 'x',
    metadata: { reason: 'BACKEND_AWAY', retry_after_ms: '250' },
  });
  const own = { ...failure('BACKEND_ERROR', 'no'), code: 7, reason: 'NO_GOLD' };
  expect(body(make().wire.failure(5, 'a.b', own)).toString()).toContain('PIT-000');
});

test('an error is a message of its own where bodies are protobuf', () => {
  const { wire } = make({ serializer: 'protobuf' });
  const why = { ...failure('NO_ROUTE', 'x'), reason: 'R' };
  // code "PIT-404", msg "x", metadata {"reason": "R"}
  const hex = '24050a075049542d3430341201781a0b0a06726561736f6e120152';
  expect(body(wire.failure(5, 'a.b', why)).toString('hex')).toBe(hex);
});

test('what gets smaller is compressed, what is small or would grow is not', () => {
  const { input } = vector('pitaya-response-zlib') as unknown as { input: { bodyJson: object } };
  const small = Buffer.from(JSON.stringify(input.bodyJson));
  const { wire } = make();
  const plain = body(wire.answer(5, 'a.b', small, 'auto'));
  expect([plain[0], plain.subarray(2).toString()]).toEqual([0x04, small.toString()]);
  const long = Buffer.concat([small, small]);
  const shrunk = body(wire.answer(5, 'a.b', long, 'auto'));
  expect([shrunk[0], inflateSync(shrunk.subarray(2)).toString()]).toEqual([0x14, long.toString()]);
  const push = body(wire.push('onChat', long));
  expect([push[0], inflateSync(push.subarray(8)).toString()]).toEqual([0x16, long.toString()]);
  const off = make({ compress: false }).wire;
  expect(body(off.answer(5, 'a.b', long, 'auto'))[0]).toBe(0x04);
});

test('a compressed body is inflated, whether it is zlib or gzip', () => {
  expect(String(read(deflateSync('{"a":1}')))).toBe('{"a":1}');
  expect(String(read(gzipSync('{"a":1}')))).toBe('{"a":1}');
  expect(String(read(Buffer.from('{"a":1}'), false))).toBe('{"a":1}');
});

test('what is no compressed body, or inflates beyond the bound, is a bad body', () => {
  const bomb = deflateSync(Buffer.alloc(8_000_000));
  for (const bytes of [
    bomb,
    Buffer.from('{}'),
    Buffer.alloc(0),
    deflateSync('{"a":1}').subarray(0, 8),
  ])
    expect(read(bytes)).toMatchObject({ code: 400, reason: 'BAD_BODY' });
  expect((read(bomb) as { message: string }).message).toContain('4096');
});

test('the handshake says the serializer, and never useDict', () => {
  const dictionary = new RouteDictionary({ onChat: 1 });
  const pitaya = make({ dictionary });
  expect(body(pitaya.accept(REQUEST, undefined)).toString()).toBe(
    '{"code":200,"sys":{"dict":{"onChat":1},"heartbeat":30,"serializer":"json"}}',
  );
  expect(body(make().accept(REQUEST, { a: 1 })).toString()).toBe(
    '{"code":200,"sys":{"heartbeat":30,"serializer":"json"},"user":{"a":1}}',
  );
  const long = new RouteDictionary({ ['a.b.'.repeat(60)]: 1 });
  expect(
    inflateSync(body(make({ dictionary: long }).accept(REQUEST, undefined))).toString(),
  ).toContain('a.b.a.b');
  expect(body(make().refuse(500)).toString()).toContain('"code":400');
  expect(body(make().kick())).toHaveLength(0);
  expect(body(pitaya.wire.push('onChat', Buffer.from('{}'))).toString('latin1')).toBe(
    '\x06\x06onChat{}',
  );
});
