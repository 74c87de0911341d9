/** A connection of exact bytes: what is sent is said byte for byte, and what comes is kept frame by frame. */
import { once } from 'node:events';
import net from 'node:net';

import { frame, OPCODE, UPGRADE } from '../support/raw.ts';
import { PATIENCE_MS } from '../support/wait.ts';

export type Transport = 'ws' | 'tcp';

/** What came: one WebSocket frame, or over TCP one package; or how the connection ended. */
export type Event =
  | { readonly kind: 'frame'; readonly text: boolean; readonly bytes: Buffer }
  /** `code` is 0 where the end came without one: over TCP, or a WebSocket that was cut off. */
  | { readonly kind: 'end'; readonly code: number; readonly words: string };

/** Code of a close frame that holds none. [RFC 6455 section 7.1.5] */
const NO_CODE = 1005;
/** How long to wait for what should come. It is long, since only what is missing takes it. */
export class Wire implements AsyncDisposable {
  readonly transport: Transport;
  readonly #socket: net.Socket;
  readonly #events: Event[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #isUpgraded: boolean;
  #isEnded = false;
  #look: () => void = () => {};

  private constructor(socket: net.Socket, transport: Transport) {
    this.transport = transport;
    this.#socket = socket;
    this.#isUpgraded = transport === 'tcp';
    // A reset is an end like any other: `close` follows.
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#read();
      this.#look();
    });
    socket.on('close', () => {
      // Part of a package is no package, but it did come.
      if (!this.#isEnded && this.#rest.length > 0)
        this.#events.push({ kind: 'frame', text: false, bytes: this.#rest });
      this.#end(0, '');
      this.#look();
    });
  }

  static async open(port: number, transport: Transport): Promise<Wire> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const wire = new Wire(socket, transport);
    await once(socket, 'connect');
    if (transport === 'ws') {
      socket.write(UPGRADE);
      await wire.#until(() => wire.#isUpgraded || wire.#isEnded);
    }
    return wire;
  }

  /** Sends the packages in one write, over WebSocket each as a frame of its own. */
  send(packages: readonly Buffer[], opcode: number = OPCODE.BINARY): void {
    const frames = packages.map((bytes) =>
      this.transport === 'ws' ? frame(opcode, bytes) : bytes,
    );
    this.#socket.write(Buffer.concat(frames));
  }

  /** What came next; null: nothing, however long one waits. */
  async next(): Promise<Event | null> {
    await this.#until(() => this.#events.length > 0);
    return this.#events.shift() ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#until(() => this.#socket.closed);
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#look = () => {};
        resolve();
      };
      const timer = setTimeout(finish, PATIENCE_MS);
      this.#look = () => {
        if (done()) finish();
      };
      this.#look();
    });
  }

  #read(): void {
    if (!this.#isUpgraded) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#isUpgraded = true;
      this.#rest = this.#rest.subarray(end + 4);
    }
    const readOne = this.transport === 'ws' ? () => this.#readFrame() : () => this.#readPackage();
    while (readOne());
  }

  #readPackage(): boolean {
    if (this.#rest.length < 4) return false;
    const end = 4 + this.#rest.readUIntBE(1, 3);
    if (this.#rest.length < end) return false;
    this.#events.push({ kind: 'frame', text: false, bytes: this.#rest.subarray(0, end) });
    this.#rest = this.#rest.subarray(end);
    return true;
  }

  /** [RFC 6455 section 5.2] Frames from a server are not masked; none of the three servers cuts a message. */
  #readFrame(): boolean {
    const bytes = this.#rest;
    if (bytes.length < 2) return false;
    const opcode = bytes[0]! & 0x0f;
    const short = bytes[1]! & 0x7f;
    const start = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (bytes.length < start) return false;
    const length =
      short === 127 ? bytes.readUIntBE(4, 6) : short === 126 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < start + length) return false;
    const payload = bytes.subarray(start, start + length);
    this.#rest = bytes.subarray(start + length);
    if (opcode === OPCODE.CLOSE) {
      const code = payload.length < 2 ? NO_CODE : payload.readUInt16BE(0);
      this.#end(code, payload.toString('utf8', 2));
      this.#socket.end(frame(OPCODE.CLOSE, payload));
      return false;
    }
    if (opcode === OPCODE.TEXT || opcode === OPCODE.BINARY)
      this.#events.push({ kind: 'frame', text: opcode === OPCODE.TEXT, bytes: payload });
    return true;
  }

  #end(code: number, words: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#events.push({ kind: 'end', code, words });
  }
}
