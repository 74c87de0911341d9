/** What `npm pack` makes: the gateway as a command, and the client, which is in a package of its own as well. */
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findChromium } from '../conformance/browser/chromium.ts';
import { expectChat } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { loadNpm } from '../support/npm-clients.ts';
import { findOldNode, packAll, type Packed, readPackage } from '../support/packed.ts';
import { run, start } from '../support/process.ts';
import { configFile, ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

/** Of the client for browsers, with all dialects, as one minified file. */
const GZIPPED_BYTES_MAX = 8_192;
const GATE = `
backends: { gate: { reply: { code: 200, host: 127.0.0.1, port: 3010 } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const ENTRY = { code: 200, host: '127.0.0.1', port: 3010 };

const TSC = join(ROOT, 'node_modules/.bin/tsc');
const OLD_TSC = join(ROOT, 'test/clients/node_modules/typescript-4.9/bin/tsc');
const STRICT = ['--strict', '--noEmit', '--exactOptionalPropertyTypes', '--target', 'es2022'];

type Esbuild = {
  build(options: object): Promise<{ readonly outputFiles: readonly { readonly text: string }[] }>;
  stop(): Promise<void>;
};

const oldNode = findOldNode();
let packed: Packed;
let home: string;
let gateway: TestGateway;

/** Runs a program that has to succeed; what it printed. */
async function expectSuccess(
  command: string,
  args: readonly string[],
  cwd = home,
): Promise<string> {
  const { code, output } = await run(command, args, { cwd });
  expect(code, output).toBe(0);
  return output;
}

/** What an application in TypeScript does with the client. */
function useOf(name: string): string {
  return `import { PithClient, ClientError, type ClientOptions, type StateChange, webSocket } from '${name}';
const options: ClientOptions = { dialect: 'json', user: { token: 't' }, reconnect: { capMs: 5000 }, cache: new Map() };
const client = new PithClient('ws://localhost', options);
export const off: () => void = client.onPush<{ text: string }>('onChat', ({ text }, { bytes }) => text.length + bytes.length);
client.onState(({ state, error }: StateChange) => (state === 'closed' ? error?.reason : undefined));
export async function join(signal: AbortSignal): Promise<number> {
  await client.connect({ signal });
  try {
    return (await client.request<{ code: number }>('chat.room.join', { name: 'ann' }, { signal })).code;
  } catch (error) {
    return error instanceof ClientError ? Number(error.code) : 0;
  }
}
`;
}

beforeAll(async () => {
  packed = await packAll();
  home = packed.home;
  // What a developer has beside it; never what the client needs to run.
  symlinkSync(join(ROOT, 'node_modules/@types'), join(home, 'node_modules/@types'));
  gateway = await startGateway(GATE);
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  packed[Symbol.dispose]();
});

describe.each(['pith', 'pith-client'])('the package %s', (name) => {
  const folder = (): string => (name === 'pith' ? packed.pith() : packed.client());

  test('has what its own package.json names, and runs nothing when it is installed', () => {
    const { exports, bin = {}, scripts = {} } = readPackage(folder());
    const named = [exports, bin]
      .flatMap((one) => Object.values(one))
      .flatMap((one) => Object.values(typeof one === 'string' ? [one] : one));
    expect(named.length).toBeGreaterThan(4);
    for (const file of [...named, 'README.md', 'LICENSE'])
      expect(readFileSync(join(folder(), file)).length).toBeGreaterThan(0);
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare'];
    expect(Object.keys(scripts).filter((script) => atInstall.includes(script))).toEqual([]);
  });

  test('has no TypeScript but declarations, and what pith init writes', () => {
    const files = readdirSync(folder(), { recursive: true, encoding: 'utf8' });
    const sources = files.filter((file) => /(?<!\.d)\.ts$/.test(file));
    expect(sources).toEqual(name === 'pith' ? ['deploy/templates/typescript/main.ts'] : []);
  });

  test('has the same version as the client says', async () => {
    const from = name === 'pith' ? 'pith/dist/client/version.js' : 'pith-client/dist/version.js';
    const { CLIENT_VERSION } = (await import(join(home, 'node_modules', from))) as {
      CLIENT_VERSION: string;
    };
    expect(readPackage(folder()).version).toBe(CLIENT_VERSION);
  });
});

test('packing leaves nothing among the sources, and the client needs nothing', () => {
  expect(existsSync(join(ROOT, 'src/client/dist'))).toBe(false);
  expect(existsSync(join(ROOT, 'src/client/LICENSE'))).toBe(false);
  expect(readPackage(packed.client()).dependencies).toBeUndefined();
});

describe('the command', () => {
  const npx = (node: string, ...args: string[]) =>
    run('npx', ['--no-install', 'pith', ...args], {
      cwd: home,
      env: { PATH: `${dirname(node)}${delimiter}${process.env['PATH']}` },
    });

  test('runs as npx pith version', async () => {
    const { version } = readPackage(ROOT);
    expect(await npx(process.execPath, 'version')).toEqual({ code: 0, output: `${version}\n` });
  });

  test('says one sentence on an older Node', async (ctx) => {
    if (oldNode === null) return ctx.skip('needs a Node older than 24 on this machine');
    const [wanted] = /\d[\d.]*/.exec(readPackage(ROOT).engines.node)!;
    const { code, output } = await npx(oldNode.path, 'version');
    expect(output).toBe(
      `pith needs Node ${wanted} or newer, and this is Node ${oldNode.version}: install a newer Node and run it again.\n`,
    );
    expect(code).toBe(69);
  });

  test('serves, with everything that is loaded late: control, the mock, the client', async () => {
    const command = packed.pith('dist/pith.js');
    const mock = await start(
      process.execPath,
      [command, 'mock-backend', '--listen', '127.0.0.1:0'],
      {
        ready: /listening on (\S+)/,
      },
    );
    await using _mock = mock;
    const [, address] = await mock.waitFor(/listening on (\S+)/);
    using file = configFile(`
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
backends:
  mock: { grpc: "${address}" }
  own: { grpc: "${address}", mode: method, services: [t.S], protos: [proto] }
routes: [{ match: "own.>", backend: own, method: /t.S/One }, { match: ">", backend: mock }]
`);
    mkdirSync(join(dirname(file.path), 'proto'));
    const proto =
      'syntax = "proto3"; package t; message M {} service S { rpc One(M) returns (M); }';
    writeFileSync(join(dirname(file.path), 'proto/t.proto'), proto);
    await using served = await start(process.execPath, [command, 'serve', file.path], {
      ready: /"listening"/,
    });
    const [, port] = await served.waitFor(/auto:\/\/127\.0\.0\.1:(\d+)/);
    await using client = await TestClient.connect(Number(port));
    expect(await client.request('a.b', { n: 1 })).toMatchObject({ route: 'a.b', body: { n: 1 } });
    const url = `ws://127.0.0.1:${port}`;
    const asked = await expectSuccess(process.execPath, [
      command,
      'client',
      url,
      '--request',
      'a.b',
    ]);
    expect(asked).toContain('{"route":"a.b","uid":"","body":{}}\n');
    const [, adminPort] = await served.waitFor(/"adminPort":(\d+)/);
    const info = await fetch(`http://127.0.0.1:${adminPort}/v1/GetInfo`, { method: 'POST' });
    expect(await info.json()).toMatchObject({ state: 'ready', sessions: 1 });
    for (const page of ['playground', 'console']) {
      const { status } = await fetch(`http://127.0.0.1:${adminPort}/${page}`);
      expect([page, status]).toEqual([page, 200]);
    }
  });
});

