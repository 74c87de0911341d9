import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import {
  decodeMessage,
  encodeNotify,
  encodePush,
  encodeRequest,
  encodeResponse,
  idOfRaw,
  Message,
  MessageKind,
  rawIdOf,
  ROUTE_BYTES_MAX,
} from '../../../src/protocol/message.ts';
import { packetOffset } from '../../../src/protocol/packet.ts';
import { PacketReader } from '../../../src/protocol/packet-reader.ts';
import { packetBytes } from './wire.ts';

const FAULTS = ['empty', 'bad_kind', 'bad_id', 'truncated', 'unknown_route_code'];
const routeOfCode = (code: number) => (code === 0 ? undefined : `route.of.${code}`);

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
/** 1 to 5 groups, any of them 0: minimal and not. */
const idBytes = fc
  .array(fc.integer({ min: 0, max: 127 }), { minLength: 1, maxLength: 5 })
  .map((groups) =>
    Buffer.from(groups.map((group, i) => (i < groups.length - 1 ? group | 0x80 : group))),
  );
const rawOf = (id: Buffer) => id.readUIntLE(0, id.length);
const name = fc
  .oneof(
    fc.string({ maxLength: 255 }),
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    fc
      .array(fc.integer({ min: 0x4e00, max: 0x9fff }), { maxLength: 85 })
      .map((units) => String.fromCharCode(...units)),
    fc.constantFrom('', 'a'.repeat(127), 'a'.repeat(128), 'a'.repeat(255), '你'.repeat(85)),
  )
  .filter((route) => Buffer.byteLength(route) <= ROUTE_BYTES_MAX && route.isWellFormed());
const route = fc.oneof(name, fc.integer({ min: 1, max: 0xffff }));
const kind = fc.constantFrom(...Object.values(MessageKind));

/** The message of a random kind as our encoder makes it, and as the protocol page draws it. */
const messages = fc.record({ kind, id: idBytes, route, body: bytes(300) });
type Sample = typeof messages extends fc.Arbitrary<infer T> ? T : never;

function encode({ kind: of, id, route: to, body }: Sample): Buffer {
  if (of === MessageKind.REQUEST) return encodeRequest(rawOf(id), to, body)!;
  if (of === MessageKind.NOTIFY) return encodeNotify(to, body)!;
  if (of === MessageKind.RESPONSE) return encodeResponse(rawOf(id), body)!;
  return encodePush(to, body)!;
}

function draw({ kind: of, id, route: to, body }: Sample): Buffer {
  const hasId = of === MessageKind.REQUEST || of === MessageKind.RESPONSE;
  const hasRoute = of !== MessageKind.RESPONSE;
  const isCode = hasRoute && typeof to === 'number';
  const parts = [Buffer.from([(of << 1) | (isCode ? 1 : 0)])];
  if (hasId) parts.push(id);
  if (isCode) parts.push(Buffer.from([to >> 8, to & 0xff]));
  if (hasRoute && typeof to === 'string') {
    parts.push(Buffer.from([Buffer.byteLength(to)]), Buffer.from(to));
  }
  return packetBytes(4, Buffer.concat([...parts, body]));
}

/** Feeds in random pieces; gives the packets, and every fault that was returned. */
function feed(stream: Buffer, sizes: readonly number[], bodyBytesMax: number) {
  const bodies: Buffer[] = [];
  const faults: string[] = [];
  const reader = new PacketReader(bodyBytesMax, (type, body) => {
    expect(type >= 1 && type <= 5).toBe(true);
    expect(body.length).toBeLessThanOrEqual(bodyBytesMax);
    expect(faults).toEqual([]);
    bodies.push(body);
  });
  for (let at = 0, i = 0; at < stream.length; i++) {
    const end = Math.min(at + (sizes[i % sizes.length] ?? stream.length), stream.length);
    const fault = reader.push(Buffer.from(stream.subarray(at, end)));
    if (fault !== null) faults.push(fault);
    at = end;
  }
  return { bodies, faults: new Set(faults), heldBytes: reader.heldBytes };
}

const sizesOfPieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
const limits = fc.constantFrom(0, 1, 20, 300, 65_536, 0xffffff);

function checkStream(stream: Buffer, sizes: readonly number[], limit: number): void {
  const pieces = feed(stream, sizes, limit);
  const whole = feed(stream, [], limit);
  expect(pieces.bodies.map(String)).toEqual(whole.bodies.map(String));
  expect(pieces.faults).toEqual(whole.faults);
  expect(pieces.faults.size).toBeLessThanOrEqual(1);
  const givenBytes = pieces.bodies.reduce((sum, body) => sum + 4 + body.length, 0);
  expect(pieces.heldBytes).toBe(pieces.faults.size === 0 ? stream.length - givenBytes : 0);
}

