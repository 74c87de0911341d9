/**
 * The part of V8's heap where objects begin, its new space. It grows by what survives while the
 * gateway starts, which is code and goes to the old space anyway; and V8 makes it smaller only when it collects, which it
 * does not while nothing happens. Either would leave 30 to 60 MB resident that hold nothing.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { Clock } from './clock.ts';

/** How often it is looked at whether anything happens, in milliseconds. */
export const LOOK_MS = 30_000;
/**
 * The same until the first collection, which is made however little there is: V8 keeps what the start has left, 2 to 4 MB,
 * until it collects for another reason, and a gateway without clients gives it none.
 */
export const FIRST_LOOK_MS = 2_000;
/** Of one processor's time, up to which hardly anything does. */
export const QUIET_SHARE = 0.05;
/** What a new space may have without being worth a collection, in bytes. */
export const NEW_SPACE_KEPT = 8 * 1024 * 1024;
/**
 * A new space with so many resident bytes grows no further. What survives a collection is copied while everything else
 * waits: where V8 lets it grow to twice this, a burst of thousands of sessions holds the event loop for 45 ms.
 */
export const NEW_SPACE_MAX = 16 * 1024 * 1024;
/** How often it is looked at whether it may grow, in milliseconds. */
export const GROWTH_LOOK_MS = 100;

/** For the start: the new space stays as small as it is. */
export function startSmall(): void {
  systemNewSpace.mayGrow(false);
}

/**
 * For the work: it grows with the load, so that what lives shortly is collected cheaply, up to `NEW_SPACE_MAX`. The
 * optimising compilers are not held like this: V8 does not go back to all that it did before.
 */
export function growWithLoad(clock: Clock, space: NewSpace = systemNewSpace): void {
  let grows = false;
  const look = (): void => {
    const may = space.size() < NEW_SPACE_MAX;
    if (may !== grows) space.mayGrow(may);
    grows = may;
    clock.setTimer(GROWTH_LOOK_MS, look);
  };
  look();
}

export type NewSpace = {
  /** Bytes of it that are resident. */
  size(): number;
  mayGrow(may: boolean): void;
  /** Collects it alone, which takes as long as what survives is large: hardly anything, while nothing happens. */
  collect(): void;
};

export const systemNewSpace: NewSpace = {
  size: () =>
    getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')!.physical_space_size,
  mayGrow(may) {
    setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
  },
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
 * Gives back what the start, and later a load, has left in the new space, once hardly anything happens any more.
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
  let isFirst = true;
  let ms = FIRST_LOOK_MS;
  const look = (): void => {
    const now = spent();
    const isQuiet = now - before < QUIET_SHARE * ms * 1_000;
    before = now;
    if (isQuiet && (isFirst || space.size() > NEW_SPACE_KEPT)) {
      space.collect();
      isFirst = false;
      ms = LOOK_MS;
    }
    clock.setTimer(ms, look);
  };
  clock.setTimer(ms, look);
}
