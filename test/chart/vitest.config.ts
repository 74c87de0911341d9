// The chart's tests: they need helm, which test/tools/install-helm.sh brings, and are apart from `make test`.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { putToolsOnPath } from '../tools/path.ts';

putToolsOnPath();

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'chart',
    include: ['test/chart/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    testTimeout: 60_000,
    hookTimeout: 300_000,
  },
});
