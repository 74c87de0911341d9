/** Bytes by hand and what the reader makes of them. Nothing here encodes with the code under test. */
import { createHash } from 'node:crypto';

import { PACKET_BODY_BYTES_MAX } from '../../../src/protocol/packet.ts';
import { type PacketFault, PacketReader } from '../../../src/protocol/packet-reader.ts';

/** A packet as the protocol page draws it: type, 24 bits of length, body. */
export function packetBytes(type: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const length = body.length;
  return Buffer.concat([
    Buffer.from([type, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]),
    body,
  ]);
}

export type Packet = { readonly type: number; readonly body: string };

export type Outcome = {
  readonly packets: readonly Packet[];
  readonly fault: PacketFault | null;
  readonly heldBytes: number;
};

/** The whole body in hex, or of a long one its length and hash. */
export function digest(body: Uint8Array): string {
  if (body.length <= 1024) return Buffer.from(body).toString('hex');
  return `${body.length} bytes ${createHash('sha1').update(body).digest('hex')}`;
}

/** What comes of `chunks`, pushed one after the other. */
export function readAll(
  chunks: readonly Buffer[],
  bodyBytesMax: number = PACKET_BODY_BYTES_MAX,
): Outcome {
  const packets: Packet[] = [];
  const reader = new PacketReader(bodyBytesMax, (type, body) => {
    packets.push({ type, body: digest(body) });
  });
  let fault: PacketFault | null = null;
  for (const chunk of chunks) fault = reader.push(chunk);
  return { packets, fault, heldBytes: reader.heldBytes };
}

/** `bytes` cut at the rising `offsets`. Each piece is a copy, as from a socket. */
export function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, bytes.length];
  return ends.map((end, i) => Buffer.from(bytes.subarray(ends[i - 1] ?? 0, end)));
}

export function oneByteAtATime(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

/** Where an id of base-128 groups ends, counted from `start`. */
export function idEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at]! >= 0x80) at++;
  return at + 1;
}
