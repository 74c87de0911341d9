/** A page with the stock browser client, bundled as an application would, on a port of 127.0.0.1. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { loadNpm } from '../../support/npm-clients.ts';

const ENTRY = fileURLToPath(new URL('page.cjs', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../clients/node_modules', import.meta.url));
const PAGE = '<!doctype html><meta charset="utf-8"><script src="/page.js"></script>';

export type Site = AsyncDisposable & { readonly url: string };

type Esbuild = {
  build(options: object): Promise<{ readonly outputFiles: readonly { readonly text: string }[] }>;
  stop(): Promise<void>;
};

export async function servePage(): Promise<Site> {
  const script = await bundle();
  const files: Readonly<Record<string, readonly [type: string, content: string]>> = {
    '/': ['text/html', PAGE],
    '/page.js': ['text/javascript', script],
  };
  const server = createServer((request, response) => {
    const file = files[request.url ?? ''];
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': `${file[0]}; charset=utf-8` }).end(file[1]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** esbuild as WebAssembly: one package for every platform, which needs no install script. */
async function bundle(): Promise<string> {
  const esbuild = loadNpm<Esbuild>('esbuild-wasm');
  try {
    const { outputFiles } = await esbuild.build({
      entryPoints: [ENTRY],
      nodePaths: [PACKAGES],
      bundle: true,
      write: false,
      format: 'iife',
      platform: 'browser',
      charset: 'utf8',
      logLevel: 'error',
    });
    return outputFiles[0]!.text;
  } finally {
    await esbuild.stop();
  }
}
