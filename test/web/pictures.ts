/** Takes the pictures of the pages, for `make pictures`: what README shows. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../support/serve.ts';
import { openStage, playChat } from '../support/web-stage.ts';

const PICTURES = join(ROOT, 'deploy/pictures');

await using stage = await openStage();
mkdirSync(PICTURES, { recursive: true });
{
  const url = `http://127.0.0.1:${stage.gateway.adminPort}/playground`;
  await using web = await stage.browser.open(url, { width: 1200, height: 960, theme: 'light' });
  await playChat(web.page);
  await web.page.screenshot({ path: join(PICTURES, 'playground.png') });
}
