/**
 * WebSocket: `ws` reads and speaks the protocol; data frames go straight to the socket, framed once for
 * everybody. Mixing the two keeps its order only while no compression is negotiated, so there is none.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

import type { Encoded } from '../protocol/packet.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { FrameTracker } from './frame-tracker.ts';
import { Outflow } from './outflow.ts';
import {
  type Accept,
  CLOSE_WAIT_MS,
  type Connection,
  type ConnectionHandler,
  type Peer,
  type SocketFault,
  type TransportName,
} from './transport.ts';

/** Beyond one largest packet: room for small packets in the same WebSocket message. */
const MESSAGE_ROOM_BYTES = 65_536;
const FRAGMENTS_MAX = 128;
const BUFFERED_CHUNKS_MAX = 16_384;
/** Pings in one read, or while the client takes no pongs, after which the connection is closed for them. */
const PONGS_UNSENT_MAX = 60;

export class WebSocketConnection implements Connection {
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #outflow: Outflow;
  readonly #wheel: TimerWheel;
  readonly #frames = new FrameTracker();
  #handler: ConnectionHandler | null = null;
  #pongsUnsent = 0;
  #closing = false;

  constructor(ws: WebSocket, socket: Socket, peer: Peer, wheel: TimerWheel) {
    this.#ws = ws;
    this.#socket = socket;
    this.#outflow = new Outflow(socket, peer.raw, () => {
      this.#handler?.onDrain();
    });
    this.#wheel = wheel;
    this.transport = peer.secure ? 'wss' : 'ws';
    this.remoteAddress = peer.remoteAddress;
  }

  listen(accept: Accept): void {
    const handler = accept(this);
    this.#handler = handler;
    let failed: Error | null = null;
    // Before `ws` has it: when a message comes, what is behind it in the same read is known.
    this.#socket.prependListener('data', (chunk: Buffer) => {
      this.#frames.push(chunk);
      if (this.#frames.isWithin && !this.#closing) handler.onPartial?.();
    });
    // Text frames are taken like binary ones: some clients send them, and Pomelo reads them. [protocol.md 1.2]
    this.#ws.on('message', (data: Buffer) => {
      if (!this.#closing) handler.onBytes(data);
    });
    this.#ws.on('ping', (data: Buffer) => {
      this.#onPing(data);
    });
    this.#ws.on('pong', () => {
      if (!this.#closing) handler.onPong?.();
    });
    this.#ws.on('error', (error: Error & { code?: string }) => {
      failed = error;
      const fault = faultOf(error.code ?? '');
      if (fault !== null) handler.onFault(fault, error);
    });
    // `ws` keeps these to itself.
    this.#socket.on('error', (error) => {
      failed = error;
    });
    this.#ws.on('close', () => {
      handler.onClosed(failed);
    });
  }

  #onPing(data: Buffer): void {
    if (this.#closing) return;
    if (this.#pongsUnsent >= PONGS_UNSENT_MAX) {
      const what = `over ${PONGS_UNSENT_MAX} pings at once, or no pong was read`;
      this.#handler!.onFault('ping_flood', new Error(what));
      return;
    }
    this.#handler!.onPong?.();
    if (!this.#isOpen) return;
    this.#pongsUnsent++;
    this.#ws.pong(data, false, this.#onPongSent);
  }

  readonly #onPongSent = (): void => {
    this.#pongsUnsent--;
    this.#outflow.onWritten();
  };

  get bufferedBytes(): number {
    return this.#outflow.bufferedBytes;
  }

  get takenBytes(): number {
    return this.#outflow.takenBytes;
  }

  get congested(): boolean {
    return this.#outflow.bufferedBytes > 0;
  }

  get assembling(): boolean {
    return this.#frames.isWithin;
  }

  send(packets: readonly Encoded[]): void {
    // After a close frame nothing may follow, though the socket would still take it. [RFC 6455 section 5.5.1]
    if (!this.#isOpen) return;
    this.#outflow.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
  }

  ping(): void {
    if (this.#isOpen) this.#ws.ping(undefined, false, this.#outflow.onWritten);
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
    const cut = new Timeout(() => {
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
  /** The request is no upgrade as it should be: answer it with this status. */
  onBadRequest: (what: string, socket: Duplex, status: number) => void = () => {};

  /** @param packetBytesMax The largest packet, head included. */
  constructor(packetBytesMax: number, wheel: TimerWheel) {
    this.#wheel = wheel;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: packetBytesMax + MESSAGE_ROOM_BYTES,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      // Text frames are read as bytes, and bytes need not be UTF-8.
      skipUTF8Validation: true,
    });
    this.#server.on('wsClientError', (error, socket, { method }) => {
      this.onBadRequest(error.message, socket, method === 'GET' ? 400 : 405);
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
