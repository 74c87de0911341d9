import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { decodeConnectResponse, decodeReply } from '../../../src/contract/protobuf-shapes.ts';
import { WireError, WireWriter } from '../../../src/contract/protobuf-wire.ts';
import type { Close, Delivery, Patch, Push, Target } from '../../../src/contract/commands.ts';
import { readToGateway } from '../../../src/contract/backend-frames.ts';
import * as reference from './reference.ts';

const {
  bytes,
  encodeToGateway,
  jsonObjects,
  kept,
  ms,
  someText,
  text,
  toDuration,
  toStruct,
  toValue,
} = reference;

type Got = { kind: string; id: number; value: unknown };

/** Everything that our reader gives, in its order: the same whether or not bodies alone are asked for. */
function read(message: Buffer): Got[] {
  const got = readAs(message, false);
  expect(readAs(message, true)).toEqual(got);
  return got;
}

function readAs(message: Buffer, takesBodies: boolean): Got[] {
  const got: Got[] = [];
  const log = (kind: string, id: number, value: unknown) => got.push({ kind, id, value });
  readToGateway(message, {
    convertBytesMax: 1_048_576,
    onHello: (hello, features) => log('hello', 0, { ...hello, features }),
    onReply: (id, reader) => log('reply', id, decodeReply(reader, 1_048_576)),
    onConnect: (id, reader) => log('connect', id, decodeConnectResponse(reader, 1_048_576)),
    onPush: (id, push) => log('push', id, push),
    onVerb: (id, verb) => log('verb', id, verb),
    onCredit: (credit) => log('credit', 0, credit),
    onGoaway: (reason) => log('goaway', 0, reason),
    onExtend: (id, timeoutMs) => log('extend', id, timeoutMs),
    ...(takesBodies && { onBody: (id: number, body: Buffer) => log('reply', id, body) }),
  });
  return got;
}

/** The one reply of a message. */
function reply(fields: object): unknown {
  const [got, ...more] = read(encodeToGateway([{ id: 7, reply: fields }]));
  expect(more).toEqual([]);
  expect(got).toMatchObject({ kind: 'reply', id: 7 });
  return got!.value;
}

const DELIVERIES: readonly Delivery[] = ['must', 'droppable', 'latest'];
const names = fc.array(text, { maxLength: 3 });

const patches: fc.Arbitrary<Patch> = fc.record(
  {
    uid: text,
    set: jsonObjects,
    join: fc.array(text, { minLength: 1, maxLength: 3 }),
    leave: fc.array(text, { minLength: 1, maxLength: 3 }),
    ifVersion: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  },
  { requiredKeys: [] },
);
function protoPatch({ uid, set, join, leave, ifVersion }: Patch): object {
  return {
    ...(uid !== undefined && { uid }),
    ...(set && { set: toStruct(set) }),
    ...(join && { join }),
    ...(leave && { leave }),
    ...(ifVersion !== undefined && { if_version: ifVersion }),
  };
}

const closes: fc.Arbitrary<Close> = fc.record({
  reason: text,
  code: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  kick: fc.boolean(),
  retryAfterMs: ms,
});
function protoClose({ retryAfterMs, ...close }: Close): object {
  return { ...close, retry_after: toDuration(retryAfterMs) };
}

const targets: fc.Arbitrary<Target> = fc.record(
  {
    sids: names,
    uids: names,
    groups: names,
    exceptSids: names,
    exceptUids: names,
    all: fc.constant(true),
    local: fc.constant(true),
    where: jsonObjects,
  },
  { requiredKeys: ['sids', 'uids', 'groups', 'exceptSids', 'exceptUids'] },
);
function protoTarget({ exceptSids, exceptUids, where, local, ...same }: Target): object {
  return {
    ...same,
    except_sids: exceptSids,
    except_uids: exceptUids,
    ...(where && { where: toStruct(where) }),
    ...(local && { scope: 1 }),
  };
}

const pushes: fc.Arbitrary<Push> = fc.record({
  target: fc.option(targets),
  route: text,
  body: bytes,
  delivery: fc.constantFrom(...DELIVERIES),
  latestKey: text,
  expiresInMs: ms,
  afterReply: fc.boolean(),
});
function protoPush({ target, route, body, delivery, ...rest }: Push): object {
  return {
    ...(target && { target: protoTarget(target) }),
    route,
    body: { bytes: body },
    delivery: DELIVERIES.indexOf(delivery),
    latest_key: rest.latestKey,
    expires_in: toDuration(rest.expiresInMs),
    after_reply: rest.afterReply,
  };
}

