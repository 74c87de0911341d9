/** /console in Chromium, against two real gateways: what an operator sees and does. */
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findChromium } from '../conformance/browser/chromium.ts';
import { admin } from '../support/admin.ts';
import { layCable } from '../support/cable.ts';
import { type ConsoleStage, goTo, LONG_NAME, startConsoleStage } from '../support/console-stage.ts';
import { serve } from '../support/serve.ts';
import { PATIENCE_MS } from '../support/wait.ts';
import { type View, WebBrowser, type WebPage } from '../support/web-page.ts';

const chromium = findChromium();
const HTML = `<img src=x onerror="document.title='owned'"><script>document.title=1</script>`;
const LONG = `${'a-name-of-two-hundred-characters-'.repeat(6)}end`.padEnd(200, '!');
const PHONE: View = { width: 390, height: 844, theme: 'dark' };
const TOKEN = 'e5ca7f7e0d8b4c1b9a36f2d47c81b05a';

describe.skipIf(chromium === undefined)('the console', () => {
  const stack = new AsyncDisposableStack();
  let stage: ConsoleStage;
  let browser: WebBrowser;

  beforeAll(async () => {
    [stage, browser] = await Promise.all([startConsoleStage(6), WebBrowser.launch(chromium!)]);
    stack.use(stage);
    stack.use(browser);
    await admin(stage.one, 'ListRoutes');
    await stage.play(2);
  });
  afterAll(() => stack.disposeAsync());

  const open = (part: string, view?: View): Promise<WebPage> =>
    browser.open(`http://127.0.0.1:${stage.one.adminPort}/console#/${part}`, view);
  /** The text of a row that has this. */
  const row = (page: Page, text: string): Locator =>
    page.getByRole('row').filter({ hasText: text });

  test('a player of the other gateway is found, pushed to, watched, and kicked with a reason that its client gets', async () => {
    await using web = await open('sessions');
    const { page } = web;
    const [sid, player] = [stage.sids[2]!, stage.players[2]!];
    await expect.poll(() => page.getByRole('row').count()).toBe(7);
    await page.getByLabel('Search by uid, sid or address').fill('PLAYER-2');
    await expect.poll(() => page.getByRole('row').count()).toBe(2);
    expect(await row(page, sid).innerText()).toMatch(
      /player-2\s.*127\.0\.0\.1\s+active\s.*pomelo, ws/s,
    );
    await page.getByRole('link', { name: 'player-2' }).press('Enter');
    await page.getByRole('heading', { name: 'player-2' }).waitFor();
    await expect
      .poll(() => page.getByRole('tabpanel').innerText())
      .toMatch(/Gateway\s+eu-2-\w+\s.*Groups\s+room\.lobby\s*guild\.2.*"level": 2/s);

    await page.getByRole('button', { name: 'Push …' }).click();
    await page.getByLabel('Route').fill('onNews');
    await page.getByLabel('Body').fill('{"text":"the shop opens"}');
    await page.getByRole('button', { name: 'Push', exact: true }).click();
    await page.getByText('Delivered.').waitFor();
    expect(await player.push('onNews')).toEqual({ text: 'the shop opens' });
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByRole('dialog').count()).toBe(0);

    await page.getByRole('tab', { name: 'Watch' }).click();
    const events = page.locator('.events');
    await expect
      .poll(async () => {
        await player.request('chat.room.say', { text: HTML });
        return (await events.count()) > 0 ? events.innerText() : '';
      })
      .toMatch(/request\s*chat\.room\.say.*chat\.> → chat/s);

    await page.getByRole('button', { name: 'Kick …' }).click();
    await page.getByLabel('Reason').fill('no bots here');
    await page.getByRole('button', { name: 'Kick', exact: true }).click();
    await page.getByText('The session was closed; its client was told.').waitFor();
    await player.ended;
    expect(player.received.find(({ kind }) => kind === 'kick')).toEqual({
      kind: 'kick',
      body: { reason: 'no bots here' },
    });
    await page.keyboard.press('Escape');
    await page.getByText('This session has ended.').waitFor();
    expect(web.faults).toEqual([]);
  });

  test('why a request of a session failed is on its page', async () => {
    await using web = await open(`sessions/${stage.sids[0]}`);
    await web.page.getByRole('tab', { name: 'Last failures' }).click();
    await expect
      .poll(() => web.page.getByRole('tabpanel').innerText())
      .toMatch(/BACKEND_AWAY\s+shop\.cart\.buy.*nothing listens at http:\/\/127\.0\.0\.1:9/s);
    expect(web.faults).toEqual([]);
  });

  test('backends say why they are away, and routes what came of them', async () => {
    await using web = await open('backends');
    const { page } = web;
    await expect
      .poll(() => row(page, LONG_NAME).innerText())
      .toMatch(/grpc\s+breaker open\s+0 of 2\s.*nothing listens there/s);
    await page.getByRole('link', { name: LONG_NAME }).click();
    await page.getByRole('heading', { name: '2 addresses' }).waitFor();
    expect(await page.getByRole('list', { name: 'Requests by how long they took' }).count()).toBe(
      1,
    );
    await page.getByRole('link', { name: 'Routes' }).click();
    await expect.poll(() => row(page, 'shop.>').innerText()).toMatch(/shop\s.*BACKEND_AWAY \d/s);
    await expect.poll(() => row(page, 'no rule matches').innerText()).toMatch(/NO_ROUTE \d/);
    expect(web.faults).toEqual([]);
  });

  test('the fleet with its charts, the groups, and the log as it comes', async () => {
    await using web = await open('fleet');
    const { page } = web;
    await expect.poll(() => row(page, 'eu-1-').innerText()).toMatch(/this one\s+ready\s+\d/);
    await row(page, 'eu-2-').waitFor();
    await expect
      .poll(() => page.getByRole('figure', { name: /^Errors in 10 seconds/ }).innerText())
      .toMatch(/BACKEND_AWAY\s*\d+\s*NO_ROUTE\s*\d+/);
    expect(await page.locator('.plot canvas').count()).toBeGreaterThanOrEqual(3);
    await page.getByRole('link', { name: 'Groups' }).click();
    await expect.poll(() => row(page, 'room.lobby').innerText()).toMatch(/room\.lobby\s+5\s+2/);
    await page.getByRole('link', { name: 'Log' }).click();
    await page.getByText('live', { exact: true }).waitFor();
    await stage.players[1]!.request('no.such.page', {});
    await page.getByText('no.such.page').first().waitFor();
    expect(web.faults).toEqual([]);
  });

  test('what a client or a server says is text, however long, and nobody is kept out', async () => {
    const sid = stage.sids[1]!;
    await admin(stage.one, 'Bind', { sid, uid: HTML });
    await admin(stage.one, 'SetData', { sid, set: { [HTML]: HTML } });
    await admin(stage.one, 'Join', { target: { sids: [sid] }, groups: [LONG.slice(0, 120)] });
    await stage.players[1]!.request(`no.${'x'.repeat(100)}`, {});
    await using web = await open('fleet', PHONE);
    const { page } = web;
    for (const part of ['fleet', `backends/${LONG_NAME}`, 'log', `sessions/${sid}`]) {
      await goTo(page, part);
      expect(await web.overflow(), part).toBeLessThanOrEqual(0);
      expect(await web.serious(), part).toEqual([]);
    }
    expect(await page.title()).not.toMatch(/owned|^1$/);
    expect(await page.locator('.part :is(img, script)').count()).toBe(0);
    expect(web.faults).toEqual([]);
  });

  test('a gateway that is silent is named, and the others are shown', async () => {
    await using web = await open('fleet');
    await row(web.page, 'eu-2-').waitFor();
    stage.cable.freeze();
    await web.page
      .getByText(/1 gateway does not answer: eu-2-\w+\. Their sessions are not counted\./)
      .waitFor();
    expect(await row(web.page, 'eu-2-').innerText()).toMatch(/silent/);
    expect(await row(web.page, 'eu-1-').innerText()).toMatch(/ready/);
    stage.cable.thaw();
    await expect.poll(() => row(web.page, 'eu-2-').innerText()).toMatch(/ready/);
    expect(web.faults).toEqual([]);
  });

  test('a connection that is lost is said, and comes back by itself', async () => {
    await using cable = await layCable(stage.one.adminPort);
    await using web = await browser.open(`http://127.0.0.1:${cable.port}/console#/fleet`);
    const { page } = web;
    await row(page, 'this one').waitFor();
    const failed = page.waitForEvent('requestfailed', {
      predicate: (request) => request.url().endsWith('ListGateways'),
      timeout: PATIENCE_MS,
    });
    cable.cut();
    await failed;
    const lost = page.getByRole('alert').filter({ hasText: 'does not answer on its admin port' });
    await expect
      .poll(() => lost.innerText())
      .toMatch(/What is shown is of \d\d:\d\d:\d\d\. Trying again/);
    // What was there stays.
    expect(await row(page, 'this one').count()).toBe(1);
    cable.mend();
    await page.waitForResponse(/ListGateways/, { timeout: PATIENCE_MS });
    await expect.poll(() => lost.count()).toBe(0);
    expect(web.faults).toEqual([]);
  });

  test('where a token is needed it is asked for, and sent as a header', async () => {
    await using guarded = await serve(
      `backends: {}\nroutes: []\nadmin: { listen: "127.0.0.1:0", tokens: [{ token: ${TOKEN}, role: read, name: ann }] }\n`,
    );
    await using web = await browser.open(`http://127.0.0.1:${guarded.adminPort}/console`);
    const { page } = web;
    const headers: Record<string, string>[] = [];
    page.on('request', (request) => headers.push(request.headers()));
    // Whoever closes the dialog can open it again.
    await page.getByLabel('Token of the admin port').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Enter it' }).click();
    await page.getByLabel('Token of the admin port').fill('a-wrong-token-of-24-letters');
    await page.getByRole('button', { name: 'Use it' }).click();
    await expect.poll(() => page.getByRole('dialog').innerText()).toMatch(/token/i);
    await page.getByLabel('Token of the admin port').fill(TOKEN);
    await page.getByRole('button', { name: 'Use it' }).click();
    await row(page, 'this one').waitFor();
    await expect.poll(() => page.getByRole('dialog').count()).toBe(0);
    expect(headers.at(-1)).toMatchObject({ authorization: `Bearer ${TOKEN}` });
    expect(headers.some((one) => 'cookie' in one)).toBe(false);
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(web.faults).toEqual([]);
  });
});
