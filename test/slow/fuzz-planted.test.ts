/** The fuzzer finds what was planted: `make fuzz-planted`, as one test. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('every planted bug is found', () => {
  const { status, stdout } = spawnSync(process.execPath, ['test/fuzz/run-planted.ts'], {
    encoding: 'utf8',
    env: { ...process.env, T: '300', ONLY: '' },
  });
  expect(stdout).not.toContain('NOT FOUND');
  expect(status).toBe(0);
});
