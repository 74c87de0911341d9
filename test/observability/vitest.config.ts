// The alerts, each caused on a real gateway that a real Prometheus scrapes: minutes, and so apart from `make test`.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { putToolsOnPath } from '../tools/path.ts';

putToolsOnPath();

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'observability',
    include: ['test/observability/**/*.test.ts'],
    reporters: ['verbose', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
