import { describe, expect, test } from 'vitest';

import {
  encodeHandshakeOk,
  encodeHandshakeRefusal,
  type HandshakeAnswer,
  parseHandshake,
} from '../../../src/protocol/handshake.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';
import { vector } from './vectors.ts';
import { packetBytes } from './wire.ts';

const parse = (value: unknown) => parseHandshake(Buffer.from(JSON.stringify(value)));
const parseText = (text: string) => parseHandshake(Buffer.from(text));
const NOTHING_SAID = {
  ...{ clientType: '', clientVersion: '', dictVersion: '', protoVersion: '' },
  pith: {},
};

describe('a request', () => {
  test('gives what the client says of itself', () => {
    const sys = {
      type: 'desktop',
      version: '0.3.5-release',
      dictVersion: 'd1',
      protoVersion: 'p1',
    };
    expect(parse({ sys: { ...sys, rsa: {} }, user: { token: 't', list: [1] } })).toEqual({
      sys: { ...sys, rsa: {} },
      clientType: 'desktop',
      clientVersion: '0.3.5-release',
      dictVersion: 'd1',
      protoVersion: 'p1',
      user: { token: 't', list: [1] },
      pith: {},
    });
  });

  const recorded = {
    'pkg-handshake-req': ['js-websocket', '0.0.1', {}],
    'pkg-handshake-req-unity': ['unity-socket', '0.3.0', {}],
    'pkg-handshake-req-libpitaya': ['mac', '2.1', { age: 30 }],
  } as const;
  for (const [name, [clientType, clientVersion, user]] of Object.entries(recorded)) {
    test(`of a recorded client is read: ${name}`, () => {
      const body = Buffer.from(vector(name).input.bodyHex, 'hex');
      const { sys } = JSON.parse(body.toString()) as { sys: object };
      const said = { ...NOTHING_SAID, clientType, clientVersion, sys, user };
      expect(parseHandshake(body)).toEqual(said);
    });
  }

  test('may say nothing at all', () => {
    expect(parse({ sys: {} })).toEqual({ ...NOTHING_SAID, sys: {}, user: undefined });
  });

  test('says nothing with values of a wrong type, such as the protoVersion 0 of browsers', () => {
    for (const wrong of [0, 1, true, null, [], ['x'], {}, { toString: 'x' }]) {
      const sys = { type: wrong, version: wrong, dictVersion: wrong, protoVersion: wrong };
      expect(parse({ sys })).toEqual({ ...NOTHING_SAID, sys, user: undefined });
    }
  });

  test('keeps a user block of whatever type', () => {
    for (const user of [null, 0, '', false, 'text', [1, 2], { a: { b: null } }]) {
      expect(parse({ sys: {}, user })!.user).toEqual(user);
    }
  });

  test('has what is for the gateway apart from what is for the application', () => {
    const request = parse({ sys: {}, user: { token: 't', pith: { gap: true } } })!;
    expect(request.user).toEqual({ token: 't' });
    expect(request.pith).toEqual({ gap: true });
  });

  test('asks the gateway for nothing with a user.pith of a wrong type', () => {
    for (const pith of [null, 0, 'text', [1]]) {
      const request = parse({ sys: {}, user: { token: 't', pith } })!;
      expect(request.user).toEqual({ token: 't' });
      expect(request.pith).toEqual({});
    }
    expect(parse({ sys: {}, user: [{ pith: { gap: true } }] })!.pith).toEqual({});
  });

  const refused = {
    'an empty body': '',
    'not JSON': '{"sys":{}',
    'two values': '{"sys":{}} {}',
    null: 'null',
    'a number': '1',
    'a string': '"sys"',
    'an array': '[{"sys":{}}]',
    'no sys': '{"user":{}}',
    'sys null': '{"sys":null}',
    'sys an array': '{"sys":[]}',
    'sys a string': '{"sys":"x"}',
    'sys only behind __proto__': '{"__proto__":{"sys":{}}}',
  };
  for (const [what, text] of Object.entries(refused)) {
    test(`is refused: ${what}`, () => {
      expect(parseText(text)).toBeNull();
    });
  }

  test('that is not UTF-8 is refused or read, never thrown', () => {
    expect(parseHandshake(Buffer.from('ff00fe80', 'hex'))).toBeNull();
    const body = Buffer.concat([
      Buffer.from('{"sys":{"type":"a'),
      Buffer.from([0xff, 0x22, 0x7d, 0x7d]),
    ]);
    expect(parseHandshake(body)!.clientType).toBe('a');
  });

  test.each([33, 5_000, 100_000])('nested %i deep is refused, cut off or not', (depth) => {
    const deep = '['.repeat(depth - 1) + ']'.repeat(depth - 1);
    expect(parseText(`{"sys":{"type":"x"},"user":${deep}}`)).toBeNull();
    expect(parseText(`{"sys":{"type":"x","version":${deep.slice(2)}},"user":1}`)).toBeNull();
    expect(parseText('{"sys":'.repeat(depth))).toBeNull();
  });

  test('nested 32 deep is read, and as deep as it may be', () => {
    const deep = (depth: number): string =>
      `{"sys":{"type":"x"},"user":${'['.repeat(depth - 1) + ']'.repeat(depth - 1)}}`;
    expect(parseText(deep(32))!.clientType).toBe('x');
    expect(parseHandshake(Buffer.from(deep(32)), true, undefined, 31)).toBeNull();
    expect(parseHandshake(Buffer.from(deep(1_000)), true, undefined, 1_000)).not.toBeNull();
    expect(parseHandshake(Buffer.from(deep(1_001)), true, undefined, 1_000)).toBeNull();
  });

  test('with __proto__ and constructor keys pollutes nothing and inherits nothing', () => {
    const evil = '{"type":"evil","polluted":1}';
    const request = parseText(
      `{"__proto__":${evil},"sys":{"__proto__":${evil},"constructor":{"prototype":${evil}}},` +
        `"user":{"__proto__":${evil}}}`,
    )!;
    expect(request.clientType).toBe('');
    expect('polluted' in {}).toBe(false);
    expect(Object.getPrototypeOf(request.user)).toBe(Object.prototype);
  });
});

