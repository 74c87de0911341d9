import fc from 'fast-check';
import { expect, test } from 'vitest';

import { JsonDialect } from '../../../src/dialect/json.ts';
import { failure } from '../../../src/errors.ts';
import { Message } from '../../../src/protocol/message.ts';

const json = new JsonDialect();
const { wire } = json;

/** The text in an encoded frame. */
function text(encoded: unknown): string {
  const frame = encoded as Buffer;
  expect(frame[0]).toBe(0x81);
  return frame.subarray(frame[1]! < 126 ? 2 : frame[1] === 126 ? 4 : 10).toString();
}

function decode(said: string): { fault: string | null; message: Message } {
  const message = new Message();
  return { fault: wire.decode(Buffer.from(said), message), message };
}

test('a request has an id, a notify has none', () => {
  const { fault, message } = decode('{"id":7,"route":"a.b","body":{"x":"😂"}}');
  expect([fault, message.rawId, message.wantsAnswer, message.route]).toEqual([
    null,
    7,
    true,
    'a.b',
  ]);
  expect(message.body.toString()).toBe('{"x":"😂"}');
  for (const id of ['', '"id":0,', '"id":null,'])
    expect(decode(`{${id}"route":"a.b"}`).message.wantsAnswer).toBe(false);
  expect(decode('{"route":"a.b"}').message.body.toString()).toBe('{}');
  expect(decode('{"route":"a.b","body":[1]}').message.body.toString()).toBe('[1]');
});

