/** Clients that lose their connection and come back with a token, on gateways with a real nats-server. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { say } from '../support/handshake.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { Heard, serve, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  await serve(nc, 'pith.rpc.game.>', (msg) => {
    const { uid } = msg.json<{ uid: string }>();
    const headers = { 'Pith-Bind': uid, 'Pith-Set': '{"seat":1.0}', 'Pith-Join': '["room.1"]' };
    return { headers, body: '{"code":200}' };
  });
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (more = ''): Promise<TestGateway> =>
  startGateway(
    `bus: ${nats.url}\nsessions: { resume: { window: 60s, keys: ["${KEY}"] } }\nbackends: { game: { nats: {} } }\nroutes: [{ match: "game.>", backend: game }]\n${more}`,
  );

type Pith = { readonly resume: string; readonly resumed?: boolean };

/** A client that asks for tokens, or comes with one. */
async function come(port: number, resume = ''): Promise<{ client: TestClient; pith: Pith }> {
  const client = await TestClient.open(port);
  say(client, { pith: { resume } });
  const { body } = await client.next('handshake');
  client.ack();
  return { client, pith: (body['user'] as { pith: Pith }).pith };
}

async function login(client: TestClient, uid: string): Promise<string> {
  expect(await client.request('game.door.enter', { uid })).toEqual({ code: 200 });
  const { token } = (await client.push('pith.resume')) as { token: string };
  return token;
}

describe('on two gateways', () => {
  test('a client that comes back has its uid, data and groups', async () => {
    await using one = await start();
    await using other = await start();
    const opened = await Heard.on(nc, 'pith.event.session.opened');
    const closed = await Heard.on(nc, 'pith.event.session.closed');
    const first = await come(one.port);
    expect(first.pith).toEqual({ resume: expect.any(String) });
    const token = await login(first.client, '42');
    const next = await come(other.port, token);
    expect(next.pith).toEqual({ resume: expect.any(String), resumed: true });
    const { sessions } = await tellJson(nc, 'pith.user.42.get');
    expect(sessions).toMatchObject([{ uid: '42', data: { seat: 1 }, groups: ['room.1'] }]);
    // The old one is over at once.
    expect((await closed.nth(0)).json()).toMatchObject({ reason: 'resumed' });
    const [before, after] = await opened.until((all) => all.length === 2, 'both');
    const { session } = before!.json<{ session: { sid: string } }>();
    expect(after!.json()).toMatchObject({ resumed_from: session.sid, session: { uid: '42' } });
    await first.client.ended;
    nc.publish('pith.user.42.push', '{"a":1}');
    await eventually(() => one.gateway.registry.size === 0, 'the old session to be gone');
    await next.client[Symbol.asyncDispose]();
  });
});
