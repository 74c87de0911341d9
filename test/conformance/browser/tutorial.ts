/** The web page of Pomelo's tutorial in Chromium: a folder as it is, or the page beside this file that does the same. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

import { eventually } from '../../support/wait.ts';
import { ARGS } from './chromium.ts';
import { TEMPLATE } from './site.ts';

const OURS = fileURLToPath(new URL('tutorial/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
};

/** The page asks for its gate on this port of the host that it came from. */
export const GATE_PORT = 3014;

/** A line of the chat's history. */
export type Said = { readonly nick: string; readonly text: string };

export class Tutorial implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #browser: Browser;
  readonly #sitePort: number;

  private constructor(stack: AsyncDisposableStack, browser: Browser, sitePort: number) {
    this.#stack = stack;
    this.#browser = browser;
    this.#sitePort = sitePort;
  }

  /**
   * @param gates By host: the port of 127.0.0.1 that the browser reaches as the host's GATE_PORT.
   * @param folder Of an index.html; undefined: ours.
   */
  static async launch(
    executablePath: string,
    gates: Readonly<Record<string, number>>,
    folder: string | undefined,
  ): Promise<Tutorial> {
    await using stack = new AsyncDisposableStack();
    const sitePort = await serveFolder(stack, folder ?? OURS);
    const rules = Object.entries(gates).flatMap(([host, port]) => [
      `MAP ${host}:${GATE_PORT} 127.0.0.1:${port}`,
      `MAP ${host}:${sitePort} 127.0.0.1:${sitePort}`,
    ]);
    const browser = await chromium.launch({
      executablePath,
      args: [...ARGS, `--host-resolver-rules=${rules.join(',')}`],
    });
    stack.defer(() => browser.close());
    return new Tutorial(stack.move(), browser, sitePort);
  }

  /** Opens the page as it comes from a host, with a storage of its own. */
  async open(host: string): Promise<ChatPage> {
    const context = await this.#browser.newContext();
    const page = await context.newPage();
    const chat = new ChatPage(page);
    await page.goto(`http://${host}:${this.#sitePort}/index.html`);
    return chat;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** A page, by what its user sees and does. */
export class ChatPage {
  /** Hosts that it has connected to, in order. */
  readonly hosts: string[] = [];
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
    page.on('websocket', (socket) => this.hosts.push(new URL(socket.url()).hostname));
  }

  /** Logs in, and resolves once the chat is there. */
  async enter(user: string, room: string): Promise<void> {
    await this.join(user, room);
    await this.sees(user);
  }

  /** Fills the login in, and sends it. */
  async join(user: string, room: string): Promise<void> {
    await this.#page.fill('#loginUser', user);
    await this.#page.fill('#channelList', room);
    await this.#page.click('#login');
  }

  /** Those whom it can write to, itself among them. */
  users(): Promise<string[]> {
    return this.#page.$$eval('#usersList option', (options) =>
      options.map((option) => (option as HTMLOptionElement).value).filter((user) => user !== '*'),
    );
  }

  async sees(user: string): Promise<void> {
    await eventually(async () => (await this.users()).includes(user), `${user} in the list`);
  }

  async loses(user: string): Promise<void> {
    await eventually(async () => !(await this.users()).includes(user), `${user} to leave the list`);
  }

  async say(text: string, to = '*'): Promise<void> {
    await this.#page.selectOption('#usersList', to);
    await this.#page.fill('#entry', text);
    await this.#page.press('#entry', 'Enter');
  }

  history(): Promise<Said[]> {
    return this.#page.$$eval('.message', (lines) =>
      lines.map((line) => ({
        nick: line.querySelector('.nick')!.textContent!.trim(),
        text: line.querySelector('.msg-text')!.textContent!,
      })),
    );
  }

  /** Once so many lines are there. */
  said(count: number): Promise<Said[]> {
    return eventually(async () => {
      const lines = await this.history();
      return lines.length >= count && lines;
    }, `${count} lines`);
  }

  /** What is wrong with the login, as soon as the page says it. */
  loginError(): Promise<string> {
    return eventually(
      () => this.#page.$eval('#loginError', (error) => error.textContent!.trim() || null),
      'a login error',
    );
  }

  /** Once the login is shown again, because the connection has ended. */
  async loggedOut(): Promise<void> {
    await this.#page.waitForSelector('#loginUser', { state: 'visible' });
  }

  async screenshot(path: string): Promise<void> {
    await this.#page.screenshot({ path });
  }

  /** Closes the tab. */
  async close(): Promise<void> {
    await this.#page.close();
  }
}

async function serveFolder(stack: AsyncDisposableStack, folder: string): Promise<number> {
  const server = createServer((request, response) => {
    const name = normalize(new URL(request.url!, 'http://site').pathname);
    const file = folder === OURS && name.endsWith('/build.js') ? TEMPLATE : join(folder, name);
    readFile(file).then(
      (content) => {
        const type = TYPES[extname(file)] ?? 'application/octet-stream';
        response.writeHead(200, { 'content-type': type }).end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}
