/**
 * WebSocket: `ws` handles the protocol, but small data frames are read here, and all are written straight to the socket,
 * since they are framed once for all clients. Mixing the two keeps the order only without compression, so none is
 * negotiated.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

import { NOTHING } from '../bytes.ts';
import type { Encoded } from '../protocol/packet.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { FrameReader } from './frame-reader.ts';
import { Outflow } from './outflow.ts';
import { Movable } from './raw-handle.ts';
import {
  type Accept,
  type Adopted,
  type ByteCounts,
  CLOSE_WAIT_MS,
  type Connection,
  type ConnectionHandler,
  type Peer,
  type SocketFault,
  type TransportName,
} from './transport.ts';

/** Room beyond one largest packet, for small packets in the same WebSocket message. */
export const MESSAGE_ROOM_BYTES = 16_384;
const FRAGMENTS_MAX = 128;
/**
 * Of a message that is not whole each piece is kept as it was read, which costs more than a hundred bytes, however small
 * it is: so many, and one more for each of these bytes of the largest message. The smallest segments of TCP are larger.
 */
const CHUNKS = 64;
const CHUNK_BYTES = 512;
/** Unsent pongs after which the connection is closed: many pings in one read, or from a client that reads no pongs. */
const PONGS_UNSENT_MAX = 60;

type Settings = {
  readonly wheel: TimerWheel;
  /** The largest message. */
  readonly payloadBytesMax: number;
};

export class WebSocketConnection implements Connection {
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #outflow: Outflow;
  readonly #wheel: TimerWheel;
  readonly movable: Movable | null;
  readonly #frames: FrameReader;
  /** Gives `ws` what it is to read. */
  readonly #wsRead: OnData;
  #handler: ConnectionHandler | null = null;
  #pongsUnsent = 0;
  #closing = false;
  /** Nothing that still comes is read: `ws` has had the close frame, or found a fault. */
  #isOver = false;

