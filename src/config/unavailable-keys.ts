/**
 * The keys whose part is not built yet. They are known to the schema, so a file can be checked against what is to
 * come, but a value other than the default is refused instead of being ignored.
 */
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import type { Finding } from './problem.ts';
import { type Path, schemasAt } from './schema-tree.ts';
import { getAt, isMap } from './tree.ts';

/** A key that is not available in this release. */
export type NotYet = {
  /** As `limits.idle`; `[]` is every entry of a list, `*` every name of a map. */
  path: string;
  /** A value that is refused, as it would be written in YAML; the tests set it. */
  example: unknown;
  /** Values besides the default that are available. Default: none. */
  allows?: (value: unknown) => boolean;
  /** A sibling key: entries that have it may have this one too. */
  unless?: string;
  /** True: the key is refused whatever its value. Default: false. */
  always?: boolean;
  /** What to do. Default: leave it out. */
  instead?: string;
};

/** Every key that is not available in this release; remove a row when its part is built. */
export const NOT_YET_AVAILABLE: readonly NotYet[] = [{ path: 'workers', example: 2 }];

/** Refuses every key of a tree that is not available and has a value other than its default. */
export function findUnavailable(tree: unknown, root: z.core.$ZodType): Finding[] {
  return NOT_YET_AVAILABLE.flatMap((row) =>
    pathsIn(tree, row.path)
      .filter((path) => !isExempt(row, tree, path))
      .filter((path) => isRefused(row, getAt(tree, path), path, root))
      .map((path) => ({ path, message: `not yet available; ${row.instead ?? 'leave it out'}` })),
  );
}

function isExempt({ unless }: NotYet, tree: unknown, path: Path): boolean {
  return unless !== undefined && getAt(tree, [...path.slice(0, -1), unless]) !== undefined;
}

function isRefused(row: NotYet, raw: unknown, path: Path, root: z.core.$ZodType): boolean {
  const schemas = schemasAt(root, path) as z.ZodType[];
  if (row.always === true) return schemas.length > 0;
  for (const schema of schemas) {
    const parsed = schema.safeParse(raw);
    if (!parsed.success) continue;
    const fallback = schema.safeParse(undefined);
    const isDefault = fallback.success && isDeepStrictEqual(parsed.data, fallback.data);
    return !isDefault && row.allows?.(parsed.data) !== true;
  }
  // The schema has already reported what is wrong with it.
  return false;
}

/** The paths in a tree that a row's path stands for. */
function pathsIn(tree: unknown, pattern: string): Path[] {
  let paths: Path[] = [[]];
  for (const segment of pattern.replaceAll('[]', '.[]').split('.')) {
    paths = paths.flatMap((path) => {
      const value = getAt(tree, path);
      if (segment === '[]') {
        return Array.isArray(value) ? value.map((_, index) => [...path, index]) : [];
      }
      if (!isMap(value)) return [];
      if (segment === '*') return Object.keys(value).map((key) => [...path, key]);
      return Object.hasOwn(value, segment) ? [[...path, segment]] : [];
    });
  }
  return paths;
}
