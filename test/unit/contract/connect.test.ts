/** The handshake's question and answer, in protobuf and in JSON, against a conformant implementation of both. */
import { readFileSync } from 'node:fs';
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { JSON_DEPTH_MAX_TO_BACKENDS, nestsTooDeep } from '../../../src/contract/json.ts';
import { connectJson, readConnectResponse } from '../../../src/contract/json-shapes.ts';
import {
  decodeConnectResponse,
  EXPIRED,
  NO_OUTCOME,
} from '../../../src/contract/protobuf-shapes.ts';
import { encodeStruct } from '../../../src/contract/struct.ts';
import { WireReader, WireWriter } from '../../../src/contract/protobuf-wire.ts';
import type { Failure } from '../../../src/errors.ts';
import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import type { Accepted, JsonObject } from '../../../src/contract/commands.ts';
import {
  encodeConnect,
  encodeConnectOr,
  writeConnect,
} from '../../../src/contract/gateway-frames.ts';
import { connect } from '../session/support.ts';
import { decodeToBackend, jsonObjects, text, uint32 } from './reference.ts';
import type { ConnectFacts } from '../../../src/contract/facts.ts';

const files = createFileRegistry(
  fromBinary(
    FileDescriptorSetSchema,
    readFileSync(new URL('../../../src/gen/pith.binpb', import.meta.url)),
  ),
);
const request: DescMessage = files.getMessage('pith.v1.ConnectRequest')!;
const response: DescMessage = files.getMessage('pith.v1.ConnectResponse')!;
const inOurNames = { useProtoFieldName: true, alwaysEmitImplicit: true };

function openSession() {
  const { session } = connect({ n: 12 });
  session.clientType = 'js';
  session.clientVersion = '1.2';
  return session;
}

function factsOf(more: Partial<ConnectFacts> = {}): ConnectFacts {
  const session = openSession();
  return { session, user: {}, sys: {}, headers: {}, resumed: false, refresh: false, ...more };
}

/** As it would be printed: -0 is 0. */
function plain(value: JsonValue): JsonValue {
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}

const printed = jsonObjects.map((object) => plain(object) as JsonObject);

/** What both ways to write a request say to one who reads by the book. */
function asRead(facts: ConnectFacts): { wire: JsonValue; json: JsonValue } {
  const written = JSON.parse(JSON.stringify(connectJson(facts))) as JsonValue;
  return {
    wire: plain(toJson(request, fromBinary(request, encodeConnect(facts)), inOurNames)),
    json: plain(toJson(request, fromJson(request, written), inOurNames)),
  };
}

/** What both ways to read a response make of one that was written by the book. */
function outcomes(value: JsonValue): (Accepted | Failure)[] {
  const message = fromJson(response, value);
  const wire = Buffer.from(toBinary(response, message));
  return [
    decodeConnectResponse(new WireReader(wire), 1_048_576),
    readConnectResponse(Buffer.from(JSON.stringify(toJson(response, message)))),
    readConnectResponse(Buffer.from(JSON.stringify(toJson(response, message, inOurNames)))),
  ];
}

const readJson = (value: unknown): Accepted | Failure =>
  readConnectResponse(Buffer.from(JSON.stringify(value)));

