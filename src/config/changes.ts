/** What differs between two configurations, and which of it takes effect in a running gateway. Pure. */
import { isDeepStrictEqual } from 'node:util';

import { formatPath } from './problem.ts';
import type { Config } from './schema.ts';
import type { Path } from './schema-tree.ts';
import { isMap } from './tree.ts';

/** Keys that a reload applies, with all that is below them. Every other key needs a restart. */
export const RELOADED_KEYS = [
  'admin.spiffe',
  'admin.token',
  'admin.tokens',
  'admin.watch_bodies',
  'auth.bind_within',
  'auth.jwt',
  'backends',
  'blocks',
  'control.spiffe',
  'control.token',
  'control.tokens',
  'drain',
  'events.data',
  'limits.accepts_per_second',
  'limits.ack',
  'limits.assemble',
  'limits.burst',
  'limits.connections_per_address',
  'limits.event_loop_lag',
  'limits.idle',
  'limits.in_flight_per_backend',
  'limits.in_flight_per_session',
  'limits.messages_per_second',
  'limits.slow',
  'log.level',
  'maintenance',
  'routes',
  'sessions.max_age',
  'sessions.resume.keys',
  'telemetry.always',
  'telemetry.refs',
  'telemetry.sample',
  'worker_timeout',
] as const;

export type Changes = {
  /** Keys whose values differ, sorted; of lists and of backends each entry by itself: `routes[2]`, `backends.chat`. */
  readonly changed: readonly string[];
  /** Those of them that only a restart applies. */
  readonly needsRestart: readonly string[];
};

/** Compares two checked configurations. */
export function changesBetween(before: Config, after: Config): Changes {
  const paths: Path[] = [];
  findChanges(before, after, [], paths);
  const changed = paths.map((path) => formatPath(path)).toSorted();
  const kept = paths.filter((path) => !isReloaded(path, before, after));
  return { changed, needsRestart: kept.map((path) => formatPath(path)).toSorted() };
}

/** True where a reload applies the key; for one of a map, that map's too. */
export function isReloadedKey(path: Path): boolean {
  const names = path.filter((segment) => typeof segment === 'string');
  return RELOADED_KEYS.some((key) => {
    const segments = key.split('.');
    return segments.every((segment, i) => names[i] === segment);
  });
}

function isReloaded(path: Path, before: Config, after: Config): boolean {
  return isReloadedKey(path) && !isOfGate(path, before, after);
}

/** A gate is heard by other gateways, and cannot come or go. */
function isOfGate([section, name]: Path, before: Config, after: Config): boolean {
  if (section !== 'backends' || typeof name !== 'string') return false;
  return [before, after].some(({ backends }) => backends[name]?.kind === 'gate');
}

function findChanges(before: unknown, after: unknown, path: Path, found: Path[]): void {
  if (isDeepStrictEqual(before, after)) return;
  const isEntry = path.length === 2 && (path[0] === 'backends' || path[0] === 'routes');
  if (!isEntry && isMap(before) && isMap(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      findChanges(before[key], after[key], [...path, key], found);
  } else if (!isEntry && Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++)
      findChanges(before[i], after[i], [...path, i], found);
  } else found.push(path);
}