describe('the name of a client', () => {
  const nameOf = (type: string) => parse({ sys: { type } })!.clientType;

  test('is cut to 64 bytes', () => {
    expect(nameOf('a'.repeat(200))).toBe('a'.repeat(64));
    expect(nameOf('a'.repeat(64))).toBe('a'.repeat(64));
    expect(parse({ sys: { version: '1'.repeat(200) } })!.clientVersion).toBe('1'.repeat(64));
  });

  test('loses a character that the cut would halve', () => {
    expect(nameOf('你'.repeat(100))).toBe('你'.repeat(21));
    for (const lead of ['', 'a', 'ab', 'abc']) {
      const name = nameOf(lead + '😂'.repeat(50));
      expect(name).toBe(lead + '😂'.repeat(Math.floor((64 - lead.length) / 4)));
    }
  });

  test('loses its control characters, those of C1 too', () => {
    for (const code of Array.from({ length: 0xa0 }, (_, i) => i)) {
      if (code >= 0x20 && code < 0x7f) continue;
      expect(nameOf(`a${String.fromCharCode(code)}b`), `U+${code.toString(16)}`).toBe('ab');
    }
    expect(nameOf('a\u00a0é b')).toBe('a\u00a0é b');
    expect(nameOf('a\r\nX-Header: b')).toBe('aX-Header: b');
  });
});

