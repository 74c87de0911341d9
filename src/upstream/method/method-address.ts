/** One address of a backend in method mode: whether it is there, whether it is well, and what is in flight. */
import type { Clock } from '../../clock.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Choice } from '../pool/balancer.ts';
import type { Dial } from '../grpc-client/connection.ts';
import type { HealthMode } from '../grpc-client/health-watch.ts';
import { hint } from '../grpc-client/status.ts';
import { EndpointHealth } from '../pool/endpoint-health.ts';
import type { Liveness } from '../liveness.ts';
import { MethodChannel } from './method-channel.ts';

/** How long the gateway waits at its start for the first attempts, before it listens. */
export const FIRST_ATTEMPT_MS = 2_000;
/** How long an attempt to connect may take before another is begun. */
const CONNECT_WAIT_MS = 5_000;
/** How long an address that fails may take to say why. */
const WHY_WAIT_MS = 2_000;

export type MethodAddressOptions = Dial & {
  readonly weight: number;
  readonly health: HealthMode;
  /** Milliseconds of silence after which a connection on which something is awaited is given up; 0: never. */
  readonly deadAfterMs: number;
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
  /** It is connected, or will be in a moment: a lost connection is made again at once, and calls wait for it. */
  serves = false;
  /** Resolves when the first attempt has ended, either way. */
  readonly settled: Promise<void>;
  readonly #options: MethodAddressOptions;
  readonly #events: MethodAddressEvents;
  readonly #wellbeing: EndpointHealth;
  #settle: () => void = () => {};
  #onIdle: () => void = () => {};
  #isLeaving = false;
  #isAsking = false;
  #isReady = false;
  #why = '';
  readonly #liveness: Liveness;
  readonly #connectLate: Timeout;

  constructor(options: MethodAddressOptions, events: MethodAddressEvents) {
    this.label = options.address;
    this.weight = options.weight;
    this.#options = options;
    this.#events = events;
    this.channel = new MethodChannel(options);
    this.#wellbeing = new EndpointHealth(options.health, this.channel, options.wheel, () => {
      events.onState(this, this.#wellbeing.words);
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#liveness = this.channel.connection.liveness(options.deadAfterMs, options.wheel, {
      isAwaited: () => this.inFlight > 0,
      giveUp: (why) => {
        this.#giveUp(why);
      },
    });
    this.#connectLate = new Timeout(() => {
      this.#giveUp(`no connection in ${CONNECT_WAIT_MS / 1_000} s`);
    });
    this.channel.connection.onGoaway = (why) => {
      events.onState(this, `the server wants a new connection${why === '' ? '' : `: ${why}`}`);
    };
    const until = options.clock.wallNow() + FIRST_ATTEMPT_MS;
    this.channel.keepConnected(until, (state) => {
      this.#onChannel(state);
    });
  }

  /** For the log. */
  get condition(): 'serving' | 'away' | 'unhealthy' | 'ejected' {
    if (!this.serves) return 'away';
    return this.#wellbeing.complaint ?? 'serving';
  }

  get isOpen(): boolean {
    return this.serves && !this.#isLeaving;
  }

  get welcomes(): boolean {
    return this.isOpen && this.#wellbeing.admits;
  }

  get isWell(): boolean {
    return this.isOpen && this.#wellbeing.isWell;
  }

  // ---- calls ------------------------------------------------------------------------------------------

  enter(): void {
    this.inFlight++;
    this.#liveness.begin();
    this.#wellbeing.tried();
  }

  leave(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.#onIdle();
  }

  /** Whatever it said: it is there. */
  answered(): void {
    if (this.#wellbeing.answered()) this.#events.onState(this, 'it answers again');
  }

  /** No answer, or none that can be read. */
  failed(): void {
    if (this.#wellbeing.failed()) this.#events.onFaulty(this);
  }

  eject(): void {
    this.#events.onState(this, this.#wellbeing.eject());
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
    this.#wellbeing.lost();
    this.#liveness.stop();
    this.#options.wheel.cancel(this.#connectLate);
    this.channel.close();
    this.#settle();
  }

  #onChannel(state: 'ready' | 'failing' | 'connecting'): void {
    const { wheel } = this.#options;
    this.#isReady = state === 'ready';
    wheel.cancel(this.#connectLate);
    if (state === 'ready') this.#become(true, 'connected');
    else if (state === 'failing') this.#askWhy();
    else wheel.set(this.#connectLate, CONNECT_WAIT_MS);
  }

  /** The connection, or the attempt to make one, goes nowhere. */
  #giveUp(why: string): void {
    this.#liveness.stop();
    this.#become(false, why);
    this.channel.renew();
  }

  #become(serves: boolean, why: string): void {
    const isNews = serves !== this.serves || why !== this.#why;
    this.serves = serves;
    this.#why = why;
    if (serves) this.#wellbeing.connected();
    else this.#wellbeing.lost();
    if (isNews) this.#events.onState(this, why);
    this.#settle();
  }

  #askWhy(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.channel.whyFailing(this.#options.clock.wallNow() + WHY_WAIT_MS, (error) => {
      this.#isAsking = false;
      if (error !== null && !this.#isReady) this.#become(false, hint(error));
    });
  }
}
