/**
 * Takes the pictures of the console for the pages: `make pictures`. Two gateways on NATS, players who chat for four
 * minutes, so that the charts have something to show.
 */
import { join } from 'node:path';

import { findChromium } from '../conformance/browser/chromium.ts';
import { admin } from '../support/admin.ts';
import { startConsoleStage } from '../support/console-stage.ts';
import { ROOT } from '../support/serve.ts';
import { WebBrowser } from '../support/web-page.ts';

const PLAY_MS = 210_000;
const PAUSE_MS = 700;
const PICTURES = join(ROOT, 'deploy/pictures');

const path = findChromium();
if (path === undefined) throw new Error('Chromium is needed: test/tools/install-chromium.sh');
await using stage = await startConsoleStage(60);
await using browser = await WebBrowser.launch(path);
const until = performance.now() + PLAY_MS;
for (let round = 0; performance.now() < until; round++) {
  await stage.play(1);
  // Some leave, with and without being asked to.
  if (round % 40 === 20) stage.players[59 - (round % 30)]!.close();
  if (round % 60 === 40)
    await admin(stage.one, 'Kick', {
      target: { uids: [`player-${10 + (round % 20)}`] },
      close: { reason: 'cheating' },
    });
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
await using web = await browser.open(`http://127.0.0.1:${stage.one.adminPort}/console`, {
  ...{ width: 1280, height: 900, theme: 'light' },
});
await web.page.getByText('5 minutes', { exact: true }).click();
await web.page.getByRole('figure').first().waitFor();
await stage.play(2);
await web.page.waitForResponse(/ListGateways/);
await stage.play(1);
await web.page.waitForResponse(/ListGateways/);
await web.page.screenshot({ path: join(PICTURES, 'console.png') });
