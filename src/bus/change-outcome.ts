/** What became of changes to sessions, and when they are in force everywhere. */
import { type Failure, isFailure } from '../errors.ts';
import type { Changed } from '../session/changes.ts';

/** What a change has done, and the version that it led to; of several sessions the sum, and the highest. */
export type Changes = { readonly changed: number; readonly version: number };
/** Why not all were changed, and what was. */
export type Incomplete = Failure & Changes;

/** Resolves when the change is in force everywhere. */
export async function inForce(
  change: Changed | Failure | Promise<Changed | Failure>,
): Promise<Changes | Failure> {
  const changed = change instanceof Promise ? await change : change;
  if (isFailure(changed)) return changed;
  if (changed.confirmed !== null) await changed.confirmed;
  return { changed: changed.changed, version: changed.version };
}

/** The sum of changes to several sessions, with the first failure, if there is any. */
export async function sumOf(
  changes: readonly Promise<Changes | Failure | Incomplete>[],
): Promise<Changes | Incomplete> {
  let changed = 0;
  let version = 0;
  let why: Failure | null = null;
  for (const outcome of await Promise.all(changes)) {
    if (isFailure(outcome)) why ??= outcome;
    const done = outcome as Partial<Changes>;
    changed += done.changed ?? 0;
    version = Math.max(version, done.version ?? 0);
  }
  return { ...why, changed, version };
}
