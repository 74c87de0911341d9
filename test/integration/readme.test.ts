/**
 * README.md and the guides are run: their commands in their order, their programs as backends of a real gateway,
 * their configurations by `pith check`. On the default ports, as they are on the pages; so these have to be free,
 * and only this file uses them.
 */
import { copyFileSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { parse, stringify } from 'yaml';

import { routeSchema } from '../../src/config/schema-routes.ts';
import { TestClient } from '../support/client.ts';
import { installPython } from '../support/examples.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { brokenLinks, expectValid, Page } from '../support/page.ts';
import { run } from '../support/process.ts';
import { type Command, expectFree, Shell, type Staying } from '../support/readme.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const SERVE = 'npm run -s pith -- serve --config ~/hello/pith.yaml';
const WAITING =
  `npm run -s pith -- client --request chat.room.join ` +
  `--data '{"name":"ann","room":"lobby"}' --wait-pushes 10m`;
const LOGGED_IN =
  `npm run -s pith -- client --request connector.entryHandler.enter ` +
  `--data '{"token":"token-of-ann"}' --wait-pushes 10m`;
const PYTHON = '.venv/bin/python main.py';

const PYTHON_FIRST = {
  'python3 -m venv .venv': 'the environment of the Python example is linked instead',
  '.venv/bin/pip install nats-py': 'it is in that environment, in the version of the example',
};
const GO_FIRST = {
  'go mod init hello': "a go.mod with the Go examples' versions is written instead",
  'go mod tidy': 'that go.mod and its go.sum are complete',
};

let shell: Shell;
const theShell = (): Shell => shell;

const readme = new Page('README.md', theShell, {
  stays: {
    'make run': /client ws:\/\/127\.0\.0\.1:3010\n/,
    [WAITING]: /\{"code":200,"room":"lobby"\}\n/,
    'nats-server': /Server is ready/,
    [PYTHON]: /^/,
    [SERVE]: /"msg":"listening"/,
  },
  notRun: {
    ...PYTHON_FIRST,
    'kubectl port-forward deploy/pith 7070': 'needs a cluster',
    'docker build -f deploy/Dockerfile -t registry.example.com/pith:0.1.0 .':
      '`make image-test` builds the image',
    'helm install pith deploy/helm/pith -f values.yaml': '`make cluster-test` installs it',
    'helm test pith': '`make cluster-test` installs it',
    'make check': 'runs beside this, and takes long',
    'make test': 'runs this',
    'make oracle': 'conformance/oracle.test.ts runs it',
    'make bench': 'takes minutes, and the machine for itself',
    'make simulate HOURS=24': 'takes minutes; simulate.test.ts plays a short one',
  },
});

const guide = new Page('deploy/guides/backend.md', theShell, {
  stays: {
    'nats-server': /Server is ready/,
    [SERVE]: /"msg":"listening"/,
    [LOGGED_IN]: /\{"code":200\}\n/,
  },
  notRun: {
    ...PYTHON_FIRST,
    ...GO_FIRST,
    'npm install @grpc/grpc-js @grpc/proto-loader': "this clone's node_modules are linked instead",
    'kubectl port-forward deploy/pith 7070': 'needs a cluster',
  },
});

const routes = new Page('deploy/guides/routes.md', theShell);

const GO_INSTALL = 'downloads and builds; test/tools/install.sh does the same with a fixed version';
const tools = new Page('deploy/guides/tools.md', theShell, {
  notRun: {
    'go install github.com/nats-io/nats-server/v2@latest': GO_INSTALL,
    'go install github.com/nats-io/natscli/nats@latest': GO_INSTALL,
    'go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest': GO_INSTALL,
    'export PATH="$PATH:$(go env GOPATH)/bin"': "is for the reader's own shell",
  },
});

const pages = [readme, guide, routes, tools];

type Program = {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly yaml: string;
  readonly start: Command;
};

const programs = programsOf(guide);

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

describe('README.md', () => {
  test('See it run, Push from a shell', async () => {
    // Packages are not installed under the feet of the other tests.
    const { output } = await run('make', ['-n', 'run'], { cwd: ROOT });
    expect(output, 'run `make setup` first').not.toContain('npm ci');
    await expectAsShown(readme, 'See it run');
    const [player] = await expectAsShown(readme, 'Push from a shell');
    expect(await player!.ended).toBe(0);
    expect(player!.stderr()).toContain('kicked {"reason":"bye"}\n');
    expect(player!.stdout()).toBe(
      `{"code":200,"room":"lobby"}\nonChat {"msg":"hi"}\nonChat {"msg":"again"}\n`,
    );
  });

  test('Your own backend', { timeout: 240_000 }, async (ctx) => {
    const [program] = programsOf(readme);
    await needs(ctx, program!);
    await startBackend(readme, program!, program!.text, program!.yaml);
    await expectAsShown(readme, 'Your own backend', [PYTHON], answersWhenServing);
  });

  test('Look inside', async () => {
    await readme.start({ text: 'make run' });
    await expectAsShown(readme, 'Look inside');
  });

  test.each(['In production', 'Where next', 'Work on it'])('%s', async (section) => {
    await expectAsShown(readme, section);
  });

  test('is short', () => {
    expect(readme.text.trimEnd().split('\n').length).toBeLessThanOrEqual(220);
  });
});

describe('A backend, step by step', () => {
  test('there are four', () => {
    expect(programs.map(({ name }) => name)).toEqual([
      'main.py on nats',
      'main.go on nats',
      'main.mts on grpc',
      'main.go on grpc',
    ]);
  });

  test.for(programs)('$name', { timeout: 240_000 }, async (program, ctx) => {
    await needs(ctx, program);
    await startBackend(guide, program, program.text, program.yaml);
    await expectAsShown(guide, '', [], answersWhenServing);
  });

  test('The normal login, Pushes', { timeout: 240_000 }, async (ctx) => {
    const program = programs.find(({ file }) => file === 'main.py')!;
    await needs(ctx, program);
    const [fragment] = guide.blocksOf('The normal login', 'python');
    const [yaml] = guide.blocksOf('The normal login', 'yaml');
    const last = /^ {4}await asyncio\.Event\(\)\.wait\(\)\n/m;
    expect(program.text).toMatch(last);
    const text = program.text.replace(last, (line) => `${fragment!.text}${line}`);
    await startBackend(guide, program, text, yaml!.text);
    await guide.start({ text: SERVE });
    const refused = { code: 403, msg: 'no such token' };
    const enter = 'connector.entryHandler.enter';
    await answers(enter, { token: 'wrong' }, expect.objectContaining(refused));
    await expectAsShown(guide, 'The normal login');
    {
      await using ann = await TestClient.connect(3010, 'ws');
      expect(await ann.request(enter, { token: 'token-of-ann' })).toEqual({ code: 200 });
      expect(await ann.request('hello.world.greet', { name: 'zoe' })).toEqual({ hello: 'zoe' });
    }

    const [player] = await expectAsShown(guide, 'Pushes');
    expect(await player!.ended).toBe(0);
    expect(player!.stderr()).toContain('kicked {"reason":"bye"}\n');
    expect(player!.stdout()).toBe(
      `{"code":200}\nonChat {"msg":"hi"}\nonChat {"msg":"again"}\nonChat {"msg":"third"}\n`,
    );
  });
});

describe('Routes and settings', () => {
  test.each(['Routes', 'Settings'])('%s', async (section) => {
    await expectAsShown(routes, section);
  });

  test('tells the defaults of routes', () => {
    const rule = { match: 'a.b', backend: 'c' };
    const rows = [...routes.text.matchAll(/^\| `(\w+)` \| (?:`(.*?)`)? ?\|/gm)];
    const keys = ['timeout', 'order', 'to', 'else', 'forward', 'bound'];
    expect(rows.map((row) => row[1])).toEqual(keys);
    const said = rows.map(([, key, value]) => [key, value === undefined ? '' : parse(value)]);
    expect(routeSchema.parse({ ...rule, ...Object.fromEntries(said) })).toEqual(
      routeSchema.parse(rule),
    );
  });
});

const yamls = pages.flatMap(({ path, blocks }) =>
  blocks.flatMap(({ lang, section, text }) => (lang === 'yaml' ? [{ path, section, text }] : [])),
);

test.each(yamls)('pith check: $path, $section', async ({ text }) => {
  const isOfChart = text.startsWith('# values.yaml');
  const { config } = parse(text) as { config?: object };
  await expectValid(isOfChart ? stringify(config) : text);
});

test.each(pages)(
  '$path has no command that is neither run nor listed, and no broken link',
  async (page) => {
    expect(page.unknown()).toEqual([]);
    expect(page.needless()).toEqual([]);
    expect(brokenLinks(page.path, page.text)).toEqual([]);
    expect(await page.missingTargets()).toEqual([]);
  },
);

test('every guide is run, and the other pages have no broken link', () => {
  const guides = readdirSync(join(ROOT, 'deploy/guides')).map((name) => `deploy/guides/${name}`);
  const known = pages.map(({ path }) => path);
  expect(guides.filter((path) => !known.includes(path))).toEqual([]);
  const others = [
    ...['deploy', 'deploy/examples', 'proto', 'src', 'src/client', 'src/dialect', 'test'].map(
      (folder) => `${folder}/README.md`,
    ),
    'CHANGELOG.md',
    'SECURITY.md',
    '.github/CONTRIBUTING.md',
  ];
  const broken = others.flatMap((path) =>
    brokenLinks(path, readFileSync(join(ROOT, path), 'utf8')).map((link) => `${path}: ${link}`),
  );
  expect(broken).toEqual([]);
});

/** A section's commands do what the page says. */
async function expectAsShown(
  page: Page,
  ...section: Parameters<Page['runSection']>
): Promise<Staying[]> {
  return page.runSection(...section);
}

/** Programs begin with a comment that names their file; the configuration is before them, the command after. */
function programsOf({ blocks }: Page): Program[] {
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

/** Skips the test where the machine has not what the program needs. */
async function needs(ctx: TestContext, { file, start: command }: Program): Promise<void> {
  const isThere = file.endsWith('.py')
    ? (await installPython()) !== null
    : !file.endsWith('.go') || hasProgram('go');
  if (isThere) return;
  for (const page of pages) page.markDone(command.text, ...command.before);
  ctx.skip(file.endsWith('.py') ? 'there is no Python 3.9 with venv and pip' : 'there is no Go');
}

/** Puts a program into `~/hello`, with what it imports, and starts it. */
async function startBackend(
  page: Page,
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
    if (page.notRun[one] === undefined) await page.perform({ text: one }, hello);
  // Those on NATS end if the server is not there yet.
  if (yaml.includes('nats')) await page.start({ text: 'nats-server' });
  page.markDone(command.text);
  await shell.start(command.text, /^/, hello);
}

/** Once the gateway listens, waits for the backend. */
async function answersWhenServing(command: string): Promise<void> {
  if (command === SERVE) await answers('hello.world.greet', { name: 'ann' }, { hello: 'ann' });
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
