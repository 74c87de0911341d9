/** Every connection between processes: who listens where, who cannot reach whom, and what is lost with a process. */
import type { CancelTimer } from '../../src/clock.ts';
import { Channel, type ChannelOptions, type End } from './channel.ts';
import type { Node, World } from './world.ts';

export type Connecting<T> = {
  onOpen(end: End<T>): void;
  onRefused(why: string): void;
};

type Listening = {
  readonly node: Node;
  readonly accept: (end: End<never>, from: Node) => void;
};

/** Every connection there is, who listens where, and who cannot reach whom. */
export class Network {
  readonly world: World;
  /** Multiplies every latency. */
  slowness = 1;
  /** Milliseconds more to and from these places. */
  readonly #delays = new Map<string, number>();
  readonly #open = new Set<Channel<never>>();
  readonly #listening = new Map<string, Listening>();
  /** Pairs of places that do not reach each other. */
  readonly #apart = new Set<string>();
  /** Attempts to connect that wait for a way. */
  readonly #attempts = new Set<() => void>();
  #channels = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** What connects to `address` from now on is given to `accept`. A second one takes the place of the first. */
  listen<T>(node: Node, address: string, accept: (end: End<T>, from: Node) => void): () => void {
    const one = { node, accept: accept as Listening['accept'] };
    this.#listening.set(address, one);
    return () => {
      if (this.#listening.get(address) === one) this.#listening.delete(address);
    };
  }

  /** Tries to connect; exactly one of `done` follows, unless it is given up first. */
  connect<T>(
    from: Node,
    address: string,
    options: ChannelOptions,
    done: Connecting<T>,
  ): CancelTimer {
    let isGivenUp = false;
    const name = `${from.name}→${address}#${this.#channels++}`;
    const random = this.world.random(`attempt/${name}`);
    const roundTripMs = 2 * random.between(...options.latencyMs) * this.slowness;
    const attempt = (): void => {
      this.#attempts.delete(attempt);
      if (isGivenUp || from.isDead) return;
      const listening = this.#listening.get(address);
      const hasWay = listening === undefined || !this.#isApart(from, listening.node);
      if (!hasWay || listening?.node.isPaused) {
        // A system that is there takes the connection even if its process is stopped; it is read when it goes on.
        this.#attempts.add(attempt);
        return;
      }
      if (listening === undefined || listening.node.isDead) {
        from.input(this.world.nowUs, () => {
          if (!isGivenUp) done.onRefused(`connect ECONNREFUSED ${address}`);
        });
        return;
      }
      const channel = new Channel<T>(this, from, listening.node, name, options);
      this.#open.add(channel as unknown as Channel<never>);
      from.input(this.world.nowUs, () => {
        if (isGivenUp) channel.a.destroy('closed by the client');
        else done.onOpen(channel.a);
      });
      listening.node.input(this.world.nowUs, () => {
        // Who listens no more resets what waits to be accepted.
        if (this.#listening.get(address) === listening)
          listening.accept(channel.b as unknown as End<never>, from);
        else channel.b.destroy();
      });
    };
    this.world.after(roundTripMs, attempt);
    return () => {
      isGivenUp = true;
      this.#attempts.delete(attempt);
    };
  }

  ended(channel: Channel<never>): void {
    this.#open.delete(channel);
  }

  /** Connections of a process; for faults, and for what a check looks at. */
  of(node: Node): Channel<never>[] {
    return [...this.#open].filter(({ a, b }) => a.node === node || b.node === node);
  }

  get open(): ReadonlySet<Channel<never>> {
    return this.#open;
  }

  /**
   * Ends a process. `reset`: its system tells the other ends. `silent`: its machine is gone, and they are never told;
   * what they send waits for ever.
   */
  kill(node: Node, how: 'reset' | 'silent'): void {
    const channels = this.of(node);
    node.crash();
    for (const channel of channels) {
      const mine = channel.a.node === node ? channel.a : channel.b;
      if (how === 'reset') mine.destroy('reset by peer');
      else {
        channel.isPartitioned = true;
        channel.isSilent = true;
        mine.forget();
      }
    }
    for (const [address, listening] of this.#listening)
      if (listening.node === node) this.#listening.delete(address);
  }

  /** Both ends of a connection are told that it is lost. */
  cut(channel: Channel<never>): void {
    channel.a.lose('connection reset');
    channel.b.lose('connection reset');
  }

  /** The machine of a process that was lost with it is back: it knows nothing of its connections, and says so. */
  returned(node: Node): void {
    for (const { a, b } of this.of(node)) (a.node === node ? b : a).lose('reset by peer');
  }

  // ---- slow places --------------------------------------------------------------------------------------

  /** What comes from this place, and goes to it, is that much later, or half of it. @param ms 0: not any more. */
  delay(place: string, ms: number): void {
    if (ms === 0) this.#delays.delete(place);
    else this.#delays.set(place, ms);
  }

  delayAt(place: string): number {
    return this.#delays.size === 0 ? 0 : (this.#delays.get(place) ?? 0);
  }

  // ---- partitions ---------------------------------------------------------------------------------------

  /** Nothing reaches `b` from `a`, nor the other way: what is sent waits, until `join`. */
  part(a: string, b: string): void {
    this.#apart.add(pairOf(a, b));
    this.#update();
  }

  join(a: string, b: string): void {
    this.#apart.delete(pairOf(a, b));
    this.#update();
    for (const attempt of [...this.#attempts]) attempt();
  }

  /** Attempts to connect to a process that was stopped go on. */
  resumed(): void {
    for (const attempt of [...this.#attempts]) attempt();
  }

  #update(): void {
    for (const channel of this.#open) {
      const isApart = this.#isApart(channel.a.node, channel.b.node);
      if (isApart === channel.isPartitioned || channel.isSilent) continue;
      channel.isPartitioned = isApart;
      if (!isApart) for (const end of [channel.a, channel.b]) end.heal();
    }
  }

  #isApart(a: Node, b: Node): boolean {
    return this.#apart.size > 0 && this.#apart.has(pairOf(a.place, b.place));
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}
