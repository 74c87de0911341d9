/** How a double reaches the gateway: a socket that takes bytes and gives bytes, as the real client's does. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { WebSocket } from 'ws';

/** Where the gateway listens. `ca`: by TLS, trusting this certificate (PEM). */
export type Target = { readonly port: number; readonly ca?: string };

export interface Line {
  /** One chunk of a stream, or one WebSocket message. */
  onBytes: (bytes: Buffer) => void;
  onEnd: () => void;
  write(bytes: Buffer): void;
  /** Ends it at once. */
  cut(): void;
}

const HOST = '127.0.0.1';

/** A TCP connection, or TLS over one. */
export async function dialTcp(target: Target): Promise<Line> {
  const { port, ca } = target;
  const socket =
    ca === undefined
      ? net.connect({ port, host: HOST })
      : tls.connect({ port, host: HOST, ca, servername: 'localhost' });
  const line: Line = {
    onBytes: () => {},
    onEnd: () => {},
    write: (bytes) => void socket.write(bytes),
    cut: () => void socket.destroy(),
  };
  await once(socket, ca === undefined ? 'connect' : 'secureConnect');
  socket.on('data', (bytes: Buffer) => line.onBytes(bytes));
  socket.on('error', () => {});
  socket.on('close', () => line.onEnd());
  return line;
}

/** A WebSocket as a page opens it; text messages come as no bytes at all, which is what `new Uint8Array(text)` makes of them. */
export async function dialWebSocket(target: Target): Promise<Line> {
  const { port, ca } = target;
  const url = `${ca === undefined ? 'ws' : 'wss'}://localhost:${port}`;
  const socket = new WebSocket(url, { ca, family: 4, origin: 'http://localhost' });
  const line: Line = {
    onBytes: () => {},
    onEnd: () => {},
    write: (bytes) => {
      socket.send(bytes);
    },
    cut: () => {
      socket.terminate();
    },
  };
  socket.on('error', () => {});
  await once(socket, 'open');
  socket.on('message', (bytes: Buffer, isBinary) => {
    line.onBytes(isBinary ? bytes : Buffer.alloc(0));
  });
  socket.on('close', () => line.onEnd());
  return line;
}
