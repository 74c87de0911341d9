/** `pith init`: each backend that it writes is started as it is, behind the gateway with the configuration beside it. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { expectHello, makeProject, serveProject } from '../support/made-project.ts';
import { startNats } from '../support/nats.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { run, start } from '../support/process.ts';
import { installPythonWith } from '../support/python.ts';
import { pith, ROOT } from '../support/serve.ts';

const home = mkdtempSync(join(tmpdir(), 'pith-init-'));

afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

async function build(folder: string): Promise<string> {
  const program = join(folder, 'hello');
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: folder });
  expect(code, output).toBe(0);
  return program;
}

/** Runs the backend on a free port and the gateway in front of it; both stop on SIGTERM. */
async function expectToServe(folder: string, command: string, ...args: string[]): Promise<void> {
  await using backend = await start(command, args, { cwd: folder, env: { ADDR: '127.0.0.1:0' } });
  const [, address] = await backend.waitFor(/hello: listening on (\S+)\n/);
  await using gateway = await serveProject(folder, [`backends.hello.grpc=${address}`]);
  await expectHello(gateway);
  backend.kill('SIGTERM');
  expect(await backend.exited).toBe(0);
}

describe('the backend', () => {
  test.skipIf(!hasProgram('go'))('in Go, on gRPC', async () => {
    const folder = join(home, 'go-grpc');
    await makeProject(folder, 'go-grpc');
    await expectToServe(folder, await build(folder));
  });

  test.skipIf(!hasProgram('go'))('in Go, on NATS', async () => {
    const folder = join(home, 'go-nats');
    await makeProject(folder, 'go-nats');
    const program = await build(folder);
    await using nats = await startNats();
    await using backend = await start(program, [], {
      env: { NATS_URL: nats.url },
      ready: /hello: ready on nats:/,
    });
    await using gateway = await serveProject(folder, [`bus=${nats.url}`]);
    await expectHello(gateway);
    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
  });

  test('in Python', async (ctx) => {
    const folder = join(home, 'python');
    await makeProject(folder, 'python');
    const python = await installPythonWith(join(folder, 'requirements.txt'));
    if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
    await expectToServe(folder, python, 'main.py');
  });

  test('in TypeScript', async () => {
    const folder = join(home, 'typescript');
    await makeProject(folder, 'typescript');
    // Instead of npm install.
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await expectToServe(folder, process.execPath, 'main.ts');
  });
});

describe('the command', () => {
  test('prints what it wrote, and the two commands that start it', async () => {
    const folder = join(home, 'printed');
    expect(await makeProject(folder, 'typescript'))
      .toBe(`Written to ${folder}: pith.yaml, main.ts, package.json

A backend on gRPC. It needs Node 24. Start it, and the gateway in another terminal:

  cd ${folder} && npm install && node main.ts
  npm run -s pith -- serve ${folder}/pith.yaml

Then send a request; the push comes before the answer:

  npm run -s pith -- client --request hello.world.greet --data '{"name":"ann"}'
`);
    expect(readdirSync(folder).toSorted()).toEqual([
      'main.ts',
      'package.json',
      'pith.yaml',
      'proto',
    ]);
  });

  test('checks what it has written', async () => {
    for (const backend of ['go-nats', 'java']) {
      const folder = join(home, `checked-${backend}`);
      await makeProject(folder, backend);
      const { code, output } = await pith('check', join(folder, 'pith.yaml'));
      expect(output).toMatch(/^ok: 1 backend, 1 route\n/);
      expect(code).toBe(0);
    }
  });

  test('overwrites nothing, and then writes nothing', async () => {
    const folder = join(home, 'taken');
    mkdirSync(folder);
    writeFileSync(join(folder, 'main.py'), 'mine');
    const { code, output } = await pith('init', folder, '--backend', 'python');
    expect(output).toBe(
      `pith: main.py is already there in ${folder}: name another folder, as in pith init DIR\n`,
    );
    expect(code).toBe(73);
    expect(readdirSync(folder)).toEqual(['main.py']);
    expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('mine');
  });

  test('says so where it cannot write', async () => {
    const file = join(home, 'file');
    writeFileSync(file, '');
    const { code, output } = await pith('init', join(file, 'below'), '--backend', 'python');
    expect(output).toMatch(new RegExp(`^pith: ${file}`));
    expect(output).not.toMatch(/ {4}at /);
    expect(code).toBe(73);
  });

  test('without a backend lists them, and writes nothing', async () => {
    const folder = join(home, 'none');
    const { code, output } = await pith('init', folder);
    for (const name of ['go-grpc', 'go-nats', 'python', 'java', 'typescript'])
      expect(output).toMatch(new RegExp(`^  --backend ${name} `, 'm'));
    expect(code).toBe(64);
    expect(existsSync(folder)).toBe(false);
  });

  test.each([
    [['a', 'b'], 'pith: expected one DIR, not a b\n'],
    [['a', '--backend', 'cobol'], 'pith: --backend cobol: expected one of go-grpc, '],
    [[''], 'pith: DIR is empty\n'],
  ])('refuses %j', async (args, said) => {
    const { code, output } = await pith('init', ...args);
    expect(output).toContain(said);
    expect(code).toBe(64);
  });
});
