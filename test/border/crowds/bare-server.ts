/**
 * What the least costs: a Node server that knows nothing of Pomelo but how to answer a request, and that closes each
 * connection of a crowd after a deadline. What those who play notice of a crowd here, they would notice of any gateway on
 * Node on this machine.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

import { pack } from '../../support/raw.ts';

/** Between two looks at who is late. */
const LOOK_MS = 10;
/** All that any of a crowd waits for. */
const SAID = pack(1, '{"code":200,"sys":{"heartbeat":0},"not":"404"}');

type Told = { readonly cert: string; readonly key: string; readonly deadlineMs: number };
/** The ports: for the crowds, plain and with TLS, and for those who play. */
export type BarePorts = {
  readonly plain: number;
  readonly secure: number;
  readonly players: number;
};

export class BareServer {
  readonly #process = fork(fileURLToPath(import.meta.url));
  readonly ports: Promise<BarePorts>;

  constructor(told: Told) {
    this.#process.send(told);
    this.ports = once(this.#process, 'message').then(([ports]) => ports as BarePorts);
  }

  stop(): void {
    this.#process.disconnect();
  }
}

/** It answers the first bytes, and closes after the deadline. */
function takeCrowd(deadlineMs: number): (socket: Socket) => void {
  const there = new Map<Socket, number>();
  setInterval(() => {
    const now = performance.now();
    for (const [socket, until] of there) {
      // In the order in which they came.
      if (until > now) return;
      socket.destroy();
      there.delete(socket);
    }
  }, LOOK_MS);
  return (socket) => {
    there.set(socket, performance.now() + deadlineMs);
    socket.on('error', () => {});
    socket.on('close', () => there.delete(socket));
    socket.once('data', () => {
      socket.write(SAID);
      socket.on('data', () => {});
    });
  };
}

/** It answers each request with an empty object. Packets are small, and come whole. */
function takePlayer(socket: Socket): void {
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at + 4 <= chunk.length; at += 4 + (chunk.readUInt32BE(at) & 0xffffff)) {
      const type = chunk[at];
      if (type === 1) socket.write(SAID);
      if (type !== 4) continue;
      let end = at + 5;
      while (chunk[end]! > 127) end++;
      const id = chunk.subarray(at + 5, end + 1);
      socket.write(pack(4, Buffer.concat([Buffer.from([4]), id, Buffer.from('{}')])));
    }
  });
}

async function listen(server: net.Server): Promise<number> {
  await once(server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }), 'listening');
  return (server.address() as AddressInfo).port;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('disconnect', () => process.exit(0));
  const [{ cert, key, deadlineMs }] = (await once(process, 'message')) as [Told];
  const { readFileSync } = await import('node:fs');
  const secure = tls.createServer(
    { cert: readFileSync(cert), key: readFileSync(key) },
    takeCrowd(deadlineMs),
  );
  // Those who never finish their handshake are on the plain port.
  process.send!({
    plain: await listen(net.createServer({ noDelay: true }, takeCrowd(deadlineMs))),
    secure: await listen(secure),
    players: await listen(net.createServer({ noDelay: true }, takePlayer)),
  } satisfies BarePorts);
}
