/**
 * What this process holds in memory, counted so that it is the same on any machine: what lives, not what has been
 * allocated. V8 frees array buffers on another thread, and some of what is dropped only in a later turn, so a single
 * collection says little: before what is measured they go on until they find nothing more, and after it until the
 * rest is below the limit.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collections in a row that must find nothing before memory counts as settled. */
const QUIET = 3;
/** A collection that frees less has found nothing. */
const NOTHING_BYTES = 65_536;
/** Each finishes what the one before has begun. With more, sessions would meanwhile end by their own deadlines. */
const COLLECTIONS_MAX = 40;

export type Held = {
  /**
   * Expects the process to hold fewer than `bytes` more than when it was watched from. Ask while everything that
   * should be small is still in use: what has been closed by then is not counted.
   */
  expectGrownLess(bytes: number): Promise<void>;
};

/** From here on: what earlier tests have left is gone, or counted as there before. */
export async function watchHeld(): Promise<Held> {
  const before = await settledBytes();
  return {
    async expectGrownLess(bytes) {
      let grown = Infinity;
      await isCollected(() => {
        grown = Math.min(grown, usedBytes() - before);
        return grown < bytes;
      });
      expect(grown, 'bytes held beyond those held before').toBeLessThan(bytes);
    },
  };
}

/** Collects garbage until `look` is content; false: it never was. */
export async function isCollected(look: () => boolean): Promise<boolean> {
  for (let n = 0; n < COLLECTIONS_MAX; n++) {
    // What a WeakRef names lives until the turn is over.
    await new Promise((resolve) => setTimeout(resolve, n));
    collect();
    if (look()) return true;
  }
  return false;
}

/** Bytes that `run`, which must not wait for anything, allocates, whether it holds them or not. */
export async function allocatedBy(run: () => void): Promise<number> {
  const before = await settledBytes();
  run();
  return usedBytes() - before;
}

async function settledBytes(): Promise<number> {
  let least = Infinity;
  let quiet = 0;
  await isCollected(() => {
    const now = usedBytes();
    quiet = now < least - NOTHING_BYTES ? 0 : quiet + 1;
    least = Math.min(least, now);
    return quiet >= QUIET;
  });
  return least;
}

/** Array buffers are part of what V8 calls external. */
function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
