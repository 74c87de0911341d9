/** Programs in Go that only these tests need, each a module of its own with its dependencies pinned. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { run } from '../support/process.ts';

const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));

/** The first build of a machine downloads and compiles much: minutes. */
export const BUILD_MS = 600_000;

const builds = new Map<string, Promise<string>>();

/** Builds the module in a folder beside this file; the path of the program. */
export function buildModule(name: string): Promise<string> {
  let build = builds.get(name);
  if (build === undefined) builds.set(name, (build = buildNow(name)));
  return build;
}

async function buildNow(name: string): Promise<string> {
  mkdirSync(BUILT, { recursive: true });
  const program = `${BUILT}${name}-${process.pid}`;
  await go(name, 'build', '-o', program, '.');
  return program;
}

/** Runs the go command in a module's folder; what it printed. */
export async function go(name: string, ...args: readonly string[]): Promise<string> {
  const cwd = fileURLToPath(new URL(`${name}/`, import.meta.url));
  const { code, output } = await run('go', args, { cwd });
  if (code !== 0) throw new Error(`go ${args.join(' ')} in ${name} failed:\n${output}`);
  return output;
}
