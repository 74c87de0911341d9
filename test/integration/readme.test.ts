/**
 * README.md is run: its commands in their order, its programs as backends of a real gateway, its configurations by
 * `pith check`. On the default ports, as they are on the page; so these have to be free, and only this file uses them.
 */
import { copyFileSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { routeSchema } from '../../src/config/schema-routes.ts';
import { TestClient } from '../support/client.ts';
import { installPython } from '../support/examples.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { run } from '../support/process.ts';
import {
  type Block,
  type Command,
  expectFree,
  readBlocks,
  README,
  Shell,
  type Staying,
} from '../support/readme.ts';
import { configFile, pith, ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const SERVE = 'npm run -s pith -- serve --config ~/hello/pith.yaml';
const PLAYER =
  `npm run -s pith -- client --request connector.entryHandler.enter ` +
  `--data '{"token":"token-of-ann"}' --wait-pushes 10m`;

/** Commands that stay, and the output that says that they are ready. */
const STAYS: Readonly<Record<string, RegExp>> = {
  'make run': /client ws:\/\/127\.0\.0\.1:3010\n/,
  'nats-server': /Server is ready/,
  [SERVE]: /"msg":"listening"/,
  [PLAYER]: /\{"code":200\}\n/,
};

/** Commands that are on the page and are not run here, each with the reason. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'python3 -m venv .venv': 'the environment of the Python example is linked instead',
  '.venv/bin/pip install nats-py': 'it is in that environment, in the version of the example',
  'npm install @grpc/grpc-js @grpc/proto-loader': "this clone's node_modules are linked instead",
  'go mod init hello': "a go.mod with the Go examples' versions is written instead",
  'go mod tidy': 'that go.mod and its go.sum are complete',
  'kubectl port-forward deploy/pith 7070': 'needs a cluster',
  'docker build -f deploy/Dockerfile -t pith .': '`make image-test` builds the image',
  'helm install pith deploy/helm/pith -f values.yaml':
    'needs a cluster; `make chart-test` renders it',
  'make check': 'runs beside this, and takes long',
  'make test': 'runs this',
  'make oracle': 'conformance/oracle.test.ts runs it',
  'make bench': 'takes minutes, and the machine for itself',
  'make simulate HOURS=24': 'takes minutes; simulate.test.ts plays a short one',
};

type Program = {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly yaml: string;
  readonly start: Command;
};

type Runnable = Pick<Command, 'text'> & Partial<Command>;

const blocks = readBlocks(README);
const programs = readPrograms();
const done = new Set<string>();
let shell: Shell;

beforeAll(async () => {
  await expectFree([3010, 7070, 7071, 7072, 4222, 9000]);
  shell = await Shell.open();
});

afterEach(async () => {
  await shell.stopAll();
});

afterAll(async () => {
  // Not there where a port was taken.
  await shell?.[Symbol.asyncDispose]();
});

test('Run it', async () => {
  // Packages are not installed under the feet of the other tests.
  const { output } = await run('make', ['-n', 'run'], { cwd: ROOT });
  expect(output, 'run `make setup` first').not.toContain('npm ci');
  await expectAsShown('Run it');
});

describe('A backend in 15 lines', () => {
  test('there are four', () => {
    expect(programs.map(({ name }) => name)).toEqual([
      'main.py on nats',
      'main.go on nats',
      'main.mts on grpc',
      'main.go on grpc',
    ]);
  });

  test.for(programs)('$name', { timeout: 240_000 }, async (program, ctx) => {
    const missing = await missingFor(program);
    if (missing !== null) return ctx.skip(missing);
    await startBackend(program, program.text, program.yaml);
    await expectAsShown('A backend in 15 lines', async () => {
      await answers('hello.world.greet', { name: 'ann' }, { hello: 'ann' });
    });
  });
});

test('The normal login, Push from a shell', { timeout: 240_000 }, async (ctx) => {
  const program = programs.find(({ file }) => file === 'main.py')!;
  const missing = await missingFor(program);
  if (missing !== null) return ctx.skip(missing);
  const [fragment] = blocksOf('The normal login', 'python');
  const [yaml] = blocksOf('The normal login', 'yaml');
  const last = /^ {4}await asyncio\.Event\(\)\.wait\(\)\n/m;
  expect(program.text).toMatch(last);
  const text = program.text.replace(last, (line) => `${fragment!.text}${line}`);
  await startBackend(program, text, yaml!.text);
  await start({ text: 'nats-server' });
  await start({ text: SERVE });
  const refused = { code: 403, msg: 'no such token' };
  await answers(
    'connector.entryHandler.enter',
    { token: 'wrong' },
    expect.objectContaining(refused),
  );
  await expectAsShown('The normal login');
  {
    await using ann = await TestClient.connect(3010, 'ws');
    expect(await ann.request('connector.entryHandler.enter', { token: 'token-of-ann' })).toEqual({
      code: 200,
    });
    expect(await ann.request('hello.world.greet', { name: 'zoe' })).toEqual({ hello: 'zoe' });
  }

  const [player] = await expectAsShown('Push from a shell');
  expect(await player!.ended).toBe(0);
  expect(player!.stderr()).toContain('kicked {"reason":"bye"}\n');
  expect(player!.stdout()).toBe(
    `{"code":200}\nonChat {"msg":"hi"}\nonChat {"msg":"again"}\nonChat {"msg":"third"}\n`,
  );
});

test.each(['The route table', 'Configure it', 'Ship it', 'Work on it'])('%s', async (section) => {
  await expectAsShown(section);
});

test.each(blocks.filter(({ lang }) => lang === 'yaml'))(
  'pith check: $section',
  async ({ text }) => {
    using file = configFile(text);
    const { code, output } = await pith('check', '--config', file.path);
    expect(output).not.toContain('warning');
    expect(code, output).toBe(0);
  },
);

describe('the page', () => {
  test('has no command that is neither run nor listed, and lists none that it does not have', () => {
    const all = blocks.flatMap(({ commands }) =>
      commands.flatMap(({ text, before }) => [text, ...before]),
    );
    expect(all.filter((one) => !done.has(one) && NOT_RUN[one] === undefined)).toEqual([]);
    expect(
      [...Object.keys(NOT_RUN), ...Object.keys(STAYS)].filter((one) => !all.includes(one)),
    ).toEqual([]);
  });

  test('names targets of the Makefile', async () => {
    const targets = [...README.matchAll(/^make ([\w-]+)/gm)].map((match) => match[1]!);
    const { output } = await run('make', ['help'], { cwd: ROOT });
    for (const target of targets) expect(output).toContain(`  ${target} `);
  });

  test('tells the defaults of routes', () => {
    const rule = { match: 'a.b', backend: 'c' };
    const rows = [...README.matchAll(/^\| `(\w+)` \| (?:`(.*?)`)? ?\|/gm)];
    expect(rows.map((row) => row[1])).toEqual([
      'timeout',
      'order',
      'to',
      'else',
      'forward',
      'bound',
    ]);
    const said = rows.map(([, key, value]) => [key, value === undefined ? '' : parse(value)]);
    expect(routeSchema.parse({ ...rule, ...Object.fromEntries(said) })).toEqual(
      routeSchema.parse(rule),
    );
  });

  test('links to what is there, and is short', () => {
    const links = [...README.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!);
    expect(links.filter((link) => !existsSync(join(ROOT, link)))).toEqual([]);
    expect(README.trimEnd().split('\n').length).toBeLessThanOrEqual(280);
  });
});

function blocksOf(section: string, lang: string): Block[] {
  return blocks.filter((block) => block.section === section && block.lang === lang);
}

/** Programs begin with a comment that names their file; the configuration is before them, the command after. */
function readPrograms(): Program[] {
  return blocks.flatMap((block, at) => {
    const file = /^(?:#|\/\/) (main\.\w+)/.exec(block.text)?.[1];
    if (file === undefined) return [];
    const yaml = blocks.slice(0, at).findLast(({ lang }) => lang === 'yaml')!.text;
    const commands = blocks.slice(at).find(({ lang }) => lang === 'sh')!.commands;
    const start = commands.find(({ text }) => text.endsWith(` ${file}`))!;
    const name = `${file} on ${yaml.includes('nats') ? 'nats' : 'grpc'}`;
    return [{ name, file, text: block.text, yaml, start }];
  });
}

/** Why a program cannot be run on this machine; null: it can. */
async function missingFor({ file, start: command }: Program): Promise<string | null> {
  const isThere = file.endsWith('.py')
    ? (await installPython()) !== null
    : !file.endsWith('.go') || hasProgram('go');
  if (isThere) return null;
  for (const one of [command.text, ...command.before]) done.add(one);
  return file.endsWith('.py') ? 'there is no Python 3.9 with venv and pip' : 'there is no Go';
}

/** Puts a program into `~/hello`, with what it imports, and starts it. */
async function startBackend(
  { file, start: command }: Program,
  text: string,
  yaml: string,
): Promise<void> {
  const hello = shell.hello();
  writeFileSync(join(hello, file), text);
  writeFileSync(join(hello, 'pith.yaml'), yaml);
  if (file.endsWith('.py')) {
    symlinkSync(dirname(dirname((await installPython())!)), join(hello, '.venv'));
  } else if (file.endsWith('.go')) {
    const example = yaml.includes('nats') ? 'chat-nats-go' : 'chat-grpc-go';
    const from = join(ROOT, 'deploy/examples', example);
    const mod = readFileSync(join(from, 'go.mod'), 'utf8').replace(/^module .*/, 'module hello');
    writeFileSync(join(hello, 'go.mod'), mod);
    copyFileSync(join(from, 'go.sum'), join(hello, 'go.sum'));
  } else {
    symlinkSync(join(ROOT, 'node_modules'), join(hello, 'node_modules'));
  }
  for (const one of command.before)
    if (NOT_RUN[one] === undefined) await perform({ text: one }, hello);
  // Those on NATS end if the server is not there yet.
  if (yaml.includes('nats')) await start({ text: 'nats-server' });
  done.add(command.text);
  await shell.start(command.text, /^/, hello);
}

/** Runs a section's commands in their order, and compares what the page shows of their output. */
async function expectAsShown(
  section: string,
  whenServing?: () => Promise<void>,
): Promise<Staying[]> {
  const stay: Staying[] = [];
  const starts = programs.map(({ start: { text } }) => text);
  for (const [at, block] of blocks.entries()) {
    if (block.section !== section) continue;
    for (const command of block.commands) {
      if (NOT_RUN[command.text] !== undefined || starts.includes(command.text)) continue;
      if (STAYS[command.text] !== undefined) {
        stay.push(await start(command));
        if (command.text === SERVE) await whenServing?.();
        continue;
      }
      const output = await perform(command);
      const next = blocks[at + 1];
      const isShown = next?.lang === '' && next.section === section;
      expect(output).toBe(isShown && command === block.commands.at(-1) ? next.text : output);
    }
  }
  return stay;
}

/** Runs a command to its end; what it printed, complaints first. */
async function perform({ text, prints = '' }: Runnable, cwd?: string): Promise<string> {
  done.add(text);
  const { code, stdout, stderr } = await shell.run(text, cwd);
  const output = `${stderr}${stdout}`;
  if (prints !== '') expectPrinted(stdout, prints);
  // `pith client` ends with 1 on an error answer.
  expect(code, `${text}\n${output}`).toBe(/^\{"code":[45]/.test(prints) ? 1 : 0);
  return output;
}

/** The same JSON, whatever its spaces; or the same text, where the page leaves something out. */
function expectPrinted(stdout: string, shown: string): void {
  const parts = shown.split('…').map((part) => RegExp.escape(part));
  if (parts.length > 1) expect(stdout).toMatch(new RegExp(`^${parts.join('.*')}\n$`));
  else expect(JSON.parse(stdout)).toEqual(JSON.parse(shown));
}

/** Starts a command that stays, unless it is running. */
async function start({ text }: Runnable): Promise<Staying> {
  done.add(text);
  return shell.start(text, STAYS[text]!);
}

/** Waits until the backend is there and connected, and expects its answer. */
async function answers(route: string, body: object, answer: object): Promise<void> {
  await using client = await TestClient.connect(3010, 'ws');
  const got = await eventually(
    async () => {
      const one = await client.request(route, body);
      return one['code'] === 503 ? undefined : one;
    },
    `an answer of ${route}`,
    120_000,
  );
  expect(got).toEqual(answer);
}
