/** The same shape in each form in which it is said: protobuf, JSON, headers, and lines on a Unix socket. */
import { describe, expect, test } from 'vitest';

import type { Push } from '../../../src/contract/commands.ts';
import type { SessionFacts } from '../../../src/contract/facts.ts';
import { closedEventJson } from '../../../src/contract/event-json.ts';
import { encodeSession } from '../../../src/contract/gateway-frames.ts';
import * as headers from '../../../src/contract/headers.ts';
import * as json from '../../../src/contract/json-shapes.ts';
import {
  decodeClose,
  decodeError,
  decodePatch,
  decodePush,
  decodeReply,
} from '../../../src/contract/protobuf-shapes.ts';
import { WireReader } from '../../../src/contract/protobuf-wire.ts';
import { readLine } from '../../../src/upstream/ipc/backend-lines.ts';
import { sessionTail } from '../../../src/upstream/ipc/gateway-lines.ts';
import { linesOf, readBlock } from '../../../src/upstream/nats/header-block.ts';

const MAX = 1_048_576;
const EMPTY = Buffer.alloc(0);

function wire(hex: string): WireReader {
  return new WireReader(Buffer.from(hex, 'hex'));
}

function block(lines: readonly string[]): headers.Headers {
  return readBlock(Buffer.from(`NATS/1.0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`));
}

function line(text: string) {
  const read = readLine(Buffer.from(text), MAX);
  if (read.kind === 'push') return read.push;
  if (read.kind === 'verb') return read.verb;
  if (read.kind === 'answer') return read.reply;
  throw new Error(`${text} is ${read.kind}`);
}

function object(text: string): Record<string, unknown> {
  return json.readObject(Buffer.from(text));
}

/** What every form of a push below says; its target is the subject's, where headers say it. */
const PUSH = {
  route: 'onChat',
  body: Buffer.from('{"text":"hi"}'),
  delivery: 'latest',
  latestKey: 'k',
  expiresInMs: 250,
  afterReply: false,
  target: { exceptSids: ['g.2'], exceptUids: ['b'], where: { room: 'lobby' } },
};

test.each<readonly [form: string, push: object]>([
  [
    'protobuf',
    decodePush(
      wire(
        '0a2112047a6fc3ab2a03672e323201623a110a0f0a04726f6f6d12071a056c6f626279' +
          '12066f6e436861741a1212102a0e0a0c0a047465787412041a02686920022a016b32051080e59a77',
      ),
      MAX,
    ),
  ],
  [
    'headers',
    headers.readPush(
      block([
        'Pith-Route: onChat',
        'Pith-Delivery: latest',
        'Pith-Latest-Key: k',
        'Pith-Expires-Ms: 250',
        'Pith-Except-Sids: ["g.2"]',
        'Pith-Except-Uids: ["b"]',
        'Pith-Where: {"room":"lobby"}',
      ]),
      Buffer.from('{"text":"hi"}'),
    ),
  ],
  [
    'line',
    line(
      '{"cmd":"push","uid":"zoë","route":"onChat","payload":{"text":"hi"},"delivery":"latest",' +
        '"latest_key":"k","expires_ms":250,"except_sids":["g.2"],"except_uids":["b"],"where":{"room":"lobby"}}',
    ),
  ],
])('a push: %s', (_form, push) => {
  expect(push).toMatchObject(PUSH);
  expect(push).not.toHaveProperty('fault');
});

/** A push, and an answer, with the cursor as it is written. */
const CURSOR_FORMS: readonly (readonly [
  form: string,
  push: (cursor: string) => object,
  answer: (from: string) => object,
])[] = [
  [
    'protobuf',
    (cursor) => decodePush(wire(`42${texts(cursor)}`), MAX),
    (from) => decodeReply(wire(`32${texts(from)}`), MAX),
  ],
  [
    'headers',
    (cursor) => headers.readPush(block(['Pith-Route: x', `Pith-Cursor: ${cursor}`]), EMPTY),
    (from) => ({ from: headers.readFrom(block([`Pith-From: ${from}`])) }),
  ],
  [
    'line',
    (cursor) => line(`{"cmd":"push","group":"g","route":"x","cursor":${JSON.stringify(cursor)}}`),
    (from) => line(`{"seq_id":1,"from":${JSON.stringify(from)}}`),
  ],
];

