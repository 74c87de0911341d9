/** `make mutants` finds every table that its list names, and rows in it that can be wrong. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { mutationsOf, rowsOf, TABLES } from '../tools/mutable-tables.ts';

test.each(
  TABLES.map((table) => [table.file, table.at ?? table.constants!.join(' '), table] as const),
)('%s: %s', (file, _name, table) => {
  const text = readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8');
  const rows = rowsOf(table, text).map(mutationsOf);
  expect(rows.length).toBeGreaterThan(0);
  for (const mutants of rows) {
    expect(mutants.length).toBeGreaterThan(0);
    expect(mutants.filter((mutant) => mutant.text === text)).toEqual([]);
  }
});
