/** /playground at its length: every state in both themes at two widths, other people's servers, and what goes wrong. */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';

import { startNano } from '../conformance/nano.ts';
import { startOriginal } from '../oracle/servers.ts';
import { admin } from '../support/admin.ts';
import { run } from '../support/process.ts';
import { ROOT, serve } from '../support/serve.ts';
import { VIEWS, type View, WIDE, type WebPage } from '../support/web-page.ts';
import {
  messagesOf,
  openStage,
  playChat,
  SCREENSHOTS,
  sessionOf,
  type Stage,
  startDemo,
} from '../support/web-stage.ts';

let stage: Stage;
beforeAll(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  stage = await openStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const open = (view: View = WIDE): Promise<WebPage> =>
  stage.browser.open(`http://127.0.0.1:${stage.gateway.adminPort}/playground`, view);

async function connect(web: WebPage, url: string, dialect = 'pomelo'): Promise<void> {
  const ann = sessionOf(web.page, 'ann');
  await ann.getByLabel('Address').fill(url);
  await ann.getByLabel('Dialect').selectOption(dialect);
  await ann.getByRole('button', { name: 'Connect' }).click();
}

async function connected(web: WebPage): Promise<void> {
  await sessionOf(web.page, 'ann').getByText('connected', { exact: true }).waitFor();
}

describe.each(VIEWS)('at $width pixels, $theme', (view) => {
  const expectFit = async (web: WebPage, name: string): Promise<void> => {
    const file = `playground-${name}-${view.width}-${view.theme}.png`;
    await web.page.screenshot({ path: join(SCREENSHOTS, file), fullPage: true });
    expect(await web.overflow()).toBeLessThanOrEqual(0);
    expect(await web.serious()).toEqual([]);
    expect(web.faults).toEqual([]);
  };

  test('every state is fit to be seen', async () => {
    await using web = await open(view);
    await sessionOf(web.page, 'ann').getByRole('button', { name: 'chat.room.join' }).waitFor();
    await expectFit(web, 'start');
    await playChat(web.page);
    await expectFit(web, 'chat');
    await sessionOf(web.page, 'ann').getByRole('tab', { name: 'Server' }).click();
    await expectFit(web, 'server');
    await sessionOf(web.page, 'ann').getByRole('button', { name: 'Copy as…' }).click();
    await web.page.getByRole('tab', { name: 'grpcurl' }).click();
    await expectFit(web, 'copy');
    await web.page.keyboard.press('Escape');
    await sessionOf(web.page, 'ann').getByRole('tab', { name: 'Messages' }).click();
    await admin(stage.gateway, 'Kick', {
      target: { all: true },
      close: { reason: 'maintenance at noon' },
    });
    await web.page.getByText('Kicked: maintenance at noon').first().waitFor();
    await expectFit(web, 'kicked');
  });

  test('eight sessions fit', async () => {
    await using web = await open(view);
    for (let i = 1; i < 8; i++) await web.page.getByRole('button', { name: 'New session' }).click();
    await web.page.getByRole('button', { name: 'New session', disabled: true }).waitFor();
    await expectFit(web, 'eight');
  });
});

test.each([390, 768, 1024, 1920])('nothing is cut off at %s pixels', async (width) => {
  await using web = await open({ width, height: 900, theme: 'light' });
  await playChat(web.page);
  expect(await web.overflow()).toBeLessThanOrEqual(0);
});

test('the keyboard is enough', async () => {
  await using web = await open();
  const { page } = web;
  const ann = sessionOf(page, 'ann');
  await ann.getByRole('button', { name: 'chat.room.join' }).waitFor();
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
  await page.keyboard.press('Enter');
  const focusOn = async (label: string): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      const at =
        'document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent';
      if ((await page.evaluate(at)) === label) return;
    }
    throw new Error(`${label} cannot be reached`);
  };
  await focusOn('Address');
  await page.keyboard.press('Enter');
  await connected(web);
  await focusOn('Body (JSON)');
  await page.keyboard.press('Control+Enter');
  await messagesOf(page, 'ann').getByText('"room":"lobby"').last().waitFor();
  await focusOn('Messages');
  await page.keyboard.press('ArrowRight');
  await ann.getByText('Dictionary', { exact: true }).waitFor();
});

