/** Finds the paths in a tree, and takes the relative ones from the folder that they are meant from. Pure. */
import { isAbsolute, join } from 'node:path';
import type { z } from 'zod';
import { inspect, optionsOf, type Path, schemasAt } from './schema-tree.ts';
import { isMap } from './tree.ts';

/** What a key names: a file, a folder, or a file whose text may stand in its place (`pem`). */
export type PathKind = 'file' | 'folder' | 'pem';

/** A file or folder that a configuration names. */
export type NamedPath = {
  /** The key. */
  path: Path;
  /** What is there: `pem` is a file here. */
  kind: 'file' | 'folder';
  /** With the folder that a relative one is taken from. */
  location: string;
  /** As it stands in the configuration. */
  written: string;
};

/** PEM text, a JSON Web Key, and what the authorities of the system are called. */
const NO_PATH = /-----BEGIN |[\r\n\0]|^system$|^\s*\{/;
/** How DER in base64 begins: the lines around it are missing, and it may be a private key. */
const BARE_BASE64 = /^MI[A-Za-z0-9+/]{40,}/;
/** Lengths beyond this are no path. [PATH_MAX of Linux] */
const PATH_BYTES_MAX = 4_096;

/**
 * Copies a tree with every path made whole.
 *
 * @param folderOf The folder that a relative path at this key is taken from; '' leaves it as it is.
 */
export function resolvePaths(
  tree: unknown,
  root: z.core.$ZodType,
  folderOf: (path: Path) => string,
): { tree: unknown; named: NamedPath[] } {
  const named: NamedPath[] = [];
  const visit = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') return resolve(value, path);
    if (Array.isArray(value)) return value.map((item, index) => visit(item, [...path, index]));
    if (!isMap(value)) return value;
    // Not by assignment: a key named __proto__ must stay a key.
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, visit(item, [...path, key])]),
    );
  };
  const resolve = (value: string, path: Path): string => {
    if (value === '') return value;
    const kind = kindAt(root, path);
    if (kind === undefined || (kind === 'pem' && !isPath(value))) return value;
    const location = isAbsolute(value) ? value : join(folderOf(path), value);
    named.push({ path, kind: kind === 'pem' ? 'file' : kind, location, written: value });
    return location;
  };
  return { tree: visit(tree, []), named };
}

/** False for text that stands where a path may. */
export function isPath(value: string): boolean {
  return !NO_PATH.test(value) && value.length <= PATH_BYTES_MAX && !BARE_BASE64.test(value);
}

function kindAt(root: z.core.$ZodType, path: Path): PathKind | undefined {
  for (const schema of schemasAt(root, path).flatMap((one) => [one, ...optionsOf(one)])) {
    const { names } = inspect(schema);
    if (names !== undefined) return names;
  }
  return undefined;
}
