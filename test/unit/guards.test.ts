/** The table of guards in test/README.md: each file that it names is there. */
import { existsSync, readFileSync } from 'node:fs';
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
