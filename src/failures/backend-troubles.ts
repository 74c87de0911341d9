/** What was last wrong with each backend, in plain words: a call that fails for it may not know by itself. */

/** Characters of a text. */
const TROUBLE_CHARS_MAX = 300;

export class BackendTroubles {
  readonly #last = new Map<string, { readonly at: number; readonly text: string }>();

  /** @param at Milliseconds of the monotonic clock. */
  had(backend: string, text: string, at: number): void {
    this.#last.set(backend, { at, text: text.slice(0, TROUBLE_CHARS_MAX) });
  }

  /** With how long ago that was; '': nothing was wrong so far. */
  of(backend: string, now: number): string {
    const last = this.#last.get(backend);
    if (last === undefined) return '';
    return `${last.text} (${((now - last.at) / 1_000).toFixed(1)} s before)`;
  }
}
