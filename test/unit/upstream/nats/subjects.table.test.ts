/** Every subject of the gateway, and the headers by their names: proto/README.md has the same tables. */
import { expect, test } from 'vitest';

import { Registry } from '../../../../src/session/registry.ts';
import { applyPatch } from '../../../../src/session/changes.ts';
import { answerHeaders } from '../../../../src/upstream/http/answer-headers.ts';
import {
  pushLines,
  readClose,
  readFailure,
  readPatch,
  readPush,
  sessionHeaders,
} from '../../../../src/contract/headers.ts';
import {
  answersTo,
  encodeToken,
  NEAR_MISS_QUEUE,
  STREAM_NAMES,
  SUBJECT_BYTES_MAX,
  Subjects,
} from '../../../../src/upstream/nats/subjects.ts';
import { connect } from '../../session/support.ts';
import { readBlock } from '../../../../src/upstream/nats/header-block.ts';

const subjects = new Subjects('pith', 'gw-0123456789');

test.each<readonly [string, string | null]>([
  ['pith.rpc.chat.room.join', subjects.rpc('chat.room.join')],
  ['pith.to.eu-1.chat.room.join', subjects.rpcTo('eu-1', 'chat.room.join')],
  ['pith.connect', subjects.connect],
  ['pith.session.gw-0123456789.*.*', subjects.ownSessions],
  ['pith.session.gw-x.7.push', subjects.session('gw-x.7', 'push')],
  ['pith.user.42.*', subjects.everyVerb('user', '42')],
  ['pith.group.=cm9vbS5sb2JieQ.*', subjects.everyVerb('group', 'room.lobby')],
  ['pith.all.*', subjects.all],
  ['pith.gateway.gw-0123456789.*', subjects.own],
  ['pith.control.*', subjects.control],
  ['pith.fleet.push', subjects.fleet('push')],
  ['pith.event.session.opened', subjects.event('session.opened')],
  ['pith.event.gateway.*', subjects.gatewayEvents],
  ['_INBOX.gw-0123456789.rpc.*', subjects.answers],
  ['_INBOX.gw-0123456789.rpc.10', subjects.answer(36)],
  ['_INBOX.gw-0123456789.ask.*', subjects.asked],
  ['_INBOX.gw-0123456789.ask.x', subjects.ask('x')],
  ['$JS.API.STREAM.NAMES', STREAM_NAMES],
  ['pith', NEAR_MISS_QUEUE],
])('%s', (literal, subject) => {
  expect(subject).toBe(literal);
});

test('the subjects of what misses every verb', () => {
  expect(subjects.nearMisses).toEqual([
    'pith.session.*',
    'pith.session.*.*',
    'pith.session.*.*.*.>',
    'pith.all.*.>',
    'pith.user.*',
    'pith.user.*.*.>',
    'pith.group.*',
    'pith.group.*.*.>',
    'pith.gateway.*',
    'pith.gateway.*.*.>',
  ]);
});

test('the subjects that no stream may capture', () => {
  expect(subjects.notForStreams).toEqual([
    'pith.connect',
    'pith.rpc.>',
    'pith.to.>',
    'pith.session.>',
    'pith.user.>',
    'pith.group.>',
    'pith.all.>',
    'pith.gateway.>',
    'pith.control.>',
    'pith.fleet.>',
  ]);
});

test('a subject has at most 512 bytes, a token that stands for itself 64, one in base64url 96', () => {
  expect(SUBJECT_BYTES_MAX).toBe(512);
  const inbox = (bytes: number): string => `_INBOX.${'x'.repeat(bytes - 7)}`;
  expect([answersTo(inbox(512)), answersTo(inbox(513))]).toEqual(['inbox', null]);
  expect(encodeToken('x'.repeat(64))).toBe('x'.repeat(64));
  expect(encodeToken('x'.repeat(65))).toMatch(/^=[^h]/);
  expect(encodeToken('x'.repeat(96))).toMatch(/^=[^h]/);
  expect(encodeToken('x'.repeat(97))).toMatch(/^=h/);
});

