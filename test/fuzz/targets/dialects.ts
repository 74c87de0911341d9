/** Handshakes, dictionaries, signatures, and whole messages in each dialect, both ways; read back by our own client. */
import { createHash, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';

import { Protos as ClientProtos } from '../../../src/client/protobuf.ts';
import { decodeMessage as decodeByClient } from '../../../src/client/messages.ts';
import { PROFILES, profileOf } from '../../../src/dialect/client-profile.ts';
import { JsonDialect } from '../../../src/dialect/json.ts';
import { NanoDialect } from '../../../src/dialect/nano.ts';
import { PitayaDialect } from '../../../src/dialect/pitaya.ts';
import { PomeloDialect } from '../../../src/dialect/pomelo.ts';
import { readPublicKey, verified } from '../../../src/dialect/signature.ts';
import type { CodecContext, Dialect, Wire } from '../../../src/dialect/wire.ts';
import { failure, isFailure } from '../../../src/errors.ts';
import { parseHandshake, readHandshake } from '../../../src/protocol/handshake.ts';
import { Message, MessageKind } from '../../../src/protocol/message.ts';
import { type Encoded, packetOffset } from '../../../src/protocol/packet.ts';
import { Protos, protosVersion } from '../../../src/protocol/protobuf/protos.ts';
import { RouteDictionary } from '../../../src/protocol/route-dictionary.ts';
import { ManualClock } from '../../support/clock.ts';
import { check, orError, same, type Target } from '../target.ts';

const HEAD_BYTES = 4;
const INFLATE_MAX = 100_000;
const clock = new ManualClock();
const dictionary = new RouteDictionary({ 'a.b.c': 1, onX: 0xffff });
const file = {
  'a.b.c': { 'optional string t': 1, 'repeated uInt32 n': 2 },
  onX: { 'optional double d': 1 },
};
const protos = Protos.of(file);
const project = { client: protos, server: protos, version: protosVersion(protos, protos) };
const pomelo = {
  heartbeatSeconds: 3,
  dictionary,
  protos: project,
  signatures: null,
  profile: 'auto',
} as const;
const ofPitaya = {
  heartbeatSeconds: 3,
  dictionary,
  serializer: 'json',
  compress: true,
  inflateBytesMax: INFLATE_MAX,
} as const;

const DIALECTS: Readonly<Record<string, Dialect>> = {
  pomelo: new PomeloDialect(pomelo),
  signed: new PomeloDialect({ ...pomelo, signatures: 'error' }),
  pitaya: new PitayaDialect(ofPitaya),
  proto: new PitayaDialect({ ...ofPitaya, serializer: 'protobuf' }),
  nano: new NanoDialect({ heartbeatSeconds: 3, dictionary, answerErrors: true, clock }),
  json: new JsonDialect(),
};

const MODULUS = 'c3'.repeat(64);
const HANDSHAKES = [
  `{"sys":{"type":"js-websocket","rsa":{"rsa_n":"${MODULUS}","rsa_e":"10001"}}}`,
  '{"sys":{"type":"js-websocket","version":"0.0.1","rsa":{},"protoVersion":0},"user":{"a":1}}',
  '{"sys":{"platform":"mac","clientVersion":"1.0","dictVersion":"x"}}',
  '{"sys":{"type":"COCOS_CREATOR","version":"0.4.0-release"}}',
  '{"sys":{},"user":{"pith":{"resume":"","cursor":1},"__proto__":{"pith":2},"token":"t"}}',
  '{"handshake":{"user":{"pith":[1]}}}',
  '{"handshake":{"sys":{"type":"x\\u0000\\u0085"},"user":[9007199254740993]}}',
  '{"user":null}',
];

const handshake: Target = {
  name: 'handshake',
  drives: [
    'protocol/handshake.ts parseHandshake',
    'protocol/handshake.ts readHandshake',
    'dialect/signature.ts readPublicKey',
  ],
  forms: ['json'],
  seeds: HANDSHAKES,
  run(input) {
    for (const needsSys of [true, false]) {
      const read = parseHandshake(input, needsSys);
      if (read === null) continue;
      for (const name of [read.clientType, read.clientVersion]) {
        check(Buffer.byteLength(name) <= 64 + 2, "a client's name is short", name);
        check(
          !/[\u0000-\u001f\u007f-\u009f]/.test(name),
          "a client's name has no control characters",
          name,
        );
      }
      same(
        readHandshake(JSON.parse(JSON.stringify({ sys: read.sys, user: read.user })), needsSys)
          ?.clientType,
        read.clientType,
        'the same twice',
      );
      check(PROFILES[profileOf(read)] !== undefined, 'there is a profile');
      const { user } = read;
      check(
        typeof user !== 'object' || user === null || !Object.hasOwn(user, 'pith'),
        'what is for the gateway is taken out',
        user,
      );
      check(!Array.isArray(read.pith) && typeof read.pith === 'object', 'it is an object');
      const key = readPublicKey(read.sys);
      if (key !== null) check(key.asymmetricKeyType === 'rsa', 'a key is RSA');
    }
    for (const dialect of Object.values(DIALECTS)) {
      const read = dialect.readHandshake(input);
      if (read === null) continue;
      const accepted = dialect.accept(read, read.user);
      if (isFailure(accepted)) continue;
      const body = accepted.subarray(
        packetOffset(accepted) + (dialect.name === 'json' ? 0 : HEAD_BYTES),
      );
      if (dialect.name === 'pitaya' && body[0] !== 0x7b) continue;
      const answer = JSON.parse(body.toString()) as Record<string, unknown>;
      const { code, user } = (dialect.name === 'json' ? answer['handshake'] : answer) as Record<
        string,
        unknown
      >;
      same(code, 200, 'the answer is the one of success');
      same(user ?? null, plainJson(read.user) ?? null, "the user's block comes back");
      dialect.refuse(500, { ...failure('FORBIDDEN', read.clientType), retryAfterMs: 5 });
    }
  },
};

function plainJson(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

const routes: Target = {
  name: 'route-dictionary',
  drives: ['protocol/route-dictionary.ts RouteDictionary'],
  forms: ['json'],
  seeds: [
    '{"a.b.c":1,"onX":65535,"é":2}',
    '{"a":1,"b":1}',
    '{"a":0}',
    '{"a":1.5}',
    '{"10":3,"9":4,"constructor":7}',
  ],
  run(input) {
    let codes: unknown;
    try {
      codes = JSON.parse(input.toString());
    } catch {
      return;
    }
    if (typeof codes !== 'object' || codes === null) return;
    const entries = Object.entries(codes as Record<string, number>);
    const made = orError(() => new RouteDictionary(codes as Record<string, number>), RangeError);
    const isValid =
      entries.every(([, code]) => Number.isInteger(code) && code >= 1 && code <= 0xffff) &&
      new Set(entries.map(([, code]) => code)).size === entries.length;
    check(made instanceof Error === !isValid, 'codes are whole, in range, and each of one route');
    if (made instanceof Error) return;
    same(made.size, entries.length, 'every route has a code');
    for (const [route, code] of entries) {
      same(made.codeOf(route), code, 'the code of a route');
      same(made.routeOf(code), route, 'the route of a code');
      same(made.routes[String(code)], route, 'the route of a code, as it is sent');
    }
    same(
      made.version,
      createHash('md5').update(JSON.stringify(codes)).digest('base64'),
      "the version is Pomelo's",
    );
  },
};

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 512 });
const publicKey = createPublicKey(privateKey);

