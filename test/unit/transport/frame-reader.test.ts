// Which bytes of a WebSocket client are small data frames, read here, and which are for `ws`; and where messages end.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameReader, payloadOf } from '../../../src/transport/frame-reader.ts';
import { frame, masked, OPCODE } from '../../support/raw.ts';

const LIMITS = { payloadBytesMax: 80_000, fragmentsMax: 128 };
const PAYLOAD_BYTES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536];

type Read = {
  /** Payloads that were read; of what was followed the number of bytes, and what it is: a part, a control frame, a fault. */
  readonly events: string[];
  /** After which byte nothing was incomplete. */
  readonly whole: number[];
};

function readAll(bytes: Buffer, cuts: Iterable<number> = [bytes.length]): Read {
  const reader = new FrameReader(LIMITS);
  const [events, whole]: [string[], number[]] = [[], []];
  let from = 0;
  for (const size of cuts) {
    const chunk = Buffer.from(bytes.subarray(from, from + size));
    for (let at = 0; at < chunk.length;) {
      let end = reader.read(chunk, at);
      if (end > at) {
        events.push(FrameReader.payload.toString('latin1'));
      } else {
        end = reader.follow(chunk, at);
        const what = reader.isControl ? 'control' : 'part';
        events.push(`${reader.isFaulty ? 'fault' : what} ${end - at}`);
        if (reader.isFaulty) return { events, whole };
      }
      at = end;
    }
    from += chunk.length;
    if (!reader.isWithin) whole.push(from);
  }
  return { events, whole };
}

const oneByOne = (bytes: Buffer): Read =>
  readAll(
    bytes,
    Array.from(bytes, () => 1),
  );

