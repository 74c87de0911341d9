/** One reload of all workers: all of them apply it, or none. */
import type { Config } from '../config/schema.ts';
import type { ReloadOutcome } from '../control/gateway-methods.ts';
import { errorText } from '../errors.ts';
import type { Child } from './child.ts';
import type { ReloadAsk } from './words.ts';

/** How long a worker may take, in milliseconds: new backends are connected to meanwhile. */
const RELOAD_MS = 60_000;

export type ReloadedAll = {
  readonly outcome: ReloadOutcome;
  readonly isApplied: boolean;
  /** Some applied it and others could not, so those have gone back. */
  readonly isApart: boolean;
};

/** @param before The configuration that they have. */
export async function reloadAll(
  children: readonly Child[],
  ask: ReloadAsk,
  before: Config,
): Promise<ReloadedAll> {
  const outcomes = await Promise.all(children.map((child) => reloadOne(child, ask)));
  const refused = outcomes.filter(({ errors, needsRestart }) => errors.length + needsRestart.length > 0); // prettier-ignore
  const outcome = {
    changed: union(outcomes.map(({ changed }) => changed)),
    needsRestart: union(outcomes.map(({ needsRestart }) => needsRestart)),
    errors: union(outcomes.map(({ errors }) => errors)),
  };
  if (refused.length === 0) return { outcome, isApplied: true, isApart: false };
  const isApart = refused.length < outcomes.length;
  if (isApart) {
    const back = { why: 'another worker could not reload', read: { config: before } };
    await Promise.all(children.map((child) => reloadOne(child, back)));
  }
  return { outcome, isApplied: false, isApart };
}

async function reloadOne({ channel, n }: Child, ask: ReloadAsk): Promise<ReloadOutcome> {
  try {
    return await channel.ask('reload', ask, RELOAD_MS);
  } catch (error) {
    return { changed: [], needsRestart: [], errors: [`worker ${n}: ${errorText(error)}`] };
  }
}

function union(lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())].toSorted();
}
