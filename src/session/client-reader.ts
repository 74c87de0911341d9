/** What cuts the bytes of one client into packets. */
import { type OnPacket, PacketReader } from '../protocol/packet-reader.ts';
import { TextReader } from '../protocol/text-reader.ts';
import type { Connection } from '../transport/transport.ts';
import type { SessionParts } from './session-parts.ts';

export type ClientReader = PacketReader | TextReader;

export function packetsOf(
  { dialect, limits }: Pick<SessionParts, 'dialect' | 'limits'>,
  { transport }: Connection,
  onPacket: OnPacket,
): ClientReader {
  const { packetBytesMax } = limits;
  if (dialect.traits.framing === 'text') return new TextReader(packetBytesMax, onPacket);
  // [protocol.md 9] Some WebSocket clients send a buffer that is longer than the packet in it.
  const isPadded = transport === 'ws' || transport === 'wss';
  return new PacketReader(packetBytesMax, onPacket, isPadded);
}
