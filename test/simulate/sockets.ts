/** A gateway's end of a client's connection: what `transport/` makes of sockets, on the simulated network. */
import { type Encoded, packetOffset } from '../../src/protocol/packet.ts';
import {
  type Accept,
  CLOSE_WAIT_MS,
  type Connection,
  type ConnectionHandler,
} from '../../src/transport/transport.ts';
import type { End } from './channel.ts';

/** Over WebSocket: a ping, and a pong. No packet is empty. */
export const PING = Buffer.alloc(0);

export class ClientConnection implements Connection {
  readonly transport: 'ws' | 'tcp';
  readonly remoteAddress = '10.9.0.1';
  readonly assembling = false;
  readonly readBytes = 0;
  readonly sentBytes = 0;
  readonly assemblingBytes = 0;
  readonly end: End;
  #handler: ConnectionHandler | null = null;
  #isClosing = false;
  #isOver = false;

  private constructor(end: End, transport: 'ws' | 'tcp') {
    this.end = end;
    this.transport = transport;
  }

  static open(end: End, transport: 'ws' | 'tcp', accept: Accept): void {
    const connection = new ClientConnection(end, transport);
    end.handler = {
      onMessage: (bytes) => {
        connection.#onMessage(bytes);
      },
      onEnd: () => {
        connection.#onEnd();
      },
      onCut: (why) => {
        connection.#over(connection.#isClosing ? null : new Error(why));
      },
      onRoom: () => {
        connection.#handler!.onDrain();
      },
    };
    connection.#handler = accept(connection);
  }

  get bufferedBytes(): number {
    return this.end.unsentBytes;
  }

  get congested(): boolean {
    return this.end.isCongested;
  }

  get takenBytes(): number {
    return this.end.takenBytes;
  }

  send(packets: readonly Encoded[]): void {
    if (this.#isClosing) return;
    const bare = packets.map((packet) => packet.subarray(packetOffset(packet)));
    const bytes = bare.length === 1 ? bare[0]! : Buffer.concat(bare);
    this.end.send(bytes, bytes.length);
  }

  ping(): void {
    if (this.transport === 'ws' && !this.#isClosing) this.end.send(PING, 2);
  }

  pause(): void {
    this.end.pauseReading();
  }

  resume(): void {
    if (!this.#isClosing) this.end.resumeReading();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.end.resumeReading();
    this.end.end();
    this.end.node.after(CLOSE_WAIT_MS, () => {
      if (this.#isOver) return;
      this.end.destroy();
      this.#over(null);
    });
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isClosing = true;
    this.end.destroy();
    this.end.node.soon(() => {
      this.#over(null);
    });
  }

  #onMessage(bytes: Buffer): void {
    if (this.#isClosing) return;
    if (bytes.length === 0) this.#handler!.onPong?.(true);
    else this.#handler!.onBytes(bytes);
  }

  #onEnd(): void {
    if (this.transport === 'tcp') this.#handler!.onEnd?.();
    this.end.end();
    this.#isClosing = true;
    this.end.node.soon(() => {
      this.end.destroy('closed');
      this.#over(null);
    });
  }

  #over(error: Error | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler!.onClosed(error);
  }
}