  /** @param ws It has just been made, and reads from `socket`. */
  constructor(ws: WebSocket, socket: Socket, peer: Peer, { wheel, payloadBytesMax }: Settings) {
    this.#ws = ws;
    this.#socket = socket;
    this.#frames = new FrameReader(payloadBytesMax);
    this.#wsRead = takeOver(socket);
    this.#outflow = new Outflow(socket, peer.raw, () => {
      this.#handler?.onDrain();
    });
    this.#wheel = wheel;
    this.transport = peer.secure ? 'wss' : 'ws';
    this.movable = peer.secure ? null : new Movable(socket);
    this.remoteAddress = peer.remoteAddress;
  }

  /** @param adopted What the process before has counted; absent: there was none. */
  listen(accept: Accept, adopted?: Adopted): void {
    if (adopted !== undefined) this.#outflow.before = adopted;
    const handler = accept(this);
    this.#handler = handler;
    let failed: Error | null = null;
    this.#socket.on('data', (chunk: Buffer) => {
      this.#onData(chunk, handler);
    });
    // What was read and not taken from the stream: `ws` would read it itself.
    this.#socket.prependListener('close', () => {
      if (this.#socket.readableLength > 0) this.#onData(this.#socket.read() as Buffer, handler);
    });
    // Text frames are treated like binary ones: some clients send them, and Pomelo accepts them. [protocol.md 1.2]
    this.#ws.on('message', (data: Buffer) => {
      if (!this.#closing) handler.onBytes(data);
    });
    this.#ws.on('ping', (data: Buffer) => {
      this.#onPing(data);
    });
    this.#ws.on('pong', () => {
      if (!this.#closing) handler.onPong?.(true);
    });
    this.#ws.on('error', (error: Error & { code?: string }) => {
      failed = error;
      this.#isOver = true;
      const fault = faultOf(error.code ?? '');
      if (fault !== null) handler.onFault(fault, error);
    });
    // `ws` does not expose these.
    this.#socket.on('error', (error) => {
      failed = error;
    });
    this.#ws.on('close', () => {
      handler.onClosed(failed);
    });
  }

  /** All frames that one read has brought came in one moment. */
  #onData(chunk: Buffer, handler: ConnectionHandler): void {
    const isFirst = this.#wheel.beginMoment();
    try {
      this.#readFrames(chunk, handler);
    } finally {
      if (isFirst) this.#wheel.endMoment();
    }
  }

  #readFrames(chunk: Buffer, handler: ConnectionHandler): void {
    this.#outflow.counts.received += chunk.length;
    const frames = this.#frames;
    for (let at = 0; at < chunk.length && !this.#isOver;) {
      const end = frames.read(chunk, at);
      if (end > at) {
        if (!this.#closing) handler.onBytes(frames.payload);
        at = end;
      } else {
        at = this.#handOver(chunk, at);
      }
    }
    if (frames.isWithin && !this.#closing) handler.onPartial?.();
  }

  /** Has `ws` read what begins at `at`, up to the next message that is not for it; returns where that is. */
  #handOver(chunk: Buffer, at: number): number {
    const end = this.#frames.follow(chunk, at);
    this.#wsRead.call(this.#socket, chunk.subarray(at, end));
    this.#isOver ||= this.#frames.sawClose;
    // It takes no more, or has found a fault, which it tells only later.
    if (!this.#socket.isPaused() || this.#isOver || end === chunk.length) return end;
    for (let next = end; next < chunk.length;) next = this.#frames.follow(chunk, next);
    this.#wsRead.call(this.#socket, chunk.subarray(end));
    this.#isOver ||= this.#frames.sawClose;
    return chunk.length;
  }

  #onPing(data: Buffer): void {
    if (this.#closing) return;
    if (this.#pongsUnsent >= PONGS_UNSENT_MAX) {
      const what = `over ${PONGS_UNSENT_MAX} pings at once, or no pong was read`;
      this.#handler!.onFault('ping_flood', new Error(what));
      return;
    }
    this.#handler!.onPong?.(false);
    if (!this.#isOpen) return;
    this.#pongsUnsent++;
    this.#ws.pong(data, false, this.#onPongSent);
    this.#outflow.wrote();
  }

  readonly #onPongSent = (): void => {
    this.#pongsUnsent--;
    this.#outflow.onWritten();
  };

  get counts(): ByteCounts {
    return this.#outflow.counts;
  }

  set counts(counts: ByteCounts) {
    this.#outflow.counts = counts;
  }

  get bufferedBytes(): number {
    return this.#outflow.bufferedBytes;
  }

  get takenBytes(): number {
    return this.#outflow.takenBytes;
  }

  get readBytes(): number {
    return this.#outflow.readBytes;
  }

  get sentBytes(): number {
    return this.#outflow.sentBytes;
  }

  get congested(): boolean {
    return this.#outflow.bufferedBytes > 0;
  }

  get assembling(): boolean {
    return this.#frames.isWithin;
  }

  get assemblingBytes(): number {
    return this.#frames.bytesWithin;
  }

  send(packets: readonly Encoded[]): void {
    // Nothing may follow a close frame, though the socket would still take it. [RFC 6455 section 5.5.1]
    if (this.#closing || this.#isOver) return;
    this.#outflow.write(packets.length === 1 ? packets[0]! : Buffer.concat(packets));
  }

  ping(): void {
    if (!this.#isOpen) return;
    this.#ws.ping(undefined, false, this.#outflow.onWritten);
    this.#outflow.wrote();
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
    this.#outflow.wrote();
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

type OnData = (this: Socket, chunk: Buffer) => void;

/** Takes from `ws` the listener by which it reads from the socket: it is called only with what it is to read. */
function takeOver(socket: Socket): OnData {
  const [wsRead, ...others] = socket.listeners('data') as OnData[];
  if (wsRead === undefined || others.length > 0)
    throw new Error('ws does not read from its socket by one listener for data');
  socket.off('data', wsRead);
  return wsRead;
}

/** The client's fault, by the code of `ws`; null: not its fault, the socket failed. */
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

/** Turns HTTP upgrade requests into WebSocket connections. */
export class WebSocketUpgrader {
  readonly #server: WebSocketServer;
  readonly #settings: Settings;
  /** Called for an invalid upgrade request, which must be answered with this status. */
  onBadRequest: (what: string, socket: Duplex, status: number) => void = () => {};

  /** @param packetBytesMax The largest packet in bytes, head included. */
  constructor(packetBytesMax: number, wheel: TimerWheel) {
    const maxPayload = packetBytesMax + MESSAGE_ROOM_BYTES;
    this.#settings = { wheel, payloadBytesMax: maxPayload };
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS + Math.ceil(maxPayload / CHUNK_BYTES),
      // Text frames are read as bytes, and bytes need not be UTF-8.
      skipUTF8Validation: true,
    });
    this.#server.on('wsClientError', (error, socket, { method }) => {
      this.onBadRequest(error.message, socket, method === 'GET' ? 400 : 405);
    });
  }

  /** Answers the upgrade request. For an invalid one `onBadRequest` is called instead of `accept`. */
  upgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    peer: Peer,
    accept: Accept,
  ): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      new WebSocketConnection(ws, socket, peer, this.#settings).listen(accept);
    });
  }

  /**
   * Goes on with a socket that was upgraded in another process, and is read from once it is resumed. `ws` has no call
   * for that but the upgrade itself; its answer, which the client has had, is not sent.
   */
  adopt(socket: Socket, adopted: Adopted, peer: Peer, accept: Accept): void {
    socket.write = () => true;
    this.#server.handleUpgrade(UPGRADE, socket, NOTHING, (ws) => {
      Reflect.deleteProperty(socket, 'write');
      new WebSocketConnection(ws, socket, peer, this.#settings).listen(accept, adopted);
    });
  }
}

/** Any valid one: what it asked for was settled long ago. */
const UPGRADE = {
  method: 'GET',
  headers: {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
  },
} as unknown as IncomingMessage;
