/** Bytes as no proper client sends them: sockets without a protocol of their own, and the parts to build from. */
import { once } from 'node:events';
import net from 'node:net';
import { PATIENCE_MS } from './wait.ts';

export type Transport = 'tcp' | 'ws';

/** A Pomelo package: type, three bytes of length, body. `announced` says another length than the body has. */
export function pack(type: number, body: string | Buffer = '', announced?: number): Buffer {
  const bytes = Buffer.from(body as string);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(announced ?? bytes.length);
  head[0] = type;
  return Buffer.concat([head, bytes]);
}

/** A package of type DATA around a message given byte for byte. */
export function data(...bytes: readonly number[]): Buffer {
  return pack(4, Buffer.from(bytes));
}

export const HANDSHAKE = pack(1, '{"sys":{"type":"raw","version":"1"},"user":{}}');
export const ACK = pack(2);

/** A request with a small id and a route of ASCII. */
export function ask(id: number, route: string, body: string | Buffer = '{}'): Buffer {
  const head = Buffer.from([0, id, route.length]);
  return pack(4, Buffer.concat([head, Buffer.from(route), Buffer.from(body as string)]));
}

/** A WebSocket frame as a client sends it, masked with zeros. `announced` says another length. */
export function frame(
  opcode: number,
  payload: Buffer,
  options: { fin?: boolean; announced?: number } = {},
): Buffer {
  const length = options.announced ?? payload.length;
  const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
  head[0] = (options.fin === false ? 0 : 0x80) | opcode;
  if (length < 126) {
    head[1] = 0x80 | length;
  } else if (length < 65_536) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 0x80 | 127;
    head.writeUInt32BE(length, 6);
  }
  return Buffer.concat([head, payload]);
}

export const OPCODE = {
  CONTINUATION: 0,
  TEXT: 1,
  BINARY: 2,
  CLOSE: 8,
  PING: 9,
  PONG: 10,
} as const;

/** The same frame with another mask than zeros; all of it must be there. */
export function masked(bytes: Buffer, mask: number): Buffer {
  const copy = Buffer.from(bytes);
  const short = bytes[1]! & 0x7f;
  const at = short === 127 ? 10 : short === 126 ? 4 : 2;
  copy.writeUInt32BE(mask, at);
  for (let i = at + 4; i < copy.length; i++) copy[i]! ^= copy[at + ((i - at) & 3)]!;
  return copy;
}

/** A WebSocket frame as a server sends it: not masked. */
export function serverFrame(opcode: number, payload: Buffer): Buffer {
  const bytes = masked(frame(opcode, payload), 0);
  const maskAt = bytes.length - payload.length - 4;
  bytes[1]! &= 0x7f;
  return Buffer.concat([bytes.subarray(0, maskAt), payload]);
}

/** A WebSocket upgrade request. */
export const UPGRADE =
  'GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** A socket that shows what came as text, and says when it ended. */
export class RawSocket implements AsyncDisposable {
  readonly socket: net.Socket;
  /** What came, byte for character. */
  received = '';
  readonly ended: Promise<void>;
  isEnded = false;
  readonly #watchers = new Set<() => void>();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.isEnded = true;
        resolve();
        this.#look();
      });
    });
  }

  /** @param from The address of this machine that it comes from: one of 127.0.0.0/8. */
  static async connect(port: number, from = '127.0.0.1'): Promise<RawSocket> {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
    const raw = new RawSocket(socket);
    await once(socket, 'connect');
    return raw;
  }

  /** Connects and, for WebSocket, upgrades. */
  static async open(port: number, transport: Transport): Promise<RawSocket> {
    const raw = await RawSocket.connect(port);
    if (transport === 'ws') {
      raw.send(UPGRADE);
      await raw.waitFor(/101 Switching Protocols[^]*?\r\n\r\n/);
    }
    return raw;
  }

  send(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  /** Shakes hands in the form of the transport and waits for the answer. */
  async shakeHands(transport: Transport): Promise<void> {
    const wrap = (bytes: Buffer): Buffer =>
      transport === 'ws' ? frame(OPCODE.BINARY, bytes) : bytes;
    this.send(wrap(HANDSHAKE));
    await this.waitFor(/"code":200/);
    this.send(wrap(ACK));
  }

  /** Resolves with the match once what came has it; rejects when the connection ends before that. */
  waitFor(pattern: RegExp, ms = PATIENCE_MS): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`no ${String(pattern)} in ${ms} ms: ${this.received.slice(-500)}`));
      }, ms);
      const look = (): void => {
        const match = pattern.exec(this.received);
        if (match !== null) {
          finish();
          resolve(match);
        } else if (this.isEnded) {
          finish();
          reject(new Error(`ended before ${String(pattern)}: ${this.received.slice(-500)}`));
        }
      };
      this.#watchers.add(look);
      look();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.ended;
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }
}
