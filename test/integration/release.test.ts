/** `make release` on a clone of this tree: what it writes, and what it refuses. */
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { ROOT } from '../support/serve.ts';

const NEW = '99.0.0-rc.1';
let clone = '';

beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'pith-release-'));
  // What is in the folder now, committed or not: a release is tried before it is committed, too.
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT });
  execFileSync('sh', ['-c', `xargs -d '\\n' cp --parents -t ${clone}`], {
    cwd: ROOT,
    input: files,
  });
  git('init', '--quiet', '--initial-branch=main');
  git('add', '--all');
  commit('first');
});

afterAll(() => {
  rmSync(clone, { recursive: true, force: true });
});

function git(...args: string[]): string {
  return execFileSync('git', args, {
    cwd: clone,
    encoding: 'utf8',
    env: { ...process.env, ...WHO },
  });
}

const WHO = {
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
};

function commit(message: string): void {
  git('commit', '--quiet', '--all', '--message', message);
}

function release(...args: string[]): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['deploy/release/release.ts', ...args],
    { cwd: clone, encoding: 'utf8', env: { ...process.env, ...WHO } },
  );
  return { code: status, output: stdout + stderr };
}

const read = (file: string): string => readFileSync(join(clone, file), 'utf8');

test.each([
  [['1.0'], 'release: "1.0" is not a version such as 0.2.0 or 0.2.0-rc.1'],
  [[], 'release: "" is not a version such as 0.2.0 or 0.2.0-rc.1'],
  [['0.0.1'], 'release: 0.0.1 is not newer than '],
])('refuses %j', (args, message) => {
  const { code, output } = release(...args);
  expect(output).toContain(message);
  expect(code).toBe(1);
});

test('refuses while something is not committed', () => {
  appendFileSync(join(clone, 'README.md'), 'more\n');
  const { code, output } = release(NEW);
  git('checkout', '--quiet', '--', 'README.md');
  expect(output).toContain('release: there are uncommitted changes; commit them first');
  expect(code).toBe(1);
});

test('refuses anywhere but on main', () => {
  git('switch', '--quiet', '--create', 'other');
  const { code, output } = release(NEW);
  git('switch', '--quiet', 'main');
  expect(output).toContain('release: releases are made on main');
  expect(code).toBe(1);
});

test('a dry run shows the change and leaves nothing of it', () => {
  const { code, output } = release(NEW, '--dry-run');
  expect(output).toContain(`would say ${NEW}; tag v${NEW}`);
  for (const said of [
    `deploy/helm/pith/Chart.yaml says version: ${NEW}`,
    `deploy/helm/pith/Chart.yaml says appVersion: "${NEW}"`,
    `deploy/manifests/fleet.yaml says pith:${NEW}`,
    `package.json says "version": "${NEW}",`,
    `src/client/package.json says "version": "${NEW}",`,
    `CHANGELOG.md has ## [${NEW}]`,
  ])
    expect(output).toContain(`checked: ${said}\n`);
  expect(code).toBe(0);
  expect(git('status', '--porcelain')).toBe('');
  expect(git('tag')).toBe('');
});

test('a failed check releases nothing', () => {
  // Without its modules the clone cannot be checked: `make check` ends with an error of its own.
  const { code, output } = spawnFailing();
  expect(output).toContain('release: a check failed; nothing was released');
  expect(code).toBe(1);
  expect(git('status', '--porcelain')).toBe('');
  expect(git('tag')).toBe('');
});

function spawnFailing(): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['deploy/release/release.ts', NEW],
    // A make that fails at once stands before the real one.
    { cwd: clone, encoding: 'utf8', env: { ...process.env, ...WHO, MAKEFILES: failing() } },
  );
  return { code: status, output: stdout + stderr };
}

function failing(): string {
  const file = join(clone, '.git/failing.mk');
  appendFileSync(file, '$(error a check fails)\n');
  return file;
}

test('sets the version everywhere, closes the changelog, commits and tags', () => {
  const old = (JSON.parse(read('package.json')) as { version: string }).version;
  const { code, output } = release(NEW, '--no-checks');
  expect(output).toContain(`released ${NEW}`);
  expect(code).toBe(0);

  expect(JSON.parse(read('package.json'))).toMatchObject({ version: NEW });
  expect(JSON.parse(read('package-lock.json'))).toMatchObject({
    version: NEW,
    packages: { '': { version: NEW } },
  });
  expect(read('deploy/helm/pith/Chart.yaml')).toContain(`\nversion: ${NEW}\n`);
  expect(read('deploy/helm/pith/Chart.yaml')).toContain(`\nappVersion: "${NEW}"\n`);
  expect(read('deploy/manifests/fleet.yaml')).toContain(`image: "pith:${NEW}"\n`);
  expect(read('CHANGELOG.md')).toMatch(
    /## \[Unreleased\]\n\n## \[99\.0\.0-rc\.1\] - \d{4}-\d\d-\d\d\n/,
  );
  expect(git('status', '--porcelain')).toBe('');
  expect(git('log', '-1', '--format=%s')).toBe(`release: ${NEW}\n`);
  expect(git('tag', '--points-at', 'HEAD')).toBe(`v${NEW}\n`);

  // No file that ships still names the old one.
  const left = spawnSync(
    'git',
    ['grep', '-lF', old, '--', 'package.json', 'deploy', 'src', 'proto', 'README.md'].concat(
      ':!*.sum',
      ':!*go.mod',
      ':!deploy/examples',
    ),
    { cwd: clone, encoding: 'utf8' },
  );
  expect(left.stdout).toBe('');
});

test('makes no release of nothing', () => {
  const { code, output } = release('99.0.0');
  expect(output).toContain('release: CHANGELOG.md has nothing under [Unreleased]');
  expect(code).toBe(1);
});