const signature: Target = {
  name: 'signature',
  drives: ['dialect/signature.ts verified'],
  forms: ['json'],
  seeds: [
    '{"a":1}',
    '{"a":"é","__crypto__":"00ff"}',
    '{}',
    '{"__crypto__":""}',
    '[1]',
    '{"a":"\\"__crypto__\\":\\""}',
  ],
  run(input) {
    verified(input, publicKey);
    let value: unknown;
    try {
      value = JSON.parse(input.toString());
    } catch {
      return;
    }
    if (
      typeof value !== 'object' ||
      value === null ||
      Array.isArray(value) ||
      Object.hasOwn(value, '__crypto__')
    )
      return;
    // As a client does: the text, and behind it the signature as its last key.
    const text = JSON.stringify(value);
    const hex = sign('sha256', Buffer.from(text), privateKey).toString('hex');
    const signed = `${text.slice(0, -1)}${text === '{}' ? '' : ','}"__crypto__":"${hex}"}`;
    same(
      verified(Buffer.from(signed), publicKey)?.toString(),
      text,
      'what is signed is read as it was',
    );
    const wrong = hex.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    check(
      verified(Buffer.from(signed.replace(hex, wrong)), publicKey) === null,
      'a wrong signature is refused',
    );
  },
};

const MESSAGES = [
  Buffer.from('000105612e622e637b7d', 'hex'),
  Buffer.from('010100017b2274223a2265cc81227d', 'hex'),
  Buffer.from('0101000108610a0178', 'hex'),
  Buffer.from('0205612e622e635b5d', 'hex'),
  Buffer.concat([Buffer.from('100205612e622e63', 'hex'), deflateSync('{"z":1}')]),
  Buffer.concat([Buffer.from('100205612e622e63', 'hex'), gzipSync('x'.repeat(200))]),
  Buffer.from('{"id":5,"route":"a.b.c","body":{"x":[1.0]}}'),
  Buffer.from('{"route":"onX","id":"7","body":null}'),
];

