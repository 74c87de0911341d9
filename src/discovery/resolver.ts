/** The addresses of a backend that Consul knows, for a gRPC upstream. */
import type { CancelTimer, Clock } from '../clock.ts';
import type { ConsulService } from '../config/consul-service.ts';
import type { ConsulAgent } from './agent.ts';
import type { Instance, Instances } from './instances.ts';
import { ServiceWatch } from './watch.ts';

/** How long the first `resolve` waits for Consul. */
export const FIRST_ANSWER_MS = 2_000;
/** A list that has become empty is believed after this, if it still is: a check that flaps, or servers that were restarted, must not take a working backend away. */
export const EMPTY_HOLD_MS = 15_000;

export type ResolverEvents = {
  /** Consul cannot be asked; what is known stays. Told once for each different reason. */
  onTrouble(why: string): void;
  onBack(): void;
  /** `leftOut`: entries that could not be used. */
  onAddresses(addresses: readonly string[], leftOut: number): void;
  /** None is healthy; the last addresses are held for so long. */
  onHeld(heldMs: number): void;
};

/** As the resolvers of `upstream/pool/resolver.ts`; beyond them it says by itself when something has changed. */
export class ConsulResolver {
  /** `resolve` may be asked again; it costs nothing, since it asks nobody. */
  readonly changes = true;
  /** Addresses that Consul lists have no name that a certificate would bear. */
  readonly authority = '';
  /** Called when addresses or weights have changed. Set by the upstream that uses it. */
  onChange: () => void = () => {};
  readonly #clock: Clock;
  readonly #watch: ServiceWatch;
  readonly #events: ResolverEvents;
  readonly #waiting = new Set<() => void>();
  /** null: Consul has not answered yet. */
  #instances: readonly Instance[] | null = null;
  #leftOut = 0;
  #cancelHold: CancelTimer | null = null;
  #trouble = 'Consul has not answered yet';
  #started = false;

  constructor(agent: ConsulAgent, clock: Clock, service: ConsulService, events: ResolverEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#watch = new ServiceWatch(agent, clock, service, {
      onInstances: (instances) => {
        this.#take(instances);
      },
      onTrouble: (why, again) => {
        this.#trouble = why;
        // What was said last cannot be confirmed: the first answer after this decides.
        this.#endHold();
        if (!again) events.onTrouble(why);
        this.#release();
      },
      onBack: () => {
        events.onBack();
      },
    });
  }

  /**
   * The last known addresses. The first call begins to follow the service and waits for its first answer.
   *
   * @throws {Error} when Consul has never answered.
   */
  async resolve(): Promise<readonly string[]> {
    if (!this.#started) {
      this.#started = true;
      const first = this.#firstAnswer();
      this.#watch.start();
      await first;
    }
    if (this.#instances === null) throw new Error(this.#trouble);
    return this.#instances.map(({ address }) => address);
  }

  /** By address, as `resolve` gives it: what Consul says a healthy instance is worth, 1 to 65535. */
  weights(): ReadonlyMap<string, number> {
    return new Map((this.#instances ?? []).map(({ address, weight }) => [address, weight]));
  }

  close(): void {
    this.#watch.close();
    this.#endHold();
    this.#release();
  }

  #firstAnswer(): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#clock.setTimer(FIRST_ANSWER_MS, resolve);
      this.#waiting.add(() => {
        cancelTimer();
        resolve();
      });
    });
  }

  #release(): void {
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  #take({ list, leftOut }: Instances): void {
    const isLoss = list.length === 0 && (this.#instances?.length ?? 0) > 0;
    if (isLoss) {
      if (this.#cancelHold !== null) return;
      this.#events.onHeld(EMPTY_HOLD_MS);
      this.#cancelHold = this.#clock.setTimer(EMPTY_HOLD_MS, () => {
        this.#cancelHold = null;
        this.#adopt([], leftOut);
      });
      return;
    }
    this.#endHold();
    this.#adopt(list, leftOut);
  }

  #endHold(): void {
    this.#cancelHold?.();
    this.#cancelHold = null;
  }

  #adopt(list: readonly Instance[], leftOut: number): void {
    const same = this.#instances !== null && isSame(this.#instances, list);
    if (!same || this.#leftOut !== leftOut) {
      this.#events.onAddresses(
        list.map(({ address }) => address),
        leftOut,
      );
    }
    this.#instances = list;
    this.#leftOut = leftOut;
    this.#release();
    if (!same) this.onChange();
  }
}

function isSame(left: readonly Instance[], right: readonly Instance[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ address, weight }, i) => {
      const other = right[i]!;
      return other.address === address && other.weight === weight;
    })
  );
}
