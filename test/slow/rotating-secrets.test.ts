/** deploy/guides/rotating-secrets.md, step by step on the real process: a player who is there all the time notices nothing. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { NatsOperator } from '../support/nats-jwt.ts';
import { startNats } from '../support/nats.ts';
import { serve as serveNats } from '../support/nats-backend.ts';
import { type Come, come, KEYS } from '../support/resuming.ts';
import { ROOT, serve, type Served } from '../support/serve.ts';
import { Authority, connectTls, type Pair, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const dir = mkdtempSync(join(tmpdir(), 'pith-rotating-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const ECHO =
  'backends: { echo: { reply: { code: 200 } } }\nroutes: [{ match: "echo.>", backend: echo }]\nreload: { watch: false }\n';
const OLD = 'the-old-one-0123456789-that-nobody-guesses';
const NEW = 'the-new-one-9876543210-that-nobody-guesses';

/** Somebody who plays on while a secret is replaced. */
async function player(port: number): Promise<{ client: TestClient; plays: () => Promise<void> }> {
  const client = await TestClient.connect(port);
  return {
    client,
    plays: async () => expect(await client.request('echo.a')).toEqual({ code: 200 }),
  };
}

/** Writes the configuration anew, and waits until it is in effect. */
async function reload(served: Served, yaml: string, key: string): Promise<void> {
  const reloads = (): { changed: string[] }[] =>
    served.log().filter(({ msg }) => msg === 'configuration reloaded') as never;
  const before = reloads().length;
  served.rewrite(yaml);
  served.running.kill('SIGHUP');
  await eventually(() => reloads().length > before, 'the reload');
  expect(reloads().at(-1)!.changed.join(' ')).toContain(key);
}

test('keys of JSON Web Tokens', async () => {
  const yaml = (...secrets: string[]): string => `${ECHO}
auth: { mode: jwt, jwt: { algorithms: [HS256], secrets: ${JSON.stringify(secrets)} } }`;
  const token = (secret: string): string => {
    const part = (value: object): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'HS256' })}.${part({ sub: 'ann', exp: 4_102_444_800 })}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  await using served = await serve(yaml(OLD));
  const isLetIn = async (secret: string): Promise<boolean> => {
    const { client, answer } = await come(served.port, undefined, { token: token(secret) });
    client.close();
    return answer['code'] === 200;
  };
  const { client } = await come(served.port, undefined, { token: token(OLD) });
  const plays = async (): Promise<void> =>
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  expect([await isLetIn(OLD), await isLetIn(NEW)]).toEqual([true, false]);
  await reload(served, yaml(OLD, NEW), 'auth.jwt.secrets');
  // Now the login service changes over.
  expect([await isLetIn(OLD), await isLetIn(NEW)]).toEqual([true, true]);
  await plays();
  await reload(served, yaml(NEW), 'auth.jwt.secrets');
  expect([await isLetIn(OLD), await isLetIn(NEW)]).toEqual([false, true]);
  await plays();
  client.close();
});

test('keys of resume tokens, on two gateways that are reloaded one after the other', async () => {
  const [one, two] = KEYS as [string, string];
  const yaml = (bus: string, ...keys: string[]): string =>
    `${ECHO}bus: ${bus}\nsessions: { resume: { window: 60s, keys: ${JSON.stringify(keys)} } }`;
  await using nats = await startNats();
  await using a = await serve(yaml(nats.url, one));
  await using b = await serve(yaml(nats.url, one));
  const { client, plays } = await player(a.port);
  /** Loses the connection, and comes back to `to` with its token. */
  const comesBack = async (from: Come, to: Served): Promise<Come> => {
    from.client.close();
    const again = await come(to.port, from.pith.resume);
    expect(again.pith).toMatchObject({ resumed: true });
    return again;
  };
  const keys = 'sessions.resume.keys';
  let other = await come(a.port);
  for (const served of [a, b]) await reload(served, yaml(nats.url, one, two), keys);
  await reload(a, yaml(nats.url, two, one), keys);
  // b still makes tokens with the old key, and reads those that a makes with the new one.
  for (const served of [a, b, a]) other = await comesBack(other, served);
  await reload(b, yaml(nats.url, two, one), keys);
  other = await comesBack(other, b);
  await plays();
  // Once sessions.resume.window is over, no token of the old key counts any more.
  for (const served of [a, b]) await reload(served, yaml(nats.url, two), keys);
  other = await comesBack(other, a);
  await plays();
  for (const one of [other.client, client]) one.close();
});

test('tokens of the admin and control ports', async () => {
  const yaml = (...tokens: string[]): string => `${ECHO}
admin: { listen: 127.0.0.1:0, tokens: ${JSON.stringify(tokens.map((token) => ({ token, role: 'read' })))} }`;
  await using served = await serve(yaml(OLD));
  const { client, plays } = await player(served.port);
  const status = async (token: string): Promise<number> => {
    const url = `http://127.0.0.1:${served.adminPort}/v1/GetInfo`;
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(url, { method: 'POST', body: '{}', headers })).status;
  };
  expect([await status(OLD), await status(NEW)]).toEqual([200, 401]);
  await reload(served, yaml(OLD, NEW), 'admin.tokens[1]');
  expect([await status(OLD), await status(NEW)]).toEqual([200, 200]);
  await reload(served, yaml(NEW), 'admin.tokens[1]');
  expect([await status(OLD), await status(NEW)]).toEqual([401, 200]);
  await plays();
  client.close();
});

