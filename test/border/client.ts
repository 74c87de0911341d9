/**
 * A client of any dialect that costs little and knows no code of the gateway: it asks, pairs answers, and can send
 * what no client would. What comes for an id that is not open is kept as stray: an answer twice, or to nobody.
 */
import { once } from 'node:events';
import net from 'node:net';
import { WebSocket } from 'ws';

export type Dialect = 'pomelo' | 'pitaya' | 'nano' | 'json';
export type Transport = 'ws' | 'tcp';

/** What became of a request: its answer's body, the connection's end, or nothing in the time given. */
export type Outcome =
  | { readonly kind: 'answer'; readonly body: Buffer }
  | { readonly kind: 'closed' }
  | { readonly kind: 'silent' };

const HANDSHAKE = 1;
const ACK = 2;
const HEARTBEAT = 3;
const DATA = 4;
/** Half of what the gateway is configured to expect. */
const HEARTBEAT_MS = 15_000;
const RESPONSE_FLAG = 2 << 1;

/** Four bytes of head and a body; `announced` says another length. */
export function packet(type: number, body: Buffer = Buffer.alloc(0), announced = body.length) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(announced % 0x1000000);
  head[0] = type;
  return Buffer.concat([head, body]);
}

/** A request's message; id 0: a notify. The route's length is one byte. */
export function message(id: number, route: string, body: Buffer): Buffer {
  const name = Buffer.from(route).subarray(0, 255);
  const head = id === 0 ? [2] : [0, ...groups(id)];
  return Buffer.concat([Buffer.from([...head, name.length]), name, body]);
}

function groups(id: number): number[] {
  const made: number[] = [];
  for (let rest = id; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...made, rest];
    made.push((rest % 128) + 128);
  }
}

export class Client {
  readonly dialect: Dialect;
  readonly transport: Transport;
  isOpen = true;
  readonly ended: Promise<void>;
  /** Answers to ids that were not open. */
  strays = 0;
  pushes = 0;
  /** Bodies of handshakes that came. */
  readonly handshakes: string[] = [];
  readonly #socket: net.Socket | WebSocket;
  readonly #open = new Map<number, (outcome: Outcome) => void>();
  readonly #onHandshake: (() => void)[] = [];
  #nextId = 1;
  #parts: Buffer[] = [];
  #partBytes = 0;

