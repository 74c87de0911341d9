/** Python with what a requirements.txt names, in environments that are kept outside the clone. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { run } from './process.ts';

/** Where the outside programs of the tests are, as test/tools/install.sh has it. */
export function toolsFolder(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return process.env['TEST_TOOLS_DIR'] || join(cache, 'pith', 'bin');
}

/**
 * The program `python` of an environment, one for each Python and requirements.txt. null: this machine has no
 * Python 3.9 with venv and pip.
 */
export async function installPythonWith(requirements: string): Promise<string | null> {
  const probe =
    'import sys, venv, ensurepip; assert sys.version_info >= (3, 9); print(sys.executable, sys.version)';
  const found = await run('python3', ['-c', probe]).catch(() => null);
  if (found === null || found.code !== 0) return null;
  const hash = createHash('sha256').update(found.output).update(readFileSync(requirements));
  const home = join(dirname(toolsFolder()), `python-${hash.digest('hex').slice(0, 12)}`);
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
