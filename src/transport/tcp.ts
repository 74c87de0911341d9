/** Raw TCP, plain or over TLS: the packets themselves, one after the other. */
import type { Socket } from 'node:net';

import { type Encoded, packetOffset } from '../protocol/packet.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { Outflow } from './outflow.ts';
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

export class TcpConnection implements Connection {
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly assembling = false;
  readonly assemblingBytes = 0;
  readonly movable: Movable | null;
  readonly #socket: Socket;
  readonly #outflow: Outflow;
  readonly #wheel: TimerWheel;
  #handler: ConnectionHandler | null = null;
  #isRaw = false;
  #paused = false;
  #closing = false;

  constructor(socket: Socket, peer: Peer, wheel: TimerWheel) {
    this.#socket = socket;
    this.#outflow = new Outflow(socket, peer.raw, this);
    this.#wheel = wheel;
    this.transport = peer.secure ? 'tls' : 'tcp';
    this.movable = peer.secure ? null : new Movable(socket);
    this.remoteAddress = peer.remoteAddress;
  }

  /** Takes over a connected socket that is paused; `first`: the bytes already read from it. */
  static open(
    socket: Socket,
    first: Buffer | null,
    peer: Peer,
    wheel: TimerWheel,
    accept: Accept,
  ): void {
    const connection = new TcpConnection(socket, peer, wheel);
    // When a client ends its side, the session decides when ours ends: with it thousands may have gone.
    socket.allowHalfOpen = true;
    connection.#listen(accept(connection), first);
  }

  /** Goes on with a socket of another process, which is read from once its `movable` goes on. */
  static adopt(
    socket: Socket,
    adopted: Adopted,
    peer: Peer,
    wheel: TimerWheel,
    accept: Accept,
  ): void {
    const connection = new TcpConnection(socket, peer, wheel);
    connection.#outflow.before = adopted;
    connection.#paused = true;
    socket.allowHalfOpen = true;
    connection.#listen(accept(connection), null);
    connection.#paused = false;
    connection.movable!.standBy();
  }

  #listen(handler: ConnectionHandler, first: Buffer | null): void {
    this.#handler = handler;
    let failed: Error | null = null;
    this.#socket.on('error', (error) => {
      failed = error;
    });
    this.#socket.on('close', () => {
      handler.onClosed(failed);
    });
    this.#socket.on('end', () => {
      handler.onEnd?.();
    });
    if (first !== null) {
      this.#outflow.counts.received += first.length;
      handler.onBytes(first);
    }
    const onData = (chunk: Buffer): void => {
      this.#outflow.counts.received += chunk.length;
      const wasPaused = this.#paused;
      if (!this.#closing) handler.onBytes(chunk);
      if (wasPaused && this.#paused) this.#socket.pause();
    };
    this.#socket.on('data', onData);
    this.#isRaw = this.movable !== null && receiveRaw(this.#socket, onData);
    if (!this.#paused || (this.#isRaw && first !== null)) this.#socket.resume();
  }

  drained(): void {
    this.#handler?.onDrain();
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

  send(packets: readonly Encoded[]): void {
    if (this.#closing) return;
    this.#outflow.write(
      packets.length === 1 ? bare(packets[0]!) : Buffer.concat(packets.map(bare)),
    );
  }

  /** Raw TCP has no pings. */
  ping(): void {}

  /** As a stream, it is read from once more: else a client that goes meanwhile would not be noticed. */
  pause(): void {
    this.#paused = true;
    if (this.movable !== null) this.movable.isPaused = true;
    if (!this.#isRaw) this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.movable !== null) this.movable.isPaused = false;
    this.#socket.resume();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    // A paused socket would never see the client close.
    this.resume();
    this.#socket.end();
    const cut = new Timeout(() => {
      this.#socket.destroy();
    });
    this.#wheel.set(cut, CLOSE_WAIT_MS);
    this.#socket.once('close', () => {
      this.#wheel.cancel(cut);
    });
  }

  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }
}

/** Without the head of a WebSocket frame. */
function bare(packet: Encoded): Buffer {
  return packet.subarray(packetOffset(packet));
}
