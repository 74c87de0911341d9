/** Whether a gateway has more than its share of the fleet's sessions, and how fast it gives them away. Pure. */
import { sameScope } from './generations.ts';
import type { Member } from './members.ts';

/** Percent of the mean that a gateway may have before it gives any away. */
const SPREAD = 110;

export type Share = {
  /** Sessions of each gateway, if all had as many. */
  readonly mean: number;
  /** Sessions that this gateway has too many, at least 1. */
  readonly excess: number;
  /** How many it gives away a second: `rateOf`. */
  readonly perSecond: number;
};

/** What must be the same for as long as sessions are moved: who is there, of which generation. '': they may not be moved. */
export function shapeOf(members: readonly Member[]): string {
  const some = sameScope(members);
  const generations = new Set(some.map(({ generation }) => generation));
  // One that takes no clients comes or goes.
  if (some.length < 2 || generations.size > 1 || some.some(({ room }) => room === 0)) return '';
  return some
    .map(({ gateway }) => gateway)
    .sort()
    .join();
}

/** Its share, where it has more; null: it gives none away. */
export function shareOf(members: readonly Member[], perSecond: number): Share | null {
  const some = sameScope(members);
  const own = some.find(({ isOwn }) => isOwn)!;
  const total = some.reduce((sum, { sessions }) => sum + sessions, 0);
  const mean = total / some.length;
  const excess = own.sessions - Math.ceil(mean);
  if (excess < 1 || own.sessions * some.length * 100 <= total * SPREAD) return null;
  return { mean, excess, perSecond: rateOf(members, mean, perSecond) };
}

/**
 * How many this gateway gives away a second as things are now: all together no more than `perSecond`, though they do not
 * begin at the same moment, and some of them are done before others. 0: it has no more than the mean.
 */
export function rateOf(members: readonly Member[], mean: number, perSecond: number): number {
  const some = sameScope(members);
  const over = ({ sessions }: Member): number => Math.max(0, sessions - mean);
  const all = some.reduce((sum, one) => sum + over(one), 0);
  return all === 0 ? 0 : (perSecond * over(some.find(({ isOwn }) => isOwn)!)) / all;
}
