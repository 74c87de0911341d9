/** The admin port's pages in Chromium, as somebody would see them; what they must never do fails the test by itself. */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

import { ARGS } from '../conformance/browser/chromium.ts';

/** Of a finding that keeps somebody out. [github.com/dequelabs/axe-core, doc/API.md] */
const SERIOUS = ['serious', 'critical'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export type View = {
  readonly width: number;
  readonly height: number;
  readonly theme: 'light' | 'dark';
};

export const WIDE: View = { width: 1440, height: 900, theme: 'light' };
/** Both themes at two widths. */
export const VIEWS: readonly View[] = [
  WIDE,
  { ...WIDE, theme: 'dark' },
  { width: 390, height: 844, theme: 'light' },
  { width: 390, height: 844, theme: 'dark' },
];

/** One browser for all tests of a file. */
export class WebBrowser implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(executablePath: string): Promise<WebBrowser> {
    return new WebBrowser(await chromium.launch({ executablePath, args: ARGS }));
  }

  /** Opens a page with a storage of its own. */
  async open(url: string, view: View = WIDE, more: BrowserContextOptions = {}): Promise<WebPage> {
    const { width, height, theme } = view;
    const context = await this.#browser.newContext({
      ...{ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' },
      ...more,
    });
    const page = new WebPage(await context.newPage(), new URL(url).origin);
    await page.page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

export class WebPage implements AsyncDisposable {
  readonly page: Page;
  /** What the page has done wrong: errors, breaches of its policy, requests to other origins. */
  readonly faults: string[] = [];

  constructor(page: Page, origin: string) {
    this.page = page;
    page.on('pageerror', (error) => this.faults.push(`threw ${error.stack ?? error.message}`));
    page.on('console', (message) => {
      // The browser's own line for an answer that says no, or for a WebSocket that fails, is no fault of the page.
      const isOfNetwork = /Failed to load resource|WebSocket connection to/.test(message.text());
      if (message.type() === 'error' && !isOfNetwork) this.faults.push(message.text());
    });
    page.on('request', (request) => {
      const { origin: to, protocol } = new URL(request.url());
      if (to !== origin && protocol !== 'ws:' && protocol !== 'wss:')
        this.faults.push(`asked ${request.url()}`);
    });
    page.on('dialog', (dialog) => {
      this.faults.push(`opened a dialog: ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
  }

  /** What axe finds that keeps somebody out, one line each. */
  async serious(): Promise<string[]> {
    // As the browser's own debugger does: the page's policy stays as it is.
    const found = (await this.page.evaluate(`${AXE}; axe.run()`)) as {
      violations: { id: string; impact: string; nodes: { html: string }[] }[];
    };
    return found.violations
      .filter(({ impact }) => SERIOUS.includes(impact))
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  /** How many pixels the page is wider than its window; it should never scroll sideways. */
  async overflow(): Promise<number> {
    return this.page.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