describe('other servers of the family', () => {
  test.each(['pomelo', 'pinus'] as const)('%s itself', async (name) => {
    await using server = await startOriginal(name, 'both');
    await using web = await open();
    await connect(web, `ws://127.0.0.1:${server.port}`);
    await connected(web);
    const ann = sessionOf(web.page, 'ann');
    await ann.getByRole('tab', { name: 'Server' }).click();
    await ann.getByText('Protos from client to server').waitFor();
    await expect
      .poll(() => ann.getByRole('tabpanel').innerText())
      .toMatch(/connector\.entryHandler/);
    expect(web.faults).toEqual([]);
  });

  test('Nano itself', async () => {
    await using server = await startNano();
    await using web = await open();
    await connect(web, `ws://127.0.0.1:${server.port}/nano`, 'nano');
    await Promise.race([connected(web), sessionOf(web.page, 'ann').getByRole('alert').waitFor()]);
    await connected(web);
    expect(web.faults).toEqual([]);
  });

  test.each(['pitaya', 'nano', 'json'])("a listener with Pith's %s", async (dialect) => {
    await using gateway = await serve(`
listen: [{ url: "ws://127.0.0.1:0", dialect: ${dialect} }]
backends: { gate: { reply: { code: 200, from: gate } } }
routes: [{ match: "gate.>", backend: gate }]`);
    await using web = await open();
    await connect(web, `127.0.0.1:${gateway.port}`, dialect);
    await connected(web);
    const ann = sessionOf(web.page, 'ann');
    await ann.getByLabel('Route').fill('gate.a.b');
    await ann.getByRole('button', { name: 'Request' }).click();
    await messagesOf(web.page, 'ann').getByText('"from":"gate"').waitFor();
    expect(web.faults).toEqual([]);
  });
});

describe('what goes wrong is said', () => {
  test('a server that never answers the handshake', async () => {
    const silent = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(silent, 'listening');
    await using web = await open();
    await web.page.clock.install();
    await web.page.reload();
    await connect(web, `ws://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    await sessionOf(web.page, 'ann').getByText('connecting…').waitFor();
    await web.page.clock.runFor(11_000);
    await expect
      .poll(() => sessionOf(web.page, 'ann').getByRole('alert').innerText())
      .toMatch(/takes the connection, but does not answer the handshake: .*Is the dialect right\?/);
    silent.close();
    for (const socket of silent.clients) socket.terminate();
  });

  test('a port that is no WebSocket', async () => {
    const other = createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    await using web = await open();
    await connect(web, `ws://127.0.0.1:${(other.address() as AddressInfo).port}`);
    await expect
      .poll(() => sessionOf(web.page, 'ann').getByRole('alert').innerText())
      .toMatch(/^No connection to ws:.*or has no WebSocket/);
    other.close();
  });

  test('a request that is not answered, and a connection that is lost and comes back', async () => {
    await using stack = new AsyncDisposableStack();
    const gateway = await startDemo(stack, {
      backends: {
        chat: { grpc: '127.0.0.1:9000' },
        gate: { reply: {} },
        away: { ipc: 'unix:///nowhere.sock' },
      },
      routes: [
        { match: 'chat.>', backend: 'chat' },
        { match: 'away.>', backend: 'away', timeout: '1s' },
      ],
    });
    await using web = await open();
    await connect(web, `ws://127.0.0.1:${gateway.port}`);
    await connected(web);
    const ann = sessionOf(web.page, 'ann');
    await ann.getByLabel('Route').fill('away.a.b');
    await ann.getByRole('button', { name: 'Request' }).click();
    await messagesOf(web.page, 'ann')
      .getByText(/"code": ?503/)
      .waitFor();
    gateway.running.kill('SIGKILL');
    await ann.getByText('reconnecting…').waitFor();
    await expect
      .poll(() => ann.getByRole('alert').innerText())
      .toMatch(/^Connection lost: .*next attempt/);
    await ann.getByRole('button', { name: 'Stop trying' }).click();
    await ann.getByRole('button', { name: 'Connect' }).waitFor();
    expect(web.faults).toEqual([]);
  });

  test('a user block that is no JSON, and one that is no object', async () => {
    await using web = await open();
    const ann = sessionOf(web.page, 'ann');
    await ann.getByLabel('Handshake user (JSON)').fill('{token}');
    await web.page.getByRole('button', { name: 'Two players' }).click();
    await expect
      .poll(() => ann.getByRole('alert').innerText())
      .toMatch(/^The handshake's user block: Not JSON/);
    await ann.getByLabel('Handshake user (JSON)').fill('[1, "x"]');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await Promise.race([
      connected(web),
      ann
        .getByText(/^No connection|handshake/)
        .first()
        .waitFor(),
    ]);
    expect(web.faults).toEqual([]);
  });

  test('a browser that keeps nothing', async () => {
    await using web = await open();
    await web.page.addInitScript(`
      for (const name of ['localStorage', 'sessionStorage'])
        Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });`);
    await web.page.reload();
    await web.page.getByLabel('Theme').selectOption('dark');
    await sessionOf(web.page, 'ann').getByRole('button', { name: 'Connect' }).click();
    await connected(web);
    expect(web.faults).toEqual([]);
  });

  test('a flood of pushes: the page draws on, and keeps the newest', async () => {
    await using web = await open();
    const ann = sessionOf(web.page, 'ann');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await connected(web);
    for (let i = 0; i < 12; i++)
      await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          admin(stage.gateway, 'Push', {
            push: { target: { all: true }, route: 'onTick', body: { json: { n: i * 50 + n } } },
            wait: '0s',
          }),
        ),
      );
    await ann.getByText(/500 lines · 10\d older no longer kept · \d+ pushes/).waitFor();
    await ann.getByRole('button', { name: 'Clear' }).click();
    await ann.getByText('Connect, and send something').waitFor();
    expect(web.faults).toEqual([]);
  });
});

