/**
 * Has Node keep what it has compiled, for all processes that are started from here: a gateway starts with half of the
 * work, and the tests start hundreds.
 */
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../.cache/node-compile', import.meta.url));
/** Copies of the tree, which some tests make, leave files here that nobody reads again; a tree has about a thousand. */
const FILES_MAX = 20_000;

export function keepCompiledCode(): void {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return;
  if (countFiles() > FILES_MAX) rmSync(FOLDER, { recursive: true, force: true });
  process.env['NODE_COMPILE_CACHE'] = FOLDER;
}

function countFiles(): number {
  try {
    return readdirSync(FOLDER, { recursive: true }).length;
  } catch {
    return 0;
  }
}
