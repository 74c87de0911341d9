/** /playground in Chromium, against the real program with the chat of the demo behind it: what somebody sees and does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findChromium } from '../conformance/browser/chromium.ts';
import { admin } from '../support/admin.ts';
import { freePort } from '../support/process.ts';
import type { WebPage } from '../support/web-page.ts';
import { messagesOf, openStage, sessionOf, type Stage } from '../support/web-stage.ts';

const chromium = findChromium();
const NAME = 'a name of two hundred characters '.repeat(7).slice(0, 200);
const HTML = '<img src=x onerror="document.title=\'owned\'"><script>document.title=1</script>';

describe.skipIf(chromium === undefined)('the playground', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const open = (): Promise<WebPage> =>
    stage.browser.open(`http://127.0.0.1:${stage.gateway.adminPort}/playground`);

  test('two players chat after one click, and what each of them gets is shown with its time', async () => {
    await using web = await open();
    const { page } = web;
    await page.getByRole('button', { name: 'Two players' }).click();
    await messagesOf(page, 'bob').getByText('"room":"lobby"').last().waitFor();
    const ann = sessionOf(page, 'ann');
    await ann.getByRole('button', { name: 'chat.room.send' }).click();
    await ann.getByLabel('Body (JSON)').fill('{"text":"good evening"}');
    await ann.getByLabel('Body (JSON)').press('Control+Enter');
    await messagesOf(page, 'bob').getByText('{"from":"ann","text":"good evening"}').waitFor();
    await expect
      .poll(() => messagesOf(page, 'ann').innerText())
      .toMatch(
        /→\s*request\s*chat\.room\.send\s*\d[\d.]* ms\s*\d\d:\d\d:\d\d\s*\{"text":"good evening"\}\s*Again\s*\{"code":200\}/,
      );
    await expect
      .poll(() => messagesOf(page, 'ann').innerText())
      .toMatch(/←\s*push\s*onJoin\s*\d\d:\d\d:\d\d\s*\{"name":"bob"\}/);
    await expect
      .poll(() => ann.innerText())
      .toMatch(/connected[^]*\d+ lines · 1 push · 2 answers, median /);
    // A notify has no answer, and the server's own words are a tab away.
    await ann.getByLabel('Body (JSON)').press('Control+Shift+Enter');
    await messagesOf(page, 'ann').getByText('⇢').waitFor();
    await ann.getByRole('tab', { name: 'Server' }).click();
    await expect
      .poll(() => ann.getByRole('tabpanel').innerText())
      .toMatch(/"heartbeat": 30[^]*The server has sent none/);
    expect(await web.serious()).toEqual([]);
    expect(web.faults).toEqual([]);
  });

  test('nobody connects before the gateway has said where it listens, or has not answered in 5 s', async () => {
    await using web = await stage.browser.open('about:blank');
    const { page } = web;
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    await page.route('**/v1/GetPlayground', async (route) => {
      asked.resolve();
      await answer.promise;
      await route.continue();
    });
    await page.goto(`http://127.0.0.1:${stage.gateway.adminPort}/playground`);
    await asked.promise;
    const two = page.getByRole('button', { name: 'Two players' });
    expect(await two.isDisabled()).toBe(true);
    expect(await page.getByRole('button', { name: 'New session' }).isDisabled()).toBe(true);
    const fault = page.getByText('cannot be shown: it has not answered within 5 s');
    await fault.waitFor();
    expect(await two.isDisabled()).toBe(false);
    answer.resolve();
    await page.getByRole('button', { name: 'Try again' }).click();
    // Until then it would connect to where it guesses.
    await fault.waitFor({ state: 'hidden' });
    await two.click();
    await messagesOf(page, 'bob').getByText('"room":"lobby"').last().waitFor();
  });

  test('what a server sends is text, and long names break nothing', async () => {
    await using web = await open();
    const { page } = web;
    const ann = sessionOf(page, 'ann');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await ann.getByText('connected', { exact: true }).waitFor();
    const push = {
      target: { all: true },
      route: NAME.slice(0, 120),
      body: { json: { text: HTML } },
    };
    expect(await admin(stage.gateway, 'Push', { push })).toMatchObject({ status: 200 });
    await messagesOf(page, 'ann').getByText('<img src=x onerror=').waitFor();
    expect(
      await page.evaluate('document.querySelectorAll(".history img, .history script").length'),
    ).toBe(0);
    expect(await page.title()).toBe('Pith playground');
    await ann.getByLabel('Name of this session').fill(NAME);
    await page.getByRole('button', { name: NAME, exact: true }).waitFor();
    await admin(stage.gateway, 'Kick', { target: { all: true }, close: { reason: HTML } });
    await page.getByText(`Kicked: ${HTML}`).waitFor();
    expect(await web.overflow()).toBeLessThanOrEqual(0);
    expect(await web.serious()).toEqual([]);
    expect(web.faults).toEqual([]);
  });

  test('a connection that is refused, and an address that is none, are said honestly', async () => {
    await using web = await open();
    const ann = sessionOf(web.page, 'ann');
    const alert = ann.getByRole('alert');
    await ann.getByLabel('Address').fill(`ws://127.0.0.1:${await freePort()}`);
    await ann.getByRole('button', { name: 'Connect' }).click();
    await expect
      .poll(() => alert.innerText())
      .toMatch(
        /^No connection to ws:\/\/127\.0\.0\.1:\d+\. Browsers do not tell why; mostly nothing listens there, or /,
      );
    await ann.getByLabel('Address').fill('tcp://127.0.0.1:3010');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await ann
      .getByText(/A browser has no TCP/)
      .first()
      .waitFor();
    await ann.getByLabel('Handshake user (JSON)').fill('{token}');
    await ann.getByRole('button', { name: 'Connect', disabled: true }).waitFor();
    expect(web.faults).toEqual([]);
  });

  test('a message is copied as a command that gets the same answer', async () => {
    await using web = await open();
    const ann = sessionOf(web.page, 'ann');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await ann.getByRole('button', { name: 'Request' }).click();
    await messagesOf(web.page, 'ann').getByText('"room":"lobby"').last().waitFor();
    await ann.getByRole('button', { name: 'Copy as…' }).click();
    const dialog = web.page.getByRole('dialog');
    await expect
      .poll(() => dialog.innerText())
      .toContain(
        `pith client ws://127.0.0.1:${stage.gateway.port} --request chat.room.join --data '{"name":"ann","room":"lobby"}'`,
      );
    await dialog.getByRole('tab', { name: 'pith client' }).press('ArrowLeft');
    await expect
      .poll(() => dialog.innerText())
      .toMatch(/- match: "chat\.room\.join"\s*answer: \{"code":200,"room":"lobby"\}/);
    await web.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(web.faults).toEqual([]);
  });
});
