/**
 * The outer Pomelo frame: one byte of type, three bytes of body length (big-endian), the body.
 *
 * Every outgoing packet is encoded behind the head of one binary WebSocket frame, in one allocation, so that the
 * same bytes serve both transports and may be shared by any number of sessions. [RFC 6455 section 5.2: frames
 * from a server are not masked, so their head depends on the length alone.]
 */

import { escapeAstral } from './text.ts';

export const PacketType = {
  HANDSHAKE: 1,
  HANDSHAKE_ACK: 2,
  HEARTBEAT: 3,
  DATA: 4,
  KICK: 5,
} as const;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

/** First bytes of a whole WebSocket message in one frame. [RFC 6455 section 5.2] */
const FRAME_BINARY = 0x82;
const FRAME_TEXT = 0x81;

export const PACKET_HEAD_BYTES = 4;
/** What three bytes of length can express. */
export const PACKET_BODY_BYTES_MAX = 0xffffff;

/** One packet with its WebSocket frame head in front. Never changed once made: it may be in many outboxes. */
export type Encoded = Buffer;

/** Where the packet begins in `encoded`: a raw TCP client gets everything from here. */
export function packetOffset(encoded: Encoded): number {
  const length = encoded[1]!;
  if (length < 126) return 2;
  return length === 126 ? 4 : 10;
}

/**
 * Allocates a packet of `bodyBytes` and writes both heads. The caller fills in the body, which begins `bodyBytes`
 * before the end.
 *
 * @returns null if the body is longer than three bytes can express; Pomelo wraps to 0 instead. The length of a body is
 * often known only here, so every encoder below returns null too, and none throws.
 */
export function allocatePacket(type: PacketType, bodyBytes: number): Encoded | null {
  if (bodyBytes > PACKET_BODY_BYTES_MAX) return null;
  const packetBytes = PACKET_HEAD_BYTES + bodyBytes;
  const encoded = allocateFrame(FRAME_BINARY, packetBytes);
  const at = encoded.length - packetBytes;
  encoded[at] = type;
  encoded[at + 1] = bodyBytes >>> 16;
  encoded[at + 2] = (bodyBytes >>> 8) & 0xff;
  encoded[at + 3] = bodyBytes & 0xff;
  return encoded;
}

/** A WebSocket frame for `bytes` of payload, with its head written. */
function allocateFrame(firstByte: number, bytes: number): Encoded {
  const at = bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10;
  const encoded = Buffer.allocUnsafe(at + bytes);
  encoded[0] = firstByte;
  if (at === 2) {
    encoded[1] = bytes;
  } else if (at === 4) {
    encoded[1] = 126;
    encoded[2] = bytes >>> 8;
    encoded[3] = bytes & 0xff;
  } else {
    encoded[1] = 127;
    encoded.writeUInt32BE(0, 2);
    encoded.writeUInt32BE(bytes, 6);
  }
  return encoded;
}

/**
 * A WebSocket text frame, for the json dialect, which has no packets. null: longer than a packet may be, which is the
 * bound in every dialect.
 */
export function encodeText(text: string): Encoded | null {
  const bytes = Buffer.byteLength(text);
  if (bytes > PACKET_BODY_BYTES_MAX) return null;
  const encoded = allocateFrame(FRAME_TEXT, bytes);
  encoded.write(text, encoded.length - bytes);
  return encoded;
}

/** The same for bytes between two texts; the bytes must be UTF-8, which is not checked. */
export function encodeTextAround(before: string, body: Uint8Array, after: string): Encoded | null {
  const beforeBytes = Buffer.byteLength(before);
  const bytes = beforeBytes + body.length + Buffer.byteLength(after);
  if (bytes > PACKET_BODY_BYTES_MAX) return null;
  const encoded = allocateFrame(FRAME_TEXT, bytes);
  const at = encoded.length - bytes;
  encoded.write(before, at);
  encoded.set(body, at + beforeBytes);
  encoded.write(after, at + beforeBytes + body.length);
  return encoded;
}

/** A packet; null: the body is too long. */
export function encodePacket(type: PacketType, body?: undefined): Encoded;
export function encodePacket(type: PacketType, body: Uint8Array | undefined): Encoded | null;
export function encodePacket(type: PacketType, body?: Uint8Array): Encoded | null {
  const encoded = allocatePacket(type, body?.length ?? 0);
  if (encoded !== null && body !== undefined) encoded.set(body, encoded.length - body.length);
  return encoded;
}

export const HEARTBEAT: Encoded = encodePacket(PacketType.HEARTBEAT);

/** A packet whose body is `value` as JSON; see `clientJson`. null: too long. */
export function encodeJsonPacket(type: PacketType, value: unknown): Encoded | null {
  return encodePacket(type, clientJsonBytes(value));
}

/**
 * JSON that every known client can read: characters beyond the basic plane are escaped, because stock browser clients
 * read UTF-8 of at most three bytes. Otherwise as `JSON.stringify` writes it.
 */
export function clientJson(value: unknown): string {
  return clientJsonBytes(value).toString();
}

/** See `clientJson`. Unpaired surrogates are escaped by `JSON.stringify` itself. */
export function clientJsonBytes(value: unknown): Buffer {
  return escapeAstral(Buffer.from(JSON.stringify(value)));
}
