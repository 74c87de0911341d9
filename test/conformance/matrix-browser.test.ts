/** The matrix: clients for browsers, unmodified, in Chromium; a page is a player. */
import { afterAll, beforeAll } from 'vitest';

import { Chromium, findChromium } from './browser/chromium.ts';
import type { PageName } from './browser/site.ts';
import { describeRow, type Driver, type Place } from './matrix-cells.ts';

const NAMES = ['jsclient', 'cocos2d-js', 'legacy-bundle', 'starx'] as const;

const path = findChromium();
let launched: Chromium;

beforeAll(async () => {
  if (path !== undefined) launched = await Chromium.launch(path);
});

afterAll(async () => {
  if (path !== undefined) await launched[Symbol.asyncDispose]();
});

for (const name of NAMES) {
  describeRow(name, path === undefined ? 'needs chromium' : (place) => open(name, place), false);
}

async function open(name: PageName, { port }: Place): Promise<Driver> {
  const player = await launched.connect(port, name);
  return {
    request: (route, body) => player.request(route, body),
    refusal: (route, body) => player.request(route, body),
    notify: (route, body) => player.notify(route, body),
    push: async (route, n = 0) => (await player.event(route, n))[0],
    async kicked() {
      const [why] = await player.event('onKick');
      await player.event('close');
      return why;
    },
    async [Symbol.asyncDispose]() {
      const names = (await player.events()).map(({ event }) => event);
      await player[Symbol.asyncDispose]();
      const trouble = names.filter((event) => /uncaught|timeout|error/.test(event));
      if (trouble.length > 0) throw new Error(`the page had trouble: ${trouble.join(', ')}`);
    },
  };
}
