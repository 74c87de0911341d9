// The image's tests: they need root and Linux, build a real image, and are apart from `make test`.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'image',
    include: ['test/image/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 600_000,
  },
});
