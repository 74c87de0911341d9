/**
 * A Pomelo client for tests, over raw TCP or WebSocket, that shows everything that came: answers by id, pushes
 * in order, kicks, heartbeats, and how the connection ended.
 */
import { once } from 'node:events';
import net from 'node:net';
import { WebSocket } from 'ws';

import {
  decodeMessage,
  encodeNotify,
  encodeRequest,
  idOfRaw,
  Message,
  MessageKind,
  rawIdOf,
} from '../../src/protocol/message.ts';
import { encodePacket, packetOffset, PacketType } from '../../src/protocol/packet.ts';
import { PacketReader } from '../../src/protocol/packet-reader.ts';
import { PATIENCE_MS } from './wait.ts';

export type Received =
  | { kind: 'handshake'; body: Record<string, unknown> }
  | { kind: 'heartbeat' }
  | { kind: 'kick'; body: Record<string, unknown> }
  | { kind: 'response'; id: number; rawId: number; body: Buffer }
  | { kind: 'push'; route: string; body: Buffer };

/** How a client connects. */
export type Way = {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** The address of this machine that it comes from, one of 127.0.0.0/8. */
  readonly from?: string;
  /** Of a WebSocket's upgrade. */
  readonly headers?: Record<string, string>;
};

export type Ended = { readonly code: number; readonly reason: string };

export class TestClient implements AsyncDisposable {
  /** Everything that came, in order. */
  readonly received: Received[] = [];
  /** Resolves when the connection has ended; over TCP the code is 0. */
  readonly ended: Promise<Ended>;
  isEnded = false;
  /** Answers each of the gateway's heartbeats this late; -1: never. */
  heartbeatAfterMs = -1;
  #nextId = 1;
  readonly #write: (bytes: Buffer) => void;
  readonly #close: () => void;
  readonly #pauseReading: (pause: boolean) => void;
  readonly #watchers = new Set<() => void>();

