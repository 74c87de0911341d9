/** What operators have ordered for all workers and lasts, for those too that are begun later. */
import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Child } from './child.ts';
import type { LevelAsk, PauseAsk } from './words.ts';

/** `endsAt` is Infinity where it does not end by itself; it also ends when `log.level` is configured otherwise. */
type Level = { readonly ask: LevelAsk; readonly endsAt: number; readonly configured: string };

export class StandingOrders {
  readonly #clock: Clock;
  readonly #children: () => readonly Child[];
  readonly #config: () => Config;
  #level: Level | null = null;
  #pause: PauseAsk | null = null;

  constructor(clock: Clock, children: () => readonly Child[], config: () => Config) {
    this.#clock = clock;
    this.#children = children;
    this.#config = config;
  }

  /** Takes them from this worker, which has carried them out itself. */
  takeFrom(child: Child): void {
    const { channel } = child;
    channel.onAsk('level', async (ask) => {
      const { level, lastsMs } = ask;
      const endsAt = lastsMs === 0 ? Infinity : this.#clock.now() + lastsMs;
      this.#level = level === null ? null : { ask, endsAt, configured: this.#config().log.level };
      await this.#askOthers(child, 'level', ask);
      return null;
    });
    channel.onAsk('pause', async (ask) => {
      this.#pause = ask.pause === null ? null : ask;
      await this.#askOthers(child, 'pause', ask);
      return null;
    });
  }

  /** It has said its first word. */
  tellNew({ channel }: Child): void {
    if (this.#pause !== null) inBackground(channel.ask('pause', this.#pause), () => {});
    if (this.#level === null) return;
    const { ask, endsAt, configured } = this.#level;
    const leftMs = endsAt - this.#clock.now();
    if (leftMs <= 0 || configured !== this.#config().log.level) return;
    const lastsMs = endsAt === Infinity ? 0 : leftMs;
    inBackground(channel.ask('level', { ...ask, lastsMs }), () => {});
  }

  /** It has taken over from another worker, and may have missed what that one was told meanwhile. */
  tellSuccessor(child: Child): void {
    const { channel } = child;
    if (this.#pause === null) inBackground(channel.ask('pause', { pause: null }), () => {});
    if (this.#level === null)
      inBackground(channel.ask('level', { level: null, lastsMs: 0 }), () => {});
    this.tellNew(child);
  }

  async #askOthers<Name extends 'level' | 'pause'>(
    child: Child,
    name: Name,
    ask: { level: LevelAsk; pause: PauseAsk }[Name],
  ): Promise<void> {
    const others = this.#children().filter((other) => other !== child && other.isHeard);
    await Promise.all(others.map(({ channel }) => channel.ask(name, ask as LevelAsk & PauseAsk)));
  }
}
