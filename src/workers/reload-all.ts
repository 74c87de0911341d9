/** One reload of all workers: all of them apply it, or none. */
import { inBackground } from '../background.ts';
import type { Config } from '../config/schema.ts';
import type { ReloadOutcome } from '../control/gateway-methods.ts';
import { errorText } from '../errors.ts';
import type { ReadConfig } from '../reload/reload.ts';
import type { Log } from '../telemetry/log.ts';
import type { Child } from './child.ts';
import type { ReloadAsk } from './words.ts';

/** How long a worker may take, in milliseconds: new backends are connected to meanwhile. */
const RELOAD_MS = 60_000;

type Parts = { readonly config: Config; readonly readConfig: ReadConfig; readonly log: Log };

export class ReloadOfAll {
  /** That of all workers. */
  config: Config;
  readonly #parts: Parts;
  readonly #children: () => readonly Child[];
  #running: Promise<unknown> = Promise.resolve();
  /** Begins when the running one has ended: whoever asks meanwhile waits for the same. */
  #next: Promise<ReloadOutcome> | null = null;

  constructor(parts: Parts, children: () => readonly Child[]) {
    this.config = parts.config;
    this.#parts = parts;
    this.#children = children;
  }

  /** Reads the configuration again, for all workers or none. @param why For the log. Never rejects. */
  run(why: string): Promise<ReloadOutcome> {
    this.#next ??= this.inTurn(() => {
      this.#next = null;
      return this.#run(why);
    }).catch((error: unknown) => ({
      ...{ changed: [], needsRestart: [], errors: [errorText(error)] },
    }));
    return this.#next;
  }

  /** Other work that a reload is not to meet: in turn with them. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#running.then(work);
    this.#running = done.catch(() => {});
    return done;
  }

  async #run(why: string): Promise<ReloadOutcome> {
    const read = await this.#parts.readConfig();
    const asked = this.#children().filter(isReady);
    if (asked.length === 0) throw new Error('no worker is ready');
    const outcomes = await Promise.all(asked.map((child) => reloadOne(child, { why, read })));
    const outcome = {
      changed: union(outcomes.map(({ changed }) => changed)),
      needsRestart: union(outcomes.map(({ needsRestart }) => needsRestart)),
      errors: union(outcomes.map(({ errors }) => errors)),
    };
    const refused = outcomes.filter((one) => !isApplied(one));
    if (refused.length === 0 && 'config' in read) {
      this.config = read.config;
      for (const child of asked) child.config = read.config;
      for (const child of this.#children()) if (isReady(child)) this.catchUp(child);
    } else if (refused.length < outcomes.length) await this.#goBack(asked, why, outcome.errors);
    return outcome;
  }

  /** Some have applied it. */
  async #goBack(asked: readonly Child[], why: string, errors: readonly string[]): Promise<void> {
    const back = {
      why: 'another worker could not reload',
      read: { config: this.config },
      isBack: true,
    };
    await Promise.all(asked.map((child) => reloadOne(child, back)));
    this.#parts.log.error(
      { why, errors },
      'a worker could not reload, so the others have gone back to the configuration before',
    );
  }

  /** It was begun before the last reload of the others. */
  catchUp(child: Child): void {
    const { config } = this;
    if (child.config === config) return;
    child.config = config;
    const ask = { why: 'the other workers have reloaded', read: { config } };
    inBackground(
      reloadOne(child, ask).then((outcome) => {
        if (isApplied(outcome)) return;
        const { errors } = outcome;
        this.#parts.log.error({ worker: child.n, errors }, 'a worker cannot reload as the others have: it is killed'); // prettier-ignore
        child.program.kill('SIGKILL');
      }),
      () => {},
    );
  }
}

/** One that starts gets the configuration when it has, and one that ends needs none. */
function isReady({ status }: Child): boolean {
  return status.state === 'ready';
}

async function reloadOne({ channel, n }: Child, ask: ReloadAsk): Promise<ReloadOutcome> {
  try {
    return await channel.ask('reload', ask, RELOAD_MS);
  } catch (error) {
    return { changed: [], needsRestart: [], errors: [`worker ${n}: ${errorText(error)}`] };
  }
}

function isApplied({ errors, needsRestart }: ReloadOutcome): boolean {
  return errors.length + needsRestart.length === 0;
}

function union(lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())].toSorted();
}
