/** The example backends that are not in Go; those are in go.ts. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { GrpcChat } from './go.ts';
import { type Running, start } from './process.ts';
import { installPythonWith } from './python.ts';

const EXAMPLES = fileURLToPath(new URL('../../deploy/examples/', import.meta.url));
const PYTHON_CHAT = join(EXAMPLES, 'chat-python-nats');

/** The chat in TypeScript, on a free port unless `ADDR` is given. */
export async function startTsChat(env: Record<string, string> = {}): Promise<GrpcChat> {
  const running = await start(process.execPath, [join(EXAMPLES, 'chat-ts-grpc/main.ts')], {
    env: { ADDR: '127.0.0.1:0', ...env },
  });
  const match = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, { address: match[1]! });
}

/** The chat in Python. @param python What `installPython` gave. */
export async function startPythonChat(python: string, url: string): Promise<Running> {
  return start(python, [join(PYTHON_CHAT, 'main.py')], { env: { NATS_URL: url }, ready: /ready/ });
}

/** The chat of Pomelo's tutorial in Python. @param python What `installPython` gave: both need the same. */
export async function startPomeloChat(
  python: string,
  url: string,
  env: Record<string, string> = {},
): Promise<Running> {
  return start(python, [join(EXAMPLES, 'pomelo-chat-python-nats/main.py')], {
    env: { NATS_URL: url, ...env },
    ready: /ready/,
  });
}

/** The drawing board in Python. @param python What `installPython` gave: both need the same. */
export async function startBoard(python: string, url: string): Promise<Running> {
  return start(python, [join(EXAMPLES, 'board-python-nats/main.py')], {
    env: { NATS_URL: url },
    ready: /ready/,
  });
}

/** A Python that has what the example requires; null: this machine has none for it. */
export function installPython(): Promise<string | null> {
  return installPythonWith(join(PYTHON_CHAT, 'requirements.txt'));
}
