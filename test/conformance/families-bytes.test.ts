/**
 * The doubles of clients that no registry has, by themselves: what they send is what the real ones send. Bytes of
 * libpomelo2, libpitaya and Unity were recorded from the real clients, those of libpomelo follow from the JSON library
 * that it carries, and the script clients' from their sources.
 */
import { inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import type { Double, Json } from '../families/double.ts';
import { order } from '../families/jansson.ts';
import { LegacyBundle } from '../families/legacy-bundle.ts';
import { Libpitaya } from '../families/libpitaya.ts';
import { Libpomelo } from '../families/libpomelo.ts';
import { Libpomelo2 } from '../families/libpomelo2.ts';
import type { Target } from '../families/line.ts';
import { BROWSER, C, decode, type Definitions, encode, UNITY } from '../families/protobuf.ts';
import { ScriptedServer } from '../families/scripted-server.ts';
import { Unity } from '../families/unity.ts';
import { Weixin } from '../families/weixin.ts';
import { loadNpm } from '../support/npm-clients.ts';

const ROUTE = 'chat.room.join';

/** Everything that these clients write in a way of their own: reals, large numbers, text, control characters. */
const BODY = { name: 'x', n: 1.5, big: 3_000_000_000, t: '你 😀 /', a: [1, true, null] };

type Family = {
  readonly name: string;
  readonly transport: 'tcp' | 'ws';
  readonly connect: (target: Target) => Promise<Double>;
  /** Bodies of the packages, in the order in which they are sent: as text, but for bytes that are no ASCII. */
  readonly handshake: string;
  readonly request: string;
  readonly notify: string;
};

const FAMILIES: readonly Family[] = [
  {
    name: 'libpomelo',
    transport: 'tcp',
    connect: (target) => Libpomelo.connect(target),
    handshake: '{"sys":{"version":"0.3.4","type":"c"}}',
    request: `\x00\x01\x0e${ROUTE}{"big":3000000000,"name":"x","n":1.5,"t":"你 😀 /","a":[1,true,null]}`,
    notify: `\x02\x0e${ROUTE}{"text":"hi"}`,
  },
  {
    name: 'libpomelo2',
    transport: 'tcp',
    connect: (target) => Libpomelo2.connect(target),
    handshake: '{"sys":{"type":"desktop","version":"0.3.5-release"}}',
    request: `\x00\x01\x0e${ROUTE}{"name":"x","n":1.500000,"big":3000000000,"t":"你 😀 /","a":[1,true,null]}`,
    notify: `\x02\x0e${ROUTE}{"text":"hi"}`,
  },
  {
    name: 'Unity',
    transport: 'tcp',
    connect: (target) => Unity.connect(target),
    handshake: '{"sys":{"version":"0.3.0","type":"unity-socket"},"user":{}}',
    request: `\x00\x01\x0e${ROUTE}{"name":"x","n":1.5,"big":3000000000,"t":"你 😀 /","a":[1,true,null]}`,
    notify: `\x02\x0e${ROUTE}{"text":"hi"}`,
  },
  {
    name: 'the legacy bundle',
    transport: 'ws',
    connect: (target) => LegacyBundle.connect(target),
    handshake: '{"sys":{"type":"js-websocket","version":"0.0.1"}}',
    request: `\x00\x01\x0e${ROUTE}{"name":"x","n":1.5,"big":3000000000,"t":"你 \ud83d\ude00 /","a":[1,true,null]}`,
    notify: `\x02\x0e${ROUTE}{"text":"hi"}`,
  },
  {
    name: 'the weixin client',
    transport: 'ws',
    connect: (target) => Weixin.connect(target),
    handshake: '{"sys":{"type":"js-websocket","version":"0.0.1","rsa":{}}}',
    request: `\x00\x01\x0e${ROUTE}{"name":"x","n":1.5,"big":3000000000,"t":"你 \ud83d\ude00 /","a":[1,true,null]}`,
    notify: `\x02\x0e${ROUTE}{"text":"hi"}`,
  },
];

/** `{"code":200}` to a request's id, whose bytes are all up to the first below 128. */
function ok(message: Buffer): Buffer[] {
  if ((message[0]! & 0x0e) !== 0) return [];
  const end = message.findIndex((byte, i) => i > 0 && byte < 128) + 1;
  const body = Buffer.concat([Buffer.of(4), message.subarray(1, end), Buffer.from('{"code":200}')]);
  return [Buffer.concat([Buffer.of(4, 0, 0, body.length), body])];
}

/** Half a surrogate pair in the expected text is three bytes, as these clients write it. */
function bytesOf(text: string, isCesu8: boolean): string {
  if (!isCesu8) return Buffer.from(text).toString('hex');
  return text
    .split('')
    .map((unit) =>
      /[\ud800-\udfff]/.test(unit) ? halfOf(unit) : Buffer.from(unit).toString('hex'),
    )
    .join('');
}

function halfOf(unit: string): string {
  const code = unit.charCodeAt(0);
  return Buffer.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)).toString(
    'hex',
  );
}

