/** What all transports that dial by gRPC have: one connection, its health, and an eye on whether it is alive. */
import type { Metadata } from '@grpc/grpc-js';

import type { Clock } from '../../clock.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { ClientTls } from '../../transport/pem.ts';
import { Liveness, type Watched } from '../liveness.ts';
import type { Transport, TransportOwner } from '../pool/transport.ts';
import {
  type ConnectGrpc,
  type ConnectionOwner,
  type GrpcConnection,
  RECEIVE_BYTES_MAX,
} from './grpc-connection.ts';
import { type HealthMode, HealthWatch } from './health-watch.ts';

export type GrpcTransportOptions = {
  readonly connect: ConnectGrpc;
  /** `host:port` of the name that the addresses were found by; '': none. */
  readonly authority: string;
  /** null: in plain text. */
  readonly tls: ClientTls | null;
  /** Sent with every call of our own. */
  readonly metadata: Metadata;
  readonly health: HealthMode;
  /** Milliseconds of silence after which a connection on which something is awaited is given up; 0: never. */
  readonly deadAfterMs: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

export abstract class GrpcTransport implements Transport, Watched, ConnectionOwner {
  readonly endpoint: TransportOwner;
  readonly connection: GrpcConnection;
  readonly health: HealthWatch;
  /** Call its `begin` whenever something is sent. */
  readonly liveness: Liveness;

  /** @param receiveBytesMax Largest message from the backend. */
  constructor(
    endpoint: TransportOwner,
    options: GrpcTransportOptions,
    receiveBytesMax = RECEIVE_BYTES_MAX,
  ) {
    const { connect, authority, tls, metadata, health: mode, deadAfterMs, wheel } = options;
    this.endpoint = endpoint;
    this.connection = connect({ address: endpoint.name, authority, tls, receiveBytesMax }, this);
    this.health = new HealthWatch({ mode, metadata, wheel }, this.connection, endpoint);
    this.liveness = new Liveness(deadAfterMs, wheel, this);
  }

  abstract readonly inFlight: number;
  abstract readonly keepsOrder: boolean;
  abstract connect(): void;
  abstract close(reason: string): Promise<void>;
  /** The connection is silent, or cannot be made: reconnects. */
  abstract giveUp(why: string): void;

  /** A call has found that there is no connection. */
  abstract gone(why: string): void;

  /** A call has found that none can be made. */
  unreachable(why: string): void {
    this.gone(why);
  }

  endIdle(): void {}

  destroy(): void {
    this.stop();
    this.connection.close();
  }

  /** Nothing is awaited any more. */
  protected stop(): void {
    this.health.stop();
    this.liveness.stop();
  }

  /** Nothing serves: the endpoint tries again. */
  protected lost(why: string): void {
    this.stop();
    this.endpoint.lost(why);
  }

  // ---- for its connection -------------------------------------------------------------------------------

  /** Calls of their own: the next one opens another connection, and those that are there are still answered. */
  http2Goaway(why: string): void {
    this.endpoint.http2Goaway(why, false);
  }

  streamsMax(max: number): void {
    this.health.streamsMax(max);
  }

  // ---- for liveness -------------------------------------------------------------------------------------

  isAwaited(): boolean {
    return this.inFlight > 0;
  }

  heard(): number {
    return this.connection.heard;
  }

  ask(): void {
    this.connection.ask();
  }
}
