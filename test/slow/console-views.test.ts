/** Every part of /console in both themes at two widths: nobody is kept out, nothing is cut off, and a picture of each. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findChromium } from '../conformance/browser/chromium.ts';
import { type ConsoleStage, goTo, PARTS, startConsoleStage } from '../support/console-stage.ts';
import { ROOT } from '../support/serve.ts';
import { VIEWS, WebBrowser } from '../support/web-page.ts';

const chromium = findChromium();
const PICTURES = join(ROOT, '.cache/web');

describe.skipIf(chromium === undefined)('the console', () => {
  const stack = new AsyncDisposableStack();
  let stage: ConsoleStage;
  let browser: WebBrowser;

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true });
    [stage, browser] = await Promise.all([startConsoleStage(12), WebBrowser.launch(chromium!)]);
    stack.use(stage);
    stack.use(browser);
    await stage.play(3);
  });
  afterAll(() => stack.disposeAsync());

  test.each([...VIEWS, { width: 1920, height: 1080, theme: 'dark' } as const])(
    '$width px, $theme',
    async (view) => {
      await using web = await browser.open(`http://127.0.0.1:${stage.one.adminPort}/console`, view);
      const { page } = web;
      for (const part of [...PARTS, `sessions/${stage.sids[0]}`]) {
        await goTo(page, part);
        await stage.play(1);
        // The figures are of the time between two answers.
        await page.waitForResponse(/\/v1\//);
        expect(await web.overflow(), part).toBeLessThanOrEqual(0);
        expect(await web.serious(), part).toEqual([]);
        const name = part.replace(/\/.*/, '-one');
        const path = join(PICTURES, `console-${name}-${view.theme}-${view.width}.png`);
        await page.screenshot({ path, fullPage: true });
      }
      expect(web.faults).toEqual([]);
    },
  );
});