describe.each(FAMILIES)('$name', ({ transport, connect, handshake, request, notify }) => {
  test('sends what the real one sends', async () => {
    await using server = await ScriptedServer.start(transport, { answer: ok });
    await using client = await connect({ port: server.port });
    client.notify(ROUTE, { text: 'hi' });
    expect(await client.request(ROUTE, BODY)).toEqual({ code: 200 });
    const isCesu8 = transport === 'ws';
    expect(server.received.map(({ type, body }) => [type, body.toString('hex')])).toEqual([
      [1, bytesOf(handshake, isCesu8)],
      [2, ''],
      [4, bytesOf(notify, isCesu8)],
      [4, bytesOf(request, isCesu8)],
    ]);
  });

  test('counts its ids on', async () => {
    await using server = await ScriptedServer.start(transport, { answer: ok });
    await using client = await connect({ port: server.port });
    for (let i = 1; i < 128; i++) await client.request(ROUTE);
    server.received.length = 0;
    await client.request(ROUTE);
    const isBigEndian = client instanceof LegacyBundle;
    expect(server.received[0]!.body.toString('hex', 0, 3)).toBe(isBigEndian ? '008100' : '008001');
  });
});

describe('libpitaya', () => {
  test('sends what the real one sends', async () => {
    await using server = await ScriptedServer.start('tcp', { answer: ok });
    await using client = await Libpitaya.connect({ port: server.port }, { token: 't' });
    client.notify('chat.room.say', { text: 'hi' });
    const long = { name: 'x', text: 'a'.repeat(54) };
    expect(await client.request(ROUTE, long)).toEqual({ code: 200 });
    const [handshake, , notify, request] = server.received.map(({ body }) => body);
    expect(handshake!.toString()).toBe(
      '{"sys":{"platform":"desktop","libVersion":"4.6.2-","clientBuildNumber":"1","clientVersion":"0.1"},' +
        '"user":{"token":"t"}}',
    );
    expect(notify!.toString()).toBe('\x02\rchat.room.say{"text":"hi"}');
    // Two versions of zlib may choose other bits, but all begin with these two bytes.
    expect(request!.toString('latin1', 0, 19)).toBe(`\x10\x01\x0e${ROUTE}\x78\x9c`);
    expect(inflateSync(request!.subarray(17)).toString()).toBe(JSON.stringify(long));
  });
});

describe('the order of keys in jansson', () => {
  test.each([
    [['type', 'version'], 'version,type'],
    [['type', 'version', 'protoVersion'], 'version,type,protoVersion'],
    [['sys', 'user'], 'sys,user'],
    [['name', 'room', 'text'], 'name,room,text'],
    [['n', 'text'], 'text,n'],
    [
      'f e d c b a chat.room.join chat.room.send onChat 你 k11 k12 k13 k14 k15'.split(' '),
      'f,k13,onChat,e,k12,chat.room.join,d,k11,你,chat.room.send,c,b,a,k14,k15',
    ],
  ])('%s', (keys, walked) => {
    expect(order(keys).join(',')).toBe(walked);
  });
});

const DEFINITIONS = {
  'message Point': { 'required int32 x': 1, 'optional int32 y': 2 },
  onMove: {
    'required uInt32 id': 1,
    'optional string name': 2,
    'repeated Point path': 3,
    'repeated uInt32 hits': 4,
    'optional double speed': 5,
    'optional float turn': 6,
    'optional Inner inner': 7,
    'message Inner': { 'repeated string tags': 1 },
  },
};

const MOVE: Json = {
  id: 1_001,
  name: '勇者',
  path: [{ x: 10, y: -20 }, { x: 300 }],
  hits: [1, 2, 300],
  speed: -1.5,
  turn: 0.25,
  inner: { tags: ['a', 'bc'] },
};

type Parser = { parse(definitions: object): Definitions };
type Codec = {
  init(options: { encoderProtos: object; decoderProtos: object }): void;
  encode(route: string, body: object): Uint8Array;
  decode(route: string, bytes: Uint8Array): object;
};

describe('protobuf', () => {
  const protos = loadNpm<Parser>('pomelo-protobuf').parse(DEFINITIONS);
  const npm = loadNpm<Codec>('pomelo-protobuf');
  npm.init({ encoderProtos: protos, decoderProtos: protos });

  test.each([
    ['C', C],
    ['Unity', UNITY],
  ])('of %s is that of the published package', (_name, habits) => {
    const bytes = encode(protos, 'onMove', MOVE, habits);
    expect(bytes.toString('hex')).toBe(Buffer.from(npm.encode('onMove', MOVE)).toString('hex'));
    expect(decode(protos, 'onMove', bytes, habits)).toEqual(MOVE);
  });

  test('of browsers is that of the published browser build', () => {
    const browser = loadNpm<Codec>('pomelo-protobuf/lib/client/protobuf.js');
    browser.init({ encoderProtos: protos, decoderProtos: protos });
    const move = { ...MOVE, name: '勇 😀' };
    const bytes = encode(protos, 'onMove', move, BROWSER);
    expect(bytes.toString('hex')).toBe(Buffer.from(browser.encode('onMove', move)).toString('hex'));
    expect(bytes.toString('hex')).toContain('eda0bdedb880');
    expect(decode(protos, 'onMove', bytes, BROWSER)).toEqual(move);
  });

  test('of C writes empty lists, and fails on keys that it does not know', () => {
    expect(encode(protos, 'onMove', { hits: [] }, C).toString('hex')).toBe('2000');
    expect(encode(protos, 'onMove', { hits: [] }, UNITY).toString('hex')).toBe('');
    expect(() => encode(protos, 'onMove', { nobody: 1 }, C)).toThrow('no field nobody');
  });
});