  private constructor(socket: net.Socket | WebSocket) {
    const reader = new PacketReader(0xffffff, (type, body) => {
      this.#take(type, Buffer.from(body));
    });
    let end: (ended: Ended) => void;
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    const finish = (ended: Ended): void => {
      this.isEnded = true;
      end(ended);
      for (const look of this.#watchers) look();
    };
    socket.on('error', () => {});
    if (socket instanceof WebSocket) {
      socket.on('message', (data: Buffer) => reader.push(data));
      socket.on('close', (code, reason) => {
        finish({ code, reason: reason.toString() });
      });
      this.#write = (bytes) => {
        socket.send(bytes);
      };
      this.#close = () => {
        socket.terminate();
      };
      this.#pauseReading = (pause) => {
        if (pause) socket.pause();
        else socket.resume();
      };
    } else {
      socket.on('data', (data) => reader.push(data));
      socket.on('close', () => {
        finish({ code: 0, reason: '' });
      });
      this.#write = (bytes) => {
        socket.write(bytes);
      };
      this.#close = () => {
        socket.destroy();
      };
      this.#pauseReading = (pause) => {
        if (pause) socket.pause();
        else socket.resume();
      };
    }
  }

  /** Connects without a handshake. */
  static async open(
    port: number,
    transport: 'ws' | 'tcp' = 'tcp',
    { host = '127.0.0.1', from, headers }: Way = {},
  ): Promise<TestClient> {
    const local = from !== undefined && { localAddress: from };
    if (transport === 'ws') {
      const socket = new WebSocket(`ws://${host}:${port}/any/path`, { ...local, headers });
      const client = new TestClient(socket);
      await once(socket, 'open');
      return client;
    }
    const socket = net.connect({ port, host, noDelay: true, ...local });
    const client = new TestClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Connects, shakes hands and acknowledges. */
  static async connect(
    port: number,
    transport: 'ws' | 'tcp' = 'tcp',
    way: Way = {},
  ): Promise<TestClient> {
    const client = await TestClient.open(port, transport, way);
    await client.handshake();
    client.ack();
    return client;
  }

  async handshake(
    sys: Record<string, unknown> = { type: 'test', version: '1' },
  ): Promise<Record<string, unknown>> {
    this.packet(PacketType.HANDSHAKE, Buffer.from(JSON.stringify({ sys, user: {} })));
    const answer = await this.next('handshake');
    return answer.body;
  }

  ack(): void {
    this.packet(PacketType.HANDSHAKE_ACK);
  }

  packet(type: PacketType, body?: Buffer): void {
    const encoded = encodePacket(type, body)!;
    this.raw(encoded.subarray(packetOffset(encoded)));
  }

  /** Any bytes: over WebSocket one binary message. */
  raw(bytes: Buffer): void {
    this.#write(bytes);
  }

  /** Sends a request; returns its id without waiting. */
  send(route: string, body: unknown, id = this.#nextId++): number {
    const encoded = encodeRequest(rawIdOf(id), route, asBytes(body))!;
    this.raw(encoded.subarray(packetOffset(encoded)));
    return id;
  }

  notify(route: string, body: unknown): void {
    const encoded = encodeNotify(route, asBytes(body))!;
    this.raw(encoded.subarray(packetOffset(encoded)));
  }

  /** Asks and waits for the answer, parsed. */
  async request(route: string, body: unknown = {}): Promise<Record<string, unknown>> {
    return this.answer(this.send(route, body));
  }

  /** The answer to `id`, parsed. */
  async answer(id: number, ms = PATIENCE_MS): Promise<Record<string, unknown>> {
    const found = await this.wait(
      () => this.received.find((item) => item.kind === 'response' && item.id === id),
      `the answer to ${id}`,
      ms,
    );
    return JSON.parse((found as { body: Buffer }).body.toString()) as Record<string, unknown>;
  }

  /** How often `id` was answered so far. */
  answersTo(id: number): number {
    return this.received.filter((item) => item.kind === 'response' && item.id === id).length;
  }

  /** Pushes so far, parsed; of one route, or all. */
  pushes(route?: string): { route: string; body: Record<string, unknown> }[] {
    return this.received
      .filter((item) => item.kind === 'push')
      .filter((item) => route === undefined || item.route === route)
      .map((item) => ({
        route: item.route,
        body: JSON.parse(item.body.toString()) as Record<string, unknown>,
      }));
  }

  /** The body of the `n`th push of a route (the first is 0). */
  async push(route: string, n = 0): Promise<Record<string, unknown>> {
    return this.wait(() => this.pushes(route)[n], `push ${n} of ${route}`).then(({ body }) => body);
  }

  /** The first that came of a kind. */
  async next<K extends Received['kind']>(kind: K): Promise<Extract<Received, { kind: K }>> {
    const found = await this.wait(() => this.received.find((item) => item.kind === kind), kind);
    return found as Extract<Received, { kind: K }>;
  }

  pauseReading(pause: boolean): void {
    this.#pauseReading(pause);
  }

  /** Waits until `look` finds something; looks again whenever something comes. */
  wait<T>(look: () => T | undefined, what: string, ms = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(check);
      };
      const timer = setTimeout(() => {
        finish();
        reject(
          new Error(
            `waited ${ms} ms for ${what}; the connection is ${this.isEnded ? 'closed' : 'open'}`,
          ),
        );
      }, ms);
      const check = (): void => {
        const found = look();
        if (found !== undefined) {
          finish();
          resolve(found);
        } else if (this.isEnded) {
          finish();
          reject(new Error(`the connection ended before ${what} came`));
        }
      };
      this.#watchers.add(check);
      check();
    });
  }

  close(): void {
    this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.ended;
  }

  #take(type: number, body: Buffer): void {
    const item = received(type, body);
    if (item.kind === 'heartbeat' && this.heartbeatAfterMs >= 0) {
      setTimeout(() => {
        if (!this.isEnded) this.packet(PacketType.HEARTBEAT);
      }, this.heartbeatAfterMs);
    }
    this.received.push(item);
    for (const look of this.#watchers) look();
  }
}

function asBytes(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
}

function received(type: number, body: Buffer): Received {
  const json = (): Record<string, unknown> =>
    body.length === 0 ? {} : (JSON.parse(body.toString()) as Record<string, unknown>);
  if (type === PacketType.HANDSHAKE) return { kind: 'handshake', body: json() };
  if (type === PacketType.HEARTBEAT) return { kind: 'heartbeat' };
  if (type === PacketType.KICK) return { kind: 'kick', body: json() };
  const message = new Message();
  const fault = decodeMessage(body, (code) => `code ${code}`, message);
  if (type !== PacketType.DATA || fault !== null)
    throw new Error(`the gateway sent packet type ${type}: ${fault}`);
  if (message.kind === MessageKind.RESPONSE)
    return {
      kind: 'response',
      id: idOfRaw(message.rawId),
      rawId: message.rawId,
      body: message.body,
    };
  return { kind: 'push', route: message.route, body: message.body };
}
