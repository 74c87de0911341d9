/** The page's matrix of clients is that of the tests. */
import { describe, expect, test } from 'vitest';

import { expectBlock } from '../support/page-block.ts';
import { COLUMNS, ROWS } from './matrix.ts';
import { matrixPage } from './matrix-text.ts';

describe('the matrix of clients', () => {
  test('is on the page as the tests have it', () => {
    expectBlock('src/dialect/README.md', 'matrix', matrixPage());
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
