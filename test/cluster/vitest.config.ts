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
    // One cluster at a time: each uses the machine's two cores alone.
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 3_600_000,
  },
});
