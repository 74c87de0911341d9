/** NATS by its own protocol, so that headers, subjects and sizes can be what no library would write. */
import { once } from 'node:events';
import net from 'node:net';

export type NatsMessage = {
  readonly subject: string;
  readonly reply: string;
  readonly headers: Buffer;
  readonly body: Buffer;
};

export class NatsWire {
  readonly #socket: net.Socket;
  readonly #subscriptions = new Map<number, (message: NatsMessage) => void>();
  #rest: Buffer = Buffer.alloc(0);
  #next = 1;
  /** What the server said was wrong. */
  readonly errors: string[] = [];

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  static async connect(port: number): Promise<NatsWire> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const wire = new NatsWire(socket);
    socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n');
    return wire;
  }

  subscribe(subject: string, queue: string, take: (message: NatsMessage) => void): void {
    const id = this.#next++;
    this.#subscriptions.set(id, take);
    this.#socket.write(`SUB ${subject} ${queue} ${id}\r\n`);
  }

  /** `headers`: the lines after NATS/1.0, each ended by \r\n, or any bytes; empty: a message without headers. */
  publish(subject: string, reply: string, headers: Buffer | string, body: Buffer | string): void {
    const bytes = Buffer.from(body as string);
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
        if (op === '-ERR') this.errors.push(line);
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
    this.#subscriptions.get(Number(words[1]))?.({
      subject: words[0]!,
      reply,
      headers: payload.subarray(0, headed),
      body: payload.subarray(headed),
    });
  }
}
