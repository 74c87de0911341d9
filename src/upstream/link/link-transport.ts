/** What carries the calls of a backend that serves `pith.v1`, and what a Link needs of it. */
import type { EventKind } from '../../contract/event-frames.ts';
import type { BackendHello } from '../../contract/backend-frames.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { Call } from '../call.ts';
import type { BackendCommands } from '../backend-commands.ts';
import type { Liveness } from '../liveness.ts';
import type { Transport, TransportOwner } from '../pool/transport.ts';
import type { Link } from './link.ts';

/** A Link, or calls of their own. */
export interface Carrier {
  /** @param what The session, encoded; of a ConnectCall the whole ConnectRequest. */
  request(call: Call, what: Buffer): void;
}

export interface LinkTransport extends Transport {
  /** What takes the next call. */
  readonly carrier: Carrier;
  /** Tells the backend what it need not answer. */
  tell(kind: EventKind, event: Buffer): void;
}

/** Carries messages, each of one turn's frames. Why it has failed is read by the link's owner: `streamEnded`. */
export interface LinkStream {
  /** Bytes of a client's body that it can carry; absent: any. */
  readonly bodyBytesMax?: number;
  /** A ToGateway has come. */
  on(event: 'data', listener: (message: Buffer) => void): unknown;
  /** The backend has ended its side. */
  on(event: 'end', listener: () => void): unknown;
  /** `done`: the system has taken it. */
  write(message: Buffer, done: () => void): void;
  pause(): void;
  resume(): void;
  /** Our side is done. */
  end(): void;
  /** Both are, at once. */
  cancel(): void;
}

/** What all links of one backend have in common. */
export type LinkParts = {
  readonly gatewayId: string;
  readonly version: string;
  readonly commands: BackendCommands;
  readonly wheel: TimerWheel;
};

/** The transport whose link it is. */
export interface LinkOwner {
  readonly endpoint: Pick<TransportOwner, 'answered' | 'failed' | 'goaway'>;
  /** Told of each request; null: the stream finds out for itself that its peer is gone. */
  readonly liveness: Pick<Liveness, 'begin'> | null;
  onHello(hello: BackendHello): void;
  /** Calls `done` once the backend's connection has received what left before; never if it ends first. */
  roundTrip(done: () => void): void;
  /**
   * Once. The calls in flight are failed after it, so that what waited behind them finds the link gone.
   * `unimplemented`: there is no Link here.
   */
  onEnd(link: Link, why: string, unimplemented: boolean): void;
}
