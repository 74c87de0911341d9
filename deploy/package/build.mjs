/**
 * Builds what `npm pack` puts into an archive; development needs no build. Plain JavaScript, so that an older Node gets
 * as far as the message below.
 *   node build.mjs pith      dist/: the gateway, the client and the demo, for the package `pith`
 *   node build.mjs client    src/client/dist: the client alone, for the package `pith-client` (npm pack ./src/client)
 *   node build.mjs clean     removes what `client` made, so that only sources are among the sources
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { BUNDLED, licensesOfBundled } from './bundled.mjs';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const DIST = join(ROOT, 'dist');
/** The program, a file for each of its modules. */
const COMPILED = join(DIST, 'compiled');
const CLIENT_DIST = join(ROOT, 'src/client/dist');
/** npm packs the files of the folder; links to files outside are omitted. */
const CLIENT_LICENSE = join(ROOT, 'src/client/LICENSE');
/** Of the clone, or of a folder above it. */
const TSC = ancestors(ROOT)
  .map((folder) => join(folder, 'node_modules/.bin/tsc'))
  .find((path) => existsSync(path));

if (TSC === undefined) {
  console.error('npm pack needs the compiler that npm ci installs: run npm ci in the clone first.');
  process.exit(1);
}
switch (process.argv[2]) {
  case 'pith':
    rmSync(DIST, { recursive: true, force: true });
    compile('deploy/package', COMPILED);
    await bundle(join(COMPILED, 'main.js'));
    rmSync(COMPILED, { recursive: true, force: true });
    buildClient(join(DIST, 'client'));
    compile('deploy/package/demo', join(DIST, 'demo/chat'));
    mkdirSync(join(DIST, 'gen'), { recursive: true });
    copyFileSync(join(ROOT, 'src/gen/pith.binpb'), join(DIST, 'gen/pith.binpb'));
    cpSync(join(ROOT, 'src/gen/web'), join(DIST, 'gen/web'), { recursive: true });
    copyFileSync(join(ROOT, 'deploy/package/pith.js'), join(DIST, 'pith.js'));
    break;
  case 'client':
    buildClient(CLIENT_DIST);
    copyFileSync(join(ROOT, 'LICENSE'), CLIENT_LICENSE);
    break;
  case 'clean':
    rmSync(CLIENT_DIST, { recursive: true, force: true });
    rmSync(CLIENT_LICENSE, { force: true });
    break;
  default:
    throw new Error('pith, client or clean is expected');
}

function ancestors(folder) {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...ancestors(above)];
}

function buildClient(to) {
  rmSync(to, { recursive: true, force: true });
  compile('src/client', to);
  for (const name of readdirSync(to)) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(to, name);
    writeFileSync(file, withOldImports(readFileSync(file, 'utf8')));
  }
}

/**
 * Puts the modules of the program into a few files, of which a start reads those that it needs: a quarter of its
 * CPU went into finding and linking modules. Names stay as they are, for stacks in users' logs. Packages stay in
 * node_modules, where scanners look, but for those of bundled.mjs, whose licenses are put beside.
 */
async function bundle(main) {
  const { rolldown } = await import('rolldown');
  const build = await rolldown({
    input: { main },
    cwd: ROOT,
    platform: 'node',
    tsconfig: false,
    external: (id) => /^[^./]/.test(id) && !isBundled(id),
    onLog(level, log) {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.write({
    dir: DIST,
    format: 'esm',
    // As deep as the modules are that look for files of the package from where they are.
    entryFileNames: '[name].js',
    chunkFileNames: 'program/[name].js',
    comments: { legal: true, jsdoc: false, annotation: false },
  });
  await build.close();
  for (const { fileName, code } of output)
    writeFileSync(join(DIST, fileName), asciiOnly(takingBuiltins(code)));
  writeFileSync(join(DIST, 'program/LICENSES'), licensesOfBundled(dirname(dirname(TSC))));
  const [entry] = output;
  const lost = /new URL\("(?!\.\.\/package\.json")[^"]+", import\.meta\.url\)/.exec(entry.code);
  if (lost !== null) throw new Error(`dist/main.js would not find its file: ${lost[0]}`);
}

/**
 * Takes from the modules of Node what is used of them. An `import` reads every export of such a module, also those that
 * Node makes when they are first read: WebCrypto, streams for the web, the differences that an assertion prints.
 */
function takingBuiltins(code) {
  const [head] = /^(?:(?:#!|\/\/|import ).*\n)*/.exec(code);
  const taken = head.replace(
    /^import (?:(\w+)(?:, )?)?(\{.*\})? ?from "(node:[^"]+)";$/gm,
    (_, whole, some, name) =>
      [whole, some?.replaceAll(' as ', ': ')]
        .filter((target) => target !== undefined)
        .map((target) => `const ${target} = process.getBuiltinModule("${name}");`)
        .join(' '),
  );
  const left = /^import .* from "node:.*/m.exec(taken);
  if (left !== null) throw new Error(`an import that was not understood: ${left[0]}`);
  return taken + code.slice(head.length);
}

/**
 * V8 keeps a file with one letter beyond Latin-1 at two bytes for each. What is not ASCII stands in strings and regular
 * expressions, which read an escape as the letter; String.raw does not, and none may follow a backslash.
 */
function asciiOnly(code) {
  const unlike = /\bString\.raw\b|\\[^\x00-\x7f]/.exec(code);
  if (unlike !== null) throw new Error(`an escape would not be read as its letter: ${unlike[0]}`);
  return code.replace(
    /[^\x00-\x7f]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function isBundled(id) {
  return BUNDLED.some((name) => id === name || id.startsWith(`${name}/`));
}

function compile(project, to) {
  execFileSync(process.execPath, [TSC, '-p', join(ROOT, project), '--outDir', to], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  });
}

/** Declarations import each other as `.ts`, which TypeScript before 5 does not resolve; every version resolves `.js`. */
function withOldImports(declarations) {
  return declarations.replace(/(from\s+|import\()(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2');
}