function headers(lines: string) {
  return readBlock(Buffer.from(`NATS/1.0\r\n${lines}\r\n`));
}

test('the headers of a request', () => {
  const { session } = connect({ gatewayId: 'gw-x', n: 7 });
  const registry = new Registry('gw-x', { add: () => null, remove() {} });
  registry.add(session);
  const limits = { dataBytesMax: 1_024, groupsMax: 8 };
  applyPatch(registry, session, { uid: '42', set: { room: 'lobby', gold: 1 } }, limits, 1_000);
  expect(sessionHeaders(session, ['room'])).toEqual([
    ...['Pith-Sid', 'gw-x.7'],
    ...['Pith-Uid', '42'],
    ...['Pith-Client-Ip', '192.0.2.7'],
    ...['Pith-Data', '{"room":"lobby"}'],
  ]);
});

test('the headers of an answer', () => {
  const read = headers(
    'Pith-Bind: 42\r\nPith-Set: {"a":1}\r\nPith-Join: ["g"]\r\nPith-Leave: ["h"]\r\n' +
      'Pith-If-Version: 3\r\nPith-Close: bye\r\nPith-Error-Reason: TOO_POOR\r\n' +
      'Nats-Service-Error-Code: 402\r\nNats-Service-Error: no gold\r\n',
  );
  expect(readPatch(read)).toEqual({
    uid: '42',
    set: { a: 1 },
    join: ['g'],
    leave: ['h'],
    ifVersion: 3,
  });
  expect(readClose(read)).toMatchObject({ reason: 'bye', kick: false });
  expect(readFailure(read, Buffer.alloc(0))).toMatchObject({
    code: 402,
    reason: 'TOO_POOR',
    message: 'no gold',
  });
});

test.each(['must', 'droppable', 'latest'] as const)('the headers of a push: %s', (delivery) => {
  const lines =
    `Pith-Route: onChat\r\nPith-Delivery: ${delivery}\r\nPith-Latest-Key: k\r\nPith-Expires-Ms: 5\r\n` +
    'Pith-Except-Sids: ["a"]\r\nPith-Except-Uids: ["b"]\r\nPith-Where: {"c":1}\r\n';
  const push = readPush(headers(lines), Buffer.from('{}'));
  expect(push).toMatchObject({
    route: 'onChat',
    delivery,
    latestKey: 'k',
    expiresInMs: 5,
    target: { exceptSids: ['a'], exceptUids: ['b'], where: { c: 1 } },
  });
  // What is not said is `must`.
  const written = delivery === 'must' ? lines.replace('Pith-Delivery: must\r\n', '') : lines;
  expect(pushLines(push, null)).toBe(written);
  expect(readPush(headers(written), Buffer.from('{}')).delivery).toBe(delivery);
});

test('of the headers of an HTTP answer these are read', () => {
  const names = [
    'pith-bind',
    'pith-set',
    'pith-join',
    'pith-leave',
    'pith-if-version',
    'pith-close',
    'pith-error-reason',
  ];
  const others = [
    'pith-sid',
    'pith-uid',
    'pith-route',
    'pith-delivery',
    'pith-data',
    'retry-after',
  ];
  const all = Object.fromEntries([...names, ...others].map((name) => [name, 'x']));
  expect([...answerHeaders(all)!.keys()]).toEqual(names);
});

test.each<readonly [what: string, lines: string]>([
  ['256 lines', 'X: y\r\n'.repeat(256)],
  ['1 MiB', `X: ${'y'.repeat(1_048_576 - 17)}\r\n`],
])('%s of headers are read', (_what, lines) => {
  expect(headers(lines).size).toBe(1);
});

test.each<readonly [what: string, lines: string, error: string]>([
  ['257 lines', 'X: y\r\n'.repeat(257), 'more than 256 headers'],
  ['1 MiB and a byte', `X: ${'y'.repeat(1_048_576 - 16)}\r\n`, '1048577 bytes of headers'],
])('%s of headers are refused', (_what, lines, error) => {
  expect(() => headers(lines)).toThrow(error);
});
