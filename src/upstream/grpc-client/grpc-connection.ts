/** A connection to one gRPC server, as everything that calls one needs it: calls in raw bytes, and their connection. */
import type { Metadata } from '@grpc/grpc-js';

import type { ClientTls } from '../../transport/pem.ts';

/**
 * Largest message from a backend: an answer fits in 16 MiB, and one that does not is refused alone, without the
 * connection that it came on. Beyond this the stream ends.
 */
export const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;

/** How an address is dialled. */
export type Dial = {
  /** As grpc-js takes it: `ipv4:127.0.0.1:9000`, `unix:/run/chat.sock`. */
  readonly address: string;
  /** `host:port` of the name that the address was found by, which the backend sees and its certificate bears; '': none. */
  readonly authority: string;
  /** null: in plain text. */
  readonly tls: ClientTls | null;
  /** Largest message from the server. */
  readonly receiveBytesMax: number;
};

/** @throws if the certificates are invalid. */
export type ConnectGrpc = (dial: Dial, owner: ConnectionOwner) => GrpcConnection;

/** Whose connection it is. */
export interface ConnectionOwner {
  /** The server takes no more calls on the present connection. */
  http2Goaway(why: string): void;
  /** How many concurrent streams the server allows; said once of each connection, at its first call. */
  streamsMax(max: number): void;
}

/** As gRPC has them: failing is TRANSIENT_FAILURE, closed is SHUTDOWN. */
export type ConnectionState = 'idle' | 'connecting' | 'ready' | 'failing' | 'closed';

/** How a call has ended. `code`: a gRPC status. */
export type CallStatus = {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
};

/** The status of a call that has not ended with OK. */
export type CallError = Error & CallStatus;

/** A stream of messages each way. Ends with 'end', or with 'error'. */
export interface MessageStream {
  on(event: 'data', listener: (message: Buffer) => void): unknown;
  /** The server has ended it, with OK. */
  on(event: 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: CallError) => void): unknown;
  /** `done`: the system has taken it. */
  write(message: Buffer, done?: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  /** Our side is done. */
  end(): unknown;
  /** Both are, at once; ends with an error of CANCELLED. */
  cancel(): void;
}

/** A call that is answered by messages. */
export interface MessageSource {
  /** Headers of the answer. */
  on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  on(event: 'data', listener: (message: Buffer) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: CallError) => void): unknown;
  /** The last to come of it, but for messages that wait to be read. */
  on(event: 'status', listener: (status: CallStatus) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  cancel(): void;
}

/** A call that is answered by one message. */
export interface UnaryRequest {
  on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  /** Comes after all the rest. */
  on(event: 'status', listener: (status: CallStatus) => void): unknown;
  /** It fails with CANCELLED. */
  cancel(): void;
}

/** Called once. */
export type OnAnswer = (error: CallError | null, message?: Buffer) => void;

/**
 * It connects at the first call, or when it is asked to by `state`; calls wait while it does, and fail while it cannot.
 * The deadlines of calls are milliseconds since the epoch, and travel as grpc-timeout; Infinity: none.
 *
 * Cancel no call without a deadline in the turn of the event loop in which it was made: grpc-js sends it nevertheless,
 * and never tells the server of its end.
 */
export interface GrpcConnection {
  /** There is a connection that takes calls. */
  readonly isReady: boolean;
  /** Bytes that have come on the connection that is there; 0 without one. */
  readonly heard: number;

  unary(
    path: string,
    message: Buffer,
    metadata: Metadata,
    deadline: number,
    onAnswer: OnAnswer,
  ): UnaryRequest;
  serverStream(path: string, message: Buffer, metadata: Metadata, deadline: number): MessageSource;
  bidiStream(path: string, metadata: Metadata, deadline: number): MessageStream;

  /** @param connects An idle one starts to connect. */
  state(connects: boolean): ConnectionState;
  /**
   * Calls `onChange` once: when the state, which is `from` now, is another, also by `renew` and `close`; or at `until`,
   * in milliseconds since the epoch. Waiting until then keeps the process alive; until Infinity does not.
   */
  watchState(from: ConnectionState, until: number, onChange: (isLate: boolean) => void): void;

  /** A call that has failed has reached no server: no stream was opened for it, or it was refused unread. */
  isUnsent(request: UnaryRequest | MessageSource, error: CallStatus): boolean;

  /** Makes the server say something. */
  ask(): void;
  /**
   * Calls `done` once the server has received what left on the present connection before, or at once if there is none;
   * never if that ends first. One at a time.
   */
  roundTrip(done: () => void): void;
  /**
   * Ends the connection and what is in flight on it, or the attempt to make one; the next call starts another. One that
   * the server is ending, with HTTP/2's GOAWAY, goes on until its calls have ended.
   */
  renew(): void;
  /** For good. Calls in flight go on to their end. */
  close(): void;
}

/** Calls `onLost` once, when there is no connection any more, or the server takes no new calls on it. */
export function onceLost(connection: GrpcConnection, onLost: () => void): void {
  if (connection.isReady) connection.watchState('ready', Infinity, onLost);
  else onLost();
}
