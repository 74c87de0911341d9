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

/** What clients, the parent of workers and the other gateways know of a gateway: a version that takes over has the same. */
const KEPT_KEYS = ['id', 'workers', 'listen', 'health.listen', 'admin.listen', 'control.listen', 'bus', 'nats.prefix'] as const; // prettier-ignore

/**
 * Which of these differ, sorted. What only one of the two has is not looked at: they may be of different versions of the
 * program.
 */
export function keptKeysChanged(before: Config, after: Config): readonly string[] {
  const paths: Path[] = [];
  findChanges(before, after, [], paths);
  const valueAt = (config: unknown, path: Path): unknown =>
    path.reduce((value: unknown, key) => (value as Record<string, unknown>)[key], config);
  return paths
    .filter((path) => isBelow(path, KEPT_KEYS))
    .filter((path) => {
      if (typeof path.at(-1) === 'number') return true;
      return valueAt(before, path) !== undefined && valueAt(after, path) !== undefined;
    })
    .map((path) => formatPath(path))
    .toSorted();
}

/** True where a reload applies the key; for one of a map, that map's too. */
export function isReloadedKey(path: Path): boolean {
  return isBelow(path, RELOADED_KEYS);
}

function isBelow(path: Path, keys: readonly string[]): boolean {
  const names = path.filter((segment) => typeof segment === 'string');
  return keys.some((key) => {
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
