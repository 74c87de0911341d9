/** The client's packets, messages and text, held to the vectors of the reference implementations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ClientError } from '../../../src/client/client-error.ts';
import {
  decodeMessage,
  encodeMessage,
  ID_MAX,
  NOTIFY,
  REQUEST,
} from '../../../src/client/messages.ts';
import { encodePacket, PACKET_BYTES_MAX, PacketReader } from '../../../src/client/packets.ts';
import { decodeText, encodeText } from '../../../src/client/text.ts';
import { type Vector, vector, vectors } from '../protocol/vectors.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const layer = (name: string): readonly Vector[] => vectors.filter((row) => row.layer === name);

type Packet = [type: number, body: string];

/** What the reader gives for chunks of these bytes, and its fault. */
function read(bytes: Uint8Array, sizes: readonly number[] = [], most = PACKET_BYTES_MAX) {
  const packets: Packet[] = [];
  const reader = new PacketReader(most, (type, body) => void packets.push([type, hex(body)]));
  let fault: string | null = null;
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    fault ??= reader.push(bytes.slice(at, at + size));
    at += size;
  }
  return { packets, fault };
}

describe('packets', () => {
  const written = layer('package').filter(({ input }) => input.type <= 5 && !input.bodyRepeat);

  test.each(written)('are written as $name', ({ input, hex: expected }) => {
    expect(hex(encodePacket(input.type, bytesOf(input.bodyHex)))).toBe(expected);
  });

  test('have three bytes of length', () => {
    const { input, hex: head } = vector('pkg-data-65536-header');
    const packet = encodePacket(input.type, new Uint8Array(input.bodyRepeat.count));
    expect(hex(packet.subarray(0, 4))).toBe(head);
  });

  test.each([
    ['pkgdec-1byte', [], null],
    ['pkgdec-empty', [], null],
    ['pkgdec-truncated-header', [], null],
    ['pkgdec-truncated-body', [], null],
    [
      'pkgdec-hs-ack+data',
      [
        [2, ''],
        [4, '0203'],
      ],
      null,
    ],
    ['pkgdec-len-too-big-2pkgs', [[3, '']], null],
    ['pkgdec-type0', [], 'bad_packet_type'],
    ['pkgdec-type6', [], 'bad_packet_type'],
  ])('are read as %s, and what is not whole waits', (name, packets, fault) => {
    expect(read(bytesOf(vector(name).input.hex))).toEqual({ packets, fault });
  });

  test('that are too long are refused at their head', () => {
    expect(read(bytesOf('0400000b'), [], 10).fault).toBe('packet_too_long');
  });

  test('come out whatever way they were cut', () => {
    const body = fc.uint8Array({ maxLength: 300 });
    const packets = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), body), { maxLength: 8 });
    const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 40 });
    fc.assert(
      fc.property(packets, sizes, (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(([type, one]) => encodePacket(type, one)));
        const expected = sent.map(([type, one]) => [type, hex(one)]);
        expect(read(bytes, cuts)).toEqual({ packets: expected, fault: null });
        const one = Array.from(bytes, () => 1);
        expect(read(bytes, one)).toEqual({ packets: expected, fault: null });
      }),
      { numRuns: 100 },
    );
  });

  test('keep their bytes while more comes', () => {
    const bodies: Uint8Array[] = [];
    const reader = new PacketReader(100, (_, body) => void bodies.push(body));
    reader.push(Buffer.concat([encodePacket(4, Uint8Array.of(1)), Uint8Array.of(4, 0)]));
    reader.push(Uint8Array.of(0, 1, 2, 4));
    reader.push(Uint8Array.of(0, 0, 1, 3));
    expect(bodies.map(hex)).toEqual(['01', '02', '03']);
  });
});

