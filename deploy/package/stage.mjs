/**
 * Puts together what the image and the tarball run: the package `pith` with its production dependencies, and nothing
 * that only development or an editor needs.
 *   node stage.mjs FOLDER
 * The compiler is that of the clone, or of a folder above it. Plain JavaScript, as build.mjs. Needs npm and its registry.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { sbomOf } from './sbom.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What nothing loads while the gateway runs, by its path in node_modules. */
const UNUSED = [
  // Declarations, sources and maps, for editors and debuggers.
  /\.(d\.[cm]?ts|[cm]?ts|tsx|map|flow)$/,
  // Pages; licenses are called otherwise.
  /\.(md|markdown|html)$/i,
  /(^|\/)\.[^/]+$/,
  // The same again for bundlers: Node takes build/src.
  /(^|\/)@opentelemetry\/[^/]+\/build\/(esm|esnext)\//,
  // The same again for require, and for browsers.
  /^zod\/.*\.cjs$/,
  /^zod\/src\//,
  /^protobufjs\/(cli|dist)\//,
  /^yaml\/browser\//,
  /^\.bin\//,
];
/** With all that is in them: types, and what a package has for its own development. */
const UNUSED_FOLDERS = [
  /(^|\/)(@types|undici-types)\//,
  /(^|node_modules\/)(@[^/]+\/)?[^/]+\/(docs?|examples?|tests?|benchmarks?|coverage)\//,
];
const NEEDED = /(^|\/)(package\.json|LICEN[SC]E[^/]*|NOTICE[^/]*)$/i;

function main() {
  const [to] = process.argv.slice(2).map((folder) => resolve(folder));
  if (to === undefined) throw new Error('expected the FOLDER to put it into');
  rmSync(to, { recursive: true, force: true });
  run(process.execPath, [join(ROOT, 'deploy/package/build.mjs'), 'pith'], ROOT);
  copyPackage(to);
  installDependencies(to);
  withoutDevelopment(to);
  writeFileSync(join(to, 'sbom.cdx.json'), sbomOf(to));
  prune(join(to, 'node_modules'));
  loadAll(to);
}

/** What npm would pack; its list is `files` of package.json. */
function copyPackage(to) {
  const listed = run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], ROOT);
  for (const { path } of JSON.parse(listed)[0].files) {
    if (/^dist\/.*\.d\.ts$/.test(path)) continue;
    copy(join(ROOT, path), join(to, path));
  }
}

/** node-runtime is only for development, but the lock file names it. */
function installDependencies(to) {
  for (const path of ['package-lock.json', '.npmrc', 'deploy/node-runtime/package.json'])
    if (existsSync(join(ROOT, path))) copy(join(ROOT, path), join(to, path));
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  run('npm', ['ci', '--omit=dev', '--ignore-scripts', ...quiet], to);
}

/** npm would leave a package out of the SBOM that development needs, too. */
function withoutDevelopment(to) {
  for (const name of ['package-lock.json', '.npmrc', 'deploy/node-runtime'])
    rmSync(join(to, name), { recursive: true, force: true });
  const file = join(to, 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  for (const name of ['scripts', 'allowScripts', 'devDependencies']) delete manifest[name];
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}

function prune(modules) {
  const names = readdirSync(modules, { recursive: true }).map((name) => name.replaceAll('\\', '/'));
  for (const name of names) {
    const path = join(modules, name);
    if (!statSync(path).isFile()) continue;
    const isUnused =
      UNUSED_FOLDERS.some((pattern) => pattern.test(name)) ||
      (!NEEDED.test(name) && UNUSED.some((pattern) => pattern.test(name)));
    if (isUnused) rmSync(path);
  }
  rmSync(join(modules, '.bin'), { recursive: true, force: true });
  removeEmpty(modules);
}

/** Finds what was removed and is needed; of each library all that it loads at once. */
function loadAll(to) {
  const { dependencies } = JSON.parse(readFileSync(join(to, 'package.json'), 'utf8'));
  const imports = Object.keys(dependencies).map((name) => `import ${JSON.stringify(name)};`);
  run(process.execPath, ['--input-type=module', '-e', imports.join('\n')], to);
}

function removeEmpty(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmpty(join(folder, entry.name));
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}

function run(command, args, cwd) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
}

main();
