/** What `npm pack` makes, unpacked into a folder of its own as `npm install` would put it there. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import { run } from './process.ts';
import { ROOT } from './serve.ts';

export type Packed = Disposable & {
  /** Of a project that has both packages installed. */
  readonly home: string;
  /** A file of the package `pith`, and one of `pith-client`. */
  pith(...path: readonly string[]): string;
  client(...path: readonly string[]): string;
};

/** Packs both packages. They are built into this clone, so that only one test file may do it. */
export async function packAll(): Promise<Packed> {
  const home = mkdtempSync(join(tmpdir(), 'pith-packages-'));
  const modules = join(home, 'node_modules');
  await unpack([], join(modules, 'pith'), home);
  await unpack(['./src/client'], join(modules, 'pith-client'), home);
  linkDependencies(modules);
  mkdirSync(join(modules, '.bin'));
  const { bin } = readPackage(join(modules, 'pith'));
  chmodSync(join(modules, 'pith', bin!['pith']!), 0o755);
  symlinkSync(join('../pith', bin!['pith']!), join(modules, '.bin/pith'));
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  return {
    home,
    pith: (...path) => join(modules, 'pith', ...path),
    client: (...path) => join(modules, 'pith-client', ...path),
    [Symbol.dispose]() {
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function unpack(what: readonly string[], to: string, home: string): Promise<void> {
  const args = ['pack', '--silent', '--pack-destination', home, ...what];
  const { code, output } = await run('npm', args, { cwd: ROOT });
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed:\n${output}`);
  mkdirSync(to, { recursive: true });
  const archive = join(home, output.trim().split('\n').at(-1)!);
  execFileSync('tar', ['-xzf', archive, '-C', to, '--strip-components=1']);
}

/** Links the dependencies that the package names, and no other: what it needs beside them it will not find. */
function linkDependencies(modules: string): void {
  const { dependencies = {} } = readPackage(join(modules, 'pith'));
  for (const name of Object.keys(dependencies)) {
    const link = join(modules, name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
}

export type PackageJson = {
  readonly name: string;
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>> | string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
};

export function readPackage(folder: string): PackageJson {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
}

/** A Node on this machine that is older than ours, with the version that it says of itself; null: there is none. */
export function findOldNode(): { readonly path: string; readonly version: string } | null {
  const seen = new Set<string>();
  for (const folder of `${process.env['PATH'] ?? ''}${delimiter}/usr/bin${delimiter}/usr/local/bin`.split(
    delimiter,
  )) {
    const path = join(folder, 'node');
    if (!existsSync(path) || seen.has(realpathSync(path))) continue;
    seen.add(realpathSync(path));
    const version = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' });
    if (Number(version.split('.')[0]) < 24) return { path, version: version.trim() };
  }
  return null;
}
