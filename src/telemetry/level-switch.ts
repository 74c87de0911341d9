/** The level of the log while the gateway runs: that of the configuration, or another one for a time. */
import type { CancelTimer, Clock } from '../clock.ts';
import type { Log, LogLevel } from './log.ts';

export type LevelSwitchParts = { readonly clock: Clock; readonly log: Log };

export class LevelSwitch {
  readonly #clock: Clock;
  readonly #log: Log;
  /** `log.level`. */
  #configured: LogLevel;
  /** Milliseconds since the epoch; 0: it does not end by itself. */
  #untilWall = 0;
  #cancelEnd: CancelTimer = () => {};
  /** Is told of each change: what is logged of each message does not ask each time. */
  onChange: () => void = () => {};

  constructor({ clock, log }: LevelSwitchParts, configured: LogLevel) {
    this.#clock = clock;
    this.#log = log;
    this.#configured = configured;
  }

  get level(): string {
    return this.#log.level;
  }

  /** When it ends, in milliseconds since the epoch; 0: not by itself. */
  get untilWall(): number {
    return this.#untilWall;
  }

  /** @param level null: that of the configuration. @param lastsMs 0: until somebody changes it again. */
  set(level: LogLevel | null, lastsMs: number): void {
    this.#cancelEnd();
    const wasForATime = this.#untilWall !== 0;
    this.#untilWall = 0;
    const isForATime = lastsMs > 0 && level !== null;
    if (isForATime) {
      this.#untilWall = this.#clock.wallNow() + lastsMs;
      this.#cancelEnd = this.#clock.setTimer(lastsMs, () => {
        this.set(null, 0);
      });
    }
    const to = level ?? this.#configured;
    if (to !== this.#log.level || isForATime || wasForATime) this.#change(to);
  }

  /** Another `log.level` is configured, which holds from now on. */
  configure(level: LogLevel): void {
    if (level === this.#configured) return;
    this.#configured = level;
    this.set(null, 0);
  }

  #change(to: LogLevel): void {
    const from = this.#log.level;
    this.#log.level = to;
    this.onChange();
    const until = this.#untilWall === 0 ? {} : { until: new Date(this.#untilWall).toISOString() };
    // Whatever the level, it is in the log from when on it holds.
    this.#log.error({ from, to, ...until }, 'log level changed');
  }
}
