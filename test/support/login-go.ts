/** The backend in Go that says who comes in: test/backends/login-go, built once and started as often as needed. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { run, type Running, start } from './process.ts';

const SOURCE = fileURLToPath(new URL('../backends/login-go', import.meta.url));
const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));

/** Builds it and gives the path of the program. */
export async function buildLogin(): Promise<string> {
  mkdirSync(BUILT, { recursive: true });
  const program = `${BUILT}login-go-${process.pid}`;
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: SOURCE });
  if (code !== 0) throw new Error(`go build of login-go failed:\n${output}`);
  return program;
}

export async function startLogin(
  program: string,
  env: Record<string, string> = {},
): Promise<Running & { readonly address: string }> {
  const running = await start(program, [], { env });
  const match = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, { address: match[1]! });
}
