/** What a process loads: the libraries that its configuration uses, and no others, because each takes megabytes. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { grpcurl } from '../support/grpcurl.ts';
import { startNats } from '../support/nats.ts';
import { configFile, ROOT, type Served, serveWith } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const HOOK = join(ROOT, 'test/support/record-loaded.mjs');
/** By how a URL, or the name of a module of Node, begins or is. */
const LIBRARIES: Readonly<Record<string, RegExp>> = {
  'grpc-js': /node_modules\/@grpc\/grpc-js\//,
  'proto-loader': /node_modules\/@grpc\/proto-loader\//,
  protobufjs: /node_modules\/protobufjs\//,
  bufbuild: /node_modules\/@bufbuild\//,
  undici: /node_modules\/undici\//,
  'all of undici':
    /node_modules\/undici\/(index\.js|lib\/(web\/(fetch\/index|websocket)|cache|mock))/,
  opentelemetry: /node_modules\/@opentelemetry\//,
  jose: /node_modules\/jose\//,
  nats: /node_modules\/(nats|@nats-io)\//,
  'undici of Node': /^internal\/deps\/undici\//,
  'http2 of Node': /^internal\/http2\/core$/,
};

type Loading = AsyncDisposable & { readonly served: Served; loaded(): Promise<string[]> };

async function serveRecorded(yaml: string): Promise<Loading> {
  const place = configFile('');
  const file = `${place.path}.loaded`;
  const served = await serveWith({ NODE_OPTIONS: `--import ${HOOK}`, LOADED_FILE: file }, yaml);
  const read = (): { writes: number; modules: string[] } =>
    existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as { writes: number; modules: string[] })
      : { writes: 0, modules: [] };
  return {
    served,
    async loaded() {
      const { writes } = read();
      const { modules } = await eventually(() => {
        const now = read();
        // The next one may have begun before what was asked for.
        return now.writes >= writes + 2 && now;
      }, 'what is loaded');
      return Object.keys(LIBRARIES).filter((name) =>
        modules.some((one) => LIBRARIES[name]!.test(one)),
      );
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      place[Symbol.dispose]();
    },
  };
}

const REPLY = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: ">", backend: echo }]
`;

describe('a gateway that only answers by itself', () => {
  test('loads no library until Control is called', async () => {
    await using gateway = await serveRecorded(REPLY);
    expect(await gateway.loaded()).toEqual([]);

    const { adminPort } = gateway.served;
    const info = await fetch(`http://127.0.0.1:${adminPort}/v1/GetInfo`, { method: 'POST' });
    expect(await info.json()).toMatchObject({ state: 'ready', bus: 'embedded' });
    expect(await gateway.loaded()).toEqual(['bufbuild']);

    const answer = await grpcurl(gateway.served, ['grpc.health.v1.Health/Check']);
    expect(JSON.parse(answer)).toEqual({ status: 'SERVING' });
    expect(await gateway.loaded()).toEqual([
      ...['grpc-js', 'proto-loader', 'protobufjs', 'bufbuild', 'http2 of Node'],
    ]);
  });
});

/** What each configuration needs beside that. */
const NEEDED: [string, string, readonly string[]][] = [
  ['HTTP', 'backends: { a: { http: "http://127.0.0.1:1" } }', ['undici', 'http2 of Node']],
  ['a Unix socket', 'backends: { a: { ipc: "unix:///tmp/pith-nobody.sock" } }', []],
  ['a Link', 'backends: { a: { grpc: "127.0.0.1:1" } }', ['grpc-js', 'http2 of Node']],
  [
    'tokens',
    'auth: { mode: jwt, jwt: { jwks_url: "https://127.0.0.1:1/keys", algorithms: [ES256], audience: game } }',
    ['jose'],
  ],
];

describe('a library is loaded for', () => {
  test.each(NEEDED)('%s', async (_what, yaml, libraries) => {
    await using gateway = await serveRecorded(`\n${yaml}\n`);
    expect(await gateway.loaded()).toEqual(libraries);
  });

  test('NATS', async () => {
    await using nats = await startNats();
    await using gateway = await serveRecorded(`\nbus: ${nats.url}\n`);
    expect(await gateway.loaded()).toEqual(['bufbuild', 'nats']);
  });
});

test('a reload loads what it names', async () => {
  await using gateway = await serveRecorded(REPLY);
  gateway.served.rewrite(`
backends: { echo: { reply: { code: 200 } }, web: { http: "http://127.0.0.1:1" } }
routes: [{ match: ">", backend: echo }]
`);
  gateway.served.running.kill('SIGHUP');
  await gateway.served.logged('configuration reloaded');
  expect(await gateway.loaded()).toEqual(['undici', 'http2 of Node']);
});
