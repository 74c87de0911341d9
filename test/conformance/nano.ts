/** Nano itself: its server as an oracle of its dialect, and the client for browsers that comes in the same module. */
import { join } from 'node:path';

import { freePort, type Running, start } from '../support/process.ts';
import { buildModule, go } from './go-module.ts';

const MODULE = 'github.com/lonng/nano';
/** Where the module keeps a client that an application copies. */
const CLIENT = 'examples/demo/chat/web';

/** The folder of Go's module cache that has protocol.js and starx-wsclient.js; the module comes with the server. */
export async function starxFolder(): Promise<string> {
  await go('nano-go', 'mod', 'download', MODULE);
  const folder = await go('nano-go', 'list', '-m', '-f', '{{.Dir}}', MODULE);
  return join(folder.trim(), CLIENT);
}

/** Nano's own server with the chat's routes, over WebSocket. */
export async function startNano(): Promise<Running & { readonly port: number }> {
  const port = await freePort();
  const program = await buildModule('nano-go');
  const running = await start(program, [], {
    env: { ADDR: `127.0.0.1:${port}` },
    ready: /listening/i,
  });
  return Object.assign(running, { port });
}
