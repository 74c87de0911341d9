// The pages in Chromium at their length: `make web-test`. The short form is in test/integration.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { PATIENCE_MS, SOON } from '../support/wait.ts';
import { putToolsOnPath } from '../tools/path.ts';

putToolsOnPath();

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'web',
    include: ['test/web/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 3 * PATIENCE_MS,
    hookTimeout: 3 * PATIENCE_MS,
    expect: { poll: SOON },
  },
});
