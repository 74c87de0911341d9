/** What carries the bytes: a WebSocket unless something else is given, such as `tcp()` of `pith/client/tcp`. */

/** An open or opening connection. Its methods are not called once it has ended. */
export type Transport = {
  /** Bytes that were given to `send` and have not left yet. */
  readonly bufferedBytes: number;
  /** Strings only in the json dialect: each is one message. Not called before `onOpen`. */
  send(data: Uint8Array | string): void;
  /** Sends what is unsent, then closes; may be called before `onOpen`. */
  close(): void;
  /** Ends at once. */
  destroy(): void;
};

export type TransportEvents = {
  onOpen(): void;
  /** Bytes cut in any way, or one message of text. The client keeps the bytes: they must not change. */
  onData(data: Uint8Array | string): void;
  /** It has ended, or could not begin. May be called more than once; the first tells most. */
  onEnd(why: string, cause?: unknown): void;
};

/** Begins a connection. The events come later, never from inside the call; what it throws is a failure to connect. */
export type Dial = (url: string, events: TransportEvents) => Transport;
