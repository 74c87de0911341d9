/** A plain TCP socket with the npm package pomelo-protocol as its only codec. */
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { loadNpm } from '../support/npm-clients.ts';

type Package = { readonly type: number; readonly body: Buffer | null };
type Message = {
  readonly id: number;
  readonly type: number;
  readonly route: string | null;
  readonly body: Buffer;
};

type Codec = {
  readonly Package: {
    readonly TYPE_HANDSHAKE: number;
    readonly TYPE_HANDSHAKE_ACK: number;
    readonly TYPE_HEARTBEAT: number;
    readonly TYPE_DATA: number;
    readonly TYPE_KICK: number;
    encode(type: number, body?: Buffer): Buffer;
    /** One package, or a list where the bytes hold several. */
    decode(bytes: Buffer): Package | Package[];
  };
  readonly Message: {
    readonly TYPE_REQUEST: number;
    readonly TYPE_NOTIFY: number;
    readonly TYPE_RESPONSE: number;
    readonly TYPE_PUSH: number;
    encode(id: number, type: number, compress: 0, route: string, body: Buffer): Buffer;
    decode(bytes: Buffer): Message;
  };
};

export const codec = loadNpm<Codec>('pomelo-protocol');
const { Package, Message } = codec;

const HEAD_BYTES = 4;

export function handshake(sys: object = { type: 'codec', version: '0.1.6' }): Buffer {
  return Package.encode(Package.TYPE_HANDSHAKE, json({ sys, user: {} }));
}

export function ack(): Buffer {
  return Package.encode(Package.TYPE_HANDSHAKE_ACK);
}

export function heartbeat(): Buffer {
  return Package.encode(Package.TYPE_HEARTBEAT);
}

export function request(id: number, route: string, body: object): Buffer {
  const message = Message.encode(id, Message.TYPE_REQUEST, 0, route, json(body));
  return Package.encode(Package.TYPE_DATA, message);
}

export function notify(route: string, body: object): Buffer {
  const message = Message.encode(0, Message.TYPE_NOTIFY, 0, route, json(body));
  return Package.encode(Package.TYPE_DATA, message);
}

export class CodecClient implements AsyncDisposable {
  /** Everything that came, in order. */
  readonly packages: Package[] = [];
  /** Resolves when the gateway or the test has ended the connection. */
  readonly closed: Promise<void>;
  readonly #socket: net.Socket;
  #rest: Buffer = Buffer.alloc(0);
  #look: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        resolve();
      });
    });
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.#take(chunk);
    });
  }

  static async connect(port: number): Promise<CodecClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new CodecClient(socket);
  }

  /** Connects, and sends handshake and ack each in its turn. */
  static async shakeHands(port: number): Promise<CodecClient> {
    const client = await CodecClient.connect(port);
    client.send(handshake());
    await client.first(Package.TYPE_HANDSHAKE);
    client.send(ack());
    await client.first(Package.TYPE_HEARTBEAT);
    return client;
  }

  /** All packages in one write. */
  send(...packages: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(packages));
  }

  /** One byte to a write, with a turn of the loop after each, so that the gateway reads each alone. */
  async sendByteByByte(...packages: readonly Buffer[]): Promise<void> {
    for (const byte of Buffer.concat(packages)) {
      this.#socket.write(Buffer.of(byte));
      await nextTurn();
      await nextTurn();
    }
  }

  /** The body of the first package of a type, parsed; null where it has none. */
  async first(type: number): Promise<unknown> {
    const { body } = await this.#until(() => this.packages.find((one) => one.type === type));
    return body === null ? null : JSON.parse(body.toString());
  }

  /** The body of the answer to a request, parsed. */
  async answer(id: number): Promise<unknown> {
    const found = await this.#until(() =>
      this.#messages(Message.TYPE_RESPONSE).find((message) => message.id === id),
    );
    return JSON.parse(found.body.toString());
  }

  /** The bodies of the first `count` pushes of a route, parsed. */
  async pushes(route: string, count: number): Promise<unknown[]> {
    const found = await this.#until(() => {
      const pushes = this.#messages(Message.TYPE_PUSH).filter((push) => push.route === route);
      return pushes.length >= count ? pushes : undefined;
    });
    return found.map(({ body }) => JSON.parse(body.toString()) as unknown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }

  #messages(type: number): Message[] {
    return this.packages
      .filter((one) => one.type === Package.TYPE_DATA)
      .map((one) => Message.decode(one.body!))
      .filter((message) => message.type === type);
  }

  /** The codec reads whole packages only, so what is cut off waits. */
  #take(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let end = 0;
    while (end + HEAD_BYTES <= bytes.length) {
      const next = end + HEAD_BYTES + bytes.readUIntBE(end + 1, 3);
      if (next > bytes.length) break;
      end = next;
    }
    this.#rest = bytes.subarray(end);
    if (end > 0) this.packages.push(...[Package.decode(bytes.subarray(0, end))].flat());
    this.#look();
  }

  #until<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        const found = find();
        if (found !== undefined) resolve(found);
      };
      void this.closed.then(() => {
        reject(new Error(`the connection was closed after ${JSON.stringify(this.packages)}`));
      });
      this.#look();
    });
  }
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