/** The body of a packet, or the text of a message. */
function payloadOf(dialect: Dialect, encoded: Encoded): Buffer {
  return encoded.subarray(packetOffset(encoded) + (dialect.name === 'json' ? 0 : HEAD_BYTES));
}

/** What the client gets: its body, and whether it is marked as compressed. */
function answerBody(dialect: Dialect, encoded: Encoded): { body: Buffer; isCompressed: boolean } {
  const payload = payloadOf(dialect, encoded);
  if (dialect.name === 'json') {
    const text = payload.toString();
    JSON.parse(text);
    // The body as it is: its numbers may be more than a double holds.
    const [head] = /^\{"id":[0-9]+,"(?:body|error)":/.exec(text) ?? [''];
    check(head !== '', 'an answer has its id, and a body or an error');
    return { body: Buffer.from(text.slice(head.length, -1)), isCompressed: false };
  }
  const read = decodeByClient(payload);
  check(typeof read !== 'string', 'our client reads what we write', read);
  return { body: Buffer.from(read.body), isCompressed: read.isCompressed };
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

const WHY = {
  ...failure('BAD_REPLY', 'a text with "quotes" and 😀'),
  retryAfterMs: 7,
  fields: { 'a[0]': 'x' },
};

function dialectTarget(name: string): Target {
  const dialect = DIALECTS[name]!;
  return {
    name: `dialect-${name}`,
    drives: [`dialect/${dialect.name}.ts ${dialect.constructor.name}`],
    forms: dialect.name === 'json' ? ['json'] : ['bytes', 'json'],
    seeds: MESSAGES,
    run(input) {
      const { wire } = dialect;
      const message = new Message();
      const fault = wire.decode(input, message);
      const context: CodecContext = { wire, publicKey: name === 'signed' ? publicKey : null };
      if (fault !== null) return;
      const { rawId, route, wantsAnswer } = message;
      check(
        Number.isSafeInteger(wire.idOf(rawId)) && wire.idOf(rawId) >= 0,
        'an id is a whole number',
        rawId,
      );
      check(!wantsAnswer || message.kind === MessageKind.REQUEST, 'only requests want an answer');
      for (const raw of [true, false]) {
        const body = wire.readBody(context, message, raw);
        if (typeof body === 'string' || isFailure(body)) continue;
        check(body.length <= INFLATE_MAX + 6 * input.length, 'a body is bounded', body.length);
        if (!wantsAnswer) continue;
        answers(dialect, wire, { rawId, route, body });
      }
    },
  };
}

/** The client gets the body that was read back as an answer. */
function answers(
  dialect: Dialect,
  wire: Wire,
  { rawId, route, body }: { rawId: number; route: string; body: Buffer },
): void {
  for (const codec of ['auto', 'raw', 'protobuf'] as const) {
    const encoded = wire.answer(rawId, route, body, codec);
    if (isFailure(encoded)) continue;
    const got = answerBody(dialect, encoded);
    if (codec === 'raw' && dialect.name !== 'json' && !got.isCompressed && body.length > 0)
      same(got.body, body, 'a raw body passes unchanged');
    if (codec === 'auto' && isJson(body) && !got.isCompressed && !protos.knows(route))
      same(
        JSON.parse(got.body.toString()),
        JSON.parse(body.toString()),
        'JSON is the same value for the client',
      );
    if (
      codec === 'auto' &&
      protos.knows(route) &&
      dialect.name === 'pomelo' &&
      isJson(body) &&
      body[0] === 0x7b
    ) {
      const theirs = orError(() => new ClientProtos(protos.parsed).decode(route, got.body), Error);
      check(!(theirs instanceof Error), 'our client reads the protobuf that we write', theirs);
    }
    const failed = wire.failure(rawId, route, WHY, codec);
    if (failed !== null && codec === 'auto')
      check(
        answerBody(dialect, failed).body.length > 0 || protos.knows(route),
        'an error has a body',
      );
  }
  wire.push(route, body);
}

export const targets: readonly Target[] = [
  handshake,
  routes,
  signature,
  ...Object.keys(DIALECTS).map(dialectTarget),
];
