/** SECURITY.md's table of threats: complete, and each test that it names is there. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(`${ROOT}SECURITY.md`, 'utf8');
const [, table] = /## Threats\n(.*?)\n\n## /s.exec(page)!;
/** Without the head and the rows that only say whose threats follow. */
const ROWS = table!
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| **'))
  .slice(1)
  .map((line) => line.slice(2, -2).split(' | '));

test('the table has a threat, a control, a default and a test in each row', () => {
  expect(ROWS.length).toBeGreaterThan(30);
  for (const row of ROWS) {
    expect(row).toHaveLength(4);
    for (const cell of row) expect(cell.trim()).not.toBe('');
  }
});

test.each(ROWS.map(([threat, , , tests]) => [threat!, tests!]))(
  '%s: its tests are there',
  (_, tests) => {
    const files = [...tests.matchAll(/`([^`]+)`/g)].map(([, file]) => file!);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect([file, existsSync(`${ROOT}${file}`)]).toEqual([file, true]);
  },
);
