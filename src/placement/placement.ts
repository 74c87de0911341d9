/**
 * Where newcomers should go: whether this gateway sends them to others, because newer ones replace it or because it moves
 * sessions away. Clients that connect anyway are served.
 */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { areNewerOnesReady, newestOf, sameScope } from './generations.ts';
import type { FleetMembers } from './members.ts';
import type { Rebalance } from './rebalance.ts';

/** Between two looks at the fleet. */
const LOOK_MS = 500;

/** Why newcomers should go elsewhere; the text is for /readyz. */
const WHY = {
  generation: 'gateways of a newer generation take new clients',
  rebalance: 'moving sessions to other gateways',
} as const;

/** Whether a gateway should get new clients, as probes and Consul ask. */
export type Readiness = {
  /** Why it should get none; empty: it is ready. */
  readonly notReady: () => readonly string[];
  /** It could serve them, who should go elsewhere for now: a warning, no fault. */
  readonly sendsElsewhere: () => boolean;
};

export type PlacementParts = {
  readonly members: FleetMembers;
  readonly rebalance: Rebalance;
  readonly live: { readonly config: Config };
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
};

export class Placement {
  readonly #parts: PlacementParts;
  readonly #again: Timeout;
  #why: keyof typeof WHY | '' = '';
  /** When a gateway was last known that takes no clients yet, or none any more; time of the clock. */
  #changedAt = -Infinity;
  #onChange: () => void = () => {};

  constructor(parts: PlacementParts) {
    this.#parts = parts;
    const { members, metrics, live, clock } = parts;
    this.#again = new Timeout(() => {
      this.look();
    });
    for (const why of ['generation', 'rebalance'] as const)
      metrics.watch('pith_newcomers_elsewhere', [why], () => (this.#why === why ? 1 : 0));
    const { generation } = live.config;
    if (generation !== '')
      metrics.watch('pith_generation_newest', [generation], () =>
        newestOf(sameScope(members.all()), clock.now()) === generation ? 1 : 0,
      );
  }

  /** Begins to look; `onChange` is called when `elsewhere` has changed. */
  start(onChange: () => void): void {
    this.#parts.members.setReady(true);
    this.#onChange = onChange;
    this.look();
  }

  /** This gateway stops: from now on it is a matter of its drain. */
  stop(): void {
    this.#parts.wheel.cancel(this.#again);
    this.#parts.rebalance.stop();
    this.#parts.members.setReady(false);
    this.#why = '';
  }

  /** Why newcomers should go elsewhere; '': they may come. */
  get elsewhere(): string {
    return this.#why === '' ? '' : WHY[this.#why];
  }

  look(): void {
    const { members, rebalance, live, clock, wheel, log } = this.#parts;
    wheel.set(this.#again, LOOK_MS);
    const all = members.all();
    const now = clock.now();
    if (sameScope(all).some(({ room }) => room === 0)) this.#changedAt = now;
    const { generations } = live.config.drain;
    rebalance.look(all);
    const isOlder = generations && areNewerOnesReady(all, now, this.#changedAt);
    const why = isOlder ? 'generation' : rebalance.isMoving ? 'rebalance' : ''; // prettier-ignore
    if (why === this.#why) return;
    if (isOlder || this.#why === 'generation') {
      const { generation } = live.config;
      const newest = newestOf(sameScope(all), now);
      log.info(
        { generation, newest, gateways: all.length },
        isOlder ? 'new clients should go to the newer generation' : 'taking new clients again',
      );
    }
    this.#why = why;
    this.#onChange();
  }
}