describe('a frame', () => {
  test.each([0, 1, 2, 3, 4, 5, 7, 92, 125, 126, 127, 255, 256, 257, 258, 259, 1_000, 65_535])(
    'of %i bytes that are all there is read, whatever its mask',
    (bytes) => {
      const payload = Buffer.from(Array.from({ length: bytes }, (_, i) => i % 256));
      for (const mask of [0, 0x01020304, 0xffffffff, 0x00ff0000]) {
        const [text, binary] = [OPCODE.TEXT, OPCODE.BINARY].map((opcode) =>
          masked(frame(opcode, payload), mask),
        );
        expect(readAll(Buffer.concat([text!, binary!])).events).toEqual([
          payload.toString('latin1'),
          payload.toString('latin1'),
        ]);
      }
    },
  );

  test('is unmasked wherever in memory it lies', () => {
    const payload = Buffer.from(Array.from({ length: 301 }, (_, i) => i % 256));
    const bytes = masked(frame(OPCODE.BINARY, payload), 0x01020304);
    for (let offset = 0; offset < 8; offset++) {
      const chunk = Buffer.alloc(offset + bytes.length + 3, 0xee).subarray(offset, -2);
      bytes.copy(chunk);
      const reader = new FrameReader(LIMITS);
      expect(reader.read(chunk, 0)).toBe(bytes.length);
      expect(FrameReader.payload.equals(payload)).toBe(true);
      expect(chunk.at(-1)).toBe(0xee);
    }
  });

  // oxfmt-ignore
  test.each([
    ['a fragment', '0280 00000000', 'part 6'],
    ['one with 64 bits of length', '82ff 0000000000000001 00000000 61', 'part 15'],
    ['a ping', '8980 00000000', 'control 6'],
    ['a pong', '8a80 00000000', 'control 6'],
    ['a close', '8880 00000000', 'control 6'],
    ['a continuation of nothing', '8080 00000000', 'fault 6'],
    ['one without a mask', '8203 616263', 'fault 2'],
    ['one with a reserved bit', 'c281 00000000 61', 'fault 7'],
    ['one of an unknown opcode', '8380 00000000', 'fault 6'],
    ['a control frame of an unknown opcode', '8b80 00000000', 'fault 6'],
    ['a ping in fragments', '0980 00000000', 'fault 6'],
    ['a ping of 126 bytes', '89fe 007e 00000000', 'fault 4'],
  ])('%s is not read', (_, hex, event) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const { events } = readAll(bytes);
    expect(events).toHaveLength(1);
    expect(events[0]!.split(' ')[0]).toBe(event.split(' ')[0]);
  });

  test('that is longer than a message may be is a fault as soon as it says so', () => {
    const reader = new FrameReader({ ...LIMITS, payloadBytesMax: 200 });
    const long = frame(OPCODE.BINARY, Buffer.alloc(201));
    expect(reader.read(long, 0)).toBe(0);
    reader.follow(long.subarray(0, 3), 0);
    expect(reader.isFaulty).toBe(false);
    reader.follow(long.subarray(3, 4), 0);
    expect(reader.isFaulty).toBe(true);
    const whole = new FrameReader({ ...LIMITS, payloadBytesMax: 200 });
    expect(whole.read(frame(OPCODE.BINARY, Buffer.alloc(200)), 0)).toBe(208);
  });

  test('of a message is a fault where all of them are too many, or too long together', () => {
    const reader = new FrameReader({ payloadBytesMax: 10, fragmentsMax: 3 });
    const [first, next] = [OPCODE.BINARY, OPCODE.CONTINUATION].map((opcode) =>
      frame(opcode, Buffer.from('xy'), { fin: false }),
    );
    for (const part of [first!, next!, next!]) reader.follow(part, 0);
    expect(reader.isFaulty).toBe(false);
    reader.follow(next!, 0);
    expect(reader.isFaulty).toBe(true);
    const long = new FrameReader({ payloadBytesMax: 10, fragmentsMax: 3 });
    long.follow(first!, 0);
    long.follow(frame(OPCODE.CONTINUATION, Buffer.alloc(9)), 0);
    expect(long.isFaulty).toBe(true);
  });

  test('of which a part is missing is followed, from its first byte to its last', () => {
    const bytes = frame(OPCODE.BINARY, Buffer.from('abcd'));
    for (let cut = 1; cut < bytes.length; cut++) {
      const { events } = readAll(Buffer.concat([bytes, bytes]), [cut, 2 * bytes.length - cut]);
      expect(events).toEqual([`part ${cut}`, `part ${bytes.length - cut}`, 'abcd']);
    }
  });

  test('within the payload of another is none', () => {
    const inner = frame(OPCODE.BINARY, Buffer.from('x'));
    const bytes = frame(OPCODE.BINARY, inner);
    expect(readAll(bytes, [6, inner.length]).events).toEqual(['part 6', `part ${inner.length}`]);
  });

  test('between others is read; the others are followed, one by one', () => {
    const bytes = Buffer.concat([
      frame(OPCODE.BINARY, Buffer.from('a')),
      frame(OPCODE.PING, Buffer.from('p')),
      frame(OPCODE.BINARY, Buffer.from('b')),
      frame(OPCODE.TEXT, Buffer.from('c'), { fin: false }),
      frame(OPCODE.PING, Buffer.from('p')),
      frame(OPCODE.CONTINUATION, Buffer.from('d')),
      frame(OPCODE.BINARY, Buffer.from('e')),
    ]);
    expect(readAll(bytes).events).toEqual([
      'a',
      'control 7',
      'b',
      'part 7',
      'control 7',
      'part 7',
      'e',
    ]);
  });
});

test('the payload of a whole message is put together of its frames, whatever their lengths and masks', () => {
  const sizes = fc.array(fc.constantFrom(...PAYLOAD_BYTES), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(sizes, fc.nat(0xffffffff), (lengths, mask) => {
      const payloads = lengths.map((bytes, i) => Buffer.alloc(bytes, `${i}abc`));
      const frames = payloads.map((payload, i) =>
        masked(
          frame(i === 0 ? OPCODE.BINARY : OPCODE.CONTINUATION, payload, {
            fin: i === payloads.length - 1,
          }),
          mask,
        ),
      );
      expect(payloadOf(Buffer.concat(frames)).equals(Buffer.concat(payloads))).toBe(true);
    }),
    { numRuns: 100 },
  );
});

