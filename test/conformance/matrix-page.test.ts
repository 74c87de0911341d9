/** The page's matrix of clients is that of the tests. With TEST_WRITE_MATRIX set, it is written instead. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { COLUMNS, ROWS } from './matrix.ts';
import { matrixPage } from './matrix-text.ts';

const PAGE = fileURLToPath(new URL('../../src/README.md', import.meta.url));
const BEGIN = '<!-- matrix: made by test/conformance/matrix-page.test.ts -->';
const END = '<!-- /matrix -->';

describe('the matrix of clients', () => {
  test('is on the page as the tests have it', () => {
    const page = readFileSync(PAGE, 'utf8');
    const [before, rest] = page.split(BEGIN);
    const [, after] = (rest ?? '').split(END);
    expect(page, 'the two comments around the matrix').toMatch(new RegExp(`${BEGIN}[^]*${END}`));
    const made = `${before}${BEGIN}\n\n${matrixPage()}\n\n${END}${after}`;
    if (process.env['TEST_WRITE_MATRIX']) writeFileSync(PAGE, made);
    expect(page, 'run it again with TEST_WRITE_MATRIX=1 to write the page').toBe(made);
  });

  test('has a reason for whatever is not in it', () => {
    for (const { id, lacks, notes } of ROWS) {
      for (const column of COLUMNS) {
        const [why, note] = [lacks[column], notes[column]];
        expect(why === undefined || note === undefined, `${id}: ${column}`).toBe(true);
        expect(why ?? note ?? '.').toMatch(/\.$/);
      }
    }
  });
});
