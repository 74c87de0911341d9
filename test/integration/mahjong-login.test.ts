/** The HTTP login of Nano's mahjong clients in front of a gate, as deploy/examples/mahjong-login-go has it. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { buildExample } from '../support/go.ts';
import { freePort, type Running, start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

const EXAMPLE = new URL('../../deploy/examples/mahjong-login-go/pith.yaml', import.meta.url);
const GUEST = { appId: 'mahjong', channelId: 'test', imei: 'phone-1' };

type Login = Running & { post(path: string, body: unknown): Promise<[number, unknown]> };

async function startLogin(gatewayPort: number, env: Record<string, string> = {}): Promise<Login> {
  const running = await start(await buildExample('mahjong-login-go'), [], {
    env: { ADDR: '127.0.0.1:0', GATEWAY: `127.0.0.1:${gatewayPort}`, ...env },
  });
  const [, address] = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, {
    async post(path: string, body: unknown): Promise<[number, unknown]> {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const answer = await fetch(`http://${address}${path}`, { method: 'POST', body: text });
      return [answer.status, await answer.json()];
    },
  });
}

/** The example's own configuration, on this port and with this login. */
function gatewayYaml(port: number, loginPort: number): string {
  return readFileSync(EXAMPLE, 'utf8')
    .replaceAll('0.0.0.0:3010', `127.0.0.1:${port}`)
    .replaceAll('"127.0.0.1:3010"', `"127.0.0.1:${port}"`)
    .replaceAll('127.0.0.1:12307', `127.0.0.1:${loginPort}`);
}

describe('a guest', () => {
  let port: number;
  let gateway: TestGateway;
  let login: Login;

  beforeAll(async () => {
    port = await freePort();
    const loginPort = await freePort();
    gateway = await startGateway(gatewayYaml(port, loginPort));
    login = await startLogin(port, { ADDR: `127.0.0.1:${loginPort}`, CHANNEL: 'test' });
  });

  afterAll(async () => {
    await login[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
  });

  test('may play, if the channel has guests', async () => {
    const query = '/v1/user/login/query';
    expect(await login.post(query, GUEST)).toEqual([200, { code: 0, guest: true }]);
    const other = { ...GUEST, channelId: 'other' };
    expect(await login.post(query, other)).toEqual([200, { code: 0, guest: false }]);
  });

  test('gets an account and the address of a gateway, where it logs in', async () => {
    const [status, account] = await login.post('/v1/user/login/guest', GUEST);
    const { uid } = account as { uid: number };
    expect([status, account]).toEqual([
      200,
      {
        ...{ code: 0, name: `G${uid}`, uid, headUrl: '', fangka: 10, sex: 1 },
        ...{ ip: '127.0.0.1', port, playerIp: '127.0.0.1' },
        config: { version: '1.9.3', heartbeat: 30, forceUpdate: false },
        ...{ messages: [], clubList: [], debug: 0 },
      },
    ]);
    expect(Number.isSafeInteger(uid) && uid > 0).toBe(true);
    expect((await login.post('/v1/user/login/guest', GUEST))[1]).toEqual(account);

    await using player = await TestClient.connect(port, 'tcp');
    const { name, headUrl, sex, fangka, playerIp: ip } = account as Record<string, unknown>;
    expect(await player.request('Manager.Login', { uid, name, headUrl, sex, fangka, ip })).toEqual({
      ...{ acId: uid, nickname: `G${uid}`, headURL: '', sex: 1, fangka: 10 },
    });
    expect([...gateway.gateway.registry.all()].map((session) => session.uid)).toContain(`${uid}`);
  });

  test('is another on another device', async () => {
    const uidOf = async (more: object): Promise<unknown> =>
      ((await login.post('/v1/user/login/guest', { ...GUEST, ...more }))[1] as { uid: number }).uid;
    expect(await uidOf({ imei: 'phone-2' })).not.toBe(await uidOf({}));
    expect(await uidOf({ appId: 'other' })).not.toBe(await uidOf({}));
  });

  test('of another channel, without a device, or with a bad body is refused', async () => {
    const guest = '/v1/user/login/guest';
    expect((await login.post(guest, { ...GUEST, channelId: 'other' }))[0]).toBe(403);
    expect((await login.post(guest, { ...GUEST, imei: '' }))[0]).toBe(403);
    expect((await login.post(guest, 'oops'))[0]).toBe(400);
    await using player = await TestClient.connect(port, 'tcp');
    // As with Nano, an error has no answer.
    const id = player.send('Manager.Login', { uid: 7, name: 'G8' });
    const refused = (): number => gateway.count('pith_requests_total', 'game', 'FORBIDDEN');
    await eventually(() => refused() === 1, 'the refusal');
    expect(player.answersTo(id)).toBe(0);
  });
});

test('a guest is told to try again where no gateway is ready; SIGTERM ends the login with 0', async () => {
  const port = await freePort();
  await using login = await startLogin(port);
  expect(await login.post('/v1/user/login/guest', GUEST)).toEqual([
    503,
    {
      code: 503,
      error: 'no gateway is ready; try again',
      msg: 'no gateway is ready; try again',
    },
  ]);
  // The only gateway drains, and still accepts: Nano's dialect has no answer to that.
  await using draining = await startGateway(
    `${gatewayYaml(port, await freePort())}drain: { accept_for: 30s, budget: 2s }\n`,
  );
  let hurry = false;
  const drained = draining.gateway.drain(() => hurry);
  expect((await login.post('/v1/user/login/guest', GUEST))[0]).toBe(503);
  expect(draining.count('pith_requests_total', 'gate', 'BACKEND_AWAY')).toBe(1);
  hurry = true;
  await drained;
  login.kill('SIGTERM');
  expect(await login.exited).toBe(0);
});
