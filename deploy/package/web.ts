/**
 * Builds the pages of the admin port from src/web into src/gen/web, which is committed: what runs from a clone needs no
 * build, and a package or an image needs no bundler.
 *   node web.ts     writes them; test/unit/web compares
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WEB = join(ROOT, 'src/web');
const BUILT = join(ROOT, 'src/gen/web');

/** By page: its styles, in order. Each page has a script of its own with all that it needs. */
const STYLES: Readonly<Record<string, readonly string[]>> = {
  playground: ['shell/tokens.css', 'shell/shell.css', 'playground/playground.css'],
  console: [
    'shell/tokens.css',
    '../../node_modules/uplot/dist/uPlot.min.css',
    'shell/shell.css',
    'console/console.css',
  ],
};

/** All files by name. The same sources and versions give the same bytes. */
export async function buildWeb(): Promise<Map<string, string>> {
  const files = new Map([['icon.svg', readFileSync(join(WEB, 'shell/icon.svg'), 'utf8')]]);
  for (const [page, styles] of Object.entries(STYLES)) {
    files.set(`${page}.js`, await bundle(join(WEB, page, 'main.tsx')));
    const css = styles.map((file) => readFileSync(join(WEB, file), 'utf8')).join('\n');
    files.set(`${page}.css`, smaller(css));
  }
  return files;
}

async function bundle(input: string): Promise<string> {
  await using build = await rolldown({
    input,
    cwd: ROOT,
    platform: 'browser',
    tsconfig: false,
    transform: { jsx: { runtime: 'automatic', importSource: 'preact' }, target: 'es2023' },
    onLog(level, log) {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.generate({ format: 'esm', minify: true, comments: false });
  const [chunk, ...others] = output;
  if (others.length > 0) throw new Error(`${input}: expected one file, got ${output.length}`);
  return chunk.code;
}

/** Without comments and indentation. */
function smaller(css: string): string {
  const bare = css.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/\s*\n\s*/g, '\n');
  return bare
    .replaceAll(/\s*([{};,])\n/g, '$1')
    .replaceAll(/ \{/g, '{')
    .trim();
}

if (import.meta.main) {
  const files = await buildWeb();
  rmSync(BUILT, { recursive: true, force: true });
  mkdirSync(BUILT, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(BUILT, name), content);
}