/** Decodes, and says what a caller could not rely on; null: a message, or one of the faults. */
function problemOf(body: Buffer): string | null {
  const message = new Message();
  const copy = Buffer.from(body);
  const fault = decodeMessage(body, routeOfCode, message);
  if (!body.equals(copy)) return 'wrote to its input';
  if (fault !== null) return FAULTS.includes(fault) ? null : `unknown fault ${fault}`;
  const tail = body.subarray(body.length - message.body.length);
  if (message.body.length >= body.length || !tail.equals(message.body)) return 'not the tail';
  if (!Number.isSafeInteger(message.rawId)) return `rawId ${message.rawId}`;
  if (message.wantsAnswer && message.kind !== MessageKind.REQUEST) return 'answer to no request';
  return null;
}

describe('any bytes', () => {
  test('in any pieces give packets or one fault, and the same as in one piece', () => {
    fc.assert(fc.property(bytes(400), sizesOfPieces, limits, checkStream), { numRuns: 400 });
  });

  test('with likely heads among them, too', () => {
    const heads = fc
      .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 30 }), bytes(30))
      .map(([type, length, body]) => Buffer.concat([Buffer.from([type, 0, 0, length]), body]));
    const streams = fc.array(heads, { maxLength: 12 }).map((parts) => Buffer.concat(parts));
    fc.assert(fc.property(streams, sizesOfPieces, limits, checkStream), { numRuns: 400 });
  });

  test('are decoded as a message or give a fault', () => {
    fc.assert(
      fc.property(bytes(300), (body) => {
        expect(problemOf(body)).toBeNull();
      }),
      { numRuns: 2000 },
    );
  });

  test('of up to two bytes, every one of them', () => {
    const problems: (string | null)[] = [];
    for (let first = 0; first < 256; first++) {
      problems.push(problemOf(Buffer.from([first])));
      for (let second = 0; second < 256; second++) {
        problems.push(problemOf(Buffer.from([first, second])));
      }
    }
    expect(new Set(problems)).toEqual(new Set([null]));
  });
});

