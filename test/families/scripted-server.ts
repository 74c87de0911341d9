/** A server that says what a test gives it, so that the doubles can be held against bytes that no good server sends. */
import { once } from 'node:events';
import net from 'node:net';
import { WebSocketServer } from 'ws';

import { pack, type Package, PackageType, Unpacker } from './wire.ts';

export type Script = {
  /** The body of the answer to the handshake; default: 200 and an empty `sys`. */
  readonly handshake?: string | Buffer;
  /** Sent instead of the answer to the handshake. */
  readonly first?: readonly Buffer[];
  /** Sent right after the answer to the handshake, in a write or frame of its own. */
  readonly next?: readonly Buffer[];
  /** Sent in one write, or one frame, once the handshake is acknowledged. */
  readonly after?: readonly Buffer[];
  /** What answers a request, given its message; by default nothing. */
  readonly answer?: (message: Buffer) => readonly Buffer[];
};

export class ScriptedServer implements AsyncDisposable {
  /** Every package that came. */
  readonly received: Package[] = [];
  port = 0;
  readonly #server = net.createServer();
  readonly #sockets = new Set<net.Socket>();

  static async start(kind: 'tcp' | 'ws', script: Script): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    const ws = new WebSocketServer({ noServer: true });
    server.#server.on('connection', (socket) => {
      server.#sockets.add(socket);
      socket.on('error', () => {});
    });
    if (kind === 'tcp') {
      server.#server.on('connection', (socket) => {
        const write = (bytes: Buffer): void => void socket.write(bytes);
        socket.on('data', server.#serve(script, write));
      });
    } else {
      const { createServer } = await import('node:http');
      const http = createServer();
      http.on('upgrade', (request, socket, head) => {
        ws.handleUpgrade(request, socket, head, (connection) => {
          const take = server.#serve(script, (bytes) => {
            connection.send(bytes);
          });
          connection.on('message', take);
        });
      });
      server.#server.on('connection', (socket) => http.emit('connection', socket));
    }
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    server.port = (server.#server.address() as net.AddressInfo).port;
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #serve(script: Script, write: (bytes: Buffer) => void): (chunk: Buffer) => void {
    const { handshake = '{"code":200,"sys":{}}' } = script;
    const first = script.first ?? [pack(PackageType.HANDSHAKE, Buffer.from(handshake as string))];
    const unpacker = new Unpacker();
    return (chunk) => {
      for (const one of unpacker.push(chunk)) {
        this.received.push(one);
        const all = {
          [PackageType.HANDSHAKE]: () => first,
          [PackageType.ACK]: () => script.after ?? [],
          [PackageType.HEARTBEAT]: () => [],
          [PackageType.DATA]: () => script.answer?.(one.body) ?? [],
          [PackageType.KICK]: () => [],
        }[one.type]!();
        if (all.length > 0) write(Buffer.concat(all));
        const { next = [] } = script;
        if (one.type === PackageType.HANDSHAKE && next.length > 0) write(Buffer.concat(next));
      }
    };
  }
}
