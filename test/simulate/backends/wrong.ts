/** How a backend can be wrong, each for a while. What it did is in the ledger, so that a rule judges the gateway alone. */
import type { SeededRandom } from '../random.ts';
import type { World } from '../world.ts';

export const WRONGS = {
  twice: 'answers again, and would bind the session to another user with it',
  late: 'answers when the gateway waits no longer',
  never: 'does not answer',
  slow: 'takes its time',
  garbage: 'sends what cannot be read instead of an answer',
  strange: 'sends what nobody asked for, or what means nothing, before its answer',
  refused: 'asks with its answer for a change that no session takes',
  future: 'sends fields, frames and headers of a later version',
  deaf: 'does not read',
} as const;

export type Wrong = keyof typeof WRONGS;

/** Of the requests that come meanwhile. */
const WRONG_CHANCE = 0.6;

export class Mischief {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #untilMs = new Map<Wrong, number>();
  #turn: number;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#turn = random.int(0, 1_000);
  }

  begin(wrong: Wrong, ms: number): void {
    const untilMs = this.#world.nowMs + ms;
    this.#untilMs.set(wrong, Math.max(untilMs, this.#untilMs.get(wrong) ?? 0));
  }

  /** One after the other, so that each of them is done soon. */
  oneOf<T>(list: readonly T[]): T {
    return list[this.#turn++ % list.length]!;
  }

  /** What is wrong with the next answer; null: nothing. */
  next(): Wrong | null {
    if (this.#untilMs.size === 0) return null;
    for (const [wrong, untilMs] of this.#untilMs)
      if (untilMs <= this.#world.nowMs) this.#untilMs.delete(wrong);
    const wrongs = [...this.#untilMs.keys()].filter((wrong) => wrong !== 'deaf');
    return wrongs.length > 0 && this.#random.chance(WRONG_CHANCE)
      ? this.#random.pick(wrongs)
      : null;
  }
}
