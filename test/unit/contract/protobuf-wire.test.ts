import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import {
  decodeConnectResponse,
  decodeError,
  decodePatch,
  decodePush,
  decodeReply,
  decodeTarget,
} from '../../../src/contract/protobuf-shapes.ts';
import {
  decodeJsonValue,
  decodeStruct,
  StructError,
  encodeStruct,
} from '../../../src/contract/struct.ts';
import {
  decodeDurationMs,
  encodeMs,
  fieldBytes,
  varintBytes,
  WireError,
  WireReader,
  WireWriter,
} from '../../../src/contract/protobuf-wire.ts';
import { readClose } from '../../../src/contract/json-shapes.ts';
import type { JsonObject } from '../../../src/contract/commands.ts';
import { readToGateway } from '../../../src/contract/backend-frames.ts';
import { encodeToGateway, toDuration, toStruct, toValue } from './reference.ts';

/** A message with everything that a backend can say. */
const target = {
  sids: ['g.1'],
  uids: ['zoë'],
  all: true,
  where: toStruct({ a: [1, { b: null }] }),
};
const push = {
  target,
  route: 'onChat',
  body: { json: toValue({ a: 1 }) },
  delivery: 2,
  latest_key: 'k',
  expires_in: toDuration(1_500),
  after_reply: true,
};
const patch = { uid: 'u', set: toStruct({ k: { l: ['m'] } }), join: ['g'], if_version: 2 ** 40 };
const close = { reason: 'r', code: -1, kick: true, retry_after: toDuration(1) };
const error = { code: 4, reason: 'R', message: 'm', fields: { a: 'b' }, body: { text: 't' } };
const EVERYTHING = encodeToGateway([
  { hello: { instance: 'i', version: '1', features: ['f'], max_in_flight: 300 } },
  { id: 300, reply: { body: { bytes: Buffer.from('b') }, patch, pushes: [push], close } },
  { id: 2, reply: { error } },
  { id: 3, push },
  { id: 4, verb: { target, patch } },
  { id: 5, verb: { target, close } },
  { goaway: { reason: 'bye' } },
  { id: 6, extend: { timeout: toDuration(9_000) } },
  { id: 7, connect: { accept: { patch, user: toStruct({ a: 1 }), expires_in: toDuration(5) } } },
  { id: 8, connect: { error } },
]);

/** Reads `bytes` to the last field; gives the number of frames, or `WireError`. Any other throw goes on. */
function outcome(bytes: Buffer): number | typeof WireError {
  let frames = 0;
  const count = () => {
    frames++;
  };
  try {
    readToGateway(bytes, {
      convertBytesMax: 1_048_576,
      onHello: count,
      onReply: (_id, reader) => {
        decodeReply(reader, 1_048_576);
        frames++;
      },
      onConnect: (_id, reader) => {
        decodeConnectResponse(reader, 1_048_576);
        frames++;
      },
      onPush: count,
      onVerb: count,
      onCredit: count,
      onGoaway: count,
      onExtend: count,
    });
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return WireError;
  }
  return frames;
}

/** The class of what `read` throws; null: nothing. */
function thrownBy(read: () => unknown): unknown {
  try {
    read();
    return null;
  } catch (error) {
    return (error as Error).constructor;
  }
}

