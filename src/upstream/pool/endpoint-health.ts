/** How one address does: by the ends of its calls, and by what its own health service says. */
import type { TimerWheel } from '../../timer-wheel.ts';
import { Ejection } from './ejection.ts';
import { type HealthMode, HealthWatch, type Watched } from '../grpc-client/health-watch.ts';

export class EndpointHealth {
  readonly #wheel: TimerWheel;
  readonly #ejection = new Ejection();
  readonly #health: HealthWatch;

  /** @param onHealth The health service says otherwise now. */
  constructor(mode: HealthMode, channel: Watched, wheel: TimerWheel, onHealth: () => void) {
    this.#wheel = wheel;
    this.#health = new HealthWatch(mode, channel, wheel, onHealth);
  }

  /** It does as it should: sessions may be brought there, not only come. */
  get isWell(): boolean {
    return this.#health.well && !this.#ejection.ejected;
  }

  /** A new session may go there, at least to try it. */
  get admits(): boolean {
    if (!this.#health.well) return false;
    return !this.#ejection.ejected || this.#ejection.admits(this.#wheel.now());
  }

  /** What keeps new sessions away, for the log; null: nothing that is known. */
  get complaint(): 'unhealthy' | 'ejected' | null {
    if (!this.#health.well && this.#health.words !== '') return 'unhealthy';
    return this.#ejection.ejected ? 'ejected' : null;
  }

  /** Its health service says that it is well, or nothing. */
  get isHealthy(): boolean {
    return this.#health.well;
  }

  /** What its health service said last, or why it says nothing. */
  get words(): string {
    return this.#health.words;
  }

  // ---- by its calls ---------------------------------------------------------------------------------------

  /** A session was sent there. */
  tried(): void {
    this.#ejection.tried(this.#wheel.now());
  }

  /** No answer, or none that can be read. True: too often. */
  failed(): boolean {
    return this.#ejection.failed(this.#wheel.now());
  }

  /** True: it was ejected, and is no longer. */
  answered(): boolean {
    return this.#ejection.answered();
  }

  /** Left alone for a while. Gives the reason, for the log. */
  eject(): string {
    const { failures, ms } = this.#ejection;
    this.#ejection.eject(this.#wheel.now());
    return `${failures} failures in a row; no sessions for ${ms} ms`;
  }

  // ---- by its word ----------------------------------------------------------------------------------------

  /** There is a connection: it may be asked. */
  connected(): void {
    this.#health.start();
  }

  lost(): void {
    this.#health.stop();
  }

  /** It is not asked any more; what it said holds. */
  rest(): void {
    this.#health.rest();
  }
}
