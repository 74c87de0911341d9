/** The packages as somebody installs them, with all that they depend on from a registry. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { readPackage } from '../support/packed.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

const home = mkdtempSync(join(tmpdir(), 'pith-install-'));

afterAll(() => {
  rmSync(home, { recursive: true });
});

async function expectSuccess(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  const { code, output } = await run(command, args, { cwd });
  expect(code, `${command} ${args.join(' ')}\n${output}`).toBe(0);
  return output;
}

test('npm pack, npm install elsewhere, npx pith', async () => {
  for (const what of [[], ['./src/client']])
    await expectSuccess('npm', ['pack', '--silent', '--pack-destination', home, ...what], ROOT);
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  const { version } = readPackage(ROOT);
  for (const name of ['pith', 'pith-client'])
    await expectSuccess('npm', ['install', '--no-audit', `./${name}-${version}.tgz`], home);
  expect(await expectSuccess('npx', ['pith', 'version'], home)).toBe(`${version}\n`);
  const text =
    "import { PithClient } from 'pith-client'; console.log(new PithClient('ws://a').state);";
  writeFileSync(join(home, 'a.js'), text);
  expect(await expectSuccess(process.execPath, ['a.js'], home)).toBe('idle\n');
});