describe('bytes that are not a message', () => {
  test('a message cut off anywhere is a WireError', () => {
    expect(outcome(EVERYTHING)).toBe(10);
    const whole: number[] = [];
    for (let length = 0; length < EVERYTHING.length; length++) {
      const result = outcome(EVERYTHING.subarray(0, length));
      if (result !== WireError) whole.push(result as number);
    }
    // Only between two frames does a shorter message make sense.
    expect(whole).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('random bytes and flipped bits are read or a WireError, and nothing else', () => {
    const flipped = fc
      .array(fc.tuple(fc.nat(EVERYTHING.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((flips) => {
        const bytes = Buffer.from(EVERYTHING);
        for (const [at, value] of flips) bytes[at] = value;
        return bytes;
      });
    const random = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(fc.oneof(flipped, random), (bytes) => {
        expect(thrownBy(() => outcome(bytes))).toBeNull();
        for (const decode of [decodePush, decodePatch, decodeError, decodeTarget, decodeStruct]) {
          expect(thrownBy(() => decode(new WireReader(bytes), 1_048_576))).toBeOneOf([
            null,
            WireError,
            StructError,
          ]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ['field number 0', '00', /field number 0/],
    ['a group', '0b0c', /wire type 3/],
    ['wire type 7', '0f', /wire type 7/],
    ['a number of eleven bytes', '08ffffffffffffffffffff01', /too long/],
    ['a length beyond everything', '1affffffffffffffff7f', /cut off/],
  ])('%s', (_name, hex, words) => {
    const reader = new WireReader(Buffer.from(hex, 'hex'));
    expect(() => {
      while (reader.next()) reader.skip();
    }).toThrow(words);
  });

  test('a known field of another wire type', () => {
    const reader = new WireReader(Buffer.from('0801', 'hex'));
    reader.next();
    expect(() => reader.string()).toThrow(/wire type 0, not 2/);
  });
});

describe('a reader', () => {
  const reads: Record<string, (reader: WireReader) => unknown> = {
    skip: (reader) => reader.skip(),
    uint: (reader) => reader.uint(),
    int32: (reader) => reader.int32(),
    int64: (reader) => reader.int64(),
    bool: (reader) => reader.bool(),
    double: (reader) => reader.double(),
    bytes: (reader) => reader.bytes(),
    string: (reader) => reader.string(),
    message: (reader) => reader.message(),
  };
  const cut: Record<string, string> = {
    skip: '0a0541',
    uint: '0880',
    int32: '08ffff',
    int64: '08ff',
    bool: '0880',
    double: '0900000000',
    bytes: '0a024100'.slice(0, 6),
    string: '0a0361',
    message: '0a0161'.slice(0, 4),
  };
  test.each(Object.keys(reads))('never reads beyond the end of its message: %s', (name) => {
    const inner = Buffer.from(cut[name]!, 'hex');
    // What stands behind would complete it.
    const outer = Buffer.concat([inner, Buffer.alloc(16, 1)]);
    const reader = new WireReader(outer, 0, inner.length);
    expect(reader.next()).toBe(true);
    expect(() => reads[name]!(reader)).toThrow(WireError);
  });

  test('of a tag that is cut off does not take the next byte for it', () => {
    const reader = new WireReader(Buffer.from('8001', 'hex'), 0, 1);
    expect(() => reader.next()).toThrow(WireError);
  });

  test('gives numbers as they were written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (a, b) => {
        const writer = new WireWriter(1);
        writer.tag(1, 0);
        writer.varint(a);
        expect(writer.length).toBe(1 + varintBytes(a));
        writer.int32(2, b);
        const reader = new WireReader(writer.take());
        reader.next();
        expect(reader.uint()).toBe(a);
        if (b === 0) return;
        reader.next();
        expect(reader.int32()).toBe(b);
        expect(reader.next()).toBe(false);
      }),
    );
  });

  test('and the sizes said before are the sizes written', () => {
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_152]) {
      const writer = new WireWriter();
      writer.bytes(1, Buffer.alloc(length));
      expect(writer.length).toBe(fieldBytes(length));
    }
  });
});

describe('JSON', () => {
  /** A Value of lists in lists. */
  const lists = (depth: number): Buffer => {
    const heads: Buffer[] = [];
    let length = 0;
    for (let i = 0; i < depth; i++) {
      for (const field of [1, 6]) {
        const head = new WireWriter(8);
        head.tag(field, 2);
        head.varint(length);
        length += head.length;
        heads.push(head.take());
      }
    }
    return Buffer.concat(heads.reverse());
  };

  test('is read to a bounded depth, the same that may be written', () => {
    const nested = (depth: number): JsonObject => (depth === 0 ? {} : { a: nested(depth - 1) });
    const deepest = encodeStruct(nested(64));
    expect(decodeStruct(new WireReader(deepest))).toEqual(nested(64));
    expect(() => encodeStruct(nested(65))).toThrow(WireError);
    expect(JSON.stringify(decodeJsonValue(new WireReader(lists(63))))).toContain('['.repeat(63));
    expect(() => decodeJsonValue(new WireReader(lists(64)))).toThrow(WireError);
  });

  test('nested a hundred thousand times is a WireError and no overflow of the stack', () => {
    expect(() => decodeJsonValue(new WireReader(lists(100_000)))).toThrow(WireError);
  });

  test('keys named like what objects inherit are keys like any other', () => {
    const sent = JSON.parse(
      '{"__proto__":{"admin":true},"constructor":1,"toString":null}',
    ) as JsonObject;
    const got = decodeStruct(new WireReader(encodeStruct(sent)));
    expect(Object.getPrototypeOf(got)).toBeNull();
    expect(Object.keys(got)).toEqual(['__proto__', 'constructor', 'toString']);
    expect(JSON.stringify(got)).toBe(JSON.stringify(sent));
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test('a bad field called __proto__ is one field among others', () => {
    const entry = new WireWriter();
    entry.text(1, '__proto__');
    entry.text(2, 'bad');
    const bytes = new WireWriter();
    bytes.bytes(5, entry.take());
    const { fields } = decodeError(new WireReader(bytes.take()), 1_048_576);
    expect(JSON.stringify(fields)).toBe('{"__proto__":"bad"}');
  });
});

describe('a duration', () => {
  test('is what was written, to the millisecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 }), (ms) => {
        expect(decodeDurationMs(new WireReader(encodeMs(ms)))).toBe(ms);
      }),
    );
  });

  test.each<readonly [text: string, seconds: number, nanos: number, ms: number]>([
    ['0s', 0, 0, 0],
    ['0.000000097s', 0, 97, 1],
    ['0.0014s', 0, 1_400_000, 1],
    ['1.0005s', 1, 500_000, 1_001],
    ['90s', 90, 0, 90_000],
  ])('%s is as many whole milliseconds in protobuf as in JSON', (text, seconds, nanos, ms) => {
    const duration = new WireWriter();
    duration.uint(1, seconds);
    duration.uint(2, nanos);
    expect(decodeDurationMs(new WireReader(duration.take()))).toBe(ms);
    expect(readClose({ retry_after: text }).retryAfterMs).toBe(ms);
  });

  test('below zero counts as none', () => {
    const negative = new WireWriter();
    negative.int32(1, -3);
    negative.int32(2, -5);
    expect(decodeDurationMs(new WireReader(negative.take()))).toBe(0);
  });
});