describe('what is incomplete', () => {
  test('nothing has come: nothing is', () => {
    expect(new FrameReader({ payloadBytesMax: 100, fragmentsMax: 128 }).isWithin).toBe(false);
  });

  test.each(PAYLOAD_BYTES)('a message of %i bytes is whole with its last one', (payloadBytes) => {
    const bytes = frame(OPCODE.BINARY, Buffer.alloc(payloadBytes, 0x81));
    expect(oneByOne(bytes).whole).toEqual([bytes.length]);
  });

  test('a message in fragments is whole with its last fragment, pings between them or not', () => {
    const parts = [
      frame(OPCODE.TEXT, Buffer.from('a'), { fin: false }),
      frame(OPCODE.PING, Buffer.from('p')),
      frame(OPCODE.CONTINUATION, Buffer.from('b'), { fin: false }),
      frame(OPCODE.CONTINUATION, Buffer.from('c')),
    ];
    const bytes = Buffer.concat(parts);
    expect(oneByOne(bytes).whole).toEqual([bytes.length]);
  });

  test('what is begun behind a whole message in the same chunk is seen', () => {
    const whole = frame(OPCODE.BINARY, Buffer.from('whole'));
    const bytes = Buffer.concat([whole, whole]);
    expect(readAll(bytes, [whole.length + 1, whole.length - 1]).whole).toEqual([bytes.length]);
  });

  test('counts what of a message has come, over its fragments, and nothing once it is whole', () => {
    const reader = new FrameReader(LIMITS);
    const first = frame(OPCODE.BINARY, Buffer.alloc(300), { fin: false });
    const last = frame(OPCODE.CONTINUATION, Buffer.alloc(70_000));
    reader.follow(first.subarray(0, 58), 0);
    expect(reader.bytesWithin).toBe(50);
    reader.follow(first.subarray(58), 0);
    expect(reader.bytesWithin).toBe(300);
    reader.follow(last.subarray(0, -1), 0);
    expect(reader.bytesWithin).toBe(70_299);
    const rest = Buffer.concat([last.subarray(-1), first.subarray(0, 9)]);
    expect(reader.follow(rest, 0)).toBe(1);
    expect(reader.bytesWithin).toBe(0);
    reader.follow(rest, 1);
    expect(reader.bytesWithin).toBe(1);
  });

  test('a close frame is seen with its last byte, also between fragments', () => {
    for (const before of [0, 1]) {
      const reader = new FrameReader({ payloadBytesMax: 100, fragmentsMax: 128 });
      const parts = [
        frame(OPCODE.TEXT, Buffer.from('a'), { fin: false }),
        frame(OPCODE.CLOSE, Buffer.from([3, 232])),
      ].slice(before);
      const bytes = Buffer.concat(parts);
      for (let at = 0; at < bytes.length; at++) {
        expect(reader.sawClose).toBe(false);
        reader.follow(bytes.subarray(at, at + 1), 0);
        expect(reader.isFaulty).toBe(false);
      }
      expect(reader.sawClose).toBe(true);
    }
  });

  test('however frames are cut, they end where they were made to', () => {
    const frames = fc.array(fc.constantFrom(...PAYLOAD_BYTES.slice(0, 9)), {
      minLength: 1,
      maxLength: 5,
    });
    const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 200 }));
    fc.assert(
      fc.property(frames, cuts, (payloads, sizes) => {
        const made = payloads.map((bytes) => frame(OPCODE.BINARY, Buffer.alloc(bytes, 1)));
        let end = 0;
        const ends = new Set(made.map(({ length }) => (end += length)));
        const bytes = Buffer.concat(made);
        const taken: number[] = [];
        for (let at = 0; at < bytes.length; at += taken.at(-1)!)
          taken.push(Math.min(sizes.next().value!, bytes.length - at));
        let at = 0;
        const reached = taken.map((size) => (at += size)).filter((place) => ends.has(place));
        expect(readAll(bytes, taken).whole).toEqual(reached);
      }),
      { numRuns: 50 },
    );
  });
});