describe('a reply with a body and nothing else', () => {
  test('is its bytes', () => {
    fc.assert(
      fc.property(bytes, (body) => {
        expect(reply({ body: { bytes: body } })).toEqual(body);
      }),
    );
  });

  test('may be text or any JSON', () => {
    fc.assert(
      fc.property(jsonObjects, someText, (object, words) => {
        const json = reply({ body: { json: toValue(object) } }) as Buffer;
        expect(JSON.parse(json.toString())).toEqual(JSON.parse(JSON.stringify(kept(object))));
        expect(Buffer.from(reply({ body: { text: words } }) as Uint8Array).toString()).toBe(words);
      }),
    );
  });

  test('may be empty in every way', () => {
    for (const fields of [{}, { body: {} }, { body: { bytes: Buffer.alloc(0) } }]) {
      expect(reply(fields)).toHaveLength(0);
    }
  });
});

describe('a reply with more', () => {
  test('an error with all that it can say', () => {
    fc.assert(
      fc.property(text, ms, fc.dictionary(someText, text), bytes, (words, retry, fields, body) => {
        const own = Object.fromEntries(Object.entries(fields).filter(([k]) => k !== '__proto__'));
        const error = {
          code: -5,
          reason: 'SOLD_OUT',
          message: words,
          retry_after: toDuration(retry),
          fields: own,
          body: { bytes: body },
        };
        expect(reply({ error })).toEqual({
          body: Buffer.alloc(0),
          failure: {
            code: -5,
            reason: 'SOLD_OUT',
            message: words,
            retryAfterMs: Math.min(retry, 86_400_000),
            fields: Object.keys(own).length === 0 ? null : own,
            body: null,
            bytes: body.length === 0 ? null : body,
            detail: '',
          },
          patch: null,
          pushes: [],
          close: null,
        });
      }),
    );
  });

  test('an error that says nothing is the backend failing', () => {
    const failure = {
      code: 500,
      reason: 'BACKEND_ERROR',
      message: '',
      retryAfterMs: 0,
      body: null,
    };
    expect(reply({ error: {} })).toMatchObject({ failure });
  });

  test('a patch, pushes and a close', () => {
    fc.assert(
      fc.property(bytes, patches, fc.array(pushes, { maxLength: 3 }), closes, (...sent) => {
        const [body, patch, sentPushes, close] = sent;
        const fields = {
          body: { bytes: body },
          patch: protoPatch(patch),
          pushes: sentPushes.map(protoPush),
          close: protoClose(close),
        };
        expect(reply(fields)).toEqual(
          kept({ body, failure: null, patch, pushes: sentPushes, close }),
        );
      }),
    );
  });

  test('a patch without a uid leaves it, one with an empty uid unbinds', () => {
    expect((reply({ patch: {} }) as { patch: Patch }).patch).toStrictEqual({});
    expect((reply({ patch: { uid: '' } }) as { patch: Patch }).patch).toStrictEqual({ uid: '' });
  });
});

describe('the other frames', () => {
  test('hello, goaway, extend and credit, with fields that only later versions read', () => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 0, max: 0xffff_ffff }), ms, (a, b, n, timeout) => {
        const hello = { instance: a, version: b, features: ['refs'], routes: [a], token: b };
        const message = encodeToGateway([
          { hello: { ...hello, max_in_flight: n } },
          { goaway: { reason: a } },
          { id: n, extend: { timeout: toDuration(timeout) } },
          { credit: { frames: n, bytes: 2 } },
        ]);
        expect(read(message)).toEqual([
          {
            kind: 'hello',
            id: 0,
            value: { instance: a, version: b, maxInFlight: n, features: ['refs'] },
          },
          { kind: 'goaway', id: 0, value: a },
          { kind: 'extend', id: n, value: timeout },
          { kind: 'credit', id: 0, value: { frames: n, bytes: 2 } },
        ]);
      }),
    );
  });

  test('pushes and verbs, many to a message, in their order', () => {
    const frames = fc.oneof(
      fc.record({ kind: fc.constant('push'), id: fc.nat(), push: pushes }),
      fc.record({ kind: fc.constant('verb'), id: fc.nat(), target: targets, patch: patches }),
      fc.record({ kind: fc.constant('close'), id: fc.nat(), target: targets, close: closes }),
    );
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 5 }), (sent) => {
        const encoded = sent.map((frame) => {
          if ('push' in frame) return { id: frame.id, push: protoPush(frame.push) };
          const target = protoTarget(frame.target);
          if ('patch' in frame)
            return { id: frame.id, verb: { target, patch: protoPatch(frame.patch) } };
          return { id: frame.id, verb: { target, close: protoClose(frame.close) } };
        });
        const expected = sent.map((frame) => {
          if ('push' in frame) return { kind: 'push', id: frame.id, value: frame.push };
          const { id, target } = frame;
          const verb = { target, patch: null, close: null };
          if ('patch' in frame) return { kind: 'verb', id, value: { ...verb, patch: frame.patch } };
          return { kind: 'verb', id, value: { ...verb, close: frame.close } };
        });
        expect(read(encodeToGateway(encoded)).map(plain)).toEqual(kept(expected).map(plain));
      }),
    );
  });
});

