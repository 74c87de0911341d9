import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { type PacketFault, PacketReader } from '../../../src/protocol/packet-reader.ts';
import { cut, digest, oneByteAtATime, type Outcome, packetBytes, readAll } from './wire.ts';

const text = (value: string) => Buffer.from(value);
/** A body that shows when a part of it is lost, doubled or moved. */
const pattern = (size: number) =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8)));
const data = (body: string | Buffer) =>
  packetBytes(4, typeof body === 'string' ? text(body) : body);
const given = (type: number, body: string | Buffer) => ({
  type,
  body: digest(typeof body === 'string' ? text(body) : body),
});

const LIMIT = 65_536;

type Case = Outcome & { readonly bytes: Buffer };

const cases: Record<string, Case> = {
  'nothing at all': { bytes: Buffer.alloc(0), packets: [], fault: null, heldBytes: 0 },
  'one packet': { bytes: data('hello'), packets: [given(4, 'hello')], fault: null, heldBytes: 0 },
  'one packet of every type': {
    bytes: Buffer.concat([1, 2, 3, 4, 5].map((type) => packetBytes(type, text(`t${type}`)))),
    packets: [1, 2, 3, 4, 5].map((type) => given(type, `t${type}`)),
    fault: null,
    heldBytes: 0,
  },
  'empty bodies between full ones': {
    bytes: Buffer.concat([packetBytes(2), packetBytes(3), data('x'), packetBytes(3), data('')]),
    packets: [given(2, ''), given(3, ''), given(4, 'x'), given(3, ''), given(4, '')],
    fault: null,
    heldBytes: 0,
  },
  'a head that is cut off': {
    bytes: Buffer.concat([data('ab'), text('\x04\x00\x00')]),
    packets: [given(4, 'ab')],
    fault: null,
    heldBytes: 3,
  },
  'a body that is cut off': {
    bytes: Buffer.concat([data('ab'), data('0123456789').subarray(0, 11)]),
    packets: [given(4, 'ab')],
    fault: null,
    heldBytes: 11,
  },
  'type 0': {
    bytes: Buffer.concat([data('ab'), packetBytes(0), data('cd')]),
    packets: [given(4, 'ab')],
    fault: 'bad_packet_type',
    heldBytes: 0,
  },
  'type 6 behind a heartbeat': {
    bytes: Buffer.concat([packetBytes(3), packetBytes(6, text('a')), packetBytes(3)]),
    packets: [given(3, '')],
    fault: 'bad_packet_type',
    heldBytes: 0,
  },
  'type 255 at once': {
    bytes: Buffer.from('ffffffff', 'hex'),
    packets: [],
    fault: 'bad_packet_type',
    heldBytes: 0,
  },
  'one byte more than the limit': {
    bytes: Buffer.concat([data('ab'), Buffer.from('0401000161626364', 'hex')]),
    packets: [given(4, 'ab')],
    fault: 'packet_too_long',
    heldBytes: 0,
  },
  'bodies around 64 KiB': {
    bytes: Buffer.concat([
      data(pattern(65_535)),
      data('mid'),
      data(pattern(65_536)),
      packetBytes(3),
    ]),
    packets: [given(4, pattern(65_535)), given(4, 'mid'), given(4, pattern(65_536)), given(3, '')],
    fault: null,
    heldBytes: 0,
  },
};

/** Every offset, or of long input those around the heads and a few between. */
function offsetsOf(bytes: Buffer): number[] {
  const all = Array.from({ length: bytes.length + 1 }, (_, i) => i);
  if (bytes.length <= 1024) return all;
  const heads: number[] = [];
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUIntBE(at + 1, 3)) heads.push(at);
  const near = (i: number) => heads.some((head) => Math.abs(head - i) <= 6);
  return all.filter((i) => near(i) || i % 8191 === 0 || i >= bytes.length - 6);
}

for (const [name, { bytes, ...outcome }] of Object.entries(cases)) {
  describe(`the stream: ${name}`, () => {
    test('in one piece', () => {
      expect(readAll([bytes], LIMIT)).toEqual(outcome);
    });

    test('one byte at a time', () => {
      expect(readAll(oneByteAtATime(bytes), LIMIT)).toEqual(outcome);
    });

    test('cut in two at every offset', () => {
      for (const offset of offsetsOf(bytes)) {
        expect(readAll(cut(bytes, [offset]), LIMIT), `cut at ${offset}`).toEqual(outcome);
      }
    });
  });
}

