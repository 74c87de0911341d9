// The chart's tests: they need helm, which test/tools/install-helm.sh brings, and are apart from `make test`.

import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
const tools = process.env['TEST_TOOLS_DIR'] || join(cache, 'pith', 'bin');
process.env['PATH'] = `${tools}${delimiter}${process.env['PATH'] ?? ''}`;

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