/** The length and the bytes of a short text, in protobuf. */
function texts(text: string): string {
  const bytes = Buffer.from(text);
  return Buffer.from([bytes.length, ...bytes]).toString('hex');
}

/** What is wrong, however the form says so. */
function faultOf(read: () => object): string {
  try {
    const { fault, failure } = read() as { fault?: string; failure?: { message: string } | null };
    return fault ?? failure?.message ?? '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe.each(CURSOR_FORMS)('a cursor: %s', (_form, push, answer) => {
  test.each([
    ['k3.7', { epoch: 'k3', n: 7 }],
    ['A-z_9.9007199254740991', { epoch: 'A-z_9', n: 9_007_199_254_740_991 }],
    [`${'e'.repeat(64)}.1`, { epoch: 'e'.repeat(64), n: 1 }],
  ])('%s is read', (text, cursor) => {
    expect(push(text)).toMatchObject({ cursor });
    expect(answer(text)).toMatchObject({ from: cursor });
  });

  test('an answer may have none of the pushes, and a push is at least the first', () => {
    expect(answer('e.0')).toMatchObject({ from: { epoch: 'e', n: 0 } });
    expect(faultOf(() => push('e.0'))).toContain('pushes count from 1');
  });

  test.each([
    ...['7', '.7', 'e.', 'e.07', 'e.-1', 'e.1.5', 'e.x', 'e 1', 'a.b.7', 'é.7'],
    ...['e.9007199254740992', `${'e'.repeat(65)}.1`],
  ])('%s is none', (text) => {
    expect(faultOf(() => push(text))).toContain('<epoch>.<n>');
    expect(faultOf(() => answer(text))).toContain('<epoch>.<n>');
  });

  test('that is empty is not said', () => {
    expect(push('')).not.toHaveProperty('cursor');
    expect(answer('')).not.toMatchObject({ from: expect.anything() as unknown });
  });
});

test('a cursor goes to other gateways as it came', () => {
  const push = { ...PUSH, cursor: { epoch: 'k3', n: 7 } } as Push;
  const lines = headers.pushLines(push, null);
  expect(headers.readPush(block(lines.trimEnd().split('\r\n')), push.body)).toEqual(push);
});

const PATCH = {
  uid: 'zoë',
  set: { gold: 1.5, old: null },
  join: ['r1', 'r2'],
  leave: ['r0'],
  ifVersion: 3,
};
const PATCH_JSON =
  '{"uid":"zoë","set":{"gold":1.5,"old":null},"join":["r1","r2"],"leave":["r0"],"if_version":"3"}';

test.each<readonly [form: string, patch: object | null]>([
  [
    'protobuf',
    decodePatch(
      wire(
        '0a047a6fc3ab121e0a110a04676f6c64120911000000000000f83f0a090a036f6c64120208001a0272311a027232220272302803',
      ),
      MAX,
    ),
  ],
  ['JSON', json.readPatch(object(PATCH_JSON))],
  ['JSON in camelCase', json.readPatch(object(PATCH_JSON.replace('if_version', 'ifVersion')))],
  [
    'headers',
    headers.readPatch(
      block([
        'Pith-Bind: zo%C3%AB',
        'Pith-Set: {"gold":1.5,"old":null}',
        'Pith-Join: ["r1","r2"]',
        'Pith-Leave: ["r0"]',
        'Pith-If-Version: 3',
      ]),
    ),
  ],
])('a patch: %s', (_form, patch) => {
  expect(patch).toEqual(PATCH);
});