/** A target says `all` and `local` where they were sent as false, too. */
function plain(got: Got): unknown {
  return JSON.parse(
    JSON.stringify(got, (key, value: unknown) =>
      (key === 'all' || key === 'local') && value === false ? undefined : value,
    ),
  );
}

const message = (write: (frame: WireWriter) => void): Buffer => {
  const frame = new WireWriter();
  write(frame);
  const whole = new WireWriter();
  whole.bytes(1, frame.take());
  return whole.take();
};
const sub = (write: (writer: WireWriter) => void): Buffer => {
  const writer = new WireWriter();
  write(writer);
  return writer.take();
};

describe('protobuf as other writers may write it', () => {
  const body = (words: string) =>
    sub((w) => {
      w.bytes(
        1,
        sub((b) => b.text(1, words)),
      );
    });

  test('the id of a frame may stand behind it', () => {
    const got = read(
      message((frame) => {
        frame.bytes(3, body('late id'));
        frame.uint(1, 42);
      }),
    );
    expect(got).toEqual([{ kind: 'reply', id: 42, value: Buffer.from('late id') }]);
  });

  test('of a singular field that comes twice, and of a oneof, the last counts', () => {
    const got = read(
      message((frame) => {
        frame.uint(1, 1);
        frame.uint(1, 2);
        frame.bytes(
          8,
          sub((goaway) => goaway.text(1, 'not this')),
        );
        frame.bytes(3, Buffer.concat([body('nor this'), body('but this')]));
      }),
    );
    expect(got).toEqual([{ kind: 'reply', id: 2, value: Buffer.from('but this') }]);
    const twice = sub((d) => {
      for (const seconds of [5, 2]) d.uint(1, seconds);
      for (const nanos of [9, 3_000_000]) d.uint(2, nanos);
    });
    const extend = message((frame) =>
      frame.bytes(
        9,
        sub((e) => e.bytes(1, twice)),
      ),
    );
    expect(read(extend)).toEqual([{ kind: 'extend', id: 0, value: 2_003 }]);
  });

  test('unknown fields of every wire type are skipped at every level', () => {
    const unknown = (w: WireWriter) => {
      w.uint(1_000, 2 ** 50);
      w.double(1_001, 1.5);
      w.bytes(1_002, Buffer.from('what is this'));
      w.tag(536_870_911, 5);
      w.raw(Buffer.from([1, 2, 3, 4]));
    };
    const reply = sub((w) => {
      unknown(w);
      w.bytes(
        1,
        sub((b) => {
          unknown(b);
          b.text(3, 'known');
          unknown(b);
        }),
      );
    });
    const whole = new WireWriter();
    unknown(whole);
    whole.raw(
      message((frame) => {
        unknown(frame);
        frame.uint(1, 5);
        frame.bytes(3, reply);
        unknown(frame);
      }),
    );
    const [got] = read(whole.take());
    expect(got).toMatchObject({ kind: 'reply', id: 5 });
    // An unknown field makes it more than a bare body.
    expect(got!.value).toMatchObject({ body: Buffer.from('known'), failure: null });
  });
});

