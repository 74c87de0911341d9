/** The commands of proto/README.md that generate code: each is run as it stands, and what it writes is used. */
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { hasProgram } from '../support/npm-clients.ts';
import { run } from '../support/process.ts';
import { installPythonWith, toolsFolder } from '../support/python.ts';
import { readBlocks, Shell } from '../support/readme.ts';
import { ROOT } from '../support/serve.ts';

const page = readFileSync(join(ROOT, 'proto/README.md'), 'utf8');
const commands = readBlocks(page)
  .filter(({ section, lang }) => section === 'Generate code' && lang === 'sh')
  .flatMap((block) => block.commands);

/** What is not run of `first time only`, each with the reason. */
const NOT_RUN: readonly [RegExp, string][] = [
  [/^go install /, "installed in the versions that proto/gen.sh has, into the tests' tools"],
  [/^python3 -m venv |^\.venv\/bin\/pip /, 'an environment that is kept is linked instead'],
  [/^mvn |^mv |^chmod /, 'the plugin is not downloaded'],
  [/^dotnet /, 'no .NET is needed for what is tested'],
  [/^npm install /, "this clone's node_modules are linked instead"],
];

let shell: Shell;
let python: string | null;

beforeAll(async () => {
  python = await installPythonWith(join(ROOT, 'test/tools/codegen-requirements.txt'));
  const programs = [toolsFolder(), ...(python === null ? [] : [dirname(python)])];
  shell = await Shell.open(programs);
});

afterAll(async () => {
  await shell?.[Symbol.asyncDispose]();
});

test('there is one for each language', () => {
  const languages = [...page.matchAll(/^\*\*(\S+)\*\*: .*\n```sh\n/gm)].map((match) => match[1]);
  expect(languages).toEqual(['Go', 'Python', 'Java', 'C#', 'TypeScript']);
  expect(commands).toHaveLength(5);
  const before = commands.flatMap((command) => command.before);
  const unknown = before.filter((one) => !NOT_RUN.some(([pattern]) => pattern.test(one)));
  expect([...new Set(unknown)]).toEqual(['mkdir -p gen']);
});

/** Runs the command of a language in an empty `~/hello`, and gives that folder. */
async function generate(at: number, change: (text: string) => string = (text) => text) {
  const { text, before } = commands[at]!;
  const hello = shell.hello();
  symlinkSync(join(ROOT, 'node_modules'), join(hello, 'node_modules'));
  if (python !== null) symlinkSync(dirname(dirname(python)), join(hello, '.venv'));
  for (const one of before)
    if (!NOT_RUN.some(([pattern]) => pattern.test(one))) await expectSuccess(one, hello);
  await expectSuccess(change(text), hello);
  return hello;
}

async function expectSuccess(text: string, cwd: string): Promise<string> {
  const { code, stdout, stderr } = await shell.run(text, cwd);
  expect(code, `${text}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

test('Go: it compiles as a package of the module', { timeout: 300_000 }, async (ctx) => {
  if (python === null || !hasProgram('go')) return ctx.skip('needs Go, and Python for a protoc');
  const gen = readFileSync(join(ROOT, 'proto/gen.sh'), 'utf8');
  for (const [name, module] of [
    ['protoc_gen_go', 'google.golang.org/protobuf/cmd/protoc-gen-go'],
    ['protoc_gen_go_grpc', 'google.golang.org/grpc/cmd/protoc-gen-go-grpc'],
  ] as const) {
    const [, version] = new RegExp(`^${name}=(\\S+)$`, 'm').exec(gen)!;
    if (existsSync(join(toolsFolder(), name.replaceAll('_', '-')))) continue;
    const { code, output } = await run('go', ['install', `${module}@${version}`], {
      env: { GOBIN: toolsFolder() },
    });
    expect(code, output).toBe(0);
  }
  const hello = await generate(0);
  const example = join(ROOT, 'deploy/examples/chat-grpc-go');
  const mod = readFileSync(join(example, 'go.mod'), 'utf8').replace(/^module .*/, 'module hello');
  writeFileSync(join(hello, 'go.mod'), mod);
  copyFileSync(join(example, 'go.sum'), join(hello, 'go.sum'));
  writeFileSync(
    join(hello, 'main.go'),
    'package main\n\nimport pith "hello/gen/pith/v1"\n\ntype server struct{ pith.UnimplementedBackendServer }\n\n' +
      'var _ pith.BackendServer = server{}\n\nfunc main() {}\n',
  );
  await expectSuccess('go vet .', hello);
});

test('Python: it can be imported', async (ctx) => {
  if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
  const hello = await generate(1);
  const program =
    'from pith.v1 import backend_pb2, backend_pb2_grpc; ' +
    'print(backend_pb2.Request(route=\\"a.b\\").route, backend_pb2_grpc.BackendServicer.Handle.__name__)';
  expect(await expectSuccess(`PYTHONPATH=gen .venv/bin/python -c "${program}"`, hello)).toBe(
    'a.b Handle\n',
  );
});

// Code that needs a plugin which no test package provides is not generated; the messages are.
test.each([
  ['Java', 2, /--plugin=\S+ --grpc-java_out=gen /, 'gen/pith/v1/Request.java'],
  ['C#', 3, /--plugin=.*? --grpc_out=gen /, 'gen/Backend.cs'],
] as const)('%s: the messages are in its package', async (language, at, plugin, file) => {
  if (python === null) return;
  expect(commands[at]!.text).toMatch(plugin);
  const hello = await generate(at, (text) => text.replace(plugin, ''));
  const first = language === 'Java' ? /^package pith\.v1;$/m : /^namespace Pith\.V1 \{$/m;
  expect(readFileSync(join(hello, file), 'utf8')).toMatch(first);
});

test('TypeScript: a backend is checked against it', async () => {
  const hello = await generate(4);
  writeFileSync(
    join(hello, 'main.ts'),
    `import type { ServiceDefinition } from '@grpc/grpc-js';
import type { ProtoGrpcType } from './gen/backend.ts';
import type { BackendHandlers } from './gen/pith/v1/Backend.ts';
export const handle: BackendHandlers['Handle'] = ({ request }, done) => {
  done(null, { body: { text: request.route ?? '' } });
};
export type Service = ProtoGrpcType['pith']['v1']['Backend']['service'] & ServiceDefinition;
export const wrong: BackendHandlers['Handle'] = (_, done) => done(null, { body: { text: 1 } });
`,
  );
  const tsc =
    'npx tsc --strict --noEmit --skipLibCheck --allowImportingTsExtensions --module nodenext --types node main.ts';
  const { stdout } = await shell.run(tsc, hello);
  expect(stdout.match(/error TS.*/g)).toHaveLength(1);
  expect(stdout).toMatch(/^main\.ts\(8,/);
  expect(readdirSync(join(hello, 'gen/pith/v1'))).toContain('Request.ts');
});
