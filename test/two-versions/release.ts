/** The other version, N, made ready to run beside this tree: from a revision of this repository, or a package. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { ROOT } from '../support/serve.ts';

/** Before the first tag: a revision from before events, tokens, claims, gates and kept pushes. */
const BEFORE_TAGS = '7f6c83d7cbc51f8da2b99fe11703ec4b7206de67';
const CACHE = join(ROOT, '.cache/two-versions');

export type Release = {
  readonly name: string;
  readonly main: string;
  /** What the table may say of it besides `works`: what N+1 has learnt since. */
  readonly lacks: readonly string[];
};

/** By revision, or by the version of a release. What is not here lacks nothing. */
const LACKS: Readonly<Record<string, readonly string[]>> = {
  [BEFORE_TAGS]: [
    'N has no Join, Leave',
    'not known to N',
    'N is named as silent',
    'N tells none',
    'unknown: claim',
  ],
};

/** @param from A package (`pith-0.1.0.tgz`), or a revision; '': the latest tag. Throws with a sentence. */
export function readyRelease(from: string): Release {
  return from.endsWith('.tgz') ? fromPackage(resolve(from)) : fromRevision(from || latest());
}

function latest(): string {
  const tag = tryGit('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*');
  return tag === '' ? BEFORE_TAGS : tag;
}

function fromRevision(revision: string): Release {
  const commit = tryGit('rev-parse', '--verify', '--quiet', `${revision}^{commit}`);
  if (commit === '')
    throw new Error(
      `there is no revision ${revision} here: fetch the history and the tags, or give a package with FROM=pith-0.1.0.tgz`,
    );
  const dir = prepare(commit.slice(0, 12), (into) => {
    const archive = execFileSync('git', ['archive', commit], { cwd: ROOT, maxBuffer: 2 ** 30 });
    execFileSync('tar', ['-x', '-C', into], { input: archive });
    const isSame = read(into, 'package-lock.json') === read(ROOT, 'package-lock.json');
    if (isSame) symlinkSync(join(ROOT, 'node_modules'), join(into, 'node_modules'));
    else npm(into, 'ci', '--omit=dev');
  });
  const name = revision === commit ? revision.slice(0, 8) : revision;
  return { name, main: join(dir, 'src/main.ts'), lacks: LACKS[commit] ?? [] };
}

function fromPackage(file: string): Release {
  if (!existsSync(file)) throw new Error(`there is no package ${file}`);
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
  const dir = prepare(digest, (into) => npm(into, 'install', '--prefix', into, '--omit=dev', file));
  const home = join(dir, 'node_modules/pith');
  const { version } = JSON.parse(read(home, 'package.json')) as { version: string };
  return { name: version, main: join(home, 'dist/main.js'), lacks: LACKS[version] ?? [] };
}

/** A folder of the cache, made once; one that was interrupted is made again. */
function prepare(name: string, fill: (into: string) => void): string {
  const dir = join(CACHE, name);
  if (existsSync(dir)) return dir;
  const into = `${dir}.new`;
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  fill(into);
  renameSync(into, dir);
  return dir;
}

function npm(cwd: string, ...args: readonly string[]): void {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function read(dir: string, name: string): string {
  return readFileSync(join(dir, name), 'utf8');
}

/** What git prints; '' where it fails. */
function tryGit(...args: readonly string[]): string {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    return execFileSync('git', args, { cwd: ROOT, stdio: [...stdio] })
      .toString()
      .trim();
  } catch {
    return '';
  }
}
