/** Reads the configuration again while the gateway runs, and applies it: all of it, or nothing. */
import type { Clock } from '../clock.ts';
import { changesBetween } from '../config/changes.ts';
import type { Config } from '../config/schema.ts';
import type { ReloadOutcome } from '../control/gateway-methods.ts';
import { errorText } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Keys that a line of the log names. */
const LOGGED_MAX = 50;

/** The configuration as it is now; or what is wrong with it, one line each. Never rejects. */
export type ReadConfig = () => Promise<
  { readonly config: Config } | { readonly problems: readonly string[] }
>;

/** The configuration in effect: a reload replaces it. */
export type Live = { config: Config };

export type ReloadParts = {
  readonly live: Live;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly read: ReadConfig;
  /** Why it cannot be done now; '': it can. */
  readonly refusal: () => string;
  /**
   * Puts it into effect, and returns the keys that were read anew, as the log has them; their settings may be the same,
   * and their files not. Rejects if it cannot, and then nothing has changed.
   */
  readonly apply: (config: Config) => Promise<readonly string[]>;
};

/** What came of a reload, for the metrics. */
type Result = 'applied' | 'unchanged' | 'refused';

export class Reload {
  readonly #parts: ReloadParts;
  /** One at a time. */
  #running: Promise<unknown> = Promise.resolve();
  /** Begins when the running one has ended: whoever asks meanwhile waits for the same. */
  #next: Promise<ReloadOutcome> | null = null;
  /** What the last one has found; the same is not logged again for a file that is looked at all the time. */
  #isRefused = false;
  /** In seconds since 1970. */
  #appliedAt = 0;

  constructor(parts: ReloadParts) {
    this.#parts = parts;
    parts.metrics.watch('pith_config_last_reload_successful', [], () => (this.#isRefused ? 0 : 1));
    parts.metrics.watch(
      'pith_config_last_reload_success_timestamp_seconds',
      [],
      () => this.#appliedAt,
    );
  }

  /** @param why What asked for it, for the log. Never rejects. */
  run(why: string): Promise<ReloadOutcome> {
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return (this.#running = this.#once(why));
    }) as Promise<ReloadOutcome>;
    return this.#next;
  }

  async #once(why: string): Promise<ReloadOutcome> {
    const outcome = await this.#read();
    const { changed, needsRestart, errors } = outcome;
    const isRefused = errors.length > 0 || needsRestart.length > 0;
    this.#isRefused = isRefused;
    if (!isRefused) this.#appliedAt = Math.floor(this.#parts.clock.wallNow() / 1_000);
    this.#count(isRefused ? 'refused' : changed.length > 0 ? 'applied' : 'unchanged');
    const { log } = this.#parts;
    if (errors.length > 0)
      log.error({ why, errors: shown(errors) }, 'configuration not reloaded: it has errors');
    else if (needsRestart.length > 0)
      log.warn(
        { why, needsRestart: shown(needsRestart), changed: shown(changed) },
        'configuration not reloaded: some of it needs a restart, so nothing was changed',
      );
    else log.info({ why, changed: shown(changed) }, 'configuration reloaded');
    return outcome;
  }

  async #read(): Promise<ReloadOutcome> {
    const { read, live, apply, refusal } = this.#parts;
    const refused = refusal();
    if (refused !== '') return { changed: [], needsRestart: [], errors: [refused] };
    try {
      const found = await read();
      if ('problems' in found) return { changed: [], needsRestart: [], errors: found.problems };
      const { changed, needsRestart } = changesBetween(live.config, found.config);
      const anew = needsRestart.length > 0 ? [] : await apply(found.config);
      return {
        changed: [...new Set([...changed, ...anew])].toSorted(),
        ...{ needsRestart, errors: [] },
      };
    } catch (error) {
      return { changed: [], needsRestart: [], errors: [errorText(error)] };
    }
  }

  #count(result: Result): void {
    this.#parts.metrics.add('pith_config_reloads_total', [result]);
  }
}

function shown(texts: readonly string[]): readonly string[] {
  if (texts.length <= LOGGED_MAX) return texts;
  return [...texts.slice(0, LOGGED_MAX), `and ${texts.length - LOGGED_MAX} more`];
}
