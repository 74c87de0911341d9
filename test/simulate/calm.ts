/** What is wrong with the surroundings at the moment, place by place: rules that wait for an answer wait meanwhile. */
import type { World } from './world.ts';

export class Calm {
  readonly #world: World;
  /** Faults that last, by the places that they befall. */
  readonly #disturbed = new Map<string, number>();
  #everywhere = 0;
  /** What ends the faults that last. */
  readonly #lasting = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
  }

  begin(places: readonly string[]): void {
    for (const place of places) this.#disturbed.set(place, (this.#disturbed.get(place) ?? 0) + 1);
    if (places.length === 0) this.#everywhere++;
  }

  end(places: readonly string[]): void {
    for (const place of places) {
      const left = this.#disturbed.get(place)! - 1;
      if (left === 0) this.#disturbed.delete(place);
      else this.#disturbed.set(place, left);
    }
    if (places.length === 0) this.#everywhere--;
  }

  /** Nothing is wrong with any of these. */
  at(...places: string[]): boolean {
    return this.#everywhere === 0 && places.every((place) => !this.#disturbed.has(place));
  }

  /** Something is wrong with these for `ms`, or until all is mended; then `done`. */
  last(ms: number, places: readonly string[], done: () => void): void {
    this.begin(places);
    const end = (): void => {
      if (!this.#lasting.delete(end)) return;
      cancel();
      this.end(places);
      done();
    };
    this.#lasting.add(end);
    const cancel = this.#world.after(ms, end);
  }

  /** Ends every fault that lasts. */
  mend(): void {
    for (const end of [...this.#lasting]) end();
  }
}
