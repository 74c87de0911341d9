/** Pages with the stock browser clients, made as an application would make them, on a port of 127.0.0.1. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { loadNpm } from '../../support/npm-clients.ts';
import { starxFolder } from '../nano.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const CLIENTS = fileURLToPath(new URL('../../clients/package.json', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../clients/node_modules', import.meta.url));

/** In the package of the server, which is installed for the oracle. */
export const TEMPLATE = fileURLToPath(
  new URL(
    '../../oracle/node_modules/pomelo/template/web-server/public/js/lib/build/build.js',
    import.meta.url,
  ),
);

/** The client of a page. */
export type PageName = 'jsclient' | 'cocos2d-js' | 'legacy-bundle' | 'starx';

export type Site = AsyncDisposable & {
  readonly origin: string;
  /** The page's URL, once it can be loaded. */
  page(name: PageName): Promise<string>;
};

type Esbuild = {
  build(options: object): Promise<{ readonly outputFiles: readonly { readonly text: string }[] }>;
  stop(): Promise<void>;
};

/** As WebAssembly: one package for every platform, which needs no install script. One service for all pages. */
const esbuild = loadNpm<Esbuild>('esbuild-wasm');

/** What a page loads, in order: scripts as they are published, and one of ours, bundled. */
const PAGES: Readonly<Record<PageName, { scripts: () => Promise<string[]>; entry: string }>> = {
  jsclient: { scripts: async () => [], entry: 'page.cjs' },
  'cocos2d-js': {
    scripts: async () => [
      createRequire(CLIENTS).resolve('pomelo-cocos2d-js/dist/pomelo-cocos2d-js.js'),
    ],
    entry: 'page-cocos.cjs',
  },
  'legacy-bundle': { scripts: async () => [TEMPLATE], entry: 'page-legacy.cjs' },
  starx: {
    scripts: async () => {
      const folder = await starxFolder();
      return ['protocol.js', 'starx-wsclient.js'].map((file) => join(folder, file));
    },
    entry: 'page-starx.cjs',
  },
};

export async function serveSite(): Promise<Site> {
  const files = new Map<string, readonly [type: string, content: string]>();
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '');
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': `${file[0]}; charset=utf-8` }).end(file[1]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const made = new Map<PageName, Promise<void>>();
  return {
    origin,
    async page(name) {
      let making = made.get(name);
      if (making === undefined) made.set(name, (making = make(name, files)));
      await making;
      return `${origin}/${name}`;
    },
    async [Symbol.asyncDispose]() {
      await esbuild.stop();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function make(
  name: PageName,
  files: Map<string, readonly [type: string, content: string]>,
): Promise<void> {
  const { scripts, entry } = PAGES[name];
  const paths = await scripts();
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  const tags = [...texts, await bundle(join(HERE, entry))].map((text, i) => {
    const url = `/${name}/${i}.js`;
    files.set(url, ['text/javascript', text]);
    return `<script src="${url}"></script>`;
  });
  files.set(`/${name}`, ['text/html', `<!doctype html><meta charset="utf-8">${tags.join('')}`]);
}

async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await esbuild.build({
    entryPoints: [entry],
    nodePaths: [PACKAGES],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    charset: 'utf8',
    logLevel: 'error',
  });
  return outputFiles[0]!.text;
}