describe('the limit', () => {
  test('allows exactly as many body bytes as it says', () => {
    expect(readAll([data('abc')], 3).packets).toEqual([given(4, 'abc')]);
    expect(readAll([data('abcd')], 3)).toEqual({
      packets: [],
      fault: 'packet_too_long',
      heldBytes: 0,
    });
    expect(readAll([packetBytes(3), data('')], 0).packets).toHaveLength(2);
  });

  test('is checked on the head alone, before a byte of the body has come', () => {
    expect(readAll([data('abcd').subarray(0, 3)], 3).fault).toBeNull();
    expect(readAll([data('abcd').subarray(0, 4)], 3).fault).toBe('packet_too_long');
  });

  test('allows the longest body that three bytes can say', () => {
    const body = Buffer.alloc(0xffffff, 0x5a);
    const bytes = data(body);
    const outcome = readAll(cut(bytes, [3, 5, 9_000_000]));
    expect(outcome).toEqual({ packets: [given(4, body)], fault: null, heldBytes: 0 });
  });
});

describe('a fault', () => {
  test('is told again, and nothing more is given or held', () => {
    const packets: number[] = [];
    const reader = new PacketReader(LIMIT, (type) => packets.push(type));
    expect(reader.push(Buffer.concat([packetBytes(3), packetBytes(9), packetBytes(3)]))).toBe(
      'bad_packet_type',
    );
    expect(reader.push(packetBytes(3))).toBe('bad_packet_type');
    expect(reader.push(Buffer.alloc(100_000, 4))).toBe('bad_packet_type');
    reader.hold();
    expect(reader.push(packetBytes(3))).toBe('bad_packet_type');
    expect(reader.release()).toBe('bad_packet_type');
    expect(packets).toEqual([3]);
    expect(reader.heldBytes).toBe(0);
  });
});

describe('zero bytes behind a packet, where there may be padding', () => {
  const packet = packetBytes(3);

  for (const zeros of [1, 2, 3]) {
    test(`${zeros} are nothing, also behind packets that were held`, () => {
      const packets: number[] = [];
      const reader = new PacketReader(LIMIT, (type) => packets.push(type), true);
      const message = Buffer.concat([packet, Buffer.alloc(zeros)]);
      expect([reader.push(message), packets.length, reader.heldBytes]).toEqual([null, 1, 0]);
      reader.hold();
      for (let i = 0; i < 3; i++) expect(reader.push(message)).toBeNull();
      expect([reader.release(), packets.length, reader.heldBytes]).toEqual([null, 4, 0]);
      expect([reader.push(message), packets.length, reader.heldBytes]).toEqual([null, 5, 0]);
    });
  }

  test('four are a packet of a type that there is not; so is one where there is no padding', () => {
    const four = new PacketReader(LIMIT, () => {}, true);
    expect(four.push(Buffer.concat([packet, Buffer.alloc(4)]))).toBe('bad_packet_type');
    const bare = new PacketReader(LIMIT, () => {});
    expect(bare.push(Buffer.concat([packet, Buffer.alloc(1), packet]))).toBe('bad_packet_type');
  });
});

