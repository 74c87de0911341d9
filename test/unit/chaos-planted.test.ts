/** Each bug that is planted for chaos and the soak has its place in the tree as it is. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { SCENARIOS } from '../chaos/all.ts';
import { PLANTED } from '../chaos/planted.ts';
import { plant } from '../simulate/planted.ts';

test.each(PLANTED.map((planted) => [planted.name, planted] as const))('%s', (_name, planted) => {
  const path = fileURLToPath(new URL(`../../${planted.file}`, import.meta.url));
  const text = readFileSync(path, 'utf8');
  const changed = plant(planted, text);
  expect(changed).not.toBe(text);
  expect(() => stripTypeScriptTypes(changed)).not.toThrow();
});

test('there is one for each scenario, and for the soak', () => {
  const found = new Set(PLANTED.map(({ by, with: { SCENARIO = by } }) => SCENARIO));
  // The one with 5,000 sessions is that with 500.
  const wanted = SCENARIOS.map(({ name }) => name).filter((name) => name !== 'kill-5000');
  expect(found).toEqual(new Set([...wanted, 'soak']));
});
