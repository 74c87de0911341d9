// The simulated backends write and read the contract with codecs of their own; here by the published shapes.
import { describe, expect, test } from 'vitest';

import { numberOf } from '../simulate/backends/body.ts';
import {
  headerBlock,
  headerIn,
  headerValue,
  jsonHeaderValue,
  statusIn,
  token,
} from '../simulate/backends/nats-text.ts';
import { connectJson, verbOf, versionIn } from '../simulate/backends/nats-verbs.ts';
import { type GatewayFrames, readToBackend } from '../simulate/backends/read-frames.ts';
import {
  connectResponse,
  credit,
  extend,
  frame,
  type FrameKind,
  goaway,
  hello,
  push,
  pushBatch,
  reply,
  toGateway,
  verb,
} from '../simulate/backends/write-frames.ts';
import { backendService, duration, toStruct } from '../support/grpc-shapes.ts';

const { requestSerialize, responseDeserialize } = backendService['Link']!;

type Read = { frames: ({ id: number; frame: string } & Record<string, unknown>)[] };

/** What a BackendFrame says, without what it leaves out. */
function readBack(id: number, kind: FrameKind, message: Buffer): object {
  const { frames } = responseDeserialize(toGateway([frame(id, kind, message)])) as Read;
  expect(frames).toHaveLength(1);
  const [one] = frames;
  return { id: one!.id, kind: one!.frame, what: one![kind] };
}

describe('what a backend writes', () => {
  test.for<[string, FrameKind, Buffer, object]>([
    [
      'hello',
      'hello',
      hello({ instance: 'room-7', version: '2', features: ['credit', 'extend'], maxInFlight: 9, backend: 'chat', token: 't' }),
      { instance: 'room-7', version: '2', features: ['credit', 'extend'], max_in_flight: 9, backend: 'chat', token: 't' },
    ],
    ['credit', 'credit', credit(300, 70_000), { frames: 300, bytes: 70_000 }],
    ['goaway', 'goaway', goaway('bye'), { reason: 'bye' }],
    ['extend', 'extend', extend(2_500), { timeout: { seconds: 2, nanos: 500_000_000 } }],
    [
      'a reply with all that it can have',
      'reply',
      reply({
        outcome: { body: '{"ä":1}' },
        patch: { uid: '', set: { a: 1.5, b: null, c: 'x', d: [true, { e: -2 }] }, join: ['r', 's'], leave: ['t'], ifVersion: 70_000 },
        pushes: [{ target: null, route: 'onPush', body: 'b', delivery: 'latest', latestKey: 'k', afterReply: true }],
        close: { reason: 'planned', kick: true },
      }),
      {
        outcome: 'body',
        body: { content: 'bytes', bytes: Buffer.from('{"ä":1}') },
        patch: { uid: '', set: toStruct({ a: 1.5, b: null, c: 'x', d: [true, { e: -2 }] }), join: ['r', 's'], leave: ['t'], if_version: 70_000 },
        pushes: [{ target: null, route: 'onPush', body: { bytes: Buffer.from('b') }, delivery: 'DELIVERY_LATEST', latest_key: 'k', after_reply: true }],
        close: { reason: 'planned', kick: true, code: 0 },
      },
    ],
    [
      'a refusal',
      'reply',
      reply({ outcome: { error: { code: -5, reason: 'PLANNED', message: 'no' } } }),
      { outcome: 'error', error: { code: -5, reason: 'PLANNED', message: 'no' }, patch: null, pushes: [], close: null },
    ],
    [
      'a push',
      'push',
      push({ target: { sids: ['g.1', 'g.2'], uids: ['u'], groups: ['r'], all: true }, route: 'onPush', body: '{}', delivery: 'droppable' }),
      { target: { sids: ['g.1', 'g.2'], uids: ['u'], groups: ['r'], all: true }, route: 'onPush', body: { bytes: Buffer.from('{}') }, delivery: 'DELIVERY_DROPPABLE', latest_key: '', after_reply: false },
    ],
    [
      'a change',
      'verb',
      verb({ sids: ['g.1'] }, { patch: { uid: 'ann' } }),
      { target: { sids: ['g.1'] }, verb: 'patch', patch: { uid: 'ann', set: null, join: [] } },
    ],
    [
      'an end',
      'verb',
      verb({ groups: ['r'] }, { close: { reason: 'own', kick: false } }),
      { target: { groups: ['r'] }, verb: 'close', close: { reason: 'own', kick: false } },
    ],
    [
      'who is let in',
      'connect',
      connectResponse({ accept: { patch: { join: ['r'] }, user: { motd: 'hi' }, expiresInMs: 1_250 } }),
      { outcome: 'accept', accept: { patch: { join: ['r'] }, user: toStruct({ motd: 'hi' }), expires_in: { seconds: 1, nanos: 250_000_000 } } },
    ],
    [
      'who is not',
      'connect',
      connectResponse({ error: { code: 403, reason: 'FULL', message: '' } }),
      { outcome: 'error', error: { code: 403, reason: 'FULL', message: '' } },
    ],
  ])('%s', ([, kind, message, what]) => {
    expect(readBack(4_000_000_000, kind, message)).toMatchObject({ id: 4_000_000_000, kind, what });
  }); // prettier-ignore

  test('several frames in one message, and pushes in a batch', () => {
    const frames = [frame(0, 'goaway', goaway('a')), frame(7, 'goaway', goaway('b'))];
    const { frames: read } = responseDeserialize(toGateway(frames)) as Read;
    expect(read.map(({ id, goaway: said }) => [id, said])).toEqual([[0, { reason: 'a' }], [7, { reason: 'b' }]]); // prettier-ignore
    expect(pushBatch([Buffer.from([1]), Buffer.from([2, 3])])).toEqual(
      Buffer.from([0x0a, 1, 1, 0x0a, 2, 2, 3]),
    );
  });
});

