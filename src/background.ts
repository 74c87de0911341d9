/**
 * Work that nobody waits for. A promise whose rejection nobody hears ends the process, so a bare `void promise`
 * is a lint error, and this is the only way to start one and go on.
 */

/**
 * Lets `work` run and returns at once. `failed` is called with what it rejects with: answer whoever asked for the
 * work, or say in the log what will not be done. It must not throw.
 */
export function inBackground(work: Promise<unknown>, failed: (error: unknown) => void): void {
  work.catch(failed);
}
