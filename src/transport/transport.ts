/** What a session needs of a socket, whichever kind it is. */
import type { Socket } from 'node:net';

import type { Encoded } from '../protocol/packet.ts';

export type TransportName = 'ws' | 'wss' | 'tcp' | 'tls';

/** Who has connected, as the listener knows it. */
export interface Peer {
  /** The socket as the kernel gave it, below any TLS. */
  readonly raw: Socket;
  readonly remoteAddress: string;
  /** True over TLS. */
  readonly secure: boolean;
}

/** One client's socket. */
export interface Connection {
  readonly transport: TransportName;
  /** The client's address as the socket has it. */
  readonly remoteAddress: string;
  /** Bytes given to the socket and not yet taken by the kernel. */
  readonly bufferedBytes: number;
  /** True while the kernel has not taken everything; `onDrain` follows. */
  readonly congested: boolean;
  /** Grows with every byte that the kernel takes. */
  readonly takenBytes: number;
  /** Bytes have come that are not yet a whole WebSocket message. Always false over TCP. */
  readonly assembling: boolean;

  /** Sends the packets in one write. The buffers are shared and not changed. */
  send(packets: readonly Encoded[]): void;
  /** Sends a WebSocket ping, to which every client answers by itself; nothing over TCP. */
  ping(): void;
  /** Stops reading from the client. What was read already may still be given to `onBytes`. */
  pause(): void;
  resume(): void;
  /** Sends what is buffered, says goodbye and closes; a client that does not answer is cut off after 2 s. */
  close(webSocketCode: number, reason: string): void;
  /** Closes at once; what is unsent is lost. */
  destroy(): void;
}

/** How a client broke the protocol below the packets. */
export type SocketFault = 'packet_too_long' | 'malformed' | 'ping_flood';

/** What the socket tells. None of these may throw. */
export interface ConnectionHandler {
  /** Over WebSocket one whole message, binary or text. */
  onBytes(chunk: Buffer): void;
  /** A WebSocket message has begun and is not complete. */
  onPartial?(): void;
  /** A WebSocket ping or pong came: the client lives. A ping has been answered. */
  onPong?(): void;
  /** The kernel has taken everything, after a write of which it took only a part at once. */
  onDrain(): void;
  /** The client says no more, and may still read. Over TCP only; the socket ends by itself once all is sent. */
  onEnd?(): void;
  /** Nothing more can be read: close. `onClosed` still follows. */
  onFault(fault: SocketFault, error: Error): void;
  /** Once, last. `error` is null when the client closed in an orderly way, or we did. */
  onClosed(error: Error | null): void;
}

/** Makes the handler of a new connection. */
export type Accept = (connection: Connection) => ConnectionHandler;

/** How long a closing client may take to say goodbye. */
export const CLOSE_WAIT_MS = 2_000;
