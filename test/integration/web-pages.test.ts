/** /playground and /console on the admin port: where they are on, what they may do, and who may ask for them. */
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startGateway, type TestGateway } from '../support/gateway.ts';

const NO_BACKENDS = 'backends: {}\nroutes: []\n';
const TOKEN = 'e5ca7f7e0d8b4c1b9a36f2d47c81b05a';

type Ask = { method?: string; headers?: Record<string, string>; at?: TestGateway };

let gateway: TestGateway;
let named: TestGateway;
beforeAll(async () => {
  gateway = await startGateway(NO_BACKENDS);
  named = await startGateway(
    `${NO_BACKENDS}admin: { listen: "127.0.0.1:0", token: ${TOKEN}, hosts: [ops.example.com], console: false }`,
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await named[Symbol.asyncDispose]();
});

async function ask(path: string, { method = 'GET', headers = {}, at = gateway }: Ask = {}) {
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const options = { host: '127.0.0.1', port: at.adminPort, path, method, headers, agent: false };
    http.request(options, resolve).on('error', reject).end();
  });
  return { status: answer.statusCode!, headers: answer.headers, body: await text(answer) };
}

const SECURE = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};
const policy = (connect: string): string =>
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src ${connect}; base-uri 'none'; ` +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

describe('on loopback both pages are on', () => {
  test.each([
    ['playground', "'self' ws: wss:"],
    ['console', "'self'"],
  ])('/%s', async (page, connect) => {
    const { status, headers, body } = await ask(`/${page}?x=1`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      ...SECURE,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy(connect),
    });
    // No script and no style stands in the page itself.
    expect(body).not.toMatch(/<script(?![^>]* src=)|<style| on\w+=| style=/);
    const loaded = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
    expect(loaded).toEqual(['web/icon.svg', `web/${page}.css`, `web/${page}.js`]);
    for (const url of loaded) {
      const file = await ask(`/${url}`);
      expect(file).toMatchObject({ status: 200, headers: SECURE });
      expect(file.body.length).toBeGreaterThan(100);
    }
  });

  test('a file has the type that it is', async () => {
    const types = await Promise.all(
      ['console.js', 'console.css', 'icon.svg'].map(
        async (name) => (await ask(`/web/${name}`)).headers['content-type'],
      ),
    );
    expect(types).toEqual([
      'text/javascript; charset=utf-8',
      'text/css; charset=utf-8',
      'image/svg+xml',
    ]);
  });

  test('the bare port leads to the console', async () => {
    expect(await ask('/')).toMatchObject({ status: 302, headers: { location: 'console' } });
  });

  test.each([
    ['/web/', 404],
    ['/web/../http.ts', 404],
    ['/web/%2e%2e/pith.binpb', 404],
    ['/web/pith.binpb', 404],
    ['/web/console.js/', 404],
    ['/consoles', 404],
  ])('%s is not there', async (path, status) => {
    expect(await ask(path)).toMatchObject({ status });
  });

  test('they are only read', async () => {
    for (const path of ['/', '/console', '/web/console.js'])
      expect(await ask(path, { method: 'POST' })).toMatchObject({
        status: 405,
        headers: { allow: 'GET, HEAD' },
      });
    expect(await ask('/console', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });
});

describe('a page of another site', () => {
  test.each([
    [{ host: 'evil.example' }],
    [{ host: 'evil.example:7071' }],
    [{ origin: 'https://evil.example' }],
    [{ origin: 'null' }],
  ])('gets none: %j', async (headers: Record<string, string>) => {
    for (const path of ['/', '/playground', '/console', '/web/console.js'])
      expect(await ask(path, { headers })).toMatchObject({ status: 403 });
  });
});

describe('with admin.hosts', () => {
  const bearer = { authorization: `Bearer ${TOKEN}` };
  const by = (host: string, origin?: string) => ({ host, ...(origin !== undefined && { origin }) });
  const post = (headers: Record<string, string>) =>
    ask('/v1/GetInfo', { at: named, method: 'POST', headers: { ...bearer, ...headers } });

  test.each([
    by('ops.example.com'),
    by('OPS.example.com:7071'),
    by('ops.example.com', 'https://ops.example.com'),
    by('ops.example.com:7071', 'http://ops.example.com:7071'),
    by('127.0.0.1:7071'),
    by('[::1]'),
  ])('%j may ask', async (headers) => {
    expect(await post(headers)).toMatchObject({ status: 200 });
    expect(await ask('/playground', { at: named, headers })).toMatchObject({ status: 200 });
  });

  test.each([
    by('evil.example'),
    by('ops.example.com.evil.example'),
    by('x.ops.example.com'),
    by('ops.example.com', 'https://evil.example'),
    by('ops.example.com:7071', 'https://ops.example.com'),
    by('127.0.0.1:7071', 'https://127.0.0.1:7071'),
  ])('%j is refused, token or not', async (headers) => {
    expect(await post(headers)).toMatchObject({ status: 403 });
    expect(await ask('/playground', { at: named, headers })).toMatchObject({ status: 403 });
  });

  test('a cookie opens nothing', async () => {
    const headers = { cookie: `authorization=Bearer ${TOKEN}; token=${TOKEN}` };
    expect(await ask('/v1/GetInfo', { at: named, method: 'POST', headers })).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="pith"' },
    });
    expect((await ask('/playground', { at: named })).headers).not.toHaveProperty('set-cookie');
  });

  test('a page that is off says how to have it', async () => {
    expect(await ask('/console', { at: named })).toMatchObject({
      status: 404,
      body: 'the console is off: set admin.console: true\n',
    });
    expect(await ask('/web/console.js', { at: named })).toMatchObject({ status: 404 });
    expect((await ask('/playground', { at: named })).body).toContain('data-pages="playground"');
  });
});
