/** The example backends that are not in Go; those are in go.ts. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { GrpcChat } from './go.ts';
import { run, type Running, start } from './process.ts';

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

/**
 * A Python that has what the example requires, in an environment that is kept outside the clone, one for each
 * Python and requirements.txt. null: this machine has no Python 3.9 with venv and pip.
 */
export async function installPython(): Promise<string | null> {
  const probe =
    'import sys, venv, ensurepip; assert sys.version_info >= (3, 9); print(sys.executable, sys.version)';
  const found = await run('python3', ['-c', probe]).catch(() => null);
  if (found === null || found.code !== 0) return null;
  const requirements = join(PYTHON_CHAT, 'requirements.txt');
  const hash = createHash('sha256').update(found.output).update(readFileSync(requirements));
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const tools = process.env['TEST_TOOLS_DIR'] || join(cache, 'pith', 'bin');
  const home = join(dirname(tools), `python-${hash.digest('hex').slice(0, 12)}`);
  const python = join(home, 'bin', 'python');
  if (existsSync(python)) return python;
  // Made beside the goal and then moved, so that no run sees half of it. Only its scripts mind the move.
  const fresh = `${home}.${process.pid}`;
  mkdirSync(dirname(home), { recursive: true });
  await expectToRun('python3', ['-m', 'venv', fresh]);
  const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', requirements];
  await expectToRun(join(fresh, 'bin', 'python'), pip);
  try {
    renameSync(fresh, home);
  } catch (error) {
    // Another run was first.
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(python)) throw error;
  }
  return python;
}

async function expectToRun(command: string, args: readonly string[]): Promise<void> {
  const { code, output } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${output}`);
}