describe('hold and release', () => {
  const bytes = Buffer.concat([
    data('a'),
    packetBytes(3),
    data('bb'),
    data(pattern(300)),
    data('c'),
  ]);
  const whole = readAll([bytes]).packets;
  const chunkings = {
    'in one piece': [bytes],
    'one byte at a time': oneByteAtATime(bytes),
    'cut inside a body': cut(bytes, [40, 200]),
  };

  for (const [chunking, chunks] of Object.entries(chunkings)) {
    test(`hold() from the handler stops behind that packet until release(), ${chunking}`, () => {
      for (let stopAfter = 1; stopAfter <= whole.length; stopAfter++) {
        const packets: Outcome['packets'][number][] = [];
        const reader = new PacketReader(LIMIT, (type, body) => {
          packets.push(given(type, body));
          if (packets.length === stopAfter) reader.hold();
        });
        for (const chunk of chunks) expect(reader.push(chunk)).toBeNull();
        expect(packets).toEqual(whole.slice(0, stopAfter));
        const usedBytes = whole
          .slice(0, stopAfter)
          .reduce((sum, { body }) => sum + 4 + body.length / 2, 0);
        expect(reader.heldBytes).toBe(bytes.length - usedBytes);
        expect(reader.release()).toBeNull();
        expect(packets).toEqual(whole);
        expect(reader.heldBytes).toBe(0);
      }
    });

    test(`one packet for each release() when the handler always holds, ${chunking}`, () => {
      const packets: Outcome['packets'][number][] = [];
      const reader = new PacketReader(LIMIT, (type, body) => {
        packets.push(given(type, body));
        reader.hold();
      });
      for (const chunk of chunks) reader.push(chunk);
      for (let count = 1; count <= whole.length; count++) {
        expect(packets).toEqual(whole.slice(0, count));
        reader.release();
      }
      expect(packets).toEqual(whole);
    });

    test(`hold() and release() within the handler lose and double nothing, ${chunking}`, () => {
      const packets: Outcome['packets'][number][] = [];
      const reader = new PacketReader(LIMIT, (type, body) => {
        packets.push(given(type, body));
        reader.hold();
        expect(reader.release()).toBeNull();
      });
      for (const chunk of chunks) reader.push(chunk);
      expect(packets).toEqual(whole);
      expect(reader.heldBytes).toBe(0);
    });

    test(`hold() from outside before every chunk, ${chunking}`, () => {
      const packets: Outcome['packets'][number][] = [];
      const reader = new PacketReader(LIMIT, (type, body) => packets.push(given(type, body)));
      for (const chunk of chunks) {
        const before = packets.length;
        reader.hold();
        reader.push(chunk);
        expect(packets).toHaveLength(before);
        reader.release();
      }
      expect(packets).toEqual(whole);
    });
  }

  test('a fault that lies behind a held packet shows at release()', () => {
    const reader = new PacketReader(LIMIT, () => {
      reader.hold();
    });
    expect(reader.push(Buffer.concat([packetBytes(3), packetBytes(0)]))).toBeNull();
    expect(reader.release()).toBe('bad_packet_type');
  });

  test('release() without hold() and with nothing held changes nothing', () => {
    const packets: number[] = [];
    const reader = new PacketReader(LIMIT, (type) => packets.push(type));
    expect(reader.release()).toBeNull();
    reader.push(packetBytes(3).subarray(0, 2));
    expect(reader.release()).toBeNull();
    reader.push(packetBytes(3).subarray(2));
    expect(packets).toEqual([3]);
  });
});

describe('push from inside the handler', () => {
  const bodies = ['first', 'second', '', 'fourth'];
  const bytes = Buffer.concat(bodies.map(data));
  for (const already of [0, 2, 8]) {
    test(`puts the bytes behind all that came before and reads them, ${already} bytes being held`, () => {
      for (let end = 9; end <= bytes.length; end++) {
        const packets: Outcome['packets'][number][] = [];
        const reader = new PacketReader(LIMIT, (type, body) => {
          packets.push(given(type, body));
          if (packets.length === 1) reader.push(bytes.subarray(end));
        });
        reader.push(bytes.subarray(0, already));
        reader.push(bytes.subarray(already, end));
        expect(packets, `cut at ${end}`).toEqual(bodies.map((body) => given(4, body)));
        expect(reader.heldBytes).toBe(0);
      }
    });
  }

  test('of what is a fault, or behind one, gives nothing more', () => {
    for (const chunk of [packetBytes(3), Buffer.concat([packetBytes(3), packetBytes(0)])]) {
      const types: number[] = [];
      const reader = new PacketReader(LIMIT, (type) => {
        types.push(type);
        reader.push(packetBytes(9));
      });
      expect(reader.push(chunk)).toBe('bad_packet_type');
      expect(types).toEqual([3]);
      expect(reader.heldBytes).toBe(0);
    }
  });
});

describe('a body given out', () => {
  test('is a view of the chunk when it came in one', () => {
    const chunk = data('hello');
    const views: Buffer[] = [];
    new PacketReader(LIMIT, (_type, body) => views.push(body)).push(chunk);
    expect(views[0]!.buffer).toBe(chunk.buffer);
    expect(views[0]!.byteOffset).toBe(chunk.byteOffset + 4);
  });

  test('stays intact whatever chunks come after it', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 30 });
    const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(bodies, sizes, fc.array(fc.boolean()), (expected, chunkSizes, holds) => {
        const bytes = Buffer.concat(expected.map((body) => packetBytes(4, body)));
        const views: Buffer[] = [];
        const reader = new PacketReader(LIMIT, (_type, body) => {
          views.push(body);
          if (holds[views.length % holds.length] === true) reader.hold();
        });
        const faults = new Set<PacketFault | null>();
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = Math.min(at + chunkSizes[i % chunkSizes.length]!, bytes.length);
          faults.add(reader.push(Buffer.from(bytes.subarray(at, end))));
          at = end;
          if (i % 3 === 0) faults.add(reader.release());
        }
        for (const _ of expected) faults.add(reader.release());
        expect([...faults]).toEqual([null]);
        expect(views.map((view) => digest(view))).toEqual(expected.map((body) => digest(body)));
      }),
      { numRuns: 300 },
    );
  });
});
