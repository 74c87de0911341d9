/** The backend in Java that `pith init` writes. Maven downloads what it needs the first time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { expectHello, makeProject, serveProject } from '../support/made-project.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { start } from '../support/process.ts';

const home = mkdtempSync(join(tmpdir(), 'pith-init-java-'));

afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

test.skipIf(!hasProgram('mvn'))('in Java', { timeout: 600_000 }, async () => {
  const folder = join(home, 'java');
  const printed = await makeProject(folder, 'java');
  const [, command] = /^ {2}cd \S+ && (mvn .*)$/m.exec(printed)!;
  await using backend = await start('sh', ['-c', `exec ${command}`], {
    cwd: folder,
    env: { ADDR: '127.0.0.1:0' },
  });
  const [, address] = await backend.waitFor(/hello: listening on (\S+)\n/, 500_000);
  await using gateway = await serveProject(folder, [`backends.hello.grpc=${address}`]);
  await expectHello(gateway);
  backend.kill('SIGTERM');
  // The JVM's own, after SIGTERM.
  expect(await backend.exited).toBe(143);
});