describe('a ConnectRequest', () => {
  test('says everything of the session, in protobuf as in JSON', () => {
    const session = openSession();
    const facts = factsOf({
      session,
      resumed: true,
      headers: { 'User-Agent': 'Unity ä', empty: '' },
    });
    session.uid = 'zoë';
    session.boundAtWall = Date.parse('2026-01-02T03:05:00.5Z');
    session.version = 7;
    session.data['room'] = { id: 1 };
    session.groups = new Set(['a', 'b']);
    const { wire, json } = asRead(facts);
    expect(wire).toEqual({
      session: {
        sid: 'g-0123456789.12',
        uid: 'zoë',
        gateway: 'g-0123456789',
        remote_ip: '192.0.2.7',
        client_type: 'js',
        client_version: '1.2',
        opened_at: new Date(session.openedAtWall).toISOString().replace('.000Z', 'Z'),
        data: { room: { id: 1 } },
        version: '7',
        groups: ['a', 'b'],
        transport: 'tcp',
        dialect: 'pomelo',
        bound_at: '2026-01-02T03:05:00.500Z',
      },
      user: {},
      sys: {},
      headers: { 'User-Agent': 'Unity ä', empty: '' },
      resumed: true,
      refresh: false,
    });
    expect(json).toEqual(wire);
  });

  test('has the names of the .proto in JSON, and zero values', () => {
    const session = openSession();
    session.boundAtWall = 1_000;
    const written = JSON.parse(JSON.stringify(connectJson(factsOf({ session })))) as Record<
      string,
      object
    >;
    expect(Object.keys(written)).toEqual(request.fields.map(({ name }) => name));
    expect(Object.keys(written['session']!)).toEqual(
      // What Control alone says is not for backends.
      files
        .getMessage('pith.v1.Session')!
        .fields.map(({ name }) => name)
        .filter((name) => name !== 'rest' && name !== 'stats'),
    );
    expect(written).toMatchObject({ user: {}, headers: {}, refresh: false, session: { uid: '' } });
  });

  test("has the client's blocks as they came, whatever is in them", () => {
    fc.assert(
      fc.property(printed, printed, text, (user, sys, header) => {
        const { wire, json } = asRead(factsOf({ user, sys, headers: { header }, refresh: true }));
        expect(wire).toMatchObject({ user, sys, headers: { header }, refresh: true });
        expect(json).toEqual(wire);
      }),
      { numRuns: 50 },
    );
  });

  test('says each number in JSON as the client did, and none otherwise in a Struct', () => {
    const said = '{"a":1.0,"b":[10.0,1E+2],"c":{"d":0.1}}';
    const user = parseAsWritten(said) as JsonObject;
    expect(JSON.stringify(connectJson(factsOf({ user })).user)).toBe(said);
    const { wire } = asRead(factsOf({ user }));
    expect(wire).toMatchObject({ user: { a: 1, b: [10, 100], c: { d: 0.1 } } });
  });

  test.each([
    ['{"a":9007199254740993}', "user.a is 9007199254740993, which a Struct's"],
    ['{"a":[{"b":1e400}]}', "user.a[0].b is 1e400, which a Struct's"],
    ['{"a":[1,-1e-400]}', "user.a[1] is -1e-400, which a Struct's"],
    ['{"a":{"b":"\\ud800"}}', 'user.a.b holds half a character'],
    ['{"\\udc00":1}', 'user holds half a character'],
  ])('%s cannot be said in a Struct, and passes in JSON', (said, words) => {
    const user = parseAsWritten(said) as JsonObject;
    expect(encodeConnectOr(factsOf({ user }))).toMatchObject({
      reason: 'BAD_BODY',
      message: expect.stringContaining(words) as string,
    });
    expect(JSON.stringify(connectJson(factsOf({ user })).user)).toBe(said);
  });

  test('is a frame of a Link, with its number', () => {
    fc.assert(
      fc.property(uint32, jsonObjects, (id, user) => {
        const writer = new WireWriter(16);
        writeConnect(writer, id, encodeConnect(factsOf({ user })));
        const [frame, ...more] = decodeToBackend(writer.take());
        expect(more).toEqual([]);
        expect(frame).toMatchObject({ id, frame: 'connect', connect: { resumed: false } });
      }),
      { numRuns: 20 },
    );
  });

  test('with as much in it as a packet holds is written once, and all of it', () => {
    const wide = { list: Array.from({ length: 30_000 }, (_, i) => i) };
    const long = { text: '你'.repeat(20_000) };
    const many = Object.fromEntries(wide.list.slice(0, 5_000).map((i) => [`key ${i}`, {}]));
    for (const user of [wide, long, many]) {
      expect(encodeStruct(user).length).toBeGreaterThan(60_000);
      expect(asRead(factsOf({ user })).wire).toMatchObject({ user });
    }
  });

  test('that is nested as deep as may be sent is read where a hundred messages deep is the limit', () => {
    let objects: JsonObject = {};
    for (let i = 1; i < JSON_DEPTH_MAX_TO_BACKENDS; i++) objects = { o: objects };
    expect(nestsTooDeep(objects, JSON_DEPTH_MAX_TO_BACKENDS)).toBe(false);
    expect(nestsTooDeep({ o: objects }, JSON_DEPTH_MAX_TO_BACKENDS)).toBe(true);
    const writer = new WireWriter();
    writeConnect(writer, 1, encodeConnect(factsOf({ user: objects, sys: objects })));
    const frames = fromBinary(files.getMessage('pith.v1.ToBackend')!, writer.take());
    expect(toJson(files.getMessage('pith.v1.ToBackend')!, frames)).toMatchObject({
      frames: [{ connect: { user: objects, sys: objects } }],
    });
  });
});

