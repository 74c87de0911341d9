/** The demo of `make run` on free ports, and Chromium: what the tests and the pictures of the pages look at. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { parse, stringify } from 'yaml';

import { findChromium } from '../conformance/browser/chromium.ts';
import { startTsChat } from './examples.ts';
import { ROOT, serve, type Served } from './serve.ts';
import { WebBrowser } from './web-page.ts';

/** Screenshots of every state in both themes at two widths; nothing reads them but people. */
export const SCREENSHOTS = join(ROOT, '.cache/web');

export type Stage = AsyncDisposable & {
  readonly gateway: Served;
  readonly browser: WebBrowser;
};

export async function launchBrowser(): Promise<WebBrowser> {
  const path = findChromium();
  if (path === undefined) throw new Error('needs chromium: sh test/tools/install-chromium.sh');
  return WebBrowser.launch(path);
}

/** A gateway as in the demo, with other keys in front of its own. */
export async function startDemo(stack: AsyncDisposableStack, more: object = {}): Promise<Served> {
  const chat = stack.use(await startTsChat());
  const demo = parse(readFileSync(join(ROOT, 'deploy/demo/pith.yaml'), 'utf8')) as object;
  const yaml = stringify({ ...demo, listen: undefined, health: undefined, ...more });
  return stack.use(await serve(yaml, '--set', `backends.chat.grpc=${chat.address}`));
}

export async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const gateway = await startDemo(stack);
  const browser = stack.use(await launchBrowser());
  const all = stack.move();
  return { gateway, browser, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

export function sessionOf(page: Page, name: string): Locator {
  return page.getByRole('region', { name: `Session ${name}`, exact: true });
}

export function messagesOf(page: Page, name: string): Locator {
  return sessionOf(page, name).getByRole('log');
}

/** Two players who have said something to each other. */
export async function playChat(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Two players' }).click();
  // On a narrow screen only the first of them is shown.
  await messagesOf(page, 'ann').getByText('onJoin').waitFor();
  const say = async (name: string, text: string): Promise<void> => {
    await page.getByRole('button', { name, exact: true }).click();
    const session = sessionOf(page, name);
    await session.getByRole('button', { name: 'chat.room.send', exact: true }).click();
    await session.getByLabel('Body (JSON)').fill(JSON.stringify({ text }));
    await session.getByRole('button', { name: 'Request' }).click();
    await session.getByText('{"code":200}').first().waitFor();
  };
  await say('ann', 'hello bob');
  await say('bob', 'hi ann, how fast is this?');
  await say('ann', 'look at the times');
  const heard = messagesOf(page, 'bob').getByText('look at the times');
  await page.getByRole('button', { name: 'bob', exact: true }).click();
  await heard.waitFor();
  await page.getByRole('button', { name: 'ann', exact: true }).click();
}
