/** What carries the calls of one endpoint. The pool knows no more of it: gRPC or not, dialled or attached. */
import type { Endpoint } from './endpoint.ts';

export interface Transport {
  /** Calls that wait for an answer, or to be sent. */
  readonly inFlight: number;
  /** Messages that the backend lets us send; absent, or Infinity: any number. */
  readonly credit?: number;
  /** What is sent in an order arrives in it. */
  readonly keepsOrder: boolean;
  /** What the backend says of itself; null: it is not asked. */
  readonly health: Health | null;
  /** Tries to connect, and says `up` or `lost` to its endpoint. */
  connect(): void;
  /** The backend has asked for it, and nothing is in flight: ends the connection. `lost` follows. */
  endIdle(): void;
  /** Ends in order. Resolves when the backend has ended its side, and has been notified of all sessions' ends. */
  close(reason: string): Promise<void>;
  /** Ends at once, whatever is in flight. */
  destroy(): void;
}

/** The endpoint, as its transport sees it. */
export type TransportOwner = Pick<
  Endpoint,
  | 'name'
  | 'label'
  | 'condition'
  | 'up'
  | 'lost'
  | 'retrySoon'
  | 'goaway'
  | 'http2Goaway'
  | 'healthChanged'
  | 'answered'
  | 'failed'
>;

/** The state of the backend's own health service. */
export interface Health {
  /** False: no new sessions. */
  readonly well: boolean;
  /** The last message of the backend, or why there is none; '' before that. */
  readonly message: string;
}