test('what is part of the program is in no package that it loads, and its licenses are beside it', () => {
  const folder = packed.pith('dist');
  const { dependencies } = readPackage(packed.pith());
  const licenses = readFileSync(join(folder, 'program/LICENSES'), 'utf8');
  const programs = readdirSync(join(folder, 'program')).filter((name) => name.endsWith('.js'));
  const texts = programs.map((name) => readFileSync(join(folder, 'program', name), 'utf8'));
  for (const name of ['@bufbuild/protobuf', 'yaml', 'zod']) {
    expect(Object.keys(dependencies!)).not.toContain(name);
    const loads = new RegExp(`(from|import|require)[ (]*["']${name}\\b`);
    expect([name, texts.filter((text) => loads.test(text))]).toEqual([name, []]);
    expect(licenses).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+: `, 'm'));
  }
  expect(texts.filter((text) => /["']pino["']/.test(text)).length).toBeGreaterThan(0);
  for (const owner of [
    '2021-2026 Buf Technologies',
    '2008 Google',
    'Eemeli Aro',
    'Colin McDonnell',
  ])
    expect(licenses).toContain(owner);
  for (const terms of ['Apache License', 'Neither the name of Google', 'END OF TERMS'])
    expect(licenses).toContain(terms);
});

test('the program is ASCII, of which V8 keeps a letter in one byte', () => {
  const names = readdirSync(packed.pith('dist/program')).map((name) => `program/${name}`);
  const texts = ['main.js', ...names.filter((name) => name.endsWith('.js'))].map((name) =>
    readFileSync(packed.pith('dist', name), 'utf8'),
  );
  expect(texts.filter((text) => /[^\x00-\x7f]/.test(text)).length).toBe(0);
  expect(texts.some((text) => text.includes('\\u2026'))).toBe(true);
});

test('a start loads what its configuration uses, in few files', async () => {
  using file = configFile(`
listen: [{ url: "ws://127.0.0.1:0" }]
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: ">", backend: echo }]
`);
  const loadedFile = `${file.path}.loaded`;
  const env = {
    NODE_OPTIONS: `--import ${join(ROOT, 'test/support/record-loaded.mjs')}`,
    LOADED_FILE: loadedFile,
  };
  const command = packed.pith('dist/pith.js');
  const args = [command, 'serve', file.path];
  await using _served = await start(process.execPath, args, { env, ready: /"listening"/ });
  const modules = await eventually(() => {
    const said = existsSync(loadedFile) && readFileSync(loadedFile, 'utf8');
    return said !== false && (JSON.parse(said) as { modules: string[] }).modules;
  }, 'what is loaded');
  const files = modules.filter((one) => one.startsWith('file:'));
  const packages = files.flatMap(
    (one) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!dist\/)/.exec(one)?.[1] ?? [],
  );
  for (const name of ['zod', 'yaml', '@grpc/grpc-js', 'undici', '@nats-io/nats-core', 'jose'])
    expect(packages).not.toContain(name);
  expect(packages).toContain('pino');
  // Exports that a module of Node makes when they are first read.
  for (const name of ['internal/crypto/webcrypto', 'internal/util/diff', 'http2'])
    expect(modules).not.toContain(name);
  expect(modules).toContain('crypto');
  // Of 600 modules.
  const own = files.filter((one) => one.includes('/pith/dist/'));
  expect(own.length).toBeGreaterThan(10);
  expect(own.length).toBeLessThan(150);
  expect(
    own.filter((one) => /nats-upstream|grpc-upstream|http-upstream|\/docs\.js/.test(one)),
  ).toEqual([]);
});

describe('the first hour with the package alone', () => {
  const env = { npm_command: 'exec' };
  const command = (): string => packed.pith('dist/pith.js');

  test.each(['typescript', 'go-grpc', 'python'])('pith init --backend %s', async (backend) => {
    const folder = join(home, `made-${backend}`);
    const { code, output } = await run(
      process.execPath,
      [command(), 'init', `made-${backend}`, '--backend', backend],
      { cwd: home, env },
    );
    expect(code, output).toBe(0);
    expect(output).toContain(`\n  npx pith serve made-${backend}/pith.yaml\n`);
    const list = (top: string): string[] =>
      readdirSync(top, { recursive: true, encoding: 'utf8' }).toSorted();
    const fromClone = join(home, `cloned-${backend}`);
    await expectSuccess(process.execPath, [
      ...[join(ROOT, 'src/main.ts'), 'init', fromClone, '--backend', backend],
    ]);
    expect(list(folder)).toEqual(list(fromClone));
    expect(list(folder).length).toBeGreaterThan(6);
  });

  test('pith dev serves the chat, says how to use it, and Ctrl-C ends both', async () => {
    const ports = ['HEALTH', 'CONTROL', 'ADMIN'].map((one) => [
      `PITH_${one}__LISTEN`,
      '127.0.0.1:0',
    ]);
    const set = { ...Object.fromEntries(ports), PITH_LISTEN__0__URL: 'auto://127.0.0.1:0' };
    await using dev = await start(process.execPath, [command(), 'dev'], {
      cwd: home,
      env: { ...env, ...set },
    });
    const [, port] = await dev.waitFor(/ {2}npx pith client ws:\/\/127\.0\.0\.1:(\d+)\n/);
    const [, page] = /^ {2}playground (\S+)$/m.exec(dev.output())!;
    for (const url of [
      page!,
      new URL('web/playground.js', page).href,
      new URL('web/console.css', page).href,
    ])
      expect([url, (await fetch(url)).status]).toEqual([url, 200]);
    await using ann = await TestClient.connect(Number(port), 'ws');
    await using bob = await TestClient.connect(Number(port), 'tcp');
    await expectChat(ann, bob);
    dev.kill('SIGINT');
    // Its output ends when that of the gateway and the chat does.
    expect(await dev.exited).toBe(0);
    expect(dev.output()).toMatch(/ stopped /);
  });
});

describe.each(['pith/client', 'pith-client'])('%s', (name) => {
  const program = (
    more: string,
  ): string => `import { ClientError, PithClient, webSocket } from '${name}';
import { tcp } from '${name}/tcp';
${more}const port = process.argv[2];
const own = { dial: typeof WS === 'undefined' ? webSocket() : webSocket((url) => new WS(url)) };
for (const client of [new PithClient('ws://127.0.0.1:' + port, own), new PithClient('tcp://127.0.0.1:' + port, { dial: tcp() })]) {
  await client.connect();
  console.log(JSON.stringify(await client.request('gate.gateHandler.queryEntry', { uid: 'u' })));
  const error = await client.request('no.such.route', {}, { throwOnError: true }).catch((one) => one);
  console.log(error instanceof ClientError, error.code);
  await client.close();
}
`;
  const printed = `${JSON.stringify(ENTRY)}\ntrue 404\n`.repeat(2);

  test('runs in plain Node, over both transports', async () => {
    writeFileSync(join(home, 'plain.js'), program('const WS = undefined;\n'));
    expect(await expectSuccess(process.execPath, ['plain.js', String(gateway.port)])).toBe(printed);
  });

  test('runs in an older Node, with the package ws', async (ctx) => {
    if (oldNode === null) return ctx.skip('needs a Node older than 24 on this machine');
    writeFileSync(join(home, 'old.js'), program("import { WebSocket as WS } from 'ws';\n"));
    expect(await expectSuccess(oldNode.path, ['old.js', String(gateway.port)])).toBe(printed);
  });

  test('says what is missing where there is no WebSocket', async () => {
    const text = `import { PithClient } from '${name}';
delete globalThis.WebSocket;
new PithClient('ws://127.0.0.1:1').connect().catch(({ reason, message }) => console.log(reason, message));
`;
    writeFileSync(join(home, 'none.js'), text);
    expect(await expectSuccess(process.execPath, ['none.js'])).toBe(
      'UNREACHABLE no global WebSocket: pass webSocket((url) => new WS(url)), with WS from the package ws\n',
    );
  });
});

describe.each(['pith/client', 'pith-client'])('the types of %s', (name) => {
  const use = useOf(name);

  test('serve a page, which has no Node', async () => {
    const more = `export const own = new PithClient('ws://a', { dial: webSocket((url) => new WebSocket(url, ['p'])),
  cache: { get: (key) => localStorage.getItem(key), set: (key, value) => localStorage.setItem(key, value) } });
addEventListener('online', () => void own.connect());
`;
    writeFileSync(join(home, 'page.ts'), use + more);
    const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
    await expectSuccess(TSC, [...STRICT, ...forPage, '--moduleResolution', 'bundler', 'page.ts']);
  });

  test('serve a program in Node, with the package ws', async () => {
    const more = `import { tcp } from '${name}/tcp';
import { WebSocket as Ws } from 'ws';
export const all = [new PithClient('tls://a:1', { dial: tcp({ ca: 'PEM', rejectUnauthorized: false }) }),
  new PithClient('wss://a', { dial: webSocket((url) => new Ws(url, { ca: 'PEM' })) })];
`;
    writeFileSync(join(home, 'program.ts'), use + more);
    const forNode = [
      '--lib',
      'es2022',
      '--types',
      'node',
      '--module',
      'nodenext',
      '--skipLibCheck',
    ];
    await expectSuccess(TSC, [...STRICT, ...forNode, 'program.ts']);
  });

  test('refuse what is wrong', async () => {
    writeFileSync(
      join(home, 'wrong.ts'),
      `${use}new PithClient('ws://a', { dialect: 'morse' });\n`,
    );
    const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
    const args = [...STRICT, ...forPage, '--moduleResolution', 'bundler', 'wrong.ts'];
    const { output } = await run(TSC, args, { cwd: home });
    expect(output).toMatch(/^wrong\.ts.*"morse"/);
    expect(output.match(/error TS/g)).toHaveLength(1);
  });
});

// Old projects, and engines such as Cocos, which have a TypeScript of their own. It is slow: one run for all.
test('the types serve TypeScript 4.9 with moduleResolution node', async () => {
  const files = ['pith/client', 'pith-client'].map((name, at) => {
    const more = `import { tcp } from '${name}/tcp';
export const all = [tcp(), tcp({ ca: ['PEM'], rejectUnauthorized: false })];
export const wrong = new PithClient('ws://a', { dialect: 'morse' });
`;
    writeFileSync(join(home, `old-${at}.ts`), useOf(name) + more);
    return `old-${at}.ts`;
  });
  const compilerOptions = {
    ...{ strict: true, noEmit: true, exactOptionalPropertyTypes: true, types: [] },
    ...{ module: 'commonjs', moduleResolution: 'node', target: 'es2017', lib: ['es2017', 'dom'] },
    skipDefaultLibCheck: true,
  };
  writeFileSync(join(home, 'old.json'), JSON.stringify({ compilerOptions, files }));
  const { output } = await run(process.execPath, [OLD_TSC, '-p', 'old.json'], { cwd: home });
  const errors = output.match(/.*error TS.*/g);
  expect(errors).toEqual(files.map((file) => expect.stringMatching(`^${file}.*"morse"`)));
});

test('the types fit the examples of the page', async () => {
  const page = readFileSync(join(ROOT, 'src/client/README.md'), 'utf8');
  const examples = [...page.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
  expect(examples.length).toBe(2);
  writeFileSync(join(home, 'browser.ts'), examples[0]!);
  writeFileSync(join(home, 'node.ts'), examples[1]!);
  const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
  const bundled = ['--moduleResolution', 'bundler', 'browser.ts'];
  await expectSuccess(TSC, [...STRICT, ...forPage, ...bundled]);
  const forNode = ['--lib', 'es2022', '--types', 'node', '--module', 'nodenext', '--skipLibCheck'];
  await expectSuccess(TSC, [...STRICT, ...forNode, 'node.ts']);
});

describe('the bundle for browsers', () => {
  let script: string;

  beforeAll(async () => {
    const esbuild = loadNpm<Esbuild>('esbuild-wasm');
    try {
      const { outputFiles } = await esbuild.build({
        stdin: { contents: "export * from 'pith-client';", resolveDir: home },
        bundle: true,
        minify: true,
        write: false,
        format: 'esm',
        platform: 'browser',
        logLevel: 'error',
      });
      script = outputFiles[0]!.text;
    } finally {
      await esbuild.stop();
    }
  });

  test('is small', () => {
    expect(gzipSync(script, { level: 9 }).length).toBeLessThan(GZIPPED_BYTES_MAX);
  });

  test('has nothing of Node in it', () => {
    expect(script).not.toMatch(/node:|\brequire\b|\bBuffer\b|\bprocess\b/);
  });

  test('talks to a gateway from a page in Chromium', async (ctx) => {
    const path = findChromium();
    ctx.skip(path === undefined, 'needs chromium');
    const server = createServer(({ url }, response) => {
      const [type, content] =
        url === '/client.js' ? ['text/javascript', script] : ['text/html', ''];
      response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(content);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const browser = await chromium.launch({ executablePath: path!, args: ['--no-proxy-server'] });
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      const told = await page.evaluate(`(async () => {
        const { PithClient } = await import('/client.js');
        const cache = { get: (key) => localStorage.getItem(key), set: (key, value) => localStorage.setItem(key, value) };
        const client = new PithClient('ws://127.0.0.1:${gateway.port}', { cache, user: { name: '😂' } });
        const states = [];
        client.onState(({ state }) => states.push(state));
        await client.connect();
        const entry = await client.request('gate.gateHandler.queryEntry', { uid: '勇者 😂' });
        const error = await client.request('no.such.route', {}, { throwOnError: true }).catch((one) => one);
        await client.close();
        const away = await new PithClient('ws://127.0.0.1:1').connect().catch((one) => one);
        return { entry, code: error.code, states, away: away.reason };
      })()`);
      expect(told).toEqual({
        entry: ENTRY,
        code: 404,
        states: ['connecting', 'open', 'closed'],
        away: 'UNREACHABLE',
      });
    } finally {
      await browser.close();
      server.close();
      await once(server, 'close');
    }
  });
});