describe('a ConnectResponse', () => {
  test('that accepts gives what the session starts with', () => {
    fc.assert(
      fc.property(printed, printed, text, (user, set, uid) => {
        const patch = { uid, set, join: ['a', uid], leave: ['b'], if_version: '3' };
        for (const outcome of outcomes({ accept: { patch, user, expires_in: '90.5s' } })) {
          expect(outcome).toEqual({
            patch: { uid, set, join: ['a', uid], leave: ['b'], ifVersion: 3 },
            user,
            expiresInMs: 90_500,
          });
        }
      }),
      { numRuns: 50 },
    );
  });

  test('may accept with nothing, and with a user block that is empty', () => {
    for (const outcome of outcomes({ accept: {} }))
      expect(outcome).toEqual({ patch: null, user: null, expiresInMs: 0 });
    for (const outcome of outcomes({ accept: { user: {}, patch: { uid: '' } } }))
      expect(outcome).toMatchObject({ patch: { uid: '' }, user: {}, expiresInMs: 0 });
  });

  test('that refuses gives all that the error says', () => {
    const error = {
      code: 403,
      reason: 'BANNED',
      message: 'until Monday',
      retry_after: '1.5s',
      fields: { token: 'expired' },
      body: { bytes: Buffer.from('{"own":1}').toString('base64') },
    };
    const expected = {
      code: 403,
      reason: 'BANNED',
      message: 'until Monday',
      retryAfterMs: 1_500,
      fields: { token: 'expired' },
      body: null,
      bytes: Buffer.from('{"own":1}'),
      detail: '',
    };
    for (const outcome of outcomes({ error })) expect(outcome).toEqual(expected);
    for (const body of [{ text: '{"own":1}' }, { json: { own: 1 } }]) {
      for (const outcome of outcomes({ error: { ...error, body } }))
        expect({ ...outcome, bytes: Buffer.from((outcome as Failure).bytes!) }).toEqual(expected);
    }
  });

  test.each(['2147483648', '-2147483649', '"2147483648"', '9007199254740991'])(
    'that refuses with the code %s, beyond 32 bits, refuses without a code',
    (code) => {
      const json = `{"error":{"code":${code},"reason":"BANNED","message":"until Monday"}}`;
      expect(readConnectResponse(Buffer.from(json))).toMatchObject({
        code: 500,
        reason: 'BANNED',
        message: 'until Monday',
      });
    },
  );

  test('may refuse without a word', () => {
    const bare = { code: 500, reason: 'BACKEND_ERROR', message: '', retryAfterMs: 0, body: null };
    for (const outcome of outcomes({ error: {} })) expect(outcome).toMatchObject(bare);
  });

  test('that says neither is no answer', () => {
    for (const outcome of outcomes({}))
      expect(outcome).toMatchObject({ reason: 'BAD_REPLY', message: NO_OUTCOME });
    for (const json of [{ accept: {}, error: {} }, { accept: null }, { Accept: {} }])
      expect(readJson(json)).toMatchObject({ reason: 'BAD_REPLY', message: NO_OUTCOME });
    expect(readConnectResponse(Buffer.alloc(0))).toMatchObject({ reason: 'BAD_REPLY' });
  });

  test('with a time that is over already does not let anybody in for ever', () => {
    for (const expires_in of ['-1s', '-0.001s', '-0.5s']) {
      for (const outcome of outcomes({ accept: { expires_in } }))
        expect(outcome, expires_in).toMatchObject({ reason: 'BAD_REPLY', message: EXPIRED });
    }
    for (const outcome of outcomes({ accept: { expires_in: '0.0001s' } }))
      expect((outcome as Accepted).expiresInMs).toBeGreaterThan(0);
  });

  test.for([
    ['no JSON', '{"accept":', 'not JSON'],
    ['no object', '[]', 'not a JSON object'],
    ['accept is no object', '{"accept":true}', 'accept is not'],
    ['a user that is no object', '{"accept":{"user":[1]}}', 'user is not'],
    ['a uid that is no string', '{"accept":{"patch":{"uid":7}}}', 'uid is not a string'],
    ['a duration in another unit', '{"accept":{"expires_in":"1h"}}', 'expires_in is not'],
    ['a duration that is a number', '{"accept":{"expiresIn":5}}', 'expires_in is not'],
    ['fields that are no strings', '{"error":{"fields":{"a":1}}}', 'fields.a is not'],
    ['nested too deeply', `{"accept":{"user":{"a":${'['.repeat(70)}${']'.repeat(70)}}}}`, 'nested'],
  ])('that cannot be read says what is wrong: %s', ([, payload, words]) => {
    const outcome = readConnectResponse(Buffer.from(payload!));
    expect(outcome).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect((outcome as Failure).message).toContain(words);
  });

  test('may have fields that only later versions know', () => {
    const accept = { user: { a: 1 }, later: { x: 1 } };
    expect(readJson({ accept, more: true })).toMatchObject({ user: { a: 1 } });
    const writer = new WireWriter();
    writer.bytes(1, Buffer.from([0xa0, 0x06, 0x01]));
    writer.bytes(99, Buffer.from('later'));
    expect(decodeConnectResponse(new WireReader(writer.take()), 1_048_576)).toMatchObject({
      user: null,
    });
  });

  test('of the two outcomes in protobuf the last counts', () => {
    const writer = new WireWriter();
    writer.bytes(1, Buffer.alloc(0));
    writer.bytes(2, Buffer.from([0x08, 0x05]));
    expect(decodeConnectResponse(new WireReader(writer.take()), 1_048_576)).toMatchObject({
      code: 5,
    });
  });

  test('is never an exception, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (payload) => {
        const outcome = readConnectResponse(Buffer.from(payload));
        expect('code' in outcome || 'expiresInMs' in outcome).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
