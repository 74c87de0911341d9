/** One address of a backend in method mode: whether it is there, whether it is well, and what is in flight. */
import type { Clock } from '../../clock.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { Choice } from '../grpc/balancer.ts';
import type { Channel, Dial } from '../grpc/channel.ts';
import { Ejection } from '../grpc/ejection.ts';
import { type HealthMode, HealthWatch } from '../grpc/health-watch.ts';
import { hint } from '../grpc/status.ts';
import { MethodChannel } from './method-channel.ts';

/** How long the gateway waits at its start for the first attempts, before it listens. */
export const FIRST_ATTEMPT_MS = 2_000;
/** How long an address that fails may take to say why. */
const WHY_WAIT_MS = 2_000;

export type MethodAddressOptions = Omit<Dial, 'metadata'> & {
  readonly weight: number;
  readonly health: HealthMode;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

export interface MethodAddressEvents {
  onState(address: MethodAddress, why: string): void;
  /** It has failed too often; `eject` it if there is another. */
  onFaulty(address: MethodAddress): void;
}

export class MethodAddress implements Choice {
  readonly label: string;
  readonly weight: number;
  readonly channel: MethodChannel;
  /** Calls that have not ended. */
  inFlight = 0;
  /** Sessions that keep to it. */
  readonly sessions = { size: 0, owed: 0 };
  turn = 0;
  /** It is connected. */
  serves = false;
  /** Resolves when the first attempt has ended, either way. */
  readonly settled: Promise<void>;
  readonly #options: MethodAddressOptions;
  readonly #events: MethodAddressEvents;
  readonly #health: HealthWatch;
  readonly #ejection = new Ejection();
  #settle: () => void = () => {};
  #onIdle: () => void = () => {};
  #isLeaving = false;
  #isAsking = false;
  #why = '';

  constructor(options: MethodAddressOptions, events: MethodAddressEvents) {
    this.label = options.address;
    this.weight = options.weight;
    this.#options = options;
    this.#events = events;
    this.channel = new MethodChannel(options);
    // No more of it is used.
    const watched: Pick<Channel, 'watch' | 'watchHealth'> = this.channel;
    this.#health = new HealthWatch(options.health, watched as Channel, options.wheel, () => {
      events.onState(this, this.#health.words);
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const until = options.clock.wallNow() + FIRST_ATTEMPT_MS;
    this.channel.keepConnected(until, (state) => {
      if (state === 'ready') this.#become(true, 'connected');
      else if (this.serves) this.#become(false, 'the connection was lost');
      else if (state === 'failing') this.#askWhy();
    });
  }

  /** For the log. */
  get condition(): 'serving' | 'away' | 'unhealthy' | 'ejected' {
    if (!this.serves) return 'away';
    if (!this.#health.well) return 'unhealthy';
    return this.#ejection.ejected ? 'ejected' : 'serving';
  }

  get isOpen(): boolean {
    return this.serves && !this.#isLeaving;
  }

  get welcomes(): boolean {
    if (!this.isOpen || !this.#health.well) return false;
    return !this.#ejection.ejected || this.#ejection.admits(this.#options.wheel.now());
  }

  get isWell(): boolean {
    return this.isOpen && this.#health.well && !this.#ejection.ejected;
  }

  // ---- calls ------------------------------------------------------------------------------------------

  enter(): void {
    this.inFlight++;
    this.#ejection.tried(this.#options.wheel.now());
  }

  leave(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.#onIdle();
  }

  /** Whatever it said: it is there. */
  answered(): void {
    if (this.#ejection.answered()) this.#events.onState(this, 'it answers again');
  }

  /** No answer, or none that can be read. */
  failed(): void {
    if (this.#ejection.failed(this.#options.wheel.now())) this.#events.onFaulty(this);
  }

  eject(): void {
    const { failures, ms } = this.#ejection;
    this.#ejection.eject(this.#options.wheel.now());
    this.#events.onState(this, `${failures} failures in a row; no sessions for ${ms} ms`);
  }

  // ---- its end ----------------------------------------------------------------------------------------

  /** It is no longer listed: what is in flight there is still answered. Resolves when nothing is. */
  retire(): Promise<void> {
    this.#isLeaving = true;
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.inFlight === 0) resolve();
    });
  }

  close(): void {
    this.serves = false;
    this.#health.stop();
    this.channel.close();
    this.#settle();
  }

  #become(serves: boolean, why: string): void {
    const isNews = serves !== this.serves || why !== this.#why;
    this.serves = serves;
    this.#why = why;
    if (serves) this.#health.start();
    else this.#health.stop();
    if (isNews) this.#events.onState(this, why);
    this.#settle();
  }

  #askWhy(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.channel.whyFailing(this.#options.clock.wallNow() + WHY_WAIT_MS, (error) => {
      this.#isAsking = false;
      if (error !== null && !this.serves) this.#become(false, hint(error));
    });
  }
}
