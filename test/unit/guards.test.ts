/** The table of guards in test/README.md, and the comments of src/: each test that they name is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const TEST = fileURLToPath(new URL('..', import.meta.url));
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
  const top = fileURLToPath(new URL('../..', import.meta.url));
  const files = readdirSync(`${top}/src`, { recursive: true, encoding: 'utf8' });
  const missing = files
    .filter((file) => /\.(ts|md)$/.test(file))
    .flatMap((file) => {
      const text = readFileSync(`${top}/src/${file}`, 'utf8');
      const names = text.match(/test\/[a-z][a-z0-9./-]*\.test\.ts/g) ?? [];
      return names
        .filter((name) => !existsSync(`${top}/${name}`))
        .map((name) => `${file}: ${name}`);
    });
  expect(missing).toEqual([]);
});
