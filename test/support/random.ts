/** Chance that is the same in each run. */
import type { Random } from '../../src/random.ts';

/** [mulberry32] Each seed has numbers of its own. */
export function seededRandom(seed = 1): Random {
  let state = seed;
  const number = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    number,
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => Math.floor(number() * 256))),
  };
}
