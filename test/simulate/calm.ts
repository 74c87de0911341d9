/** What is wrong with the surroundings at the moment, place by place: rules that wait for an answer wait meanwhile. */
export class Calm {
  /** Faults that last, by the places that they befall. */
  readonly #disturbed = new Map<string, number>();
  #everywhere = 0;

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
}
