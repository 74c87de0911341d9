/** The doubles are as brittle as the real clients: each of these bytes is one that the real one does not survive. */
import { describe, expect, test } from 'vitest';

import type { Double } from '../families/double.ts';
import { LegacyBundle } from '../families/legacy-bundle.ts';
import { Libpitaya } from '../families/libpitaya.ts';
import { Libpomelo } from '../families/libpomelo.ts';
import { Libpomelo2 } from '../families/libpomelo2.ts';
import type { Target } from '../families/line.ts';
import { type Script, ScriptedServer } from '../families/scripted-server.ts';
import { Unity } from '../families/unity.ts';
import { Weixin } from '../families/weixin.ts';
import { pack } from '../families/wire.ts';
import { NpmClient } from '../support/npm-clients.ts';
import { PUBLISHED_CLIENTS } from './published-clients.ts';

const EMPTY_PROTOS = '{"server":{},"client":{},"version":"v"}';

/** A package of data. */
function data(flag: number, head: readonly number[], text: string | Buffer): Buffer {
  return pack(4, Buffer.concat([Buffer.of(flag, ...head), Buffer.from(text as string)]));
}

const push = (body: string | Buffer): Buffer =>
  data(6, [2, 0x6f, 0x6e], body); /* the route is "on" */
const answer = (id: number, body: string): Buffer => data(4, [id], body);
const KICK = pack(5, Buffer.from('{"reason":"bye"}'));
const ok = (sys: string): string => `{"code":200,"sys":${sys}}`;

/** What the server does, and what becomes of the client. Without `asks`, the client only listens. */
type Case = readonly [what: string, script: Script, trouble: RegExp, asks?: 'asks' | undefined];

const answering = (...packages: Buffer[]): Script => ({ answer: () => packages });
const saying = (...packages: Buffer[]): Script => ({ after: packages });

const C_CASES: readonly Case[] = [
  ['a refused handshake', { handshake: '{"code":500}' }, /stops|fails/],
  ['a heartbeat of half a second', { handshake: ok('{"heartbeat":0.5}') }, /heartbeat/],
  ['a flag with a high bit', saying(data(0x16, [2, 0x6f, 0x6e], '{}')), /unknown message type/],
  ['a push without a body', saying(push('')), /body/],
  ['a push that is no JSON', saying(push('{"a":')), /cannot parse/],
  [
    'a push of CESU-8',
    saying(push(Buffer.from('{"t":"\xed\xa0\xbd\xed\xb8\x80"}', 'latin1'))),
    /UTF-8/,
  ],
  ['an answer without a body', answering(answer(1, '')), /body/, 'asks'],
  ['a code that is in no dictionary', saying(data(7, [0, 9], '{}')), /no route has the code 9/],
  ['an acknowledgement', saying(pack(2)), /package type 2/],
];

