import { describe, expect, test } from 'vitest';

import { profileOf, type ProfileName } from '../../../src/dialect/client-profile.ts';
import { PomeloDialect, type PomeloOptions } from '../../../src/dialect/pomelo.ts';
import type { CodecContext, Wire } from '../../../src/dialect/wire.ts';
import { type Failure, failure } from '../../../src/errors.ts';
import { type HandshakeRequest, readHandshake } from '../../../src/protocol/handshake.ts';
import { decodeMessage, Message } from '../../../src/protocol/message.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { Protos, protosVersion } from '../../../src/protocol/protobuf/protos.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';

const client = Protos.of({ 'a.b.c': { 'optional string text': 1, 'optional uInt32 n': 2 } });
const server = Protos.of({
  'a.b.c': { 'required uInt32 code': 1, 'optional string text': 2 },
  onChat: { 'required string text': 1 },
});
const OPTIONS: PomeloOptions = {
  heartbeatSeconds: 30,
  dictionary: new RouteDictionary({ onChat: 1, onFar: 300 }),
  protos: { client, server, version: protosVersion(client, server) },
  signatures: null,
  profile: 'auto',
};
const EMOJI = '😂';

function dialect(more: Partial<PomeloOptions> = {}): PomeloDialect {
  return new PomeloDialect({ ...OPTIONS, ...more });
}

function wireOf(profile: ProfileName, more: Partial<PomeloOptions> = {}): Wire {
  return dialect({ profile, ...more }).wire;
}

/** What a client sees of an encoded packet. */
function seen(encoded: unknown): { route: string; body: Buffer; text: string } {
  if (!Buffer.isBuffer(encoded)) throw new Error(`not said: ${JSON.stringify(encoded)}`);
  const message = new Message();
  const routes = (code: number): string => `code ${code}`;
  expect(decodeMessage(encoded.subarray(packetOffset(encoded) + 4), routes, message)).toBeNull();
  const { route, body } = message;
  return { route, body, text: body.toString() };
}

function said(body: string | Buffer, route = 'x.y.z'): Message {
  const message = new Message();
  message.route = route;
  message.body = Buffer.from(body as string);
  return message;
}

/** A body that was read. */
function asText(outcome: unknown): string {
  expect(outcome).toBeInstanceOf(Buffer);
  return (outcome as Buffer).toString();
}

function handshake(sys: Record<string, unknown>): HandshakeRequest {
  return readHandshake({ sys }, true)!;
}

test.each<[ProfileName, string, Record<string, unknown>]>([
  [
    'browser',
    'stock JavaScript',
    { type: 'js-websocket', version: '0.0.1', rsa: {}, protoVersion: 0 },
  ],
  ['pomelo', 'Node', { type: 'js-websocket', version: '0.0.1' }],
  ['plain', 'mini-games', { type: 'js-websocket', version: '0.0.1', rsa: {} }],
  ['browser', 'Creator', { type: 'COCOS_CREATOR', version: '1.0.0', rsa: {}, protoVersion: '' }],
  ['libpomelo', 'libpomelo', { type: 'c', version: '0.3.4' }],
  ['libpomelo2', 'libpomelo2', { type: 'desktop', version: '0.3.5-release' }],
  ['pomelo', 'Unity', { type: 'unity-socket', version: '0.3.0' }],
  ['pomelo', 'nobody we know', {}],
])('%s is the profile of %s', (profile, _client, sys) => {
  expect(profileOf(handshake(sys))).toBe(profile);
});

