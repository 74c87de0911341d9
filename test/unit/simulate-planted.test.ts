/** Each planted bug has its place in the tree as it is, and what it makes of a file can be read. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { MODEL } from '../simulate/planted-bugs/model.ts';
import { plant, PLANTED } from '../simulate/planted.ts';

const textOf = (file: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8');

test('there are at least two dozen, of different names', () => {
  expect(PLANTED.length).toBeGreaterThanOrEqual(24);
  expect(new Set(PLANTED.map(({ name }) => name)).size).toBe(PLANTED.length);
});

test.each([...PLANTED, ...MODEL].map((planted) => [planted.name, planted] as const))(
  '%s',
  (_name, planted) => {
    const text = textOf(planted.file);
    const changed = plant(planted, text);
    expect(changed).not.toBe(text);
    expect(() => stripTypeScriptTypes(changed)).not.toThrow();
  },
);

test('a text that is not there, or there twice, is named with its file', () => {
  const one = { name: 'wrong', why: '', file: 'src/x.ts', find: 'a', replace: 'b' };
  expect(() => plant(one, 'xyz')).toThrow('wrong: its text is 0 times in src/x.ts');
  expect(() => plant(one, 'a or a')).toThrow('wrong: its text is 2 times in src/x.ts');
  expect(plant(one, 'an x')).toBe('bn x');
});
