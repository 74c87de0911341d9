/** SECURITY.md's table of configurations that the real program does not start with: what it says, and that it ends. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { configFile, pith, ROOT } from '../support/serve.ts';

const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
const [, table] = /## What it does not start with\n(.*?)\n\nIt starts with/s.exec(page)!;
const ROWS = [...table!.matchAll(/^\| `(.*)` \| (.*) \|$/gm)].map(([, yaml, says]) => ({
  yaml: yaml!,
  says: says!,
}));

test('the table has what nobody should start', () => {
  expect(ROWS.length).toBeGreaterThan(15);
});

test.concurrent.each(ROWS)('serve refuses $yaml', async ({ yaml, says }) => {
  using file = configFile(`${yaml}\n`);
  const { code, output } = await pith('serve', file.path);
  expect(output).toContain(says);
  expect(code).toBe(78);
});
