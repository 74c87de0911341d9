// The proxies' tests: they need root, Linux and what test/proxy/tools.sh installs, and are apart from `make test`.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

import { putToolsOnPath } from '../tools/path.ts';

putToolsOnPath();

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    name: 'proxy',
    include: ['test/proxy/**/*.test.ts'],
    reporters: ['verbose', fileURLToPath(new URL('../count-reporter.ts', import.meta.url))],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
