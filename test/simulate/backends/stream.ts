/** What carries a Link to a backend, as the backend has it: the double of gRPC, or a stream that it has opened itself. */
/** One side of a stream of messages. */
export interface StreamSocket {
  /** Set at once by whoever is given the socket. */
  handler: StreamHandler;
  send(message: Buffer): void;
  /** This side is done; of a call that is served, with OK. */
  end(): void;
  /** Both sides are done, at once. */
  destroy(): void;
  /** Reads no more, so that the other side has to wait. */
  pause(): void;
  resume(): void;
}

export interface StreamHandler {
  onMessage(message: Buffer): void;
  /** The other side is done. */
  onEnd(): void;
  /** It is lost, or cancelled. Once, last. */
  onCut(why: string): void;
}
