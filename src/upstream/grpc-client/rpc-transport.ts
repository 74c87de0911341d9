/**
 * A transport of calls that need nothing but a connection. One that is lost is made again at once, and calls wait for
 * it; only when that fails the endpoint is away.
 */
import { Timeout } from '../../timer-wheel.ts';
import { FIRST_ATTEMPT_MS } from '../pool/endpoint-pool.ts';
import type { TransportOwner } from '../pool/transport.ts';
import type { CallError, ConnectionState } from './grpc-connection.ts';
import { GrpcTransport, type GrpcTransportOptions } from './grpc-transport.ts';
import { hint } from './status.ts';

/** A connection that ends sooner is not made again at once: a server that cuts each one must not be dialled all the time. */
const STABLE_MS = 1_000;
/** How long an attempt to connect may take before another is begun. */
const CONNECT_WAIT_MS = 5_000;
/** How long an address that fails may take to say why. */
const WHY_WAIT_MS = 2_000;
const CHECK = '/grpc.health.v1.Health/Check';
const NOTHING = Buffer.alloc(0);

export abstract class RpcTransport extends GrpcTransport {
  readonly keepsOrder = false;
  readonly #how: string;
  readonly #options: GrpcTransportOptions;
  readonly #connectLate: Timeout;
  readonly #reconnect: Timeout;
  /** On the monotonic clock. */
  #readyAt = -Infinity;
  /** Counts up with each that is given up. */
  #attempt = 0;
  #isAsking = false;
  #isFirst = true;
  #isUp = false;
  #stopped = false;

  /** @param how For the log: in which way it serves. */
  constructor(
    endpoint: TransportOwner,
    how: string,
    options: GrpcTransportOptions,
    receiveBytesMax?: number,
  ) {
    super(endpoint, options, receiveBytesMax);
    this.#how = how;
    this.#options = options;
    this.#connectLate = new Timeout(() => {
      this.giveUp(`no connection in ${CONNECT_WAIT_MS / 1_000} s`);
    });
    this.#reconnect = new Timeout(() => {
      this.connection.state(true);
    });
  }

  connect(): void {
    const { connection } = this;
    const attempt = this.#attempt;
    // An idle channel keeps no process alive, and while it starts there may be nothing else that does.
    let until = this.#isFirst ? this.#options.clock.wallNow() + FIRST_ATTEMPT_MS : Infinity;
    this.#isFirst = false;
    let before: ConnectionState | null = null;
    const look = (isLate: boolean): void => {
      if (isLate) until = Infinity;
      if (this.#stopped || attempt !== this.#attempt) return;
      const isStable = this.#options.wheel.now() - this.#readyAt >= STABLE_MS;
      const state = connection.state(isStable);
      // It is what it was when the first attempt has had its time.
      if (state !== before) this.#onState(state);
      before = state;
      if (attempt === this.#attempt) connection.watchState(state, until, look);
    };
    look(false);
  }

  #onState(state: ConnectionState): void {
    const { wheel } = this.#options;
    wheel.cancel(this.#connectLate);
    wheel.cancel(this.#reconnect);
    if (state === 'ready') {
      this.#readyAt = wheel.now();
      this.ready();
    } else if (state === 'failing') {
      this.#askWhy();
    } else if (state === 'idle') {
      wheel.set(this.#reconnect, STABLE_MS);
    } else {
      wheel.set(this.#connectLate, CONNECT_WAIT_MS);
    }
  }

  protected ready(): void {
    this.#isUp = true;
    this.health.start();
    this.endpoint.up(this.#how, 'connected');
  }

  /** The only way to learn why a channel fails is a call, which fails at once and goes nowhere. */
  #askWhy(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const deadline = this.#options.clock.wallNow() + WHY_WAIT_MS;
    const done = (error: CallError | null): void => {
      this.#isAsking = false;
      if (error !== null && !this.connection.isReady) this.giveUp(hint(error));
    };
    this.connection.unary(CHECK, NOTHING, this.#options.metadata, deadline, done);
  }

  giveUp(why: string): void {
    if (this.#stopped) return;
    this.#options.wheel.cancel(this.#connectLate);
    this.#attempt++;
    this.#isUp = false;
    this.connection.renew();
    this.lost(why);
  }

  /** The connection is checked anyway. */
  gone(): void {}

  override unreachable(why: string): void {
    if (this.#isUp) this.giveUp(why);
  }

  protected override stop(): void {
    this.#options.wheel.cancel(this.#connectLate);
    this.#options.wheel.cancel(this.#reconnect);
    super.stop();
  }

  override destroy(): void {
    this.#stopped = true;
    super.destroy();
  }
}