/** Everything that it is told of a message. */
function told(frames: object[]): unknown[] {
  return toldBy(requestSerialize({ frames }));
}

function toldBy(message: Buffer): unknown[] {
  const calls: unknown[] = [];
  const take =
    (name: string) =>
    (...args: unknown[]): void => {
      calls.push([name, ...args]);
    };
  const names = ['onHello', 'onRequest', 'onConnect', 'onClosed', 'onLost', 'onCancel', 'onPushed', 'onCredit', 'onGoaway', 'onDone', 'onUnknown']; // prettier-ignore
  const all = Object.fromEntries(names.map((name) => [name, take(name)]));
  readToBackend(message, all as unknown as GatewayFrames);
  return calls;
}

const SESSION = {
  sid: 'g-x.7',
  uid: 'zoë',
  gateway: 'g-x',
  remote_ip: '10.0.0.1',
  opened_at: duration(1_700_000_000_000),
  data: toStruct({ room: 'r' }),
  version: 300,
};

describe('what a backend reads', () => {
  const body = Buffer.from('{"n":17}');
  test.for<[string, object, unknown[]]>([
    [
      'hello',
      { hello: { gateway: 'g-x', version: '1', features: ['credit', 'later'] } },
      ['onHello', { gateway: 'g-x', version: '1', features: ['credit', 'later'] }],
    ],
    [
      'a request',
      { id: 9, request: { session: SESSION, route: 'a.b', body, seq: 70_000, timeout_ms: 4_999, to: 'one', headers: { traceparent: 't' } } },
      ['onRequest', 9, expect.objectContaining({ sid: 'g-x.7', uid: 'zoë', gateway: 'g-x', version: 300, route: 'a.b', isNotify: false, body, seq: 70_000, timeoutMs: 4_999, to: 'one' })],
    ],
    [
      'a notify',
      { request: { session: { sid: 'g.1' }, route: 'a.b', notify: true } },
      ['onRequest', 0, expect.objectContaining({ sid: 'g.1', uid: '', isNotify: true, body: Buffer.alloc(0), timeoutMs: 0 })],
    ],
    ['an end', { closed: { session: SESSION, reason: 'left', lasted: duration(1_000) } }, ['onClosed', 'g-x.7', 'left']],
    ['cancel', { id: 5, cancel: {} }, ['onCancel', 5]],
    [
      'the result of a push',
      { id: 3, pushed: { delivered: 2, dropped: 1, refused: 4, gateways: 2, unknown_uids: ['u'], silent_gateways: ['a', 'b'], error: { code: 503, reason: 'BUS_AWAY' } } },
      ['onPushed', 3, { delivered: 2, dropped: 1, refused: 4, silent: 2, error: { code: 503, reason: 'BUS_AWAY', message: '' } }],
    ],
    ['credit', { credit: { frames: 4_096, bytes: 4_194_304 } }, ['onCredit', 4_096, 4_194_304]],
    ['goaway', { goaway: { reason: 'moved' } }, ['onGoaway', 'moved']],
    [
      'the result of a verb',
      { id: 4, done: { changed: 1, version: 12 } },
      ['onDone', 4, { changed: 1, version: 12, error: null }],
    ],
  ])('%s', ([, given, expected]) => {
    expect(told([given])).toEqual([expected]);
  }); // prettier-ignore

  test('a frame of a number that the contract keeps free', () => {
    // frames: [{ 11: "" }]
    expect(toldBy(Buffer.from([0x0a, 0x02, 0x5a, 0x00]))).toEqual([['onUnknown', 11]]);
  });

  test('a handshake, with its length', () => {
    const connect = { session: SESSION, user: toStruct({ a: 1 }) };
    const bytes = (backendService['Connect']!.requestSerialize(connect) as Buffer).length;
    expect(told([{ id: 8, connect }])).toEqual([
      ['onConnect', 8, { sid: 'g-x.7', isRefresh: false }, bytes],
    ]);
    const again = { ...connect, refresh: true };
    expect(told([{ id: 8, connect: again }])).toMatchObject([
      ['onConnect', 8, { sid: 'g-x.7', isRefresh: true }, bytes + 2],
    ]);
  });

  test('a gateway that is lost', () => {
    const lost = { id: 'x', gateway: 'g-x', sessions: 3 };
    expect(told([{ id: 0, lost }])).toEqual([['onLost', 'g-x']]);
  });

  test.for<[string, number]>([
    ['{"n":17}', 17],
    ['{"n":1234567,"padding":"x"}', 1_234_567],
    ['{"m":17}', 0],
    ['', 0],
  ])('the number in %s', ([text, n]) => {
    expect(numberOf(Buffer.from(text))).toBe(n);
  });
});

