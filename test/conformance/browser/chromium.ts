/** Debian's Chromium without a window, and a page of its own for each player. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

import { Player } from './player.ts';
import { type PageName, serveSite, type Site } from './site.ts';

// It is started for one page of ours: nothing else should go on in it, nor go out of it.
export const ARGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--no-proxy-server',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Where Chromium is, if anywhere; test/tools/install-chromium.sh looks in the same places. */
export function findChromium(): string | undefined {
  const given = process.env['TEST_CHROMIUM'];
  // A wrong path is no reason to leave tests out: the launch fails, and names it.
  if (given) return given;
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'chromium'));
  return [...onPath, '/usr/bin/chromium'].find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export class Chromium implements AsyncDisposable {
  readonly #browser: Browser;
  readonly #site: Site;

  private constructor(browser: Browser, site: Site) {
    this.#browser = browser;
    this.#site = site;
  }

  static async launch(executablePath: string): Promise<Chromium> {
    await using stack = new AsyncDisposableStack();
    const site = stack.use(await serveSite());
    const browser = await chromium.launch({ executablePath, args: ARGS });
    stack.move();
    return new Chromium(browser, site);
  }

  /** Opens the page, with a storage of its own, without connecting it. */
  async open(name: PageName = 'jsclient'): Promise<Player> {
    const context = await this.#browser.newContext();
    const page = await context.newPage();
    const player = new Player(page);
    await page.goto(await this.#site.page(name));
    return player;
  }

  /** Opens the page, connects it and shakes hands. */
  async connect(port: number, name: PageName = 'jsclient'): Promise<Player> {
    const player = await this.open(name);
    await player.init(port);
    return player;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await this.#site[Symbol.asyncDispose]();
  }
}
