/** What browsers get: committed as it is built, and small. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';

import { buildWeb } from '../../../deploy/package/web.ts';

const BUILT = fileURLToPath(new URL('../../../src/gen/web/', import.meta.url));
/** Of all files of both pages together, gzipped. */
const GZIPPED_BYTES_MAX = 120 * 1024;

let built: Map<string, string>;
beforeAll(async () => {
  built = await buildWeb();
});

test('src/gen/web is what make web writes', () => {
  expect(readdirSync(BUILT).toSorted()).toEqual([...built.keys()].toSorted());
  const stale = [...built].filter(
    ([name, text]) => readFileSync(join(BUILT, name), 'utf8') !== text,
  );
  expect(stale.map(([name]) => `${name} differs from src/web: run make web`)).toEqual([]);
});

test('everything together is at most 120 KiB gzipped', () => {
  const bytes = [...built.values()].map((text) => gzipSync(text, { level: 9 }).length);
  expect(bytes.reduce((sum, one) => sum + one)).toBeLessThanOrEqual(GZIPPED_BYTES_MAX);
});

test('no page names another origin, nor turns text into markup or code', () => {
  // A namespace, and what the pages say an address looks like.
  const shown = ['http://www.w3.org', 'ws://127.0.0.1', 'ws://host'];
  for (const [name, text] of built) {
    if (!name.endsWith('.js')) continue;
    const urls = [...text.matchAll(/\b(?:https?|wss?):\/\/[\w.-]+/g)].map(([url]) => url);
    expect(
      urls.filter((url) => !shown.includes(url)),
      name,
    ).toEqual([]);
    expect(text, name).not.toMatch(
      /insertAdjacentHTML|document\.write|outerHTML\s*=|\beval\(|new Function\b/,
    );
  }
});

test('no source asks Preact for markup', () => {
  const web = fileURLToPath(new URL('../../../src/web/', import.meta.url));
  const files = readdirSync(web, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => /\.tsx?$/.test(file));
  expect(sources.length).toBeGreaterThan(5);
  for (const file of sources)
    expect(readFileSync(join(web, file), 'utf8'), file).not.toMatch(/dangerouslySet|innerHTML/);
});