describe('JSON', () => {
  const wire = wireOf('pomelo', { protos: null });
  const context: CodecContext = { wire, publicKey: null };

  test('from a browser reaches the backend as UTF-8, and what is no JSON as it is', () => {
    const cesu = Buffer.from('7b2278223a22eda0bdedb882227d', 'hex');
    expect(asText(wire.readBody(context, said(cesu), false))).toBe(`{"x":"${EMOJI}"}`);
    expect(wire.readBody(context, said(cesu), true)).toEqual(cesu);
    const bytes = Buffer.from('00eda0bdedb882', 'hex');
    expect(wire.readBody(context, said(bytes), false)).toEqual(bytes);
  });

  test('goes out with escapes for what browsers misread, unless the route is raw', () => {
    const body = Buffer.from(`{"x":"${EMOJI}你"}`);
    const escaped = '{"x":"\\ud83d\\ude02你"}';
    expect(seen(wire.answer(1, 'x.y.z', body, 'auto')).text).toBe(escaped);
    expect(seen(wire.answer(1, 'x.y.z', body, 'raw')).body).toEqual(body);
    expect(seen(wire.push('onTalk', body)).text).toBe(escaped);
    expect(seen(wire.push('onTalk', Buffer.concat([Buffer.from(' \n'), body]))).text).toBe(
      ` \n${escaped}`,
    );
    expect(seen(wire.push('onTalk', Buffer.from(EMOJI))).text).toBe(EMOJI);
    const why = { ...failure('BACKEND_ERROR'), body };
    expect(seen(wire.failure(1, 'x.y.z', why)).text).toBe(escaped);
  });

  test('goes out without white space behind it, which some take for broken JSON', () => {
    expect(seen(wire.answer(1, 'x.y.z', Buffer.from('{"a":1} \r\n'), 'auto')).text).toBe('{"a":1}');
    expect(seen(wire.push('onTalk', Buffer.from('[1]\n'))).text).toBe('[1]');
    expect(seen(wire.answer(1, 'x.y.z', Buffer.from('a\n'), 'auto')).text).toBe('a\n');
  });

  test('is never missing', () => {
    expect(seen(wire.answer(1, 'x.y.z', Buffer.alloc(0), 'auto')).text).toBe('{}');
    expect(seen(wire.push('onTalk', Buffer.alloc(0))).text).toBe('{}');
  });

  test('longer than a packet is a bad reply', () => {
    const huge = Buffer.alloc(0xffffff, 0x61);
    expect(wire.answer(1, 'x.y.z', huge, 'auto')).toMatchObject({ reason: 'BAD_REPLY' });
  });
});

describe('protobuf', () => {
  test('is JSON to the backend', () => {
    const wire = wireOf('pomelo');
    const body = Buffer.from('0a02686910ac02', 'hex');
    expect(asText(wire.readBody({ wire, publicKey: null }, said(body, 'a.b.c'), false))).toBe(
      '{"text":"hi","n":300}',
    );
  });

  test('that cannot be read is a bad body, and says where', () => {
    const wire = wireOf('pomelo');
    const cut = said(Buffer.from('0a0a6869', 'hex'), 'a.b.c');
    const why = wire.readBody({ wire, publicKey: null }, cut, false);
    expect(why).toMatchObject({ code: 400, reason: 'BAD_BODY' });
    expect((why as { message: string }).message).toContain('text');
  });

  test('of a client that knows none is still JSON', () => {
    const wire = wireOf('plain');
    const context: CodecContext = { wire, publicKey: null };
    expect(asText(wire.readBody(context, said('{"n":1}', 'a.b.c'), false))).toBe('{"n":1}');
    const body = Buffer.from('{"code":200}');
    expect(seen(wire.answer(1, 'a.b.c', body, 'auto')).text).toBe('{"code":200}');
    expect(seen(wire.push('onChat', Buffer.from('{"text":"hi"}')))).toMatchObject({
      route: 'onChat',
      text: '{"text":"hi"}',
    });
  });

  test('goes out in the strings that the client reads', () => {
    const body = Buffer.from(JSON.stringify({ code: 200, text: EMOJI }));
    const hex = (profile: ProfileName): string =>
      seen(wireOf(profile).answer(1, 'a.b.c', body, 'auto')).body.toString('hex');
    expect(hex('pomelo')).toBe('08c8011204f09f9882');
    expect(hex('browser')).toBe('08c8011206eda0bdedb882');
    expect(hex('libpomelo2')).toBe(
      Buffer.from('{"code":200,"text":"\\ud83d\\ude02"}').toString('hex'),
    );
  });

  test('that the backend speaks itself passes', () => {
    const body = Buffer.from('08c801', 'hex');
    const wire = wireOf('pomelo');
    expect(seen(wire.answer(1, 'a.b.c', body, 'auto')).body).toEqual(body);
    expect(seen(wire.push('onChat', Buffer.from('0a0161', 'hex'))).body.toString('hex')).toBe(
      '0a0161',
    );
  });

  test('of an answer that does not fit is a bad reply, of an error what fits', () => {
    const wire = wireOf('pomelo');
    const missing = wire.answer(1, 'a.b.c', Buffer.from('{"text":"x"}'), 'auto');
    expect(missing).toMatchObject({ reason: 'BAD_REPLY' });
    expect((missing as { message: string }).message).toContain('code');
    const error = wire.failure(1, 'a.b.c', failure('TIMEOUT'));
    expect(seen(error).body.toString('hex')).toBe('08f803');
    const push = wire.push('onChat', Buffer.from('{}'));
    expect(push).toMatchObject({ reason: 'BAD_REPLY' });
  });

  test('tells how the client reads strings: its wire changes', () => {
    const pomelo = dialect();
    const context: CodecContext = { wire: pomelo.wire, publicKey: null };
    const emoji = (): string => {
      const body = Buffer.from(JSON.stringify({ text: EMOJI }));
      return seen(context.wire.push('onChat', body)).body.toString('hex');
    };
    const write = (hex: string): void => {
      context.wire.readBody(context, said(Buffer.from(hex, 'hex'), 'a.b.c'), false);
    };
    write('0a0161');
    expect(emoji()).toBe('0a04f09f9882');
    write('1205');
    expect(emoji()).toBe('0a06eda0bdedb882');
    write('1005');
    expect(emoji()).toBe('0a04f09f9882');
    const fixed = dialect({ profile: 'pomelo' });
    context.wire = fixed.wire;
    write('1205');
    expect(context.wire).toBe(fixed.wire);
  });
});

