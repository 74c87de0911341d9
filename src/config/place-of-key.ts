/** Which keys a map may have, and where one that is not among them belongs. */
import type { z } from 'zod';

import { kindsOf } from './schema-backends.ts';
import { keysAt, optionsOf, type Path, schemasAt } from './schema-tree.ts';
import { getAt } from './tree.ts';

/** The keys of a map; of a backend, those of its kind alone. */
export function keysOf(path: Path, root: z.core.$ZodType, tree: unknown): string[] {
  const [section, , ...inside] = path;
  const entry = path.slice(0, 2);
  const [kind] = section === 'backends' ? kindsOf(getAt(tree, entry)) : [];
  if (kind === undefined) return keysAt(root, path);
  const shapes = schemasAt(root, entry).flatMap((schema) => optionsOf(schema));
  const shape = shapes.find((one) => keysAt(one, []).includes(kind));
  return shape === undefined ? [] : keysAt(shape, inside);
}

/**
 * Where a key is known by this name, if that is near: one level too deep or not deep enough, in the map beside its
 * own, or at the top; null: nowhere there, or at several places.
 */
export function placeNear(path: Path, root: z.core.$ZodType, tree: unknown): Path | null {
  const key = String(path.at(-1));
  for (let length = path.length - 1; length > 0; length--) {
    const map = path.slice(0, length);
    const keys = keysOf(map, root, tree);
    if (keys.includes(key)) return [...map, key];
    const inside = keys.filter((name) => keysOf([...map, name], root, tree).includes(key));
    if (inside.length === 1) return [...map, ...inside, key];
  }
  return keysAt(root, []).includes(key) ? [key] : null;
}
