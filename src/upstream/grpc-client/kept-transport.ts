/**
 * A transport of calls that need nothing but a connection. One that is lost is made again at once, and calls wait for
 * it; only when that fails the endpoint is away.
 */
import { type ChannelOptions, connectivityState, Metadata, type ServiceError } from '@grpc/grpc-js';

import { Timeout } from '../../timer-wheel.ts';
import type { TransportOwner } from '../pool/transport.ts';
import { GrpcTransport, type GrpcTransportOptions } from './grpc-transport.ts';
import { hint } from './status.ts';

/** How long an attempt to connect may take before another is begun. */
const CONNECT_WAIT_MS = 5_000;
/** How long an address that fails may take to say why. */
const WHY_WAIT_MS = 2_000;
const CHECK = '/grpc.health.v1.Health/Check';
const raw = (bytes: Buffer): Buffer => bytes;
const NOTHING = Buffer.alloc(0);

export abstract class KeptTransport extends GrpcTransport {
  readonly keepsOrder = false;
  readonly #how: string;
  readonly #options: GrpcTransportOptions;
  readonly #connectLate: Timeout;
  #isAsking = false;
  #isFirst = true;
  #stopped = false;

  /** @param how For the log: in which way it serves. */
  constructor(
    endpoint: TransportOwner,
    how: string,
    options: GrpcTransportOptions,
    more: ChannelOptions = {},
  ) {
    super(endpoint, options, more);
    this.#how = how;
    this.#options = options;
    this.#connectLate = new Timeout(() => {
      this.giveUp(`no connection in ${CONNECT_WAIT_MS / 1_000} s`);
    });
  }

  connect(): void {
    const { client } = this.connection;
    const channel = client.getChannel();
    // An idle channel keeps no process alive, and while it starts there may be nothing else that does.
    let until = this.#isFirst ? this.#options.clock.wallNow() + CONNECT_WAIT_MS : Infinity;
    this.#isFirst = false;
    const look = (late?: Error): void => {
      if (late !== undefined) until = Infinity;
      if (this.#stopped || this.connection.client !== client) return;
      const state = channel.getConnectivityState(true);
      this.#onState(state);
      if (this.connection.client === client) channel.watchConnectivityState(state, until, look);
    };
    look();
  }

  #onState(state: connectivityState): void {
    this.#options.wheel.cancel(this.#connectLate);
    if (state === connectivityState.READY) {
      this.ready();
    } else if (state === connectivityState.TRANSIENT_FAILURE) {
      this.#askWhy();
    } else {
      this.#options.wheel.set(this.#connectLate, CONNECT_WAIT_MS);
    }
  }

  protected ready(): void {
    this.health.start();
    this.endpoint.up(this.#how, 'connected');
  }

  /** The only way to learn why a channel fails is a call, which fails at once and goes nowhere. */
  #askWhy(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const deadline = this.#options.clock.wallNow() + WHY_WAIT_MS;
    const done = (error: ServiceError | null): void => {
      this.#isAsking = false;
      if (error !== null && !this.connection.isReady) this.giveUp(hint(error));
    };
    const { client } = this.connection;
    client.makeUnaryRequest(CHECK, raw, raw, NOTHING, new Metadata(), { deadline }, done);
  }

  giveUp(why: string): void {
    if (this.#stopped) return;
    this.#options.wheel.cancel(this.#connectLate);
    this.connection.renew();
    this.lost(why);
  }

  /** The connection is looked at anyway. */
  gone(): void {}

  protected override stop(): void {
    this.#options.wheel.cancel(this.#connectLate);
    super.stop();
  }

  override destroy(): void {
    this.#stopped = true;
    super.destroy();
  }
}
