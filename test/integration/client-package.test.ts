/** What `npm pack` makes of the client: JavaScript that plain Node runs, types, and a bundle small enough for a game. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findChromium } from '../conformance/browser/chromium.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { loadNpm } from '../support/npm-clients.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

/** Of the client for browsers, with all dialects, as one minified file. */
const GZIPPED_BYTES_MAX = 8_192;
const GATE = `
backends: { gate: { reply: { code: 200, host: 127.0.0.1, port: 3010 } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const ENTRY = { code: 200, host: '127.0.0.1', port: 3010 };

type Esbuild = {
  build(options: object): Promise<{ readonly outputFiles: readonly { readonly text: string }[] }>;
  stop(): Promise<void>;
};

const home = mkdtempSync(join(tmpdir(), 'pith-package-'));
const installed = join(home, 'node_modules', 'pith');
let gateway: TestGateway;

/** Runs a program that has to succeed; what it printed. */
async function expectSuccess(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  const { code, output } = await run(command, args, { cwd });
  expect(code, output).toBe(0);
  return output;
}

beforeAll(async () => {
  mkdirSync(installed, { recursive: true });
  const printed = await expectSuccess(
    'npm',
    ['pack', '--silent', '--pack-destination', home],
    ROOT,
  );
  const archive = printed.trim().split('\n').at(-1)!;
  await expectSuccess('tar', ['-xzf', archive, '-C', installed, '--strip-components=1'], home);
  // What a developer has beside it; never what the client needs to run.
  symlinkSync(join(ROOT, 'node_modules/@types'), join(home, 'node_modules/@types'));
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  gateway = await startGateway(GATE);
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

describe('the package', () => {
  test('has what its own package.json names', () => {
    const { exports, bin, scripts } = JSON.parse(
      readFileSync(join(installed, 'package.json'), 'utf8'),
    ) as {
      exports: Record<string, Record<string, string> | string>;
      bin: Record<string, string>;
      scripts: Record<string, string>;
    };
    const named = [exports, bin]
      .flatMap((one) => Object.values(one))
      .flatMap((one) => Object.values(typeof one === 'string' ? [one] : one));
    named.push(/node (\S+)/.exec(scripts['postinstall']!)![1]!);
    expect(named.length).toBeGreaterThan(6);
    for (const file of named) expect(readFileSync(join(installed, file)).length).toBeGreaterThan(0);
  });

  test('runs in plain Node, over both transports', async () => {
    writeFileSync(
      join(home, 'plain.js'),
      `import { ClientError, PithClient } from 'pith/client';
import { tcp } from 'pith/client/tcp';
const port = process.argv[2];
for (const client of [new PithClient('ws://127.0.0.1:' + port), new PithClient('tcp://127.0.0.1:' + port, { dial: tcp() })]) {
  await client.connect();
  console.log(JSON.stringify(await client.request('gate.gateHandler.queryEntry', { uid: 'u' })));
  const error = await client.request('no.such.route', {}, { throwOnError: true }).catch((one) => one);
  console.log(error instanceof ClientError, error.code);
  await client.close();
}
`,
    );
    const output = await expectSuccess(process.execPath, ['plain.js', String(gateway.port)], home);
    expect(output).toBe(`${JSON.stringify(ENTRY)}\ntrue 404\n`.repeat(2));
  });
});

describe('the types', () => {
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  const strict = ['--strict', '--noEmit', '--exactOptionalPropertyTypes', '--target', 'es2022'];
  const use = `import { PithClient, ClientError, type ClientOptions, type StateChange, webSocket } from 'pith/client';
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

  test('serve a page, which has no Node', async () => {
    const more = `export const own = new PithClient('ws://a', { dial: webSocket((url) => new WebSocket(url, ['p'])),
  cache: { get: (key) => localStorage.getItem(key), set: (key, value) => localStorage.setItem(key, value) } });
addEventListener('online', () => void own.connect());
`;
    writeFileSync(join(home, 'page.ts'), use + more);
    const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
    await expectSuccess(
      tsc,
      [...strict, ...forPage, '--moduleResolution', 'bundler', 'page.ts'],
      home,
    );
  });

  test('serve a program in Node, with the package ws', async () => {
    const more = `import { tcp } from 'pith/client/tcp';
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
    await expectSuccess(tsc, [...strict, ...forNode, 'program.ts'], home);
  });

  test('fit the examples of the page', async () => {
    const page = readFileSync(join(ROOT, 'src/client/README.md'), 'utf8');
    const examples = [...page.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);
    expect(examples.length).toBe(2);
    writeFileSync(join(home, 'browser.ts'), examples[0]!);
    writeFileSync(join(home, 'node.ts'), examples[1]!);
    const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
    const bundled = ['--moduleResolution', 'bundler', 'browser.ts'];
    await expectSuccess(tsc, [...strict, ...forPage, ...bundled], home);
    const forNode = [
      '--lib',
      'es2022',
      '--types',
      'node',
      '--module',
      'nodenext',
      '--skipLibCheck',
    ];
    await expectSuccess(tsc, [...strict, ...forNode, 'node.ts'], home);
  });

  test('refuse what is wrong', async () => {
    writeFileSync(
      join(home, 'wrong.ts'),
      `${use}new PithClient('ws://a', { dialect: 'morse' });\n`,
    );
    const forPage = ['--lib', 'es2022,dom', '--types', '', '--module', 'esnext'];
    const args = [...strict, ...forPage, '--moduleResolution', 'bundler', 'wrong.ts'];
    const { output } = await run(tsc, args, { cwd: home });
    expect(output).toMatch(/^wrong\.ts.*"morse"/);
    expect(output.match(/error TS/g)).toHaveLength(1);
  });
});

describe('the bundle for browsers', () => {
  let script: string;

  beforeAll(async () => {
    const esbuild = loadNpm<Esbuild>('esbuild-wasm');
    try {
      const { outputFiles } = await esbuild.build({
        stdin: { contents: "export * from 'pith/client';", resolveDir: home },
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