test('beyond loopback it asks for the token, and works without', async () => {
  await using stack = new AsyncDisposableStack();
  const token = 'e5ca7f7e0d8b4c1b9a36f2d47c81b05a';
  const gateway = await startDemo(stack, { admin: { listen: '127.0.0.1:0', token } });
  await using web = await stage.browser.open(`http://127.0.0.1:${gateway.adminPort}/playground`);
  const { page } = web;
  const seen: (string | undefined)[] = [];
  page.on('request', (request) => {
    const { authorization, cookie } = request.headers();
    seen.push(authorization);
    expect(cookie).toBeUndefined();
  });
  await page.getByRole('button', { name: 'Enter the token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Token of the admin port').fill('wrong-wrong-wrong-wrong-wrong');
  await dialog.getByRole('button', { name: 'Use it' }).click();
  await page.getByRole('button', { name: 'Enter the token' }).click();
  await dialog.getByText('the token is not one of this port').waitFor();
  await dialog.getByLabel('Token of the admin port').fill(token);
  await dialog.getByRole('button', { name: 'Use it' }).click();
  await sessionOf(page, 'ann').getByRole('button', { name: 'chat.room.join' }).waitFor();
  expect(seen).toContain(`Bearer ${token}`);
  expect(await page.context().cookies()).toEqual([]);
  // It is in this tab alone.
  expect(await page.evaluate('Object.values(localStorage).join()')).not.toContain(token);
  expect(web.faults).toEqual([]);
});

describe('what is copied runs', () => {
  test('pith client and grpcurl get the same answer', async () => {
    await using web = await open();
    const ann = sessionOf(web.page, 'ann');
    await ann.getByRole('button', { name: 'Connect' }).click();
    await connected(web);
    await ann.getByRole('button', { name: 'Copy as…' }).click();
    const dialog = web.page.getByRole('dialog');
    const copied = async (title: string): Promise<string> => {
      await dialog.getByRole('tab', { name: title }).click();
      return dialog.locator('pre').innerText();
    };
    const sh = (command: string) => run('sh', ['-c', command], { cwd: ROOT });
    const client = (await copied('pith client')).replace(/^pith /, 'node src/main.ts ');
    expect((await sh(client)).output).toContain('{"code":200,"room":"lobby"}');
    // The address of the backend comes from the route table.
    await expect.poll(() => copied('grpcurl')).not.toContain('127.0.0.1:9000');
    const { output } = await sh(await copied('grpcurl'));
    expect(output).toContain(Buffer.from('{"code":200,"room":"lobby"}').toString('base64'));
  });
});
