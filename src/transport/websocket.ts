/**
 * WebSocket: `ws` reads and speaks the protocol; data frames go straight to the socket, framed once for
 * everybody. Mixing the two keeps its order only while no compression is negotiated, so there is none.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

import type { Encoded } from '../protocol/packet.ts';
import { Alarm, type TimerWheel } from '../timer-wheel.ts';
import { FrameEdge } from './frame-edge.ts';
import {
  type Accept,
  CLOSE_WAIT_MS,
  type Connection,
  type Peer,
  type SocketFault,
  type TransportName,
} from './transport.ts';

/** Beyond one largest packet: room for small packets in the same WebSocket message. */
const MESSAGE_ROOM_BYTES = 65_536;
const FRAGMENTS_MAX = 128;
const BUFFERED_CHUNKS_MAX = 16_384;

export class WebSocketConnection implements Connection {
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #wheel: TimerWheel;
  readonly #edge = new FrameEdge();
  #closing = false;

  constructor(ws: WebSocket, socket: Socket, peer: Peer, wheel: TimerWheel) {
    this.#ws = ws;
    this.#socket = socket;
    this.#wheel = wheel;
    this.transport = peer.secure ? 'wss' : 'ws';
    this.remoteAddress = peer.remoteAddress;
  }

  listen(accept: Accept): void {
    const handler = accept(this);
    let failed: Error | null = null;
    const pong = (): void => {
      if (!this.#closing) handler.onPong?.();
    };
    this.#socket.on('data', (chunk: Buffer) => {
      this.#edge.push(chunk);
    });
    // Text frames are taken like binary ones: some clients send them, and Pomelo reads them. [protocol.md 1.2]
    this.#ws.on('message', (data: Buffer) => {
      if (!this.#closing) handler.onBytes(data);
    });
    this.#ws.on('ping', pong);
    this.#ws.on('pong', pong);
    this.#ws.on('error', (error: Error & { code?: string }) => {
      failed = error;
      const fault = faultOf(error.code ?? '');
      if (fault !== null) handler.onFault(fault, error);
    });
    this.#ws.on('close', () => {
      handler.onClosed(failed);
    });
    this.#socket.on('drain', () => {
      handler.onDrain();
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get assembling(): boolean {
    return this.#edge.isWithin;
  }

  send(packets: readonly Encoded[]): void {
    // After a close frame nothing may follow, though the socket would still take it. [RFC 6455 section 5.5.1]
    if (!this.#isOpen) return;
    this.#socket.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
  }

  ping(): void {
    if (this.#isOpen) this.#ws.ping();
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    // A paused socket would never see the client's close frame.
    this.#ws.resume();
    this.#ws.close(code, closeText(reason));
    const cut = new Alarm(() => {
      this.#ws.terminate();
    });
    this.#wheel.set(cut, CLOSE_WAIT_MS);
    this.#ws.once('close', () => {
      this.#wheel.cancel(cut);
    });
  }

  destroy(): void {
    this.#closing = true;
    this.#ws.terminate();
  }

  get #isOpen(): boolean {
    return !this.#closing && this.#ws.readyState === this.#ws.OPEN && !this.#socket.destroyed;
  }
}

/** What the client did, by the code of `ws`; null: it did nothing, the socket failed. */
function faultOf(code: string): SocketFault | null {
  if (!code.startsWith('WS_ERR_')) return null;
  return code.startsWith('WS_ERR_UNSUPPORTED_') ? 'packet_too_long' : 'malformed';
}

/** A close frame carries at most 123 bytes of UTF-8. [RFC 6455 section 5.5] */
function closeText(reason: string): string {
  const bytes = Buffer.from(reason);
  return bytes.length <= 123
    ? reason
    : bytes
        .subarray(0, 120)
        .toString('utf8')
        .replace(/\ufffd+$/, '');
}

/** Makes WebSocket connections of HTTP upgrade requests. */
export class WebSocketUpgrader {
  readonly #server: WebSocketServer;
  readonly #wheel: TimerWheel;

  /** @param packetBytesMax The largest packet, head included. */
  constructor(packetBytesMax: number, wheel: TimerWheel) {
    this.#wheel = wheel;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: packetBytesMax + MESSAGE_ROOM_BYTES,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      // Text frames are read as bytes, and bytes need not be UTF-8.
      skipUTF8Validation: true,
    });
  }

  /** Answers the request; one that is not as WebSocket wants it is answered 4xx, and `accept` is not called. */
  upgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    peer: Peer,
    accept: Accept,
  ): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      new WebSocketConnection(ws, socket, peer, this.#wheel).listen(accept);
    });
  }
}