describe('NATS', () => {
  // The rows of proto/README.md.
  test('values of headers', () => {
    expect(headerValue('änn 5%')).toBe('%C3%A4nn%205%25');
    expect(jsonHeaderValue({ room: 'Größe 1' })).toBe('{"room":"Gr\\u00f6\\u00dfe%201"}');
  });

  test.for<[string, string]>([
    ['42', '42'],
    ['room.lobby', '=cm9vbS5sb2JieQ'],
    ['zoë', '=em_Dqw'],
    ['x'.repeat(97), '=hGajwfut_PQwLc3fjfXLszeFEzv60S-rJwyJxMaUmaI0'],
  ])('the token of %s', ([name, expected]) => {
    expect(token(name)).toBe(expected);
  });

  test('a header block, there and back', () => {
    const block = headerBlock(['Pith-Sid', 'g.1', 'Pith-Uid', 'zo%C3%AB']);
    expect(block.toString('latin1')).toBe(
      'NATS/1.0\r\nPith-Sid: g.1\r\nPith-Uid: zo%C3%AB\r\n\r\n',
    );
    const text = block.toString('latin1');
    expect(headerIn(text, 'Pith-Uid')).toBe('zoë');
    expect(headerIn(text, 'Pith-Id')).toBeNull();
    expect(statusIn(text)).toBe(0);
    expect(statusIn('NATS/1.0 503\r\n\r\n')).toBe(503);
  });

  test.for<[object, string, string]>([
    [{ uid: 'ann', ifVersion: 0 }, 'bind', '{"uid":"ann"}'],
    [{ uid: '', ifVersion: 0 }, 'unbind', ''],
    [{ uid: 'ann', ifVersion: 7 }, 'patch', '{"uid":"ann","if_version":7}'],
    [{ set: { a: null } }, 'set', '{"set":{"a":null}}'],
    [{ join: ['r'] }, 'join', '{"groups":["r"]}'],
    [{ leave: ['r'] }, 'leave', '{"groups":["r"]}'],
    [{ join: ['r'], leave: ['s'] }, 'patch', '{"join":["r"],"leave":["s"]}'],
  ])('the verb for %o', ([patch, name, json]) => {
    expect(verbOf(patch)).toEqual([name, json]);
  });

  test('the version in an answer to get, and ConnectResponse in JSON', () => {
    expect(versionIn('{"sessions":[{"sid":"g.1","version":"12"}]}')).toBe(12);
    expect(versionIn('{"error":{"code":404}}')).toBe(0);
    expect(connectJson({ accept: { patch: { uid: 'a' }, user: {}, expiresInMs: 1_500 } })).toEqual({
      accept: { patch: { uid: 'a' }, user: {}, expires_in: '1.5s' },
    });
  });
});
