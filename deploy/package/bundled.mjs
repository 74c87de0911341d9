/**
 * Packages that are part of the program's files instead of node_modules: the readers of the configuration and of protobuf,
 * of which most is never used (languages for messages, the writing of YAML, generated code), and which a start would load
 * whole. They are development dependencies, so that nobody takes what is in node_modules for what runs; the SBOM has them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const BUNDLED = ['@bufbuild/protobuf', 'yaml', 'zod'];

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

/**
 * Of each its license, as its file LICENSE has it. A package without one says in the heads of its files whose they are and
 * under what terms; the Apache License, which such a head only names, stands in ours.
 *
 * @param {string} modules node_modules
 */
export function licensesOfBundled(modules) {
  return bundledPackages()
    .map(({ name, version, license }) => {
      const file = join(modules, name, 'LICENSE');
      const terms = existsSync(file)
        ? [readFileSync(file, 'utf8').trim()]
        : [
            ...headsOfFiles(join(modules, name)),
            ...(/Apache-2\.0/.test(license) ? [apache()] : []),
          ];
      if (terms.length === 0) throw new Error(`${name} has no license in it`);
      return `${name} ${version}: ${license}\n\n${terms.join('\n\n')}\n`;
    })
    .join('\n---\n\n');
}

/** Each different comment of whole lines with which a module begins, without the slashes. */
function headsOfFiles(folder) {
  const heads = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .sort()
    .map((name) => /^(\/\/.*\n)*/.exec(readFileSync(join(folder, name), 'utf8'))[0])
    .filter((head) => head.includes('Copyright'));
  // What the module is about follows in some at once.
  const isWhole = (head) => !heads.some((one) => one !== head && head.startsWith(one));
  return [...new Set(heads)].filter(isWhole).map((head) => head.replaceAll(/^\/\/ ?/gm, '').trim());
}

function apache() {
  const own = readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8');
  const end = 'END OF TERMS AND CONDITIONS';
  return own.slice(0, own.indexOf(end) + end.length).trim();
}
