/**
 * WebSocket: `ws` has the upgrade, control frames and what is against the protocol. Data frames are read here, and written
 * straight to the socket, since they are framed once for all clients. Mixing the two keeps the order only without
 * compression, so none is negotiated.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

import { Held } from '../held.ts';
import type { Encoded } from '../protocol/packet.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { type FrameLimits, FrameReader, payloadOf } from './frame-reader.ts';
import { Outflow } from './outflow.ts';
import { ownCopy } from './raw-bytes.ts';
import { Movable } from './raw-handle.ts';
import { receiveRaw } from './raw-io.ts';
import {
  type Accept,
  type Adopted,
  type ByteCounts,
  CLOSE_WAIT_MS,
  type Connection,
  type ConnectionHandler,
  type Peer,
  type TransportName,
} from './transport.ts';
import { faultOf, type OnData, takeOver } from './ws-internals.ts';

/** Unsent pongs after which the connection is closed: many pings in one read, or from a client that reads no pongs. */
const PONGS_UNSENT_MAX = 60;

export type WebSocketSettings = FrameLimits & { readonly wheel: TimerWheel };

/** On a socket, and on its WebSocket. */
const OWNER = Symbol('connection');
type Owned = { [OWNER]: WebSocketConnection };

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
  /** What has come of a message that is not whole: its frames, as they came. */
  #held: Held | null = null;
  #handler: ConnectionHandler | null = null;
  #failed: Error | null = null;
  #pongsUnsent = 0;
  /** Pings that one read has brought are answered in one write. */
  #isCorked = false;
  #onPongSent: (() => void) | null = null;
  #closing = false;
  #isRaw = false;
  #isPaused = false;
  /** Nothing that still comes is read: `ws` has had the close frame, or found a fault. */
  #isOver = false;

  /** @param ws It has just been made, and reads from `socket`. */
  constructor(ws: WebSocket, socket: Socket, peer: Peer, settings: WebSocketSettings) {
    this.#ws = ws;
    this.#socket = socket;
    this.#frames = new FrameReader(settings);
    this.#wsRead = takeOver(socket);
    this.#outflow = new Outflow(socket, peer.raw, this);
    this.#wheel = settings.wheel;
    this.transport = peer.secure ? 'wss' : 'ws';
    this.movable = peer.secure ? null : new Movable(socket);
    this.remoteAddress = peer.remoteAddress;
  }

  /** @param adopted What the process before has counted; absent: there was none. */
  listen(accept: Accept, adopted?: Adopted): void {
    if (adopted !== undefined) this.#outflow.before = adopted;
    this.#handler = accept(this);
    const socket: Socket & Partial<Owned> = this.#socket;
    const ws: WebSocket & Partial<Owned> = this.#ws;
    socket[OWNER] = ws[OWNER] = this;
    const on = WebSocketConnection;
    const onData = (chunk: Buffer): void => {
      this.#onData(chunk);
    };
    socket.on('data', onData);
    this.#isRaw = this.movable !== null && receiveRaw(socket, onData);
    /* oxlint-disable typescript/unbound-method -- what emits is their `this` */
    socket.prependListener('close', on.#ended as () => void);
    // `ws` does not expose these.
    socket.on('error', on.#failedSocket as OnError);
    ws.on('ping', on.#ping as (data: Buffer) => void);
    ws.on('pong', on.#pong as () => void);
    ws.on('error', on.#failedWs as OnError);
    ws.on('close', on.#closed as () => void);
    /* oxlint-enable typescript/unbound-method */
    if (adopted !== undefined) this.movable!.standBy();
  }

  // Listeners, the same for all connections: closures would be a good part of what an idle one takes.

  /** What was read and not taken from the stream: `ws` would read it itself. */
  static readonly #ended = function (this: Owned & Socket): void {
    if (this.readableLength > 0) this[OWNER].#onData(this.read() as Buffer);
  };

  static readonly #ping = function (this: Owned, data: Buffer): void {
    this[OWNER].#onPing(data);
  };

  static readonly #pong = function (this: Owned): void {
    const { [OWNER]: owner } = this;
    if (!owner.#closing) owner.#handler!.onPong?.(true);
  };

  static readonly #failedSocket = function (this: Owned, error: Error): void {
    this[OWNER].#failed = error;
  };

  static readonly #failedWs = function (this: Owned, error: Error & { code?: string }): void {
    const { [OWNER]: owner } = this;
    owner.#failed = error;
    owner.#isOver = true;
    const fault = faultOf(error.code ?? '');
    if (fault !== null) owner.#handler!.onFault(fault, error);
  };

  static readonly #closed = function (this: Owned): void {
    const { [OWNER]: owner } = this;
    owner.#dropHeld();
    owner.#handler!.onClosed(owner.#failed);
  };

  drained(): void {
    this.#handler?.onDrain();
  }

  /** All frames that one read has brought came in one moment. */
  #onData(chunk: Buffer): void {
    const isFirst = this.#wheel.beginMoment();
    try {
      this.#readFrames(chunk);
    } finally {
      if (this.#isCorked) {
        this.#isCorked = false;
        this.#socket.uncork();
        this.#outflow.wrote();
      }
      if (isFirst) this.#wheel.endMoment();
    }
  }

  #readFrames(chunk: Buffer): void {
    const handler = this.#handler!;
    this.#outflow.counts.received += chunk.length;
    const wasPaused = this.#isPaused;
    const frames = this.#frames;
    for (let at = 0; at < chunk.length && !this.#isOver;) {
      const end = frames.read(chunk, at);
      if (end > at) {
        if (!this.#closing) handler.onBytes(FrameReader.payload);
        at = end;
      } else {
        at = this.#readPart(chunk, at, handler);
      }
    }
    if (frames.isWithin && !this.#closing) handler.onPartial?.();
    if (wasPaused && this.#isPaused) this.#ws.pause();
  }

  /** Reads what begins at `at` and is no small message that is all there; returns where it ends. */
  #readPart(chunk: Buffer, at: number, handler: ConnectionHandler): number {
    const frames = this.#frames;
    const { isWithinControl } = frames;
    const end = frames.isFaulty ? chunk.length : frames.follow(chunk, at);
    if (frames.isFaulty) {
      // `ws` has the beginning of that frame, and nothing may come between.
      if (isWithinControl) this.#dropHeld();
      this.#giveUp(chunk.subarray(at));
      return chunk.length;
    }
    const part = chunk.subarray(at, end);
    if (frames.isControl) {
      const isWhole = !isWithinControl && !frames.isWithinControl;
      // A flood of pings is answered no more; of those that are left, `ws` needs only the close frame.
      if (!this.#closing || !isWhole || frames.sawClose) this.#giveWs(part);
      this.#isOver ||= frames.sawClose;
    } else if (this.#closing) {
      return end;
    } else if (frames.isWithin) {
      (this.#held ??= new Held()).add(part);
    } else {
      handler.onBytes(payloadOf(this.#with(part)));
    }
    return end;
  }

  /** What is held, with `last` behind it. */
  #with(last: Buffer): Buffer {
    const held = this.#held;
    if (held === null) return last;
    held.add(last);
    const all = held.all();
    this.#dropHeld();
    return all;
  }

  /** Has `ws` read what is against the protocol, and all from the beginning of its message on: it knows what to say. */
  #giveUp(rest: Buffer): void {
    this.#giveWs(this.#with(rest));
  }

  /** It keeps what is not whole, as it gets it. */
  #giveWs(bytes: Buffer): void {
    this.#wsRead.call(this.#socket, ownCopy(bytes));
  }

  #dropHeld(): void {
    this.#held?.clear();
    this.#held = null;
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
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
    }
    this.#ws.pong(data, false, (this.#onPongSent ??= () => this.#pongSent()));
    this.#outflow.wrote();
  }

  #pongSent(): void {
    this.#pongsUnsent--;
    this.#outflow.onWritten();
  }

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

  /** As a stream, it is read from once more: else a client that goes meanwhile would not be noticed. */
  pause(): void {
    this.#isPaused = true;
    if (this.movable !== null) this.movable.isPaused = true;
    if (!this.#isRaw) this.#ws.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.movable !== null) this.movable.isPaused = false;
    this.#ws.resume();
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#dropHeld();
    // A paused socket would never see the client's close frame.
    this.resume();
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
    this.#dropHeld();
    this.#ws.terminate();
  }

  get #isOpen(): boolean {
    return !this.#closing && this.#ws.readyState === this.#ws.OPEN && !this.#socket.destroyed;
  }
}

type OnError = (error: Error) => void;

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