describe('the dictionary', () => {
  const body = Buffer.from('{"text":"hi"}');

  test.each<[ProfileName, string, string]>([
    ['pomelo', 'code 1', 'code 300'],
    ['browser', 'code 1', 'code 300'],
    ['plain', 'onChat', 'onFar'],
    ['libpomelo', 'code 1', 'onFar'],
    ['libpomelo2', 'code 1', 'code 300'],
  ])('gives pushes to %s as %s and %s', (profile, near, far) => {
    expect(seen(wireOf(profile).push('onChat', body)).route).toBe(near);
    expect(seen(wireOf(profile).push('onFar', body)).route).toBe(far);
  });

  test('is read of every client', () => {
    const message = new Message();
    expect(wireOf('plain').decode(Buffer.from('0300017b7d', 'hex'), message)).toBeNull();
    expect(message.route).toBe('onChat');
    expect(wireOf('plain').decode(Buffer.from('0300097b7d', 'hex'), message)).toBe(
      'unknown_route_code',
    );
  });
});

test('a handshake says dictionary and protos, as Pomelo does, unless the client has them', () => {
  const pomelo = dialect();
  const body = (sys: Record<string, unknown>): Record<string, unknown> => {
    const encoded = pomelo.accept(handshake(sys), undefined) as Buffer;
    return JSON.parse(encoded.subarray(packetOffset(encoded) + 4).toString()) as Record<
      string,
      unknown
    >;
  };
  const full = body({})['sys'] as Record<string, unknown>;
  expect(Object.keys(full)).toEqual(
    'heartbeat dict routeToCode codeToRoute dictVersion useDict protos useProto'.split(' '),
  );
  const { version } = full['protos'] as { version: string };
  const cached = body({ dictVersion: full['dictVersion'], protoVersion: version })['sys'];
  expect(cached).toEqual({ heartbeat: 30, useDict: true, useProto: true });
});

describe('signatures', () => {
  const unsigned = said('{"a":1}');
  test.each(['drop', 'close'] as const)('that are missing: %s', (signatures) => {
    const wire = wireOf('pomelo', { signatures });
    expect(wire.readBody({ wire, publicKey: null }, unsigned, false)).toBe(signatures);
    expect(wire.readBody({ wire, publicKey: null }, unsigned, true)).toBe(signatures);
  });

  test('that are missing: error', () => {
    const wire = wireOf('pomelo', { signatures: 'error' });
    const outcome = wire.readBody({ wire, publicKey: null }, unsigned, false);
    expect(outcome).toMatchObject({ code: 403 });
  });
});

describe('a refusal on a route that serverProtos know', () => {
  const { wire } = dialect();
  const said = (more: Partial<Failure>) =>
    seen(wire.failure(1, 'a.b.c', { ...failure('FORBIDDEN'), ...more }, 'auto')).body;

  test('in protobuf passes as it is', () => {
    const bytes = Buffer.from('0a0161', 'hex');
    expect(said({ bytes })).toEqual(bytes);
  });

  test('in JSON is written in it: the own one with a code, else the standard one', () => {
    const body = Buffer.from('{"code":7}');
    expect(said({ body, bytes: body })).toEqual(Buffer.from('0807', 'hex'));
    expect(said({ bytes: Buffer.from('{}') })).toEqual(Buffer.from('089303', 'hex'));
  });
});
