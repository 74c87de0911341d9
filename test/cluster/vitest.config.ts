// The chart on a real cluster. Apart from `make test`: it needs Linux and root, and takes long the first time.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { putToolsOnPath } from '../tools/path.ts';

putToolsOnPath();

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'cluster',
    include: ['test/cluster/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    // One cluster for all files, in which they take turns: it needs the machine's two cores.
    globalSetup: fileURLToPath(new URL('setup.ts', import.meta.url)),
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 3_600_000,
  },
});
