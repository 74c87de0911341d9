/**
 * Makes a release: `node deploy/release/release.ts VERSION [--dry-run] [--no-checks]`, or `make release VERSION=…`.
 *
 * It sets the version everywhere, closes the changelog's Unreleased section, runs the checks, commits and tags.
 * Before it, run `make fuzz UNTIL_DRY=3600`: it takes longer than a release may, so it is not among the checks here.
 * It pushes nothing. If a check fails, the files are restored. `--dry-run` prints the change and restores the files.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { closeUnreleased, isNewer, PLACES, SEMVER, withVersion } from './versions.ts';

const CHECKS = ['check', 'test', 'chart-test'];

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'dry-run': { type: 'boolean', default: false },
      'no-checks': { type: 'boolean', default: false },
    },
  });
  const [version = ''] = positionals;
  const old = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
  if (!SEMVER.test(version)) refuse(`"${version}" is not a version such as 0.2.0 or 0.2.0-rc.1`);
  if (!isNewer(version, old)) refuse(`${version} is not newer than ${old}`);
  if (git('status', '--porcelain') !== '')
    refuse('there are uncommitted changes; commit them first');
  if (git('branch', '--show-current') !== 'main') refuse('releases are made on main');
  if (git('tag', '--list', `v${version}`) !== '') refuse(`the tag v${version} is there already`);

  const changed = setVersion(old, version);
  if (values['dry-run']) {
    console.log(git('diff', '--stat'));
    for (const line of checked(version)) console.log(line);
    putBack(changed);
    console.log(`dry run: ${changed.length} files would say ${version}; tag v${version}`);
    return;
  }
  try {
    if (!values['no-checks']) execFileSync('make', CHECKS, { stdio: 'inherit' });
  } catch {
    putBack(changed);
    refuse('a check failed; nothing was released');
  }
  git('commit', '--all', '--message', `release: ${version}`);
  git('tag', '--annotate', `v${version}`, '--message', `Pith ${version}`);
  console.log(`released ${version}: push it with  git push origin main v${version}`);
}

/** Writes the new version into every file that contains it; all are computed before any is written. */
function setVersion(old: string, version: string): string[] {
  const files = new Map<string, string>();
  for (const { file, texts } of PLACES) {
    const result = withVersion(readFileSync(file, 'utf8'), texts, old, version);
    if ('missing' in result) refuse(`${file} does not say ${result.missing}`);
    files.set(file, result.text);
  }
  const today = new Date().toISOString().slice(0, 10);
  const changelog = closeUnreleased(readFileSync('CHANGELOG.md', 'utf8'), version, today);
  if (changelog === null) refuse('CHANGELOG.md has nothing under [Unreleased]; say what changed');
  files.set('CHANGELOG.md', changelog);
  for (const [file, text] of files) writeFileSync(file, text);
  return [...files.keys()];
}

/** What now says the version, read back from the files, for whoever looks at a dry run. */
function checked(version: string): string[] {
  const lines = PLACES.flatMap(({ file, texts }) => {
    const text = readFileSync(file, 'utf8');
    return texts(version).map((one) => {
      if (!text.includes(one)) refuse(`${file} does not say ${one.trim()}`);
      return `checked: ${file} says ${one.trim().replaceAll(/\s+/g, ' ')}`;
    });
  });
  const heading = `## [${version}]`;
  if (!readFileSync('CHANGELOG.md', 'utf8').includes(heading))
    refuse(`CHANGELOG.md has no ${heading}`);
  const archives = ['pith', 'pith-client'].map((name) => `${name}-${version}.tgz`);
  return [
    ...lines,
    `checked: CHANGELOG.md has ${heading}`,
    `npm pack, npm pack ./src/client and make tarball would make ${archives.join(', ')} and dist/pith-${version}-<platform>.tar.gz; make image the tag pith:${version}`,
  ];
}

function putBack(files: readonly string[]): void {
  git('checkout', '--', ...files);
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim();
}

function refuse(message: string): never {
  console.error(`release: ${message}`);
  process.exit(1);
}

main();
