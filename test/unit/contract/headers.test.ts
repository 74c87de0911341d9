import { headers as newHeaders, type MsgHdrs } from 'nats';
import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import type { Patch } from '../../../src/contract/commands.ts';
import { ShapeError } from '../../../src/contract/json.ts';
import * as codec from '../../../src/contract/headers.ts';
import { readBlock } from '../../../src/upstream/nats/header-block.ts';
import { activate } from '../session/support.ts';

/** Headers as they come from a backend: names and values as written. */
function come(lines: Readonly<Record<string, string>>): codec.Headers {
  const headers = newHeaders();
  for (const [name, value] of Object.entries(lines)) headers.append(name, value);
  return read(headers);
}

function read(headers: MsgHdrs): codec.Headers {
  const lines = headers
    .keys()
    .flatMap((name) => headers.values(name).map((v) => `${name}: ${v}\r\n`));
  return readBlock(Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`));
}

const wellFormed = fc.oneof(
  fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed()),
  fc.string({ unit: 'grapheme' }),
);
const NOTHING = Buffer.alloc(0);

describe('a value', () => {
  test.each([
    ['änn 5%', '%C3%A4nn%205%25'],
    ['plain~!', 'plain~!'],
    ['a\r\nb: c', 'a%0D%0Ab:%20c'],
    ['', ''],
  ])('%j is written %s', (value, written) => {
    expect(codec.encodeValue(value)).toBe(written);
    expect(codec.decodeValue(written)).toBe(value);
  });

  test.each([
    ['a b', 'a b'],
    ['100%', '100%'],
    ['5% off', '5% off'],
    ['%zz%4', '%zz%4'],
    ['%c3%a4', 'ä'],
    ['%2525', '%25'],
    ['%%41', '%A'],
  ])('%j as others may write it is read %j', (written, value) => {
    expect(codec.decodeValue(written)).toBe(value);
  });

  test('of any kind comes back, and is printable ASCII on the way', () => {
    fc.assert(
      fc.property(wellFormed, (value) => {
        const written = codec.encodeValue(value);
        expect(written).toMatch(/^[\x21-\x7e]*$/);
        expect(codec.decodeValue(written)).toBe(value);
      }),
    );
  });

  test('that is JSON is ASCII before it is encoded, and comes back', () => {
    expect(codec.encodeJsonValue({ room: 'Größe 1' })).toBe('{"room":"Gr\\u00f6\\u00dfe%201"}');
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const written = codec.encodeJsonValue(value);
        expect(written).toMatch(/^[\x21-\x7e]*$/);
        expect(codec.decodeValue(written)).toMatch(/^[\x20-\x7e]*$/);
        expect(JSON.parse(codec.decodeValue(written))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('what is read', () => {
  test('knows names in any case, and decodes our own alone', () => {
    const got = come({ 'PITH-BIND': 'zo%C3%AB', 'Nats-Service-Error': '5%25', traceparent: '%41' });
    expect(Object.fromEntries(got)).toEqual({
      'pith-bind': 'zoë',
      'nats-service-error': '5%25',
      traceparent: '%41',
    });
  });

  test('is the first of several', () => {
    const headers = newHeaders();
    headers.append('Pith-Close', 'one');
    headers.append('Pith-Close', 'two');
    expect(codec.readClose(read(headers))).toMatchObject({ reason: 'one' });
  });
});

test('what is said of a session is ASCII on one line, and of its data what the route forwards', () => {
  const { session } = activate();
  session.uid = 'zoë\r\nX: y';
  Object.assign(session.data, { room: 'Größe', secret: 1 });
  expect(codec.sessionHeaders(session, ['room', 'missing'])).toEqual([
    ...['Pith-Sid', 'g-0123456789.1'],
    ...['Pith-Uid', 'zo%C3%AB%0D%0AX:%20y'],
    ...['Pith-Client-Ip', '192.0.2.7'],
    ...['Pith-Data', '{"room":"Gr\\u00f6\\u00dfe"}'],
  ]);
  expect(codec.sessionHeaders(session, [])).not.toContain('Pith-Data');
  expect(codec.sessionHeaders(session, ['*']).at(-1)).toContain('"secret":1');
});

test('a trace has its names in lower case, and no state where there is none', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  expect(codec.traceHeaders({ traceparent, tracestate: 'a=1' })).toEqual([
    ...['traceparent', traceparent, 'tracestate', 'a=1'],
  ]);
  expect(codec.traceHeaders({ traceparent, tracestate: '' })).toEqual(['traceparent', traceparent]);
});

describe('a patch', () => {
  test.each<[Record<string, string>, Patch | null]>([
    [{}, null],
    [{ 'Pith-Close': 'x' }, null],
    [{ 'Pith-Bind': '42' }, { uid: '42', ifVersion: 0 }],
    [{ 'Pith-Bind': '' }, { uid: '', ifVersion: 0 }],
    [{ 'Pith-Set': '{"a":null,"b":[1]}' }, { set: { a: null, b: [1] }, ifVersion: 0 }],
    [
      { 'pith-join': '["a","b c"]', 'pith-leave': '[]' },
      { join: ['a', 'b c'], leave: [], ifVersion: 0 },
    ],
    [
      { 'Pith-Bind': 'u', 'Pith-If-Version': '7' },
      { uid: 'u', ifVersion: 7 },
    ],
  ])('%j', (lines, patch) => {
    expect(codec.readPatch(come(lines))).toEqual(patch);
  });

  test.each([
    { 'Pith-Set': '{' },
    { 'Pith-Set': '[]' },
    { 'Pith-Set': 'null' },
    { 'Pith-Set': '1' },
    { 'Pith-Join': '{}' },
    { 'Pith-Join': '[1]' },
    { 'Pith-Leave': 'a' },
    { 'Pith-Bind': 'u', 'Pith-If-Version': '-1' },
    { 'Pith-Bind': 'u', 'Pith-If-Version': '1.5' },
    { 'Pith-Bind': 'u', 'Pith-If-Version': 'x' },
    { 'Pith-Set': `{"a":${'['.repeat(64)}${']'.repeat(64)}}` },
    { 'Pith-Join': `[${'[],'.repeat(100_000)}[]]` },
  ])('%j cannot be read', (lines) => {
    expect(() => codec.readPatch(come(lines))).toThrow(ShapeError);
  });
});

describe('a failure', () => {
  test.each<[Record<string, string>, string, object | null]>([
    [{}, 'body', null],
    [{ 'Pith-Error-Reason': 'X' }, '', null],
    [
      { 'Nats-Service-Error-Code': '404', 'Nats-Service-Error': 'no' },
      '',
      { code: 404, message: 'no', reason: 'NO_ROUTE', body: null },
    ],
    [{ 'Nats-Service-Error': 'no' }, '', { code: 500, message: 'no' }],
    [{ 'Nats-Service-Error-Code': '0' }, '', { code: 500, message: '' }],
    [{ 'Nats-Service-Error-Code': 'x' }, '', { code: 500 }],
    [{ 'Nats-Service-Error-Code': '-1' }, '', { code: -1 }],
    [{ 'Nats-Service-Error-Code': '2147483647' }, '', { code: 2147483647 }],
    [{ 'Nats-Service-Error-Code': '2147483648' }, '', { code: 500 }],
    [{ 'Nats-Service-Error-Code': '1e3' }, '', { code: 500 }],
    [
      { 'Nats-Service-Error-Code': '409', 'Pith-Error-Reason': 'SOLD_OUT' },
      '{}',
      { code: 409, reason: 'SOLD_OUT', body: null, bytes: Buffer.from('{}') },
    ],
  ])('%j with body %j', (lines, body, expected) => {
    const got = codec.readFailure(come(lines), Buffer.from(body));
    expect({ got }).toMatchObject({ got: expected });
  });
});

describe('a push', () => {
  test('with a route and nothing else', () => {
    expect(codec.readPush(come({ 'Pith-Route': 'onChat' }), Buffer.from('hi'))).toEqual({
      target: {},
      route: 'onChat',
      body: Buffer.from('hi'),
      delivery: 'must',
      latestKey: '',
      expiresInMs: 0,
      afterReply: false,
    });
  });

  test('with everything', () => {
    const lines = {
      'Pith-Route': 'onMove',
      'Pith-Except-Sids': '["g.1"]',
      'Pith-Except-Uids': '["zo%C3%AB"]',
      'Pith-Where': '{"room":"a"}',
      'Pith-Delivery': 'latest',
      'Pith-Latest-Key': 'pos 1',
      'Pith-Expires-Ms': '1500',
    };
    expect(codec.readPush(come(lines), NOTHING)).toMatchObject({
      target: { exceptSids: ['g.1'], exceptUids: ['zoë'], where: { room: 'a' } },
      delivery: 'latest',
      latestKey: 'pos 1',
      expiresInMs: 1_500,
    });
  });

  test.each<Record<string, string>>([
    {},
    { 'Pith-Route': '' },
    { 'Pith-Route': 'r', 'Pith-Delivery': 'maybe' },
    { 'Pith-Route': 'r', 'Pith-Delivery': 'toString' },
    { 'Pith-Route': 'r', 'Pith-Where': '[]' },
    { 'Pith-Route': 'r', 'Pith-Except-Sids': '"g.1"' },
    { 'Pith-Route': 'r', 'Pith-Expires-Ms': 'soon' },
  ])('%j cannot be read', (lines) => {
    expect(() => codec.readPush(come(lines), NOTHING)).toThrow(ShapeError);
  });
});

test('a close has its reason, which may be empty', () => {
  expect(codec.readClose(come({}))).toBeNull();
  expect(codec.readClose(come({ 'Pith-Close': '' }))).toMatchObject({ reason: '', kick: false });
});
