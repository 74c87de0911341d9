/** A way to the gateway that a client takes unknowing: both directions are passed on, and every package is kept. */
import { once } from 'node:events';
import net from 'node:net';

import { type Package, PackageType, Unpacker } from '../families/wire.ts';

const TEXT = 1;
const PONG = 10;

export type Tap = AsyncDisposable & {
  readonly port: number;
  /** What the client sent, over all its connections, in order. */
  readonly sent: readonly Package[];
  /** What it got. */
  readonly received: readonly Package[];
  /** Heartbeats that the client sent: packages, or pongs of its WebSocket. */
  beats(): number;
  /** Resolves when the first connection has ended. */
  readonly ended: Promise<void>;
};

export async function tap(to: number): Promise<Tap> {
  const sent: Package[] = [];
  const received: Package[] = [];
  const sockets = new Set<net.Socket>();
  const ups: Side[] = [];
  const ended = Promise.withResolvers<void>();
  const server = net.createServer((near) => {
    const far = net.connect({ port: to, host: '127.0.0.1', noDelay: true });
    near.setNoDelay(true);
    let isWebSocket: boolean | null = null;
    const up = new Side();
    ups.push(up);
    const down = new Side();
    near.on('data', (bytes) => {
      isWebSocket ??= bytes.toString('latin1', 0, 4) === 'GET ';
      sent.push(...up.take(bytes, isWebSocket));
    });
    far.on('data', (bytes) => {
      received.push(...down.take(bytes, isWebSocket === true));
    });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroySoon();
        far.destroySoon();
        if (socket === near) ended.resolve();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    sent,
    received,
    beats: () =>
      sent.filter(({ type }) => type === PackageType.HEARTBEAT).length +
      ups.reduce((sum, { pongs }) => sum + pongs, 0),
    ended: ended.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One direction of one connection. */
class Side {
  pongs = 0;
  /** Text, whose messages are no packages. */
  #isText = false;
  readonly #unpacker = new Unpacker();
  #rest: Buffer = Buffer.alloc(0);
  #isUpgraded = false;

  take(chunk: Buffer, isWebSocket: boolean): Package[] {
    if (!isWebSocket) return this.#unpacker.push(chunk);
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#isUpgraded) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end === -1) return [];
      this.#isUpgraded = true;
      this.#rest = this.#rest.subarray(end + 4);
    }
    const payloads = this.#frames();
    return this.#isText ? [] : payloads.flatMap((payload) => this.#unpacker.push(payload));
  }

  /** Payloads of the whole data frames; those of control frames are passed over. [RFC 6455 section 5.2] */
  #frames(): Buffer[] {
    const payloads: Buffer[] = [];
    for (;;) {
      const bytes = this.#rest;
      if (bytes.length < 2) return payloads;
      const short = bytes[1]! & 0x7f;
      const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
      const mask = (bytes[1]! & 0x80) === 0 ? 0 : 4;
      if (bytes.length < head + mask) return payloads;
      const size = head === 2 ? short : bytes.readUIntBE(head === 4 ? 2 : 4, head === 4 ? 2 : 6);
      const end = head + mask + size;
      if (bytes.length < end) return payloads;
      const payload = Buffer.from(bytes.subarray(head + mask, end));
      if (mask > 0) for (let i = 0; i < size; i++) payload[i]! ^= bytes[head + (i % 4)]!;
      const opcode = bytes[0]! & 0x0f;
      if (opcode === PONG) this.pongs += 1;
      if (opcode === TEXT) this.#isText = true;
      if (opcode < 8) payloads.push(payload);
      this.#rest = bytes.subarray(end);
    }
  }
}