describe('an accepting answer', () => {
  const routes = { 'a.b.c': 1, onChat: 2 };
  const dictionary = new RouteDictionary(routes);
  const protos = { server: { onChat: { 'required string msg': 1 } }, client: {}, version: 'p1' };
  const requestWith = (sys: object) => parse({ sys })!;
  const answerTo = (sys: object, answer: HandshakeAnswer) => {
    const encoded = encodeHandshakeOk(requestWith(sys), answer)!;
    return encoded.subarray(packetOffset(encoded)).toString('latin1');
  };
  const packet = (json: string) => packetBytes(1, Buffer.from(json)).toString('latin1');
  const dictKeys =
    '"dict":{"a.b.c":1,"onChat":2},"routeToCode":{"a.b.c":1,"onChat":2},' +
    '"codeToRoute":{"1":"a.b.c","2":"onChat"},"dictVersion":"VFFZ05sAR/XENxZE3GiH1A=="';
  const protoKeys =
    '"protos":{"server":{"onChat":{"required string msg":1}},"client":{},"version":"p1"}';

  test('has a heartbeat only where there is one', () => {
    expect(answerTo({}, { heartbeatSeconds: 0 })).toBe(packet('{"code":200,"sys":{}}'));
    const recorded = Buffer.from(vector('pkg-handshake-resp-200').hex!, 'hex').toString('latin1');
    expect(answerTo({}, { heartbeatSeconds: 3 })).toBe(recorded);
  });

  test('has all keys of dictionary and protos, in the order of Pomelo, for a client that holds none', () => {
    expect(answerTo({}, { heartbeatSeconds: 1, dictionary, protos, user: { a: '😂' } })).toBe(
      packet(
        `{"code":200,"sys":{"heartbeat":1,${dictKeys},"useDict":true,${protoKeys},"useProto":true},` +
          '"user":{"a":"\\ud83d\\ude02"}}',
      ),
    );
  });

  test('has them all again for a client that holds another version', () => {
    const sys = { dictVersion: 'old', protoVersion: 'P1' };
    expect(answerTo(sys, { heartbeatSeconds: 0, dictionary, protos })).toBe(
      packet(`{"code":200,"sys":{${dictKeys},"useDict":true,${protoKeys},"useProto":true}}`),
    );
  });

  test('leaves each of them out, all keys together, for a client that holds that version', () => {
    const answer = { heartbeatSeconds: 1, dictionary, protos };
    expect(answerTo({ dictVersion: dictionary.version }, answer)).toBe(
      packet(`{"code":200,"sys":{"heartbeat":1,"useDict":true,${protoKeys},"useProto":true}}`),
    );
    expect(answerTo({ protoVersion: 'p1' }, answer)).toBe(
      packet(`{"code":200,"sys":{"heartbeat":1,${dictKeys},"useDict":true,"useProto":true}}`),
    );
    const cached = Buffer.from(vector('server-handshake-cached').hex!, 'hex').toString('latin1');
    expect(answerTo({ dictVersion: dictionary.version, protoVersion: 'p1' }, answer)).toBe(cached);
  });

  test('has a user block unless it is undefined', () => {
    expect(answerTo({}, { heartbeatSeconds: 0, user: null })).toBe(
      packet('{"code":200,"sys":{},"user":null}'),
    );
    expect(answerTo({}, { heartbeatSeconds: 0, user: undefined })).toBe(
      packet('{"code":200,"sys":{}}'),
    );
  });
});

describe('a refusing answer', () => {
  test('has the code and nothing else', () => {
    for (const code of [500, 501, 503] as const) {
      const encoded = encodeHandshakeRefusal(code)!;
      const packet = packetBytes(1, Buffer.from(`{"code":${code}}`)).toString('hex');
      expect(encoded.toString('hex')).toBe(`8210${packet}`);
    }
    const recorded = vector('pkg-handshake-resp-501').hex;
    expect(encodeHandshakeRefusal(501)!.subarray(2).toString('hex')).toBe(recorded);
  });
});

describe('the route dictionary', () => {
  test('finds routes and codes both ways and nothing else', () => {
    const dictionary = new RouteDictionary({ 'b.b.b': 65_535, 'a.a.a': 1, __proto: 2 });
    expect(dictionary.size).toBe(3);
    expect([1, 2, 65_535].map((code) => dictionary.routeOf(code))).toEqual([
      'a.a.a',
      '__proto',
      'b.b.b',
    ]);
    expect(dictionary.codeOf('b.b.b')).toBe(65_535);
    for (const code of [0, 3, -1, 65_536]) expect(dictionary.routeOf(code)).toBeUndefined();
    for (const route of ['', 'toString', '__proto__', 'B.B.B']) {
      expect(dictionary.codeOf(route)).toBeUndefined();
    }
    expect(JSON.stringify(dictionary.routes)).toBe('{"1":"a.a.a","2":"__proto","65535":"b.b.b"}');
  });

  test('refuses codes that two bytes cannot say, code 0, and two routes with one code', () => {
    for (const code of [0, -1, 65_536, 1.5, NaN]) {
      expect(() => new RouteDictionary({ x: code })).toThrow(RangeError);
    }
    expect(() => new RouteDictionary({ x: 7, y: 7 })).toThrow('routes x and y share code 7');
  });

  test('does not change when what it was made of does', () => {
    const codes: Record<string, number> = { x: 1 };
    const dictionary = new RouteDictionary(codes);
    codes['y'] = 2;
    expect(dictionary.codes).toEqual({ x: 1 });
    expect(Object.isFrozen(dictionary.codes)).toBe(true);
  });
});
