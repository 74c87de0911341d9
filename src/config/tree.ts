/** The configuration as plain maps, lists and scalars, before the schema has seen it. */
import type { Path } from './schema-tree.ts';

/** True for a map as YAML makes it. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path; undefined if there is none. */
export function getAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const segment of path) {
    if (Array.isArray(value)) value = typeof segment === 'number' ? value[segment] : undefined;
    else if (isMap(value) && Object.hasOwn(value, segment)) value = value[segment];
    else return undefined;
  }
  return value;
}

/** A copy of the tree with the value at the path; maps and lists on the way are made if they are missing. */
export function withValueAt(tree: unknown, path: Path, value: unknown): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) return value;
  if (typeof segment === 'number') {
    const list: unknown[] = Array.isArray(tree) ? [...tree] : [];
    list[segment] = withValueAt(list[segment], rest, value);
    return list;
  }
  const map = isMap(tree) ? tree : {};
  return { ...map, [segment]: withValueAt(map[segment], rest, value) };
}

/** True if `path` is `start` or lies below it. */
export function startsWith(path: Path, start: Path): boolean {
  return start.length <= path.length && start.every((segment, index) => segment === path[index]);
}
