/**
 * What this process holds in memory, counted so that it is the same on any machine: what lives, not what has been
 * allocated. V8 frees array buffers on another thread, and some of what is dropped only in a later turn, so a single
 * collection says little: they go on until they find nothing more.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collections in a row that must find nothing before memory counts as settled. */
const QUIET = 3;
/** A collection that frees less has found nothing. */
const NOTHING_BYTES = 65_536;
/** Each finishes what the one before has begun. With more, sessions would meanwhile end by their own deadlines. */
const COLLECTIONS_MAX = 40;

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

/** Bytes that are left once collections find nothing more. */
export async function settledBytes(): Promise<number> {
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
export function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
