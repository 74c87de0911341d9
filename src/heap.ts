/**
 * The part of V8's heap where objects begin, its new space. It grows by what survives while the
 * gateway starts, which is code and goes to the old space anyway; and V8 makes it smaller only when it collects, which it
 * does not while nothing happens. Either would leave 30 to 60 MB resident that hold nothing.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { Clock } from './clock.ts';

/** How often it is looked at whether anything happens. */
export const LOOK_MS = 30_000;
/** Of one processor's time, up to which hardly anything does. */
export const QUIET_SHARE = 0.05;
/** What a new space may have without being worth a collection, in bytes. */
export const NEW_SPACE_KEPT = 8 * 1024 * 1024;

/** For the start: the new space stays as small as it is. */
export function startSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * For the work: it grows with the load, as V8 has it, so that what lives shortly is collected cheaply. The optimising
 * compilers are not held like this: V8 does not go back to all that it did before.
 */
export function growWithLoad(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}

export type NewSpace = {
  /** Bytes of it that are resident. */
  size(): number;
  /** Collects it alone, which takes as long as what survives is large: hardly anything, while nothing happens. */
  collect(): void;
};

export const systemNewSpace: NewSpace = {
  size: () =>
    getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')!.physical_space_size,
  collect() {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
    setFlagsFromString('--no-expose-gc');
    // What the first finds alive goes to the old space with the second, after which V8 makes the new one smaller. What it
    // no longer needs it gives back some seconds later, by itself.
    collect({ type: 'minor' });
    collect({ type: 'minor' });
  },
};

/**
 * Gives back what a load has left in the new space, once hardly anything happens any more.
 *
 * @param cpu Processor time of the process so far, in microseconds.
 */
export function shrinkWhenQuiet(
  clock: Clock,
  cpu: () => { readonly user: number; readonly system: number },
  space: NewSpace = systemNewSpace,
): void {
  const spent = (): number => {
    const { user, system } = cpu();
    return user + system;
  };
  let before = spent();
  const look = (): void => {
    const now = spent();
    const isQuiet = now - before < QUIET_SHARE * LOOK_MS * 1_000;
    before = now;
    if (isQuiet && space.size() > NEW_SPACE_KEPT) space.collect();
    clock.setTimer(LOOK_MS, look);
  };
  clock.setTimer(LOOK_MS, look);
}