  private constructor(socket: net.Socket | WebSocket, dialect: Dialect) {
    this.#socket = socket;
    this.dialect = dialect;
    this.transport = socket instanceof WebSocket ? 'ws' : 'tcp';
    socket.on('error', () => {});
    if (socket instanceof WebSocket)
      socket.on('message', (data: Buffer) => {
        if (dialect === 'json') this.#onText(data.toString());
        else this.#onBytes(data);
      });
    else socket.on('data', (data: Buffer) => this.#onBytes(data));
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.isOpen = false;
        for (const settle of this.#open.values()) settle({ kind: 'closed' });
        this.#open.clear();
        for (const go of this.#onHandshake.splice(0)) go();
        resolve();
      });
    });
  }

  /** Connects and says nothing. */
  static async open(port: number, transport: Transport, dialect: Dialect): Promise<Client> {
    const socket =
      transport === 'ws'
        ? new WebSocket(`ws://127.0.0.1:${port}/`, { maxPayload: 0, perMessageDeflate: false })
        : net.connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new Client(socket, dialect);
    await Promise.race([once(socket, transport === 'ws' ? 'open' : 'connect'), client.ended]);
    return client;
  }

  /** Connects and shakes hands. */
  static async join(port: number, transport: Transport, dialect: Dialect): Promise<Client> {
    const client = await Client.open(port, transport, dialect);
    if (dialect === 'json') return client;
    await client.handshake(Buffer.from('{"sys":{"type":"border","version":"1"},"user":{}}'));
    client.raw(packet(ACK));
    return client;
  }

  /** Sends a handshake of this body; resolves when it is answered or the connection has ended. */
  async handshake(body: Buffer): Promise<void> {
    const answered = new Promise<void>((resolve) => {
      this.#onHandshake.push(resolve);
    });
    if (this.dialect === 'json') this.raw(`{"handshake":${body.toString()}}`);
    else this.raw(packet(HANDSHAKE, body));
    if (this.isOpen) await answered;
  }

  /** Sends bytes as they are; over WebSocket one message, of text for a text. */
  raw(bytes: Buffer | string): void {
    if (!this.isOpen) return;
    if (this.#socket instanceof WebSocket) this.#socket.send(bytes);
    else this.#socket.write(bytes);
  }

  /** For bytes below WebSocket's own framing. */
  get stream(): net.Socket {
    return this.#socket instanceof WebSocket
      ? (this.#socket as unknown as { _socket: net.Socket })._socket
      : this.#socket;
  }

  ask(route: string, body: Buffer | string, ms: number): Promise<Outcome> {
    const id = this.#nextId++;
    const bytes = Buffer.from(body as string);
    const sent =
      this.dialect === 'json'
        ? `{"id":${id},"route":${JSON.stringify(route)},"body":${bytes.toString() || '{}'}}`
        : packet(DATA, message(id, route, bytes));
    return this.outcome(id, sent, ms);
  }

  /** Sends `sent`, and waits for what comes of the id in it. */
  outcome(id: number, sent: Buffer | string, ms: number): Promise<Outcome> {
    if (!this.isOpen) return Promise.resolve({ kind: 'closed' });
    this.#nextId = Math.max(this.#nextId, id + 1);
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.#open.delete(id);
        resolve({ kind: 'silent' });
      }, ms);
      this.#open.set(id, (outcome) => {
        clearTimeout(late);
        resolve(outcome);
      });
      this.raw(sent);
    });
  }

  notify(route: string, body: Buffer | string): void {
    const bytes = Buffer.from(body as string);
    if (this.dialect === 'json')
      this.raw(`{"route":${JSON.stringify(route)},"body":${bytes.toString() || '{}'}}`);
    else this.raw(packet(DATA, message(0, route, bytes)));
  }

  async close(): Promise<void> {
    if (this.#socket instanceof WebSocket) this.#socket.terminate();
    else this.#socket.destroy();
    await this.ended;
  }

  #onBytes(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#partBytes += chunk.length;
    if (this.#partBytes < 4) return;
    // Joined only when a packet is whole: a large answer comes in hundreds of pieces.
    const first = this.#parts[0]!;
    if (first.length < 4) this.#parts = [Buffer.concat(this.#parts)];
    if (this.#partBytes < 4 + this.#parts[0]!.readUIntBE(1, 3)) return;
    let bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    while (bytes.length >= 4) {
      const end = 4 + bytes.readUIntBE(1, 3);
      if (bytes.length < end) break;
      this.#onPacket(bytes[0]!, bytes.subarray(4, end));
      bytes = bytes.subarray(end);
    }
    this.#parts = bytes.length === 0 ? [] : [bytes];
    this.#partBytes = bytes.length;
  }

  /** As clients do: the gateway answers each at once, so that nobody waiting would be a storm. */
  #beatLater(): void {
    setTimeout(() => {
      this.raw(packet(HEARTBEAT));
    }, HEARTBEAT_MS).unref();
  }

  #onPacket(type: number, body: Buffer): void {
    if (type === HEARTBEAT) this.#beatLater();
    else if (type === HANDSHAKE) this.#shaken(body.toString());
    else if (type === DATA && (body[0]! & 0x0e) === RESPONSE_FLAG) {
      let id = 0;
      let at = 1;
      for (let scale = 1; at < body.length; scale *= 128) {
        const byte = body[at++]!;
        id += (byte & 0x7f) * scale;
        if (byte < 0x80) break;
      }
      this.#answered(id, body.subarray(at));
    } else if (type === DATA) this.pushes++;
  }

  /** Not parsed: a body may be as deep and as large as it likes. */
  #onText(text: string): void {
    const [head, id, member] = /^\{"id":(\d+),"(body|error)":/.exec(text) ?? [];
    if (head !== undefined && member !== undefined)
      this.#answered(Number(id), Buffer.from(text.slice(head.length, -1)));
    else if (text.startsWith('{"handshake":')) this.#shaken(text);
    else if (text.startsWith('{"route":')) this.pushes++;
  }

  #shaken(body: string): void {
    this.handshakes.push(body);
    for (const go of this.#onHandshake.splice(0)) go();
  }

  #answered(id: number, body: Buffer): void {
    const settle = this.#open.get(id);
    if (settle === undefined) {
      this.strays++;
      return;
    }
    this.#open.delete(id);
    settle({ kind: 'answer', body });
  }
}

/** The reason in a failed request's body, as Pomelo's clients have it or Pitaya's; '' for a success. */
export function reasonOf(body: Buffer): string {
  const text = body.toString('utf8', 0, 2_000);
  if (!text.startsWith('{"code":')) return '';
  return /"reason":"([A-Z_]{1,64})"/.exec(text)?.[1] ?? '';
}
