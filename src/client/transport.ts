/** The transport: a WebSocket unless another one is given, such as `tcp()` from `pith/client/tcp`. */

/** An open or opening connection. Its methods are not called after it has ended. */
export type Transport = {
  /** Bytes passed to `send` that have not been sent yet. */
  readonly bufferedBytes: number;
  /** A string is one message of the json dialect. Not called before `onOpen`. */
  send(data: Uint8Array | string): void;
  /** Sends unsent data, then closes; may be called before `onOpen`. */
  close(): void;
  /** Closes immediately. */
  destroy(): void;
};

export type TransportEvents = {
  onOpen(): void;
  /** Bytes, cut in any way, or one text message. The client keeps the bytes: they must not be modified. */
  onData(data: Uint8Array | string): void;
  /** The connection has ended or could not be opened. May be called more than once; the first call counts. */
  onEnd(why: string, cause?: unknown): void;
};

/** Starts a connection. The events come later, never during the call; throwing means that it could not connect. */
export type Dial = (url: string, events: TransportEvents) => Transport;
