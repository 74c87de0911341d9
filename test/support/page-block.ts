/** Parts of pages that tests make: they stand between two comments, and are written where TEST_WRITE_PAGES is set. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

/** Expects that `page`, from the top of the repository, has `made` between `<!-- name: … -->` and `<!-- /name -->`. */
export function expectBlock(page: string, name: string, made: string): void {
  const path = fileURLToPath(new URL(`../../${page}`, import.meta.url));
  const text = readFileSync(path, 'utf8');
  const block = new RegExp(`(<!-- ${name}: [^\\n]* -->\\n)[^]*(\\n<!-- /${name} -->)`);
  expect(text, `the two comments around the part “${name}” of ${page}`).toMatch(block);
  const whole = text.replace(block, (_all, begin, end) => `${begin}\n${made}\n${end}`);
  if (process.env['TEST_WRITE_PAGES']) writeFileSync(path, whole);
  else expect(text, `run this test again with TEST_WRITE_PAGES=1 to write ${page}`).toBe(whole);
}
