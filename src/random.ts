/** Chance. The only file that draws random numbers, so that a test can own chance. */
import { randomBytes } from 'node:crypto';

export type Random = {
  /** From 0 up to, not including, 1. Can be guessed: for pauses and samples. */
  number(): number;
  /** Cannot be guessed: for names that only those may know who were told. */
  bytes(count: number): Buffer;
};

export const systemRandom: Random = {
  number: () => Math.random(),
  bytes: (count) => randomBytes(count),
};
