/** Which test files cannot run on this machine, because a program that they start is not here. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** How a file starts an outside program; whoever imports the file, however indirectly, needs the program. */
const START = /\b(?:run|start|spawn)\('(go|gcc|nats-server|grpcurl|script)'/g;
const PROGRAMS = ['go', 'gcc', 'nats-server', 'grpcurl', 'script'];

export type LeftOut = { readonly file: string; readonly needs: readonly string[] };

/** @param root The folder test/. */
export function leftOut(root: string): LeftOut[] {
  const missing = new Set(PROGRAMS.filter((program) => !isHere(program)));
  if (missing.size === 0) return [];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^(integration|conformance)\/.*\.test\.ts$/.test(file))
    .map((file) => ({
      file,
      needs: [...programsOf(root, join(root, file))].filter((one) => missing.has(one)),
    }))
    .filter(({ needs }) => needs.length > 0);
}

/** The programs that a test file starts, through everything of test/ that it imports. */
function programsOf(root: string, start: string): Set<string> {
  const programs = new Set<string>();
  const seen = new Set([start]);
  for (const file of seen) {
    const text = readFileSync(file, 'utf8');
    for (const [, program] of text.matchAll(START)) programs.add(program!);
    for (const [, name] of text.matchAll(/from '(\.[^']+\.ts)'/g)) {
      const imported = join(dirname(file), name!);
      if (imported.startsWith(root) && existsSync(imported)) seen.add(imported);
    }
  }
  return programs;
}

function isHere(program: string): boolean {
  try {
    execFileSync('/bin/sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
