/** What pages and comments name is there: tests, files of src/, and what links lead to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const TOP = fileURLToPath(new URL('../..', import.meta.url));
const TEST = join(TOP, 'test');
const page = readFileSync(`${TEST}/README.md`, 'utf8');
const table = page.slice(page.indexOf('| fault | guard |'), page.indexOf('## Outside programs'));
const named = [...table.matchAll(/`([a-z][a-z0-9./-]*)`/g)]
  .map((match) => match[1]!)
  .filter((name) => !name.startsWith('no-') && name !== 'border.test.ts');

test('the table of guards names many files', () => {
  expect(named.length).toBeGreaterThan(50);
});

test.each([...new Set(named)])('%s is a test', (name) => {
  const path = name.includes('/') ? name : `integration/${name}`;
  expect(existsSync(`${TEST}/${path}.test.ts`), path).toBe(true);
});

test('every test that a comment or a page of src/ names is there', () => {
  const files = readdirSync(`${TOP}/src`, { recursive: true, encoding: 'utf8' });
  const missing = files
    .filter((file) => /\.(ts|md)$/.test(file))
    .flatMap((file) => {
      const text = readFileSync(`${TOP}/src/${file}`, 'utf8');
      const names = text.match(/test\/[a-z][a-z0-9./-]*\.test\.ts/g) ?? [];
      return names
        .filter((name) => !existsSync(`${TOP}/${name}`))
        .map((name) => `${file}: ${name}`);
    });
  expect(missing).toEqual([]);
});

const PAGES = [
  ...['README.md', 'CHANGELOG.md', 'SECURITY.md', '.github/CONTRIBUTING.md'],
  ...['deploy', 'proto', 'src', 'test'].flatMap((folder) =>
    readdirSync(join(TOP, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('README.md') && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  ),
];

test.each(PAGES)('%s has no link that leads nowhere', (name) => {
  const text = readFileSync(join(TOP, name), 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
  const broken = links.flatMap(([link, path, heading]) => {
    const to = path === '' ? join(TOP, name) : join(TOP, dirname(name), path!);
    const isThere = existsSync(to) && (heading === undefined || headingsOf(to).includes(heading));
    return isThere ? [] : [link];
  });
  expect(broken).toEqual([]);
});

/** The names that GitHub gives the headings of a page. */
function headingsOf(page: string): string[] {
  const headings = readFileSync(page, 'utf8').match(/^#+ .*$/gm) ?? [];
  return headings.map((line) =>
    line
      .replace(/^#+ /, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('src/README.md names files that are there', () => {
  const text = readFileSync(join(TOP, 'src/README.md'), 'utf8');
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(TOP, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.includes('node_modules'))
      .map((name) => `/${join(folder, name)}`),
  );
  const names = text.match(/[\w./-]*(?:\{[\w,-]+\})?[\w.-]*\.ts\b/g)!.flatMap(spelledOut);
  expect(names.length).toBeGreaterThan(40);
  expect(names.filter((one) => !files.some((file) => file.endsWith(`/${one}`)))).toEqual([]);
});

/** `a/{b,c}.ts` is two names. */
function spelledOut(name: string): string[] {
  const [, before, choices, after] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? [];
  return choices === undefined
    ? [name]
    : choices.split(',').map((choice) => `${before}${choice}${after}`);
}

/** Where `JSON.parse` is called itself, and why it may be: what it reads is no object, or not from outside. */
const PARSES: Readonly<Record<string, string>> = {
  'protocol/json-parse.ts': 'it stands between',
  'protocol/json-keys.ts': 'one text',
  'protocol/json-scan.ts': 'one text',
  'telemetry/log.ts': 'a line of ours',
  'telemetry/recent-lines.ts': 'our own log lines',
  'discovery/instances.ts': 'the answer of the Consul agent, which allows no such key',
  'main.ts': 'package.json',
  'config/route-examples.ts':
    'a text of the configuration, of which only this is asked: whether it is JSON',
  'cli/arguments.ts': 'a command of its own process',
  'cli/client.ts': 'a command of its own process',
  'cli/client-settings.ts': 'a command of its own process',
  'cli/probe.ts': 'a command of its own process',
  'cli/server-settings.ts': 'a command of its own process',
  'cli/top.ts': 'a command of its own process',
  'cli/why-log.ts': 'a command of its own process',
  'cli/upgrade.ts': 'lines of the gateway that it asks',
  'cli/dev.ts': 'a line of the gateway that it has started',
  'cli/mock-backend.ts': 'a command of its own process',
  'client/json.ts': 'not part of the gateway',
};

test('JSON from outside goes by parseJsonText, since V8 mistakes keys', () => {
  const files = readdirSync(`${TOP}/src`, { recursive: true, encoding: 'utf8' });
  const parsing = files.filter(
    (file) =>
      file.endsWith('.ts') &&
      // In a browser, and not part of the gateway.
      !file.startsWith('web/') &&
      /\bJSON\.parse\b/.test(
        readFileSync(`${TOP}/src/${file}`, 'utf8').replaceAll(
          /^\s*(?:\*|\/\/).*$|\/\*.*?\*\//gm,
          '',
        ),
      ),
  );
  expect(parsing.toSorted()).toEqual(Object.keys(PARSES).toSorted());
});
