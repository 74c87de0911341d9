/** The example backends in Go: built once, started as often as needed. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { run, type Running, start } from './process.ts';

const EXAMPLES = fileURLToPath(new URL('../../deploy/examples/', import.meta.url));
const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));
const builds = new Map<string, Promise<string>>();

/** Builds `deploy/examples/<name>` and gives the path of the program. */
export function buildExample(name: string): Promise<string> {
  let build = builds.get(name);
  if (build === undefined) {
    build = buildNow(name);
    builds.set(name, build);
  }
  return build;
}

async function buildNow(name: string): Promise<string> {
  mkdirSync(BUILT, { recursive: true });
  // Test files run in processes of their own: each builds to its own place, from Go's shared cache.
  const program = `${BUILT}${name}-${process.pid}`;
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: EXAMPLES + name });
  if (code !== 0) throw new Error(`go build of ${name} failed:\n${output}`);
  return program;
}

/** The chat on plain NATS. */
export async function startNatsChat(
  url: string,
  env: Record<string, string> = {},
): Promise<Running> {
  return start(await buildExample('chat-nats-go'), [], {
    env: { NATS_URL: url, ...env },
    ready: /ready/,
  });
}

export type GrpcChat = Running & { readonly address: string };

/** The chat on gRPC, on a free port unless `ADDR` is given. */
export async function startGrpcChat(env: Record<string, string> = {}): Promise<GrpcChat> {
  const running = await start(await buildExample('chat-grpc-go'), [], {
    env: { ADDR: '127.0.0.1:0', ...env },
  });
  const match = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, { address: match[1]! });
}

/** The chat of Pomelo's tutorial on gRPC, on a free port. @param controls The gateways' control ports. */
export async function startPomeloChatGo(controls: readonly string[]): Promise<GrpcChat> {
  const running = await start(await buildExample('pomelo-chat-grpc-go'), [], {
    env: { ADDR: '127.0.0.1:0', CONTROL: controls.join(',') },
  });
  const match = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, { address: match[1]! });
}
