/**
 * Packages that are part of the program's files instead of node_modules: the readers of the configuration, of which most
 * is never used (languages for messages, the writing of YAML), and which every start would load whole. They are
 * development dependencies, so that nobody takes what is in node_modules for what runs; the SBOM has them.
 */
import { readFileSync } from 'node:fs';

export const BUNDLED = ['yaml', 'zod'];

/** @returns {{ name: string, version: string, license: string }[]} As the lock file has them. */
export function bundledPackages() {
  const lock = JSON.parse(
    readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'),
  );
  return BUNDLED.map((name) => {
    const { version, license } = lock.packages[`node_modules/${name}`];
    return { name, version, license };
  });
}