describe('a message', () => {
  test('is encoded as it is drawn and decoded as it was', () => {
    fc.assert(
      fc.property(messages, (sample) => {
        const encoded = encode(sample);
        const packet = encoded.subarray(packetOffset(encoded));
        expect(packet.equals(draw(sample))).toBe(true);
        const message = new Message();
        expect(decodeMessage(packet.subarray(4), routeOfCode, message)).toBeNull();
        const hasId = sample.kind === MessageKind.REQUEST || sample.kind === MessageKind.RESPONSE;
        const isCode = typeof sample.route === 'number';
        const hasRoute = sample.kind !== MessageKind.RESPONSE;
        expect(message.kind).toBe(sample.kind);
        expect(message.rawId).toBe(hasId ? rawOf(sample.id) : 0);
        expect(message.wantsAnswer).toBe(
          sample.kind === MessageKind.REQUEST && sample.id.some((byte) => (byte & 0x7f) !== 0),
        );
        expect(message.routeWasCode).toBe(hasRoute && isCode);
        const asName = isCode ? routeOfCode(sample.route as number) : sample.route;
        expect(message.route).toBe(hasRoute ? asName : '');
        expect(message.body.equals(sample.body)).toBe(true);
        expect([message.compressed, message.error]).toEqual([false, false]);
      }),
      { numRuns: 800 },
    );
  });

  test('decoded into one that was used before leaves nothing of that', () => {
    fc.assert(
      fc.property(
        messages,
        messages,
        fc.constantFrom(0, 0x10, 0x20, 0x30),
        (before, after, bits) => {
          const [reused, fresh] = [new Message(), new Message()];
          const first = draw(before).subarray(4);
          first[0]! |= bits;
          decodeMessage(first, routeOfCode, reused);
          expect([reused.compressed, reused.error]).toEqual([(bits & 0x10) > 0, (bits & 0x20) > 0]);
          const second = draw(after).subarray(4);
          decodeMessage(second, routeOfCode, reused);
          decodeMessage(second, routeOfCode, fresh);
          expect(reused).toEqual(fresh);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('cut off before its body is a fault at every length', () => {
    fc.assert(
      fc.property(messages, (sample) => {
        const whole = draw({ ...sample, body: Buffer.alloc(0) }).subarray(4);
        for (let length = 0; length < whole.length; length++) {
          const fault = decodeMessage(whole.subarray(0, length), routeOfCode, new Message());
          expect(fault).toBe(length === 0 ? 'empty' : 'truncated');
        }
      }),
      { numRuns: 100 },
    );
  });

  test('wants no answer when its id is 0, in however many bytes', () => {
    const wants = (id: string) => {
      const message = new Message();
      expect(decodeMessage(Buffer.from(`00${id}0161`, 'hex'), routeOfCode, message)).toBeNull();
      return message.wantsAnswer;
    };
    for (const id of ['00', '8000', '808000', '8080808000']) expect(wants(id)).toBe(false);
    for (const id of ['01', '8100', '8001', '808100', '8080808001']) expect(wants(id)).toBe(true);
  });

  test('with an id of six bytes is a fault, cut off or not', () => {
    for (const hex of ['008080808080', '0080808080800105612e622e63', '04ffffffffff01']) {
      expect(decodeMessage(Buffer.from(hex, 'hex'), routeOfCode, new Message())).toBe('bad_id');
    }
  });

  test('changed in any one way gives packets and messages, or faults', () => {
    const change = fc.record({
      how: fc.constantFrom('flip', 'set', 'truncate', 'insert', 'duplicate', 'remove'),
      at: fc.nat(),
      length: fc.integer({ min: 1, max: 8 }),
      byte: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(
        fc.array(messages, { minLength: 1, maxLength: 3 }),
        change,
        sizesOfPieces,
        limits,
        (samples, { how, at, length, byte }, sizes, limit) => {
          const valid = Buffer.concat(samples.map(draw));
          // Half of the changes go to the first bytes, where the structure is.
          const where = at % 2 === 0 ? (at / 2) % Math.min(valid.length, 12) : at % valid.length;
          const [head, tail] = [valid.subarray(0, where), valid.subarray(where)];
          const changed = {
            flip: [head, Buffer.from([tail[0]! ^ (1 << (byte & 7))]), tail.subarray(1)],
            set: [head, Buffer.from([byte]), tail.subarray(1)],
            truncate: [head],
            insert: [head, Buffer.alloc(length, byte), tail],
            duplicate: [head, tail.subarray(0, length), tail],
            remove: [head, tail.subarray(length)],
          }[how];
          const stream = Buffer.concat(changed);
          checkStream(stream, sizes, limit);
          for (const body of feed(stream, sizes, limit).bodies) {
            expect(problemOf(body)).toBeNull();
          }
        },
      ),
      { numRuns: 800 },
    );
  });
});

describe('the encoders', () => {
  test('refuse a route of more than 255 bytes and a code that two bytes cannot say', () => {
    const body = Buffer.alloc(0);
    for (const to of ['a'.repeat(256), '你'.repeat(86), -1, 65_536, NaN]) {
      expect(encodePush(to, body)).toBeNull();
      expect(encodeNotify(to, body)).toBeNull();
      expect(encodeRequest(1, to, body)).toBeNull();
    }
  });

  test('refuse a message that with its head is longer than a packet can be', () => {
    const body = Buffer.alloc(0xffffff - 4);
    expect(encodePush('ab', body)!).toHaveLength(10 + 4 + 0xffffff);
    expect(encodePush('abc', body)).toBeNull();
    expect(encodeResponse(rawIdOf(2 ** 31), body)).toBeNull();
  });
});

describe('ids', () => {
  test('rawIdOf and idOfRaw are inverse up to 35 bits, and rawIdOf is the shortest form', () => {
    const edges = [7, 14, 21, 28, 32, 35].flatMap((bits) => [2 ** bits - 1, 2 ** bits % 2 ** 35]);
    const ids = fc.oneof(
      fc.nat({ max: 2 ** 31 - 1 }),
      fc.maxSafeNat().map((id) => id % 2 ** 35),
    );
    const check = (id: number) => {
      expect(idOfRaw(rawIdOf(id))).toBe(id);
      const idSize = encodeResponse(rawIdOf(id), Buffer.alloc(0))!.length - 7;
      expect(idSize).toBe(Math.max(1, Math.ceil(id.toString(2).length / 7)));
    };
    for (const id of [0, 1, 127, 128, 129, ...edges]) check(id);
    fc.assert(fc.property(ids, check), { numRuns: 500 });
  });

  test('idOfRaw reads any bytes least significant group first', () => {
    fc.assert(
      fc.property(idBytes, (id) => {
        const expected = id.reduce((sum, byte, i) => sum + (byte & 0x7f) * 128 ** i, 0);
        expect(idOfRaw(rawOf(id))).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });
});