describe('messages', () => {
  const sent = [...layer('message'), ...layer('package+message')].filter(
    ({ input, hex: bytes }) =>
      bytes !== null && input.type <= NOTIFY && input.id <= ID_MAX && !input.compressGzip,
  );

  test.each(sent)('are written as $name', ({ input, hex: expected, layer: from }) => {
    const { type, id, route, bodyHex, body } = input;
    const bytes = bodyHex === undefined ? encodeText(JSON.stringify(body)) : bytesOf(bodyHex);
    // An id of 0 is a notify, which is what the reference's servers make of it.
    const written = hex(encodeMessage(type === REQUEST ? id : 0, route, bytes));
    const whole = from === 'message' ? expected! : expected!.slice(8);
    expect(written).toBe(type === REQUEST && id === 0 ? `02${whole.slice(4)}` : whole);
  });

  test('with a route that is too long are refused', () => {
    const { input } = vector('msg-route-256');
    expect(() => encodeMessage(1, input.route, new Uint8Array())).toThrow(ClientError);
    expect(() => encodeMessage(1, input.route, new Uint8Array())).toThrow('256 bytes');
  });

  const whole = layer('message').filter(({ decoded }) => decoded && !decoded.throws);

  test.each(whole)('are read as $name', ({ decoded, hex: bytes }) => {
    expect(decodeMessage(bytesOf(bytes!))).toMatchObject({
      kind: decoded.type,
      id: decoded.id,
      route: decoded.route ?? '',
      isCompressed: decoded.compressGzip === 1,
      isError: false,
      body: bytesOf(decoded.bodyHex),
    });
  });

  test.each([
    ['msgdec-empty', 'truncated'],
    ['msgdec-flag-only-request', 'truncated'],
    ['msgdec-truncated-id', 'truncated'],
    ['msgdec-truncated-dict-route', 'truncated'],
    ['msgdec-type4', 'bad_kind'],
    ['msgdec-type7', 'bad_kind'],
  ])('that are cut or of no kind are faults: %s', (name, fault) => {
    expect(decodeMessage(bytesOf(vector(name).input.hex))).toBe(fault);
  });

  test.each([
    ['msgdec-overlong-id', { id: 0 }],
    // Beyond 31 bits the reference's ids turn negative.
    ['msgdec-id-2^31', { id: 2_147_483_648 }],
    ['msgdec-id-5bytes-max', { id: 4_294_967_295 }],
    ['msgdec-pitaya-error-response', { id: 5, isError: true }],
  ])('that are odd are read: %s', (name, expected) => {
    expect(decodeMessage(bytesOf(vector(name).input.hex))).toMatchObject(expected);
  });

  test('with an id of six bytes are refused', () => {
    expect(decodeMessage(bytesOf('048080808080017b7d'))).toBe('bad_id');
  });

  test('cut anywhere, or of any bytes, give a message or a fault', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const message = decodeMessage(bytes);
        return typeof message === 'string' || message.body.length < bytes.length;
      }),
      { numRuns: 300 },
    );
  });
});

describe('text', () => {
  test.each(layer('strencode-browser'))('of a browser is read: $name', ({ input, hex: bytes }) => {
    expect(decodeText(bytesOf(bytes!))).toBe(input.string);
    expect(decodeText(encodeText(input.string))).toBe(input.string);
  });

  test('of any characters, in UTF-8 or with their halves in three bytes each', () => {
    const halves = (text: string): Uint8Array =>
      Buffer.concat(
        text.split('').map((unit) => {
          const code = unit.charCodeAt(0);
          if (code < 0xd800 || code > 0xdfff) return Buffer.from(unit);
          return Buffer.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
        }),
      );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodeText(halves(text))).toBe(text);
        expect(decodeText(encodeText(text))).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  test('that is none is read as something', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const text = decodeText(Buffer.concat([bytes, Buffer.of(0xed, 0xa0)]));
        expect(text.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test('keeps a mark of byte order', () => {
    expect(decodeText(encodeText('\ufeffa'))).toBe('\ufeffa');
  });
});
