import { describe, expect, test } from 'vitest';

import {
  allocatePacket,
  clientJson,
  encodeJsonPacket,
  encodePacket,
  PACKET_BODY_BYTES_MAX,
  packetOffset,
  PacketType,
} from '../../../src/protocol/packet.ts';
import { allocatedBy } from '../../support/held.ts';
import { packetBytes } from './wire.ts';

/** One unmasked frame by the letter of RFC 6455 section 5.2. */
function parseFrame(bytes: Buffer) {
  const first = bytes.readUInt8(0);
  const second = bytes.readUInt8(1);
  const short = second & 0x7f;
  const extendedBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  let length = short;
  if (short === 126) length = bytes.readUInt16BE(2);
  if (short === 127) length = Number(bytes.readBigUInt64BE(2));
  return {
    fin: first >> 7,
    reserved: (first >> 4) & 7,
    opcode: first & 0xf,
    masked: second >> 7,
    extendedBytes,
    length,
    payload: bytes.subarray(2 + extendedBytes),
  };
}

describe('the WebSocket head of a packet', () => {
  const payloadSizes = [
    4, 5, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537, 0x1000003,
  ];
  for (const size of payloadSizes) {
    test(`announces ${size} bytes in the shortest form that RFC 6455 allows`, () => {
      const body = Buffer.alloc(size - 4, 0x61);
      const encoded = encodePacket(PacketType.DATA, body)!;
      const frame = parseFrame(encoded);
      expect(frame).toMatchObject({ fin: 1, reserved: 0, opcode: 2, masked: 0, length: size });
      expect(frame.extendedBytes).toBe(size < 126 ? 0 : size < 65_536 ? 2 : 8);
      expect(frame.payload.equals(packetBytes(4, body))).toBe(true);
      expect(packetOffset(encoded)).toBe(2 + frame.extendedBytes);
    });
  }
});

describe('encodePacket', () => {
  test('writes every type with an empty body when none is given', () => {
    for (const type of Object.values(PacketType)) {
      const encoded = encodePacket(type);
      expect(encoded.toString('hex')).toBe(`8204${packetBytes(type).toString('hex')}`);
    }
  });

  test('leaves the given body alone and keeps no view of it', () => {
    const body = Buffer.from('abc');
    const encoded = encodePacket(PacketType.KICK, body)!;
    body.fill(0);
    expect(encoded.subarray(-3).toString()).toBe('abc');
  });

  test('refuses a body longer than three bytes of length can say, before it allocates', async () => {
    let packet: Buffer | null | undefined;
    const bytes = await allocatedBy(() => {
      packet = allocatePacket(PacketType.DATA, PACKET_BODY_BYTES_MAX + 1);
    });
    expect(packet).toBeNull();
    expect(bytes).toBeLessThan(1 << 20);
  });

  test('gives allocatePacket room for exactly the body, at the end', () => {
    for (const bodyBytes of [0, 1, 121, 122, 65_531, 65_532]) {
      const encoded = allocatePacket(PacketType.DATA, bodyBytes)!;
      expect(encoded.length - packetOffset(encoded) - 4).toBe(bodyBytes);
      expect(encoded.readUIntBE(packetOffset(encoded) + 1, 3)).toBe(bodyBytes);
    }
  });
});

describe('JSON for clients', () => {
  test('is that of JSON.stringify in the basic plane', () => {
    const value = { a: 'é你\u007f"\\\n', b: [1, null, true], c: { d: undefined }, e: '\uffff' };
    expect(clientJson(value)).toBe(JSON.stringify(value));
  });

  test('escapes characters beyond it, in keys and values, and lone halves', () => {
    const value = { '😂': '😂x🀄', half: '\ud83d', other: '\ude02y' };
    const json = clientJson(value);
    expect(json).toContain('\\ud83d\\ude02x');
    expect(json).not.toMatch(/[\ud800-\udfff]/);
    expect(JSON.parse(json)).toEqual(value);
    expect(clientJson('\u{10000}\u{10ffff}')).toBe('"\\ud800\\udc00\\udbff\\udfff"');
  });

  test('makes the body of a JSON packet', () => {
    const encoded = encodeJsonPacket(PacketType.KICK, { reason: '你' })!;
    expect(encoded.subarray(packetOffset(encoded)).toString('hex')).toBe(
      packetBytes(5, Buffer.from('{"reason":"你"}')).toString('hex'),
    );
  });
});
