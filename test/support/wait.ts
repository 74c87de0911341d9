/**
 * How long a test waits for what has to come, in milliseconds. It is never what a test is about: only a limit for
 * what does not come at all, so generous that a machine with far too much to do stays below it.
 */
export const PATIENCE_MS = 120_000;

/** The same, for `vi.waitFor` and `expect.poll`. */
export const SOON = { timeout: PATIENCE_MS, interval: 20 } as const;

/** For what cannot be waited for as an event: looks again and again, and says what it waited for. */
export async function eventually<T>(
  look: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  what: string,
  ms = PATIENCE_MS,
): Promise<T> {
  const until = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false && found !== null) return found;
    if (performance.now() > until) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