const CLIENTS: readonly {
  readonly name: string;
  readonly transport: 'tcp' | 'ws';
  readonly connect: (target: Target) => Promise<Double>;
  readonly cases: readonly Case[];
}[] = [
  {
    name: 'libpomelo',
    transport: 'tcp',
    connect: (target) => Libpomelo.connect(target),
    cases: [
      ...C_CASES,
      ['a code of 200.0', { handshake: '{"code":200.0,"sys":{}}' }, /stops/],
      ['a text that is no object', saying(push('"x"')), /neither object nor list/],
      ['a route of 128 bytes', saying(data(6, [128], `${'r'.repeat(128)}{}`)), /a route of 128/],
      ['an empty route', saying(data(6, [0], '{}')), /an empty route/],
      ['an answer to nothing', saying(answer(7, '{}')), /did not ask/],
      ['two answers', answering(answer(1, '{}'), answer(1, '{}')), /did not ask/, 'asks'],
      ['half of a pair', saying(push(String.raw`{"a":"\ud83d"}`)), /surrogate/],
      [
        'a code above 255',
        {
          handshake: ok('{"dict":{"on":1,"off":257}}'),
          after: [data(7, [1, 1], '{}'), data(7, [0, 1], '{}')],
        },
        /takes code/,
      ],
    ],
  },
  {
    name: 'libpomelo2',
    transport: 'tcp',
    connect: (target) => Libpomelo2.connect(target),
    cases: [
      ...C_CASES,
      ['a second handshake', saying(pack(1, Buffer.from(ok('{}')))), /a second answer/],
      ['a handshake without sys', { handshake: '{"code":200}' }, /without sys/],
      ['useDict alone', { handshake: ok('{"useDict":true}') }, /no dictionary/],
      [
        'a dictionary as Pinus sends it',
        { handshake: ok('{"useDict":true,"dict":{"a":1},"dictVersion":"v"}') },
        /some keys/,
      ],
      ['useProto alone', { handshake: ok('{"useProto":true}') }, /no protos/],
      [
        'protos without a version',
        { handshake: ok('{"useProto":true,"protos":{"server":{},"client":{}}}') },
        /some keys/,
      ],
      ['an answer with the id 0', saying(answer(0, '{}')), /the id 0/],
      ['a space behind the body', saying(push('{}\n')), /a space after/],
    ],
  },
  {
    name: 'libpitaya',
    transport: 'tcp',
    connect: (target) => Libpitaya.connect(target),
    cases: [
      ['a second handshake', saying(pack(1, Buffer.from(ok('{}')))), /a second answer/],
      ['a heartbeat first', { first: [pack(3)] }, /before the handshake/],
      ['useDict', { handshake: ok('{"useDict":true}') }, /useDict/],
      ['the code of a route', saying(data(7, [0, 1], '{}')), /the code of a route/],
      ['an error without a body', answering(data(0x24, [1], '')), /an error without/, 'asks'],
      ['a body that is no zlib', saying(data(0x16, [2, 0x6f, 0x6e], 'nothing')), /reconnects/],
      ['an answer with the id 0', saying(answer(0, '{}')), /the id 0/],
      ['a push without a body', saying(push('')), /without a body/],
    ],
  },
  {
    name: 'Unity',
    transport: 'tcp',
    connect: (target) => Unity.connect(target),
    cases: [
      ['a refused handshake', { handshake: '{"code":501}' }, /handshake/],
      ['a handshake without sys', { handshake: '{"code":200}' }, /handshake/],
      ['a body that is a list', saying(push('[1]')), /no object/],
      ['a body that is a text', answering(answer(1, '"x"')), /no object/, 'asks'],
      ['an empty body', answering(answer(1, '')), /cannot parse/, 'asks'],
      ['an answer to nothing', saying(answer(7, '{}')), /did not ask/],
      ['a code that is in no dictionary', saying(data(7, [0, 9], '{}')), /no route has the code/],
      ['a code for two routes', { handshake: ok('{"dict":{"a":1,"b":1}}') }, /dict/],
      [
        'protos without indexes',
        { handshake: ok('{"protos":{"server":{"on":{}},"client":{}}}') },
        /__tags/,
      ],
      [
        'an unknown tag',
        {
          handshake: ok('{"protos":{"server":{"on":{"__messages":{},"__tags":{}}},"client":{}}}'),
          after: [push('\x08\x01')],
        },
        /unknown tag 1/,
      ],
    ],
  },
  {
    name: 'the legacy bundle',
    transport: 'ws',
    connect: (target) => LegacyBundle.connect(target),
    cases: [
      ['two packages in a frame', saying(pack(3), pack(3)), /of a frame of 8/],
      ['a character of four bytes', saying(push('{"t":"😀"}')), /four bytes/],
      ['a push without a body', saying(push('')), /cannot parse/],
      ['a handshake without sys', { handshake: '{"code":200}' }, /without sys/],
      ['an id with the low group first', answering(data(4, [0xac, 0x02], '{}')), /loses/, 'asks'],
      ['a code that is in no dictionary', saying(data(7, [0, 9], '{}')), /the number 9/],
      ['a package of type 2', saying(pack(2)), /package type 2/],
    ],
  },
  {
    name: 'the weixin client',
    transport: 'ws',
    connect: (target) => Weixin.connect(target),
    cases: [
      ['a push of the dictionary', saying(data(7, [0, 1], '{}')), /a number as the route/],
      ['a body of protobuf', saying(push('\x08\x01')), /cannot parse/],
      ['a kick without a body', saying(pack(5)), /cannot parse/],
      ['half a package', saying(KICK.subarray(0, 6)), /a part for a package/],
    ],
  },
];

describe.each(CLIENTS)('$name does not survive', ({ transport, connect, cases }) => {
  test.for(cases)('%s', async ([, script, trouble, asks]) => {
    await using server = await ScriptedServer.start(transport, script);
    const meeting = async (): Promise<void> => {
      await using client = await connect({ port: server.port });
      if (asks === undefined) await client.ended();
      else await client.request('a.b.c').then(() => client.ended());
    };
    await expect(meeting()).rejects.toThrow(trouble);
  });
});

describe('what they do survive', () => {
  test('libpomelo2 keeps a dictionary and protos, and says so the next time', async () => {
    const dict =
      '{"useDict":true,"dictVersion":"d","routeToCode":{"a.b.c":1},"codeToRoute":{"1":"a.b.c"}';
    await using first = await ScriptedServer.start('tcp', {
      handshake: ok(`${dict},"useProto":true,"protos":${EMPTY_PROTOS}}`),
    });
    const storage = {};
    await using before = await Libpomelo2.connect({ port: first.port }, storage);
    expect(before.isShaken).toBe(true);
    await using second = await ScriptedServer.start('tcp', {
      handshake: ok('{"useDict":true,"useProto":true}'),
      after: [push('{"a":1}')],
    });
    await using client = await Libpomelo2.connect({ port: second.port }, storage);
    expect(await client.push('on')).toEqual({ a: 1 });
    expect(second.received[0]!.body.toString()).toBe(
      '{"sys":{"protoVersion":"v","dictVersion":"d","type":"desktop","version":"0.3.5-release"}}',
    );
    client.notify('a.b.c');
    await expect.poll(() => second.received.at(-1)!.body.toString('latin1')).toBe('\x03\x00\x01{}');
  });

  describe.each([
    ['', saying(KICK)],
    [' before its ack has arrived', { next: [KICK] }],
  ])('being kicked%s', (_, script) => {
    test.each(CLIENTS)('$name', async ({ transport, connect }) => {
      await using server = await ScriptedServer.start(transport, script);
      await using client = await connect({ port: server.port });
      const hears = client instanceof Weixin ? { reason: 'bye' } : undefined;
      expect(await client.kicked()).toEqual(hears);
    });

    test.each(PUBLISHED_CLIENTS)('$name', async ({ name, limits }) => {
      await using server = await ScriptedServer.start('ws', script);
      await using client = await NpmClient.connect(name, server.port);
      expect(await client.event('onKick')).toEqual(
        limits.kickWithoutReason ? [] : [{ reason: 'bye' }],
      );
    });
  });
});