test('a patch in a line, as a command and in an answer', () => {
  const command = line(`{"cmd":"patch","sid":"g.1","patch":${PATCH_JSON}}`);
  expect(command).toMatchObject({ patch: PATCH, close: null, target: { sids: ['g.1'] } });
  expect(line(`{"seq_id":1,"patch":${PATCH_JSON}}`)).toMatchObject({ patch: PATCH });
});

const CLOSE = { reason: 'bye', code: 77, kick: false, retryAfterMs: 1_500 };
const CLOSE_JSON = '"reason":"bye","code":77,"retry_after":"1.5s"';

test.each<readonly [form: string, close: object]>([
  ['protobuf', decodeClose(wire('0a03627965104d220808011080cab5ee01'))],
  ['JSON', json.readClose(object(`{${CLOSE_JSON}}`))],
  ['line', (line(`{"cmd":"close","sid":"g.1",${CLOSE_JSON}}`) as { close: object }).close],
  ['answer in a line', (line(`{"seq_id":1,"close":{${CLOSE_JSON}}}`) as { close: object }).close],
])('a close: %s', (_form, close) => {
  expect(close).toEqual(CLOSE);
});

test('a close in headers is its reason', () => {
  expect(headers.readClose(block(['Pith-Close: bye']))).toEqual({
    ...CLOSE,
    code: 0,
    retryAfterMs: 0,
  });
});

const ERROR = { code: 402, reason: 'TOO_POOR', message: 'no gold', body: null };

test.each<readonly [form: string, failure: object | null]>([
  [
    'protobuf',
    decodeError(
      wire(
        '0892031208544f4f5f504f4f521a076e6f20676f6c64220208022a0f0a046974656d1207756e6b6e6f776e',
      ),
      MAX,
    ),
  ],
  [
    'JSON',
    json.readError(
      object(
        '{"code":402,"reason":"TOO_POOR","message":"no gold","retry_after":"2s","fields":{"item":"unknown"}}',
      ),
    ),
  ],
  [
    'line',
    (
      line(
        '{"seq_id":1,"error":{"code":402,"reason":"TOO_POOR","msg":"no gold","retry_after_ms":2000,"fields":{"item":"unknown"}}}',
      ) as { failure: object }
    ).failure,
  ],
])('an error: %s', (_form, failure) => {
  expect(failure).toMatchObject({ ...ERROR, retryAfterMs: 2_000, fields: { item: 'unknown' } });
});

test('an error in headers', () => {
  const lines = ['Nats-Service-Error-Code: 402', 'Nats-Service-Error: no gold'];
  const failure = headers.readFailure(block([...lines, 'Pith-Error-Reason: TOO_POOR']), EMPTY);
  expect(failure).toMatchObject(ERROR);
});

test.each([2 ** 31, -(2 ** 31) - 1, 0, 200])('the code %i of an error means nothing', (code) => {
  const lines = [`Nats-Service-Error-Code: ${code}`, 'Nats-Service-Error: x'];
  expect(headers.readFailure(block(lines), EMPTY)).toMatchObject({ code: 500 });
  expect(line(`{"seq_id":1,"error":{"code":${code},"msg":"x"}}`)).toMatchObject({
    failure: { code: 500 },
  });
});

// oxfmt-ignore
const DELIVERIES: readonly (readonly [delivery: string, protobuf: string])[] = [
  ['must',      '2000'],
  ['droppable', '2001'],
  ['latest',    '2002'],
];

describe.each(DELIVERIES)('the delivery %s', (delivery, hex) => {
  test('in each form', () => {
    expect(decodePush(wire(hex), MAX).delivery).toBe(delivery);
    expect(line(`{"cmd":"push","all":true,"route":"x","delivery":"${delivery}"}`)).toMatchObject({
      delivery,
    });
    const lines = ['Pith-Route: x', `Pith-Delivery: ${delivery}`];
    expect(headers.readPush(block(lines), EMPTY).delivery).toBe(delivery);
  });
});

