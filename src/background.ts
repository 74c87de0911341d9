/**
 * Work that is not awaited. An unhandled rejection would end the process, so a bare `void promise` is a lint error,
 * and this is the only way to start a promise and carry on.
 */

/**
 * Lets `work` run and returns immediately. `failed` is called if it rejects: answer the caller who asked for the work,
 * or log what will not be done. It must not throw.
 */
export function inBackground(work: Promise<unknown>, failed: (error: unknown) => void): void {
  work.catch(failed);
}
