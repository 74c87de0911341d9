/** NATS by its own protocol, so that headers, subjects and sizes can be what no library would write. */
import { once } from 'node:events';
import net from 'node:net';

export type NatsMessage = {
  readonly subject: string;
  readonly reply: string;
  readonly headers: Buffer;
  readonly body: Buffer;
};

/** What the server takes of headers and body together; beyond it, it ends the connection. */
const PAYLOAD_BYTES = 1_048_576;
const AGAIN_MS = 50;

type Subscription = {
  readonly subject: string;
  readonly queue: string;
  readonly take: (message: NatsMessage) => void;
};

/** One connection, made again when the server ends it, as it does for what is no protocol at all. */
export class NatsWire {
  readonly #port: number;
  readonly #subscriptions: Subscription[] = [];
  #socket!: net.Socket;
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;

  private constructor(port: number) {
    this.#port = port;
  }

  static async connect(port: number): Promise<NatsWire> {
    const wire = new NatsWire(port);
    await wire.#connect();
    return wire;
  }

  async #connect(): Promise<void> {
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => {
      if (!this.#closed) setTimeout(() => void this.#connect(), AGAIN_MS).unref();
    });
    socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n');
    for (const [i, { subject, queue }] of this.#subscriptions.entries())
      socket.write(`SUB ${subject} ${queue} ${i}\r\n`);
    await once(socket, 'connect').catch(() => {});
  }

  subscribe(subject: string, queue: string, take: (message: NatsMessage) => void): void {
    this.#socket.write(`SUB ${subject} ${queue} ${this.#subscriptions.length}\r\n`);
    this.#subscriptions.push({ subject, queue, take });
  }

  /** `headers`: the lines after NATS/1.0, each ended by \r\n, or any bytes; empty: a message without headers. */
  publish(subject: string, reply: string, headers: Buffer | string, body: Buffer | string): void {
    // The rest of a body that is too long is left out.
    const room = PAYLOAD_BYTES - Buffer.byteLength(headers) - 100;
    const bytes = Buffer.from(body as string).subarray(0, room);
    if (headers.length === 0) {
      this.#socket.write(`PUB ${subject} ${reply} ${bytes.length}\r\n`);
    } else {
      const block = Buffer.concat([
        Buffer.from('NATS/1.0\r\n'),
        Buffer.from(headers as string),
        Buffer.from('\r\n'),
      ]);
      const total = block.length + bytes.length;
      this.#socket.write(`HPUB ${subject} ${reply} ${block.length} ${total}\r\n`);
      this.#socket.write(block);
    }
    this.#socket.write(bytes);
    this.#socket.write('\r\n');
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = bytes.indexOf('\r\n');
      if (end < 0) break;
      const line = bytes.toString('latin1', 0, end);
      const [op, ...words] = line.split(' ');
      if (op !== 'MSG' && op !== 'HMSG') {
        if (op === 'PING') this.#socket.write('PONG\r\n');
        bytes = bytes.subarray(end + 2);
        continue;
      }
      const total = Number(words.at(-1));
      if (bytes.length < end + 2 + total + 2) break;
      const payload = bytes.subarray(end + 2, end + 2 + total);
      this.#onMessage(op, words, payload);
      bytes = bytes.subarray(end + 2 + total + 2);
    }
    this.#rest = bytes;
  }

  #onMessage(op: string, words: string[], payload: Buffer): void {
    const headed = op === 'HMSG' ? Number(words.at(-2)) : 0;
    const reply = words.length === (op === 'HMSG' ? 5 : 4) ? words[2]! : '';
    this.#subscriptions[Number(words[1])]?.take({
      subject: words[0]!,
      reply,
      headers: payload.subarray(0, headed),
      body: payload.subarray(headed),
    });
  }
}