describe('lists without end', () => {
  /** Read as a frame of the Link is; with nothing of it made that is too much. */
  const many = (count: number, field: number, value: Buffer): Buffer =>
    Buffer.alloc(
      count * (2 + value.length),
      sub((w) => w.bytes(field, value)),
    );
  const inFrame = (kind: number, value: Buffer): Got[] =>
    read(
      message((frame) => {
        frame.uint(1, 3);
        frame.bytes(kind, value);
      }),
    );
  const own = sub((w) => w.text(2, 'r'));

  test('a reply may hold 1,000 pushes, and with more it is no answer', () => {
    expect(inFrame(3, many(1_000, 4, own))).toMatchObject([
      { kind: 'reply', value: { failure: null, pushes: { length: 1_000 } } },
    ]);
    expect(inFrame(3, many(1_001, 4, own))).toMatchObject([
      {
        kind: 'reply',
        value: {
          failure: {
            reason: 'BAD_REPLY',
            message:
              'the answer: more than 1000 pushes in one reply: send the rest outside a reply',
          },
          pushes: [],
        },
      },
    ]);
  });

  // A name counts at least 8 bytes, and limits.convert is 1 MiB here.
  test.each([
    ['sids', 1],
    ['uids', 2],
    ['groups', 3],
    ['except_sids', 5],
    ['except_uids', 6],
  ])('the %s of a target', (_, field) => {
    const push = (count: number): Got[] =>
      inFrame(
        5,
        sub((w) => w.bytes(1, many(count, field, Buffer.from('a')))),
      );
    expect(push(131_072)[0]!.value).not.toHaveProperty('fault');
    expect(push(131_073)[0]!.value).toMatchObject({
      target: null,
      fault: expect.stringContaining('limits.convert allows 1048576') as string,
    });
    const verb = inFrame(
      6,
      sub((w) => w.bytes(1, many(131_073, field, Buffer.from('a')))),
    );
    expect(verb[0]!.value).toMatchObject({
      target: {},
      patch: { fault: expect.stringContaining('limits.convert') as string },
    });
  });

  test.each([
    ['join', 3],
    ['leave', 4],
  ])('the %s of a patch', (_, field) => {
    const patched = (count: number): unknown =>
      (
        inFrame(
          3,
          sub((w) => w.bytes(3, many(count, field, Buffer.from('a')))),
        )[0]!.value as { patch: Patch }
      ).patch;
    expect(patched(131_072)).not.toHaveProperty('fault');
    expect(patched(131_073)).toEqual({
      fault: expect.stringContaining('limits.convert allows 1048576') as string,
    });
  });

  test('the fields of an error are read up to those that are passed on', () => {
    const fields = Buffer.concat(
      [...Array(64).keys(), null].map((i) =>
        sub((w) => w.bytes(5, i === null ? Buffer.from([0xff]) : sub((f) => f.text(1, `f${i}`)))),
      ),
    );
    const [got] = inFrame(
      3,
      sub((w) => w.bytes(2, fields)),
    );
    const { failure } = got!.value as { failure: { fields: object } };
    expect(Object.keys(failure.fields)).toHaveLength(64);
  });

  test('the features of a hello', () => {
    const [got] = inFrame(2, many(100_000, 3, Buffer.from('a')));
    expect((got!.value as { features: string[] }).features).toHaveLength(64);
  });
});

describe('a reply that is a body and nothing else', () => {
  /** `short`: read without an object; else as every other frame. */
  function taken(frame: Buffer): [kind: 'short' | 'reply', id: number, body: string][] {
    const got: [kind: 'short' | 'reply', id: number, body: string][] = [];
    const none = (): void => {};
    readToGateway(frame, {
      ...{ convertBytesMax: 1_024, onHello: none, onConnect: none, onPush: none, onVerb: none },
      ...{ onCredit: none, onGoaway: none, onExtend: none },
      onReply: (id, reader) => {
        const answer = decodeReply(reader, 1_024);
        got.push(['reply', id, answer instanceof Uint8Array ? String(answer) : 'more']);
      },
      onBody: (id, body) => got.push(['short', id, String(body)]),
    });
    return got;
  }
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

  test.each([
    ['bytes', '0a 09 08 07 1a 05 0a 03 0a 01 41', [['short', 7, 'A']]],
    ['text', '0a 09 08 07 1a 05 0a 03 1a 01 41', [['short', 7, 'A']]],
    [
      'the largest id',
      '0a 0d 08 ff ff ff ff 0f 1a 05 0a 03 0a 01 41',
      [['short', 4_294_967_295, 'A']],
    ],
    [
      'two',
      '0a 09 08 07 1a 05 0a 03 0a 01 41 0a 09 08 08 1a 05 0a 03 0a 01 42',
      [
        ['short', 7, 'A'],
        ['short', 8, 'B'],
      ],
    ],
    [
      'an empty body, and the next frame begins like one',
      '0a 06 08 07 1a 02 0a 00 0a 09 08 08 1a 05 0a 03 0a 01 42',
      [
        ['reply', 7, ''],
        ['short', 8, 'B'],
      ],
    ],
    ['empty bytes', '0a 08 08 07 1a 04 0a 02 0a 00', [['short', 7, '']]],
    ['no id', '0a 07 1a 05 0a 03 0a 01 41', [['reply', 0, 'A']]],
    ['the id last', '0a 09 1a 05 0a 03 0a 01 41 08 07', [['reply', 7, 'A']]],
    ['an error behind it', '0a 0b 08 07 1a 07 0a 03 0a 01 41 12 00', [['reply', 7, 'more']]],
    ['a second body in it', '0a 0c 08 07 1a 08 0a 06 0a 01 41 0a 01 42', [['reply', 7, 'B']]],
  ] as const)('%s', (_, frame, expected) => {
    expect(taken(hex(frame))).toEqual(expected);
  });

  test.each([
    ['cut off', '0a 09 08 07 1a 05 0a 03 0a 01'],
    ['a body that is longer than its reply', '0a 09 08 07 1a 05 0a 03 0a 02 41 42'],
  ])('%s is no message', (_, frame) => {
    expect(() => taken(hex(frame))).toThrow(WireError);
  });
});