test('a delivery that is not said is must, and so is one of a newer contract in protobuf', () => {
  expect(decodePush(wire(''), MAX).delivery).toBe('must');
  expect(decodePush(wire('2009'), MAX).delivery).toBe('must');
  expect(line('{"cmd":"push","all":true,"route":"x"}')).toMatchObject({ delivery: 'must' });
  expect(headers.readPush(block(['Pith-Route: x']), EMPTY).delivery).toBe('must');
});

const SESSION: SessionFacts = {
  ...{ sid: 'g.1', uid: 'zoë', gatewayId: 'g', remoteIp: '192.0.2.7' },
  ...{
    clientType: 'js',
    clientVersion: '1.2',
    openedAtWall: Date.parse('2026-01-02T03:04:05.678Z'),
    boundAtWall: Date.parse('2026-01-02T03:05:00Z'),
  },
  ...{ data: { room: 'lobby', secret: 1 }, groups: new Set(['r1']), version: 7 },
  ...{ connection: { transport: 'tcp' }, dialect: 'pomelo' },
};

describe('a session', () => {
  test('protobuf', () => {
    expect(encodeSession(SESSION, { room: 'lobby' }).toString('hex')).toBe(
      '0a03672e3112047a6fc3ab1a016722093139322e302e322e372a026a733203312e323a0c08a5ebdcca061080eba5c302' +
        '42110a0f0a04726f6f6d12071a056c6f62627948075a037463706206706f6d656c6f6a0608dcebdcca06',
    );
    const unbound = encodeSession({ ...SESSION, uid: '', boundAtWall: 0 }, null).toString('hex');
    expect(unbound.endsWith('706f6d656c6f')).toBe(true);
  });

  test('JSON, with its data and its groups', () => {
    expect(JSON.stringify(json.sessionJson(SESSION))).toBe(
      '{"sid":"g.1","uid":"zoë","gateway":"g","remote_ip":"192.0.2.7","client_type":"js","client_version":"1.2",' +
        '"opened_at":"2026-01-02T03:04:05.678Z","data":{"room":"lobby","secret":1},"version":"7","groups":["r1"],' +
        '"transport":"tcp","dialect":"pomelo","bound_at":"2026-01-02T03:05:00.000Z"}',
    );
  });

  test('JSON, without a uid', () => {
    expect(json.sessionJson({ ...SESSION, uid: '', boundAtWall: 0 })).not.toHaveProperty(
      'bound_at',
    );
  });

  test('headers', () => {
    expect(linesOf(headers.sessionHeaders(SESSION, ['room']))).toBe(
      'Pith-Sid: g.1\r\nPith-Uid: zo%C3%AB\r\nPith-Client-Ip: 192.0.2.7\r\nPith-Data: {"room":"lobby"}\r\n',
    );
  });

  test('line', () => {
    expect(sessionTail(SESSION, ['room'])).toBe(
      '"session":{"sid":"g.1","uid":"zoë","data":{"room":"lobby"}}}\n',
    );
  });

  test('that has ended, in JSON', () => {
    const closed = {
      session: SESSION,
      reason: 'bye',
      closeReason: 'kick',
      code: -1,
      lastedMs: 1_250.5,
    };
    expect(closedEventJson(closed, ['room'])).toBe(
      '{"session":{"sid":"g.1","uid":"zoë","gateway":"g","remote_ip":"192.0.2.7","client_type":"js",' +
        '"client_version":"1.2","opened_at":"2026-01-02T03:04:05.678Z","data":{"room":"lobby"},"version":"7","groups":["r1"],' +
        '"transport":"tcp","dialect":"pomelo","bound_at":"2026-01-02T03:05:00.000Z"},"reason":"bye","code":-1,' +
        '"lasted":"1.2505s","close_reason":"kick","seq":"0"}',
    );
  });
});
