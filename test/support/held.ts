/** What a test's own process holds in memory: before what is measured, and after it. */
import { expect } from 'vitest';

import { isCollected, settledBytes, usedBytes } from './collect.ts';

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

/** Bytes that `run`, which must not wait for anything, allocates, whether it holds them or not. */
export async function allocatedBy(run: () => void): Promise<number> {
  const before = await settledBytes();
  run();
  return usedBytes() - before;
}
