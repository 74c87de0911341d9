/** What is released, as somebody installs it: the packages with their dependencies from a registry, and the tarball. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { expectChat } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { readPackage } from '../support/packed.ts';
import { run, start } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

const home = mkdtempSync(join(tmpdir(), 'pith-install-'));
const { version } = readPackage(ROOT);
const FREE_PORTS = {
  PITH_LISTEN__0__URL: 'auto://127.0.0.1:0',
  PITH_HEALTH__LISTEN: '127.0.0.1:0',
  PITH_CONTROL__LISTEN: '127.0.0.1:0',
  PITH_ADMIN__LISTEN: '127.0.0.1:0',
};

afterAll(() => {
  rmSync(home, { recursive: true });
});

async function expectSuccess(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { code, output } = await run(command, args, { cwd, env });
  expect(code, `${command} ${args.join(' ')}\n${output}`).toBe(0);
  return output;
}

describe('the packages', () => {
  beforeAll(async () => {
    for (const what of [[], ['./src/client']])
      await expectSuccess('npm', ['pack', '--silent', '--pack-destination', home, ...what], ROOT);
    writeFileSync(join(home, 'package.json'), '{"private":true}');
    const archives = ['pith', 'pith-client'].map((name) => `./${name}-${version}.tgz`);
    await expectSuccess('npm', ['install', '--no-audit', ...archives], home);
  });

  test('npx pith runs', async () => {
    expect(await expectSuccess('npx', ['pith', 'version'], home)).toBe(`${version}\n`);
  });

  test('the client is there for import and for require', async () => {
    writeFileSync(
      join(home, 'a.mjs'),
      "import { PithClient } from 'pith-client'; console.log(new PithClient('ws://a').state);",
    );
    writeFileSync(
      join(home, 'a.cjs'),
      "const { PithClient } = require('pith-client'); const { tcp } = require('pith-client/tcp'); console.log(new PithClient('tcp://a:1', { dial: tcp() }).state);",
    );
    for (const file of ['a.mjs', 'a.cjs'])
      expect(await expectSuccess(process.execPath, [file], home)).toBe('idle\n');
  });
});

describe('the tarball', () => {
  const platform = `${process.platform}-${process.arch}`;
  const archive = join(ROOT, `dist/pith-${version}-${platform}.tar.gz`);
  const command = join(home, `tarball/pith-${version}-${platform}/bin/pith`);
  /** A machine that has nothing. */
  const alone = (args: string[]): [string, string[]] => ['/usr/bin/env', ['-i', command, ...args]];

  beforeAll(async () => {
    await expectSuccess('sh', ['deploy/package/tarball.sh'], ROOT);
    mkdirSync(join(home, 'tarball'));
    execFileSync('tar', ['-xzf', archive, '-C', join(home, 'tarball')]);
  });

  test('runs where there is no PATH, also through a link', async () => {
    expect(await expectSuccess(...alone(['version']), home)).toBe(`${version}\n`);
    const made = await expectSuccess(...alone(['init', 'own', '--backend', 'go-grpc']), home);
    expect(made).toContain('\n  pith serve own/pith.yaml\n');
    mkdirSync(join(home, 'bin'));
    symlinkSync(command, join(home, 'bin/pith'));
    const linked = await expectSuccess(join(home, 'bin/pith'), ['version'], home);
    expect(linked).toBe(`${version}\n`);
  });

  test('serves, with traces: what is lacking of the libraries is not needed', async () => {
    const sets = [...Object.entries(FREE_PORTS).map(([name, value]) => `${name}=${value}`)];
    await using dev = await start(
      '/usr/bin/env',
      ['-i', ...sets, 'PITH_TELEMETRY__OTLP=http://127.0.0.1:9', command, 'dev'],
      { cwd: home },
    );
    const [, port] = await dev.waitFor(/ {2}pith client ws:\/\/127\.0\.0\.1:(\d+)\n/);
    await using ann = await TestClient.connect(Number(port), 'ws');
    await using bob = await TestClient.connect(Number(port), 'tcp');
    await expectChat(ann, bob);
    dev.kill('SIGTERM');
    expect(await dev.exited).toBe(0);
  });

  test('is the same when it is made again', async () => {
    const hash = (): string => createHash('sha256').update(readFileSync(archive)).digest('hex');
    const before = hash();
    await expectSuccess('sh', ['deploy/package/tarball.sh'], ROOT);
    expect(hash()).toBe(before);
  });
});
