/** A byte pipe with a test at its other end: what a client dials when there is no network. */
import type { Dial, Transport, TransportEvents } from '../../../src/client/transport.ts';
import {
  decodeMessage,
  encodePush,
  encodeResponse,
  Message,
  rawIdOf,
} from '../../../src/protocol/message.ts';
import { encodePacket, packetOffset, type PacketType } from '../../../src/protocol/packet.ts';
import { PacketReader } from '../../../src/protocol/packet-reader.ts';

export type Asked = { readonly id: number; readonly route: string; readonly body: string };

/** Every connection that a client dials, in order. */
export class FakeServer {
  readonly connections: FakeConnection[] = [];
  /** What `dial` throws, once. */
  failure: Error | null = null;

  readonly dial: Dial = (url, events) => {
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
    const connection = new FakeConnection(url, events);
    this.connections.push(connection);
    return connection;
  };

  /** The newest connection. */
  get last(): FakeConnection {
    return this.connections.at(-1)!;
  }
}

export class FakeConnection implements Transport {
  readonly url: string;
  readonly sent: (Uint8Array | string)[] = [];
  closes = 0;
  isDestroyed = false;
  bufferedBytes = 0;
  readonly #events: TransportEvents;

  constructor(url: string, events: TransportEvents) {
    this.url = url;
    this.#events = events;
  }

  send(data: Uint8Array | string): void {
    this.sent.push(data);
  }

  close(): void {
    this.closes++;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** The packets that came, bodies as text. */
  get packets(): [type: number, body: string][] {
    const packets: [number, string][] = [];
    const reader = new PacketReader(0xffffff, (type, body) => {
      packets.push([type, body.toString()]);
    });
    for (const bytes of this.sent) reader.push(Buffer.from(bytes as Uint8Array));
    return packets;
  }

  /** The requests and notifies that came. */
  get asked(): Asked[] {
    const asked: Asked[] = [];
    const reader = new PacketReader(0xffffff, (type, body) => {
      const message = new Message();
      if (type !== 4) return;
      const fault = decodeMessage(body, (code) => `code ${code}`, message);
      if (fault !== null) throw new Error(fault);
      asked.push({ id: message.rawId, route: message.route, body: message.body.toString() });
    });
    for (const bytes of this.sent) reader.push(Buffer.from(bytes as Uint8Array));
    return asked;
  }

  /** The handshake's JSON as it came. */
  get hello(): { sys: Record<string, unknown>; user: unknown } {
    return JSON.parse(this.packets.find(([type]) => type === 1)![1]) as never;
  }

  /** The transport opens, and the server accepts the handshake with these keys of `sys`. */
  accept(sys: object = {}, more: object = {}): void {
    this.open();
    this.packet(1, JSON.stringify({ code: 200, sys, ...more }));
  }

  open(): void {
    this.#events.onOpen();
  }

  data(data: Uint8Array | string): void {
    this.#events.onData(typeof data === 'string' ? data : new Uint8Array(data));
  }

  packet(type: PacketType, body: string | Uint8Array = ''): void {
    this.data(packet(type, body));
  }

  answer(id: number, body: string | Uint8Array): void {
    this.data(bare(encodeResponse(rawIdOf(id), Buffer.from(body as string))!));
  }

  push(route: string | number, body: string | Uint8Array): void {
    this.data(bare(encodePush(route, Buffer.from(body as string))!));
  }

  end(why = 'connection lost', cause?: unknown): void {
    this.#events.onEnd(why, cause);
  }
}

export function packet(type: PacketType, body: string | Uint8Array = ''): Buffer {
  return bare(encodePacket(type, Buffer.from(body as string))!);
}

function bare(encoded: Buffer): Buffer {
  return encoded.subarray(packetOffset(encoded));
}