test.each([
  ['not_json', '', 0],
  ['not_json', '{', 0],
  ['not_json', '[]', 0],
  ['not_json', 'null', 0],
  ['not_json', '\ufeff{"id":1,"route":"a"}', 0],
  ['not_json', '{"id":1,"route":"a","body":{"x":01}}', 0],
  ['not_json', '{"id":1,"route":"a","body":{"x":1}', 0],
  ['bad_id', '{"id":9007199254740991.4,"route":"a"}', 0],
  ['bad_id', '{"id":0.9999999999999999999,"route":"a"}', 0],
  ['bad_id', '{"id":1e400,"route":"a"}', 0],
  ['bad_id', '{"id":[[]],"route":"a"}', 0],
  ['bad_id', '{"id":-1,"route":"a"}', 0],
  ['bad_id', '{"id":1.5,"route":"a"}', 0],
  ['bad_id', '{"id":"1","route":"a"}', 0],
  ['bad_id', '{"id":9007199254740992,"route":"a"}', 0],
  ['bad_message', '{"id":3}', 3],
  ['bad_message', '{"id":3,"route":5}', 3],
  ['bad_message', `{"id":3,"route":"a","body":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 3],
])('%s: %.40s', (expected, said, id) => {
  const { fault, message } = decode(said);
  expect([fault, message.rawId, message.wantsAnswer]).toEqual([expected, id, true]);
});

test.each([
  '{"n":9007199254740993,"e":1e400,"z":-0,"f":1.0,"x":1E+2}',
  '{ "2":1, "1":2,\t"1":3 }',
  '{"__proto__":{"a":1},"s":"\\ud800\\u0000\\/"}',
  '9007199254740993',
  '"text"',
  'null',
  '[1, 2]',
])('a body stays the bytes that came: %s', (body) => {
  expect(decode(`{"body": ${body} ,"id":7,"route":"a.b"}`).message.body.toString()).toBe(body);
  expect(text(wire.answer(7, 'a.b', Buffer.from(body), 'auto'))).toBe(`{"id":7,"body":${body}}`);
  expect(text(wire.push('a.b', Buffer.from(body)))).toBe(`{"route":"a.b","body":${body}}`);
});

test.each([
  ['300', 300],
  ['1.0', 1],
  ['1e2', 100],
  ['9007199254740991', 9007199254740991],
])('the id %s is the number %d to everybody', (id, number) => {
  const { fault, message } = decode(`{"id":${id},"route":"a.b"}`);
  expect([fault, message.wantsAnswer]).toEqual([null, true]);
  expect(wire.idOf(message.rawId)).toBe(number);
  expect(text(wire.answer(message.rawId, 'a.b', Buffer.from('1'), 'auto'))).toBe(
    `{"id":${number},"body":1}`,
  );
});

test('what JSON.parse would change in a name is the same name', () => {
  expect(decode('{"\\u0069d":3,"route":"\\u0061.b"}').message).toMatchObject({
    rawId: 3,
    route: 'a.b',
  });
});

test('bytes that are no UTF-8 are no text, neither way', () => {
  const bad = Buffer.from('{"id":1,"route":"a","body":"\xff"}', 'latin1');
  expect(wire.decode(bad, new Message())).toBe('not_json');
  expect(wire.answer(7, 'a.b', Buffer.from('"\xff"', 'latin1'), 'auto')).toMatchObject({
    reason: 'BAD_REPLY',
  });
});

test('no text makes decoding throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (said) => {
      decode(said);
    }),
    { numRuns: 500 },
  );
});

test('answers, errors and pushes are one object each', () => {
  expect(text(wire.answer(7, 'a.b', Buffer.from('{"x":1}'), 'auto'))).toBe(
    '{"id":7,"body":{"x":1}}',
  );
  expect(text(wire.answer(7, 'a.b', Buffer.alloc(0), 'auto'))).toBe('{"id":7,"body":{}}');
  expect(JSON.parse(text(wire.failure(7, 'a.b', failure('TIMEOUT'))))).toMatchObject({
    id: 7,
    error: { code: 504, reason: 'TIMEOUT' },
  });
  expect(text(wire.failure(0, '', failure('BAD_BODY', 'x')))).toBe(
    '{"error":{"code":400,"reason":"BAD_BODY","msg":"x"}}',
  );
  expect(text(wire.push('on"Chat', Buffer.from('[1]')))).toBe('{"route":"on\\"Chat","body":[1]}');
  expect(text(json.kick({ reason: 'bye' }))).toBe('{"kick":{"reason":"bye"}}');
});

test('what is no JSON is not said', () => {
  const bytes = Buffer.from('08c801', 'hex');
  expect(wire.answer(7, 'a.b', bytes, 'auto')).toMatchObject({ reason: 'BAD_REPLY' });
  expect(wire.push('onChat', bytes)).toMatchObject({ reason: 'BAD_ARGUMENT' });
});

test('a handshake says user and sys, or nothing', () => {
  const read = (said: string) => json.readHandshake(Buffer.from(said));
  expect(read('{"handshake":{"sys":{"type":"web","version":"2"},"user":{"t":1}}}')).toMatchObject({
    clientType: 'web',
    clientVersion: '2',
    user: { t: 1 },
  });
  expect(read('{"handshake":{}}')).toMatchObject({ clientType: '', user: undefined });
  expect(read('{"handshake":1}')).toBeNull();
  const request = read('{"handshake":{}}')!;
  expect(text(json.accept(request, undefined))).toBe('{"handshake":{"code":200}}');
  expect(text(json.accept(request, { a: 1 }))).toBe('{"handshake":{"code":200,"user":{"a":1}}}');
  expect(text(json.refuse(500, failure('FORBIDDEN', 'banned')))).toBe(
    '{"handshake":{"code":500,"reason":"FORBIDDEN","msg":"banned"}}',
  );
});

test.each([0xffffff - 1, 0xffffff, 0xffffff + 1, 0xffffff + 70_000])(
  'an error of a backend’s own of %i bytes fits in no message, and says so',
  (bytes) => {
    const head = '{"code":403,"m":"';
    const body = Buffer.from(`${head}${'a'.repeat(bytes - head.length - 2)}"}`);
    const why = { ...failure('FORBIDDEN'), body, bytes: body };
    expect(JSON.parse(text(wire.failure(7, 'a.b', why)))).toMatchObject({
      id: 7,
      error: { code: 502, reason: 'BAD_REPLY' },
    });
  },
);
