// The projects, run one after another: what is fast and pure, what talks to real servers, and what other
// people's clients say. `make unit` runs the first, `make test` these three, `make test-all` the slow ones too.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { PATIENCE_MS, SOON } from './support/wait.ts';
import { keepCompiledCode } from './tools/compile-cache.ts';
import { leftOut } from './tools/left-out.ts';
import { putToolsOnPath } from './tools/path.ts';

// Here and not only in the Makefile, so that a single test started from an editor finds them as well.
putToolsOnPath();
keepCompiledCode();

const away = leftOut(fileURLToPath(new URL('.', import.meta.url)));
for (const { file, needs } of away)
  console.error(`left out: test/${file} needs ${needs.join(' and ')}`);
if (away.length > 0 && process.env['CI'] && process.env['CI'] !== 'false') {
  throw new Error('CI leaves nothing out: install what the lines above name');
}
const exclude = away.map(({ file }) => `test/${file}`);

/** Tests with real servers, each file in a process of its own. They wait for half of their time: three keep two cores busy. */
const withServers = {
  exclude,
  pool: 'forks',
  maxWorkers: 3,
  // A test waits for more than one thing, and a wait that is over says what it was for.
  testTimeout: 3 * PATIENCE_MS,
  hookTimeout: 3 * PATIENCE_MS,
  expect: { poll: SOON },
} as const;

const slow = {
  test: {
    ...withServers,
    name: 'slow',
    include: ['test/slow/**/*.test.ts'],
    maxWorkers: 1,
    testTimeout: 900_000,
    sequence: { groupOrder: 3 },
  },
};

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    reporters: ['default', fileURLToPath(new URL('count-reporter.ts', import.meta.url))],
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: [fileURLToPath(new URL('support/sound-json-parse.ts', import.meta.url))],
          include: ['test/unit/**/*.test.ts'],
          pool: 'threads',
          // Each worker loads what the tests import once, which is half of their time. They keep nothing in modules.
          isolate: false,
          testTimeout: PATIENCE_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...withServers,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...withServers,
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          sequence: { groupOrder: 2 },
        },
      },
      ...(process.env['TEST_ALL'] ? [slow] : []),
    ],
  },
});
