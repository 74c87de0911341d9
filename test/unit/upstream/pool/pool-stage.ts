/** A pool on a manual clock, with transports that carry nothing and do what a test says. */
import { Lane } from '../../../../src/session/lane.ts';
import { TimerWheel } from '../../../../src/timer-wheel.ts';
import type { Endpoint } from '../../../../src/upstream/pool/endpoint.ts';
import { EndpointPool, type PoolOptions } from '../../../../src/upstream/pool/endpoint-pool.ts';
import { PooledSession } from '../../../../src/upstream/pool/pooled-session.ts';
import type { Health, Transport, TransportOwner } from '../../../../src/upstream/pool/transport.ts';
import { ManualClock } from '../../../support/clock.ts';
import { seededRandom } from '../../../support/random.ts';
import { keptReport } from '../../../support/report.ts';

export class Pipe implements Transport {
  readonly endpoint: TransportOwner;
  inFlight = 0;
  keepsOrder = true;
  health: Health | null = null;
  /** What was asked of it. */
  readonly asked: string[] = [];
  /** The backend has ended its side. */
  ended: () => void = () => {};

  constructor(endpoint: TransportOwner) {
    this.endpoint = endpoint;
  }

  connect(): void {
    this.asked.push('connect');
  }

  endIdle(): void {
    this.asked.push('endIdle');
  }

  close(reason: string): Promise<void> {
    this.asked.push(`close: ${reason}`);
    return new Promise((resolve) => {
      this.ended = resolve;
    });
  }

  destroy(): void {
    this.asked.push('destroy');
  }
}

export class Session extends PooledSession<Pipe> {
  readonly places = [];

  constructor() {
    super(new Lane());
  }

  forget(): void {}

  /** A message is in flight until the function that is given is called. */
  send(): () => void {
    const message = { exclusive: false, unordered: false, start: () => {} };
    this.lane.enter(message);
    return () => {
      this.lane.leave(message);
    };
  }
}

/** Promises that are resolved by now have been heard of. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class PoolStage {
  readonly clock = new ManualClock(1_000);
  readonly wheel = new TimerWheel(this.clock);
  readonly pool: EndpointPool<Pipe>;
  /** All that were ever made, in their order. */
  readonly pipes: Pipe[] = [];
  /** As `ADDRESS STATE: WHY`. */
  readonly reported: () => string[];
  weights: ReadonlyMap<string, number> = new Map();
  /** How often the addresses were looked up. */
  lookups = 0;
  #addresses: readonly string[];
  readonly #resolver;

  constructor(addresses: readonly string[] = [], options: Partial<PoolOptions> = {}) {
    this.#addresses = addresses;
    const { report, lines } = keptReport('game', 'grpc', this.clock);
    this.reported = () =>
      lines.map(({ address, state, why }) => `${String(address)} ${String(state)}: ${String(why)}`);
    this.#resolver = {
      changes: true,
      authority: '',
      resolve: () => {
        this.lookups++;
        return Promise.resolve(this.#addresses);
      },
      weights: () => this.weights,
      onChange: () => {},
    };
    this.pool = new EndpointPool<Pipe>(
      {
        url: 'dns:///game',
        links: 1,
        weights: {},
        balance: 'round_robin',
        ageMs: 0,
        clock: this.clock,
        wheel: this.wheel,
        random: seededRandom(),
        ...options,
      },
      report,
      { resolver: this.#resolver, makeTransport: (owner) => this.#make(owner) },
    );
  }

  /** Looks the addresses up; their first attempts to connect are under way then. */
  static async start(
    addresses: readonly string[],
    options: Partial<PoolOptions> = {},
  ): Promise<PoolStage> {
    const stage = new PoolStage(addresses, options);
    const started = stage.pool.start();
    await settled();
    stage.clock.advance(2_100);
    await started;
    return stage;
  }

  /** The same, and all are connected. */
  static async up(
    addresses: readonly string[],
    options: Partial<PoolOptions> = {},
  ): Promise<PoolStage> {
    const stage = await PoolStage.start(addresses, options);
    for (const pipe of stage.pipes) pipe.endpoint.up('link', 'connected', { ages: true });
    return stage;
  }

  /** There are others now, and the resolver knows it. */
  async resolve(...addresses: readonly string[]): Promise<void> {
    this.#addresses = addresses;
    this.#resolver.onChange();
    this.clock.advance(20);
    await settled();
  }

  attach(name: string): Pipe {
    return this.pool.attach(name, (owner) => this.#make(owner)).transport;
  }

  /** The newest of an address. */
  pipe(name: string): Pipe {
    return this.pipes.findLast(({ endpoint }) => endpoint.name === name)!;
  }

  endpoint(name: string): Endpoint<Pipe> {
    return this.pool.list.find((one) => one.name === name)!;
  }

  #make(owner: TransportOwner): Pipe {
    const pipe = new Pipe(owner);
    this.pipes.push(pipe);
    return pipe;
  }
}