test('credentials for NATS', async () => {
  const operator = new NatsOperator();
  await using nats = await startNats(operator.config);
  const path = join(dir, 'pith.creds');
  const other = join(dir, 'backend.creds');
  const write = (name: string): void => {
    writeFileSync(`${path}.new`, operator.creds(name));
    renameSync(`${path}.new`, path);
  };
  write('old');
  writeFileSync(other, operator.creds('backend'));
  await using served = await serve(`
bus: ${nats.url}
nats: { creds: ${path} }
backends: { game: { nats: {} } }
routes: [{ match: "game.>", backend: game }]`);
  const { credsAuthenticator } = await import('nats');
  const backend = { authenticator: credsAuthenticator(readFileSync(other)), reconnectTimeWait: 50 };
  await serveNats(await nats.connect(backend), 'pith.rpc.game.>', () => ({ body: '{"code":200}' }));
  const client = await TestClient.connect(served.port);
  expect(await client.request('game.a.b')).toEqual({ code: 200 });
  write('new');
  // The server ends the connection, as it does when the old user's time is over or it is revoked.
  nats.signal('SIGTERM');
  await nats.restart();
  await eventually(async () => {
    const answer = await client.request('game.a.b');
    return answer['code'] === 200;
  }, 'an answer by the new connection');
  expect(client.isEnded).toBe(false);
  client.close();
});

describe('certificates', () => {
  const authority = new Authority('Old');
  const next = new Authority('New');

  test('of listeners', async () => {
    using folder = new SecretFolder(authority.issue('server 1'));
    await using served = await serve(`${ECHO}
listen:
  - { url: "tcp://127.0.0.1:0" }
  - { url: "wss://127.0.0.1:0", tls: { cert: ${folder.cert}, key: ${folder.key} } }`);
    const port = Number(served.clients[1]!.split(':').pop());
    const { client, plays } = await player(served.port);
    const ca = [authority.cert, next.cert];
    const shown = async (): Promise<string> => {
      const socket = await connectTls(port, { ca });
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return String(CN);
    };
    expect(await shown()).toBe('server 1');
    folder.replace(next.issue('server 2'));
    await eventually(async () => (await shown()) === 'server 2', 'the new certificate');
    await plays();
    client.close();
  });

  test('of operators: the authority, and the ids that may call', async () => {
    const ids = { old: 'spiffe://game.example/old/ops', new: 'spiffe://game.example/new/ops' };
    using folder = new SecretFolder(authority.issue('admin'), authority.cert);
    const tls = `tls: { cert: ${folder.cert}, key: ${folder.key}, ca: ${folder.ca} }`;
    const yaml = (...allowed: string[]): string =>
      `${ECHO}admin: { listen: 127.0.0.1:0, ${tls}, spiffe: ${JSON.stringify(allowed.map((id) => ({ id })))} }`;
    await using served = await serve(yaml(ids.old));
    const { client, plays } = await player(served.port);
    const old = authority.issue('ann', 30, [ids.old]);
    const renewed = next.issue('ann', 30, [ids.new]);
    const status = (pair: Pair): Promise<number> =>
      new Promise((resolve) => {
        const options = { ...pair, ca: [authority.cert, next.cert], servername: 'localhost' };
        const at = { host: '127.0.0.1', port: served.adminPort, path: '/v1/GetInfo', agent: false };
        const request = https.request({ ...at, ...options, method: 'POST' }, (answer) => {
          answer.resume();
          resolve(answer.statusCode!);
        });
        request.on('error', () => resolve(0));
        request.end('{}');
      });
    expect([await status(old), await status(renewed)]).toEqual([200, 401]);
    // Both authorities, and both ids, while callers change over.
    folder.replace(authority.issue('admin'), `${authority.cert}${next.cert}`);
    await reload(served, yaml(ids.old, ids.new), 'admin.spiffe[1]');
    await eventually(async () => (await status(renewed)) === 200, 'the new authority');
    expect(await status(old)).toBe(200);
    folder.replace(next.issue('admin'), next.cert);
    await reload(served, yaml(ids.new), 'admin.spiffe[1]');
    await eventually(async () => (await status(old)) !== 200, 'the end of the old authority');
    expect(await status(renewed)).toBe(200);
    await plays();
    client.close();
  });
});

test('the guide has a part for each of them', () => {
  const page = readFileSync(join(ROOT, 'deploy/guides/rotating-secrets.md'), 'utf8');
  expect([...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([
    'JWT keys',
    'Resume keys',
    'Control and admin tokens',
    'NATS credentials',
    'TLS certificates',
    'SPIFFE',
    'Tokens of backends and of Consul',
  ]);
});
