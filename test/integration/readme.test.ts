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
import { keyPairFor, pemOf } from '../support/jwt.ts';
import { brokenLinks, expectValid, type Page } from '../support/page.ts';
import { run } from '../support/process.ts';
import { PYTHON, readmePages, SERVE } from '../support/readme-pages.ts';
import { type Command, expectFree, Shell, type Staying } from '../support/readme.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

let shell: Shell;
const pagesOf = readmePages(() => shell);
const { readme, guide, routes, auth, pomelo, families } = pagesOf;
const pages = Object.values(pagesOf);

type Program = {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly yaml: string;
  readonly start: Command;
};

const programs = programsOf(guide);

beforeAll(async () => {
  await expectFree([3010, 3014, 7070, 7071, 7072, 4222, 9000]);
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
    const keys = ['timeout', 'order', 'to', 'else', 'forward', 'bound', 'roles'];
    expect(rows.map((row) => row[1])).toEqual(keys);
    const said = rows.map(([, key, value]) => [key, value === undefined ? '' : parse(value)]);
    expect(routeSchema.parse({ ...rule, ...Object.fromEntries(said) })).toEqual(
      routeSchema.parse(rule),
    );
  });
});

test('Who may come in: Try it', async () => {
  const [yaml] = auth.blocksOf('Try it', 'yaml');
  writeFileSync(join(shell.hello(), 'pith.yaml'), yaml!.text);
  await expectAsShown(auth, 'Try it');
});

test('From Pomelo in ten minutes: The chat on Pith', async (ctx) => {
  if ((await installPython()) === null) {
    const section = pomelo.blocksOf('The chat on Pith', 'sh');
    pomelo.markDone(...section.flatMap(({ commands }) => commands.map(({ text }) => text)));
    return ctx.skip('there is no Python 3.9 with venv and pip');
  }
  await expectAsShown(pomelo, 'The chat on Pith');
});

test.each(['Pitaya', 'Nano'])('clients of %s', async (section) => {
  await expectAsShown(families, section);
});

const yamls = pages.flatMap(({ path, blocks }) =>
  blocks.flatMap(({ lang, section, text }) => (lang === 'yaml' ? [{ path, section, text }] : [])),
);

test.each(yamls)('pith check: $path, $section', async ({ text }) => {
  const isOfChart = text.startsWith('# values.yaml');
  const { config } = parse(text) as { config?: object };
  // That folder is on nobody's machine.
  const own = text
    .replace(/^pomelo: .*\/game\/config.*\n/m, '')
    .replace('[public.pem]', JSON.stringify([pemOf(keyPairFor('RS256').publicKey)]));
  await expectValid(isOfChart ? stringify(config) : own);
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
