/** Many clients in a process of their own, which is told what to do: raw TCP, and no more than a count of what comes. */
import net from 'node:net';

import { encodeRequest, rawIdOf } from '../../src/protocol/message.ts';
import { encodePacket, packetOffset, PacketType } from '../../src/protocol/packet.ts';

export type CrowdOrder =
  | {
      readonly do: 'connect';
      readonly port: number;
      readonly count: number;
      /** Connections that are being made at a time. */
      readonly atOnce: number;
    }
  | { readonly do: 'request'; readonly everyMs: number }
  | { readonly do: 'close' }
  | { readonly do: 'count' };

export type CrowdCount = {
  /** Connections whose handshake was answered. */
  readonly active: number;
  /** Packets with data that have come, and the bytes of all. */
  readonly packets: number;
  readonly bytes: number;
  readonly ended: number;
  /** Milliseconds; of the requests that were answered since the last count. */
  readonly slowestAnswerMs: number;
  readonly answers: number;
};

/** First of a response. */
const RESPONSE_BYTE = 4;

const bare = (encoded: Buffer): Buffer => encoded.subarray(packetOffset(encoded));
const HANDSHAKE = bare(
  encodePacket(
    PacketType.HANDSHAKE,
    Buffer.from('{"sys":{"type":"bench","version":"1"},"user":{}}'),
  )!,
);
const ACK = bare(encodePacket(PacketType.HANDSHAKE_ACK)!);
const REQUEST = bare(encodeRequest(rawIdOf(1), 'area.room.echo', Buffer.from('{}'))!);

let active = 0;
let packets = 0;
let bytes = 0;
let ended = 0;
let answers = 0;
let slowestAnswerMs = 0;
const sockets: net.Socket[] = [];
/** The one that sends requests, one after the other. */
let asker: net.Socket | null = null;
let askedAt = 0;

/** Counts packets: four bytes of head, the last three the length. */
function follow(socket: net.Socket, onActive: () => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const length = rest.readUIntBE(at + 1, 3);
      if (rest.length - at < 4 + length) break;
      const type = rest[at]!;
      if (type === PacketType.HANDSHAKE) {
        socket.write(ACK);
        active++;
        onActive();
      } else if (socket === asker && rest[at + 4] === RESPONSE_BYTE) answered();
      else if (type === PacketType.DATA) packets++;
      at += 4 + length;
    }
    rest = rest.subarray(at);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    ended++;
  });
}

function answered(): void {
  answers++;
  slowestAnswerMs = Math.max(slowestAnswerMs, performance.now() - askedAt);
  askedAt = 0;
}

async function connectAll(port: number, count: number, atOnce: number): Promise<void> {
  let begun = 0;
  const one = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      await new Promise<void>((resolve, reject) => {
        const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
        sockets.push(socket);
        socket.once('error', reject);
        follow(socket, resolve);
        socket.write(HANDSHAKE);
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

function askEvery(everyMs: number): void {
  asker = sockets[0]!;
  setInterval(() => {
    if (askedAt !== 0) {
      slowestAnswerMs = Math.max(slowestAnswerMs, performance.now() - askedAt);
      return;
    }
    askedAt = performance.now();
    asker!.write(REQUEST);
  }, everyMs).unref();
}

process.on('message', (order: CrowdOrder) => {
  void obey(order).then(() => {
    process.send!({ active, packets, bytes, ended, slowestAnswerMs, answers } satisfies CrowdCount);
    if (order.do === 'count') slowestAnswerMs = answers = 0;
  });
});
process.on('disconnect', () => process.exit(0));

async function obey(order: CrowdOrder): Promise<void> {
  if (order.do === 'connect') await connectAll(order.port, order.count, order.atOnce);
  else if (order.do === 'request') askEvery(order.everyMs);
  else if (order.do === 'close') for (const socket of sockets.splice(0)) socket.destroy();
}
