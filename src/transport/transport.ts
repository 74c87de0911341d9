/** What a session needs from a socket, whatever its kind. */
import type { Socket } from 'node:net';

import type { Encoded } from '../protocol/packet.ts';
import type { Movable } from './raw-handle.ts';

export type TransportName = 'ws' | 'wss' | 'tcp' | 'tls';

/** The other side of a connection, as the listener knows it. */
export interface Peer {
  /** The plain TCP socket, below any TLS. */
  readonly raw: Socket;
  /** The client's, which behind trusted proxies is not the socket's. */
  readonly remoteAddress: string;
  /** True over TLS. */
  readonly secure: boolean;
}

/** What a socket taken over from another process cannot tell about its client. */
export type Adopted = {
  /** The client's, as `Peer.remoteAddress`. */
  readonly remoteAddress: string;
  /** What the process before has read from it and written to it; it may still do so. */
  readBytes: number;
  sentBytes: number;
};

/** Bytes, as they are on the wire below any TLS: frames of WebSocket and not only the packets. */
export type ByteCounts = { received: number; sent: number };

/** One client's socket. */
export interface Connection {
  /** Where its bytes are counted; set when it is accepted. Default: nowhere. */
  counts?: ByteCounts;
  readonly transport: TransportName;
  /** The client's address: the socket's, or as trusted proxies tell it. */
  readonly remoteAddress: string;
  /** Bytes written to the socket and not yet taken by the kernel. */
  readonly bufferedBytes: number;
  /** True while the kernel has not taken everything; `onDrain` follows. */
  readonly congested: boolean;
  /** Grows with every byte that the kernel takes. */
  readonly takenBytes: number;
  /** Bytes that have come from the socket, and that were written to it, TLS and frames included. */
  readonly readBytes: number;
  readonly sentBytes: number;
  /** True while part of a WebSocket message has been received. Always false over TCP. */
  readonly assembling: boolean;
  /** Bytes of that part. */
  readonly assemblingBytes: number;
  /** How it goes on in another process; null or absent: not at all, as over TLS. */
  readonly movable?: Movable | null;

  /** Sends the packets in one write. The buffers are shared, and are not modified. */
  send(packets: readonly Encoded[]): void;
  /** Sends a WebSocket ping, which every client answers automatically; nothing over TCP. */
  ping(): void;
  /** Stops reading from the client. What has been read, and what one more read brings, may still arrive at `onBytes`. */
  pause(): void;
  resume(): void;
  /** Sends what is buffered and closes in order; a client that does not answer the close is cut off after 2 s. */
  close(webSocketCode: number, reason: string): void;
  /** Closes immediately; unsent data is lost. */
  destroy(): void;
}

/** How a client violated the protocol below the packets. */
export type SocketFault = 'packet_too_long' | 'malformed' | 'ping_flood';

/** Receives the events of a socket. None of these may throw. */
export interface ConnectionHandler {
  /** Received bytes; over WebSocket one whole message, binary or text. */
  onBytes(chunk: Buffer): void;
  /** A WebSocket message has begun but is not complete. */
  onPartial?(): void;
  /** A WebSocket pong came (`isAnswer`), or a ping, which has been answered: the client is alive. */
  onPong?(isAnswer: boolean): void;
  /** The kernel has taken everything, after a write that it took only partly at first. */
  onDrain(): void;
  /** The client has ended its side, and may still read. Over TCP only; the session must close. */
  onEnd?(): void;
  /** Nothing more can be read; the session must close. `onClosed` still follows. */
  onFault(fault: SocketFault, error: Error): void;
  /** Called once, last. `error` is null if either side closed in order. */
  onClosed(error: Error | null): void;
}

/** Makes the handler of a new connection. */
export type Accept = (connection: Connection) => ConnectionHandler;

/** How long a client may take to answer a close. */
export const CLOSE_WAIT_MS = 2_000;
