/** A copy of the tree in which a tool may change files: uncommitted changes with it, packages linked. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MODULES = ['node_modules', 'test/clients/node_modules', 'test/oracle/node_modules'];

/**
 * @param root The top of the repository.
 * @param name Of the tool, for the folder's name.
 * @param paths Parts of the tree; none: all of it.
 * @returns The folder, which is the caller's to remove.
 */
export function copyTree(root: string, name: string, paths: readonly string[] = []): string {
  const copy = mkdtempSync(join(tmpdir(), `pith-${name}-`));
  const args = ['ls-files', '-zco', '--exclude-standard', '--', ...paths];
  for (const file of execFileSync('git', args, { cwd: root }).toString().split('\0')) {
    if (file !== '' && existsSync(join(root, file))) cpSync(join(root, file), join(copy, file));
  }
  for (const modules of MODULES) {
    const isPart = paths.length === 0 || !modules.startsWith('test/');
    if (isPart && existsSync(join(root, modules)))
      symlinkSync(join(root, modules), join(copy, modules));
  }
  return copy;
}
