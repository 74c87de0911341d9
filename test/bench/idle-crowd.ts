/** Many clients that only stay, in a process of their own: raw WebSocket, plain or over TLS, with heartbeats. */
import net from 'node:net';
import tls from 'node:tls';

import { encodeRequest, rawIdOf } from '../../src/protocol/message.ts';
import { encodePacket, packetOffset, PacketType } from '../../src/protocol/packet.ts';

export type IdleOrder =
  | {
      readonly do: 'connect';
      readonly port: number;
      readonly count: number;
      readonly secure: boolean;
      /** Each sends one in this time; they are spread over it. */
      readonly heartbeatMs: number;
      /** The address that they come from, one of 127.0.0.0/8; absent: as the machine likes. */
      readonly from?: string;
    }
  /** `count` requests are always in flight, from one client after the other, for so long. */
  | { readonly do: 'load'; readonly count: number; readonly ms: number }
  /** Connections that send `bytes` of a handshake, never its end, and stay until all of them have. */
  | {
      readonly do: 'hostile';
      readonly port: number;
      readonly count: number;
      readonly bytes: number;
    }
  /** So many requests a second, from one client after the other, for so long; then until all are answered. */
  | { readonly do: 'rate'; readonly perSecond: number; readonly ms: number }
  /** So many, the oldest, are replaced by others. */
  | { readonly do: 'churn'; readonly port: number; readonly count: number }
  | { readonly do: 'close' };

export type IdleCount = {
  readonly active: number;
  readonly ended: number;
  readonly answers: number;
};

/** Connections that are being made at a time. */
const AT_ONCE = 100;
const UPGRADE =
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
/** Between two bursts of requests at a rate. */
const TICK_MS = 10;
/** How long answers may take. */
const ANSWERED_MS = 10_000;
/** Of a response, behind the heads of frame and packet. */
const RESPONSE_BYTE = 4;
const LARGE = 126;

const bare = (encoded: Buffer): Buffer => encoded.subarray(packetOffset(encoded));
/** A frame with a mask of zeros, so that its body stays as it is. */
const frame = (body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x82, 0x80 | body.length, 0, 0, 0, 0]), body]);

const HANDSHAKE = frame(
  bare(
    encodePacket(
      PacketType.HANDSHAKE,
      Buffer.from('{"sys":{"type":"bench","version":"1"},"user":{}}'),
    )!,
  ),
);
const ACK = frame(bare(encodePacket(PacketType.HANDSHAKE_ACK)!));
const HEARTBEAT = frame(bare(encodePacket(PacketType.HEARTBEAT)!));
const REQUEST = frame(bare(encodeRequest(rawIdOf(1), 'area.room.echo', Buffer.from('{}'))!));

let active = 0;
let ended = 0;
let answers = 0;
let isLoading = false;
let asked = 0;
const sockets: net.Socket[] = [];

function open(port: number, secure: boolean, from?: string): net.Socket {
  const where = { port, host: '127.0.0.1', ...(from !== undefined && { localAddress: from }) };
  const socket = secure ? tls.connect({ ...where, rejectUnauthorized: false }) : net.connect(where);
  sockets.push(socket);
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.on('close', () => {
    ended++;
    const at = sockets.indexOf(socket);
    if (at !== -1) sockets.splice(at, 1);
  });
  socket.write(UPGRADE);
  return socket;
}

function join(port: number, secure: boolean, from?: string): Promise<void> {
  const socket = open(port, secure, from);
  return new Promise((resolve, reject) => {
    let why = 'closed by the server';
    socket.once('error', (error) => (why = error.message));
    socket.once('close', () => {
      reject(new Error(`a connection was refused: ${why}`));
    });
    socket.once('data', () => {
      socket.write(HANDSHAKE);
      socket.once('data', () => {
        socket.write(ACK);
        active++;
        resolve();
        socket.on('data', (chunk: Buffer) => {
          const [, length, , , , , kind] = chunk;
          if (length! < LARGE && kind === RESPONSE_BYTE) {
            answers++;
            if (isLoading) askNext();
          }
        });
      });
    });
  });
}

async function joinAll(order: Extract<IdleOrder, { do: 'connect' }>): Promise<void> {
  let begun = 0;
  const some = async (): Promise<void> => {
    while (begun < order.count) {
      begun++;
      await join(order.port, order.secure, order.from);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  beatAll(order.heartbeatMs);
}

/** A part of them in each tick. */
function beatAll(everyMs: number): void {
  const tickMs = 50;
  const perTick = Math.ceil((sockets.length * tickMs) / everyMs);
  let at = 0;
  setInterval(() => {
    for (let i = 0; i < perTick && sockets.length > 0; i++)
      sockets[at++ % sockets.length]!.write(HEARTBEAT);
  }, tickMs).unref();
}

function askNext(): void {
  sockets[asked++ % sockets.length]?.write(REQUEST);
}

async function rate(perSecond: number, ms: number): Promise<void> {
  const begun = performance.now();
  const before = asked - answers;
  for (let sent = 0, at = 0; at < ms; at = performance.now() - begun) {
    for (const due = (at * perSecond) / 1e3; sent < due; sent++) askNext();
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  const until = performance.now() + ANSWERED_MS;
  while (asked - answers > before && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
}

async function churn(port: number, count: number): Promise<void> {
  for (const socket of sockets.splice(0, count)) socket.destroy();
  await Promise.all(Array.from({ length: count }, () => join(port, false)));
}

async function load(count: number, ms: number): Promise<void> {
  isLoading = true;
  for (let i = 0; i < count; i++) askNext();
  await new Promise((resolve) => setTimeout(resolve, ms));
  isLoading = false;
}

async function attack({
  port,
  count,
  bytes,
}: Extract<IdleOrder, { do: 'hostile' }>): Promise<void> {
  // One byte short of what it announces.
  const head = Buffer.alloc(14 + 4);
  head[0] = 0x82;
  head[1] = 0xff;
  head.writeUInt32BE(bytes + 5, 6);
  head[14] = PacketType.HANDSHAKE;
  head.writeUIntBE(bytes + 1, 15, 3);
  const body = Buffer.alloc(bytes, 0x20);
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = open(port, false);
      socket.once('close', () => {
        resolve();
      });
      socket.once('data', () => {
        socket.write(head);
        socket.write(body, () => {
          resolve();
        });
      });
    });
  let begun = 0;
  const some = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      await one();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

process.on('message', (order: IdleOrder) => {
  void obey(order).then(() => {
    process.send!({ active, ended, answers } satisfies IdleCount);
  });
});
process.on('disconnect', () => process.exit(0));

async function obey(order: IdleOrder): Promise<void> {
  if (order.do === 'connect') await joinAll(order);
  else if (order.do === 'load') await load(order.count, order.ms);
  else if (order.do === 'rate') await rate(order.perSecond, order.ms);
  else if (order.do === 'churn') await churn(order.port, order.count);
  else if (order.do === 'hostile') await attack(order);
  else for (const socket of sockets.splice(0)) socket.destroy();
}
