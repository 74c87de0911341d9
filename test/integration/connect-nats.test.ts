/** `auth.mode: connect` with a backend on NATS: one request on `pith.connect`, in JSON both ways. */
import type { NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';

import type { JsonObject } from '../../src/contract/commands.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { say, shake } from '../support/handshake.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { type Answer, Heard, push, serve } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

type Stage = AsyncDisposable & { nats: TestNats; nc: NatsConnection; gateway: TestGateway };

/** A server, a connection for the backend, and a gateway that asks it about every handshake. */
async function stage(
  options: { prefix?: string; handshake?: string; config?: string } = {},
): Promise<Stage> {
  const { prefix = '', handshake = '15s', config = '' } = options;
  const nats = await startNats(config);
  const nc = await nats.connect();
  const gateway = await startGateway(`
bus: ${nats.url}
auth: { mode: connect, backend: game }
backends: { game: { nats: {${prefix === '' ? '' : ` prefix: ${prefix} `}} } }
routes: [{ match: ">", backend: game, forward: ["*"] }]
limits: { handshake: ${handshake} }
`);
  return {
    nats,
    nc,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

const json = (value: unknown): Answer => ({ body: JSON.stringify(value) });

/** Answers every handshake so; what was asked. */
function answering(nc: NatsConnection, answer: Answer, subject = 'pith.connect'): Promise<Heard> {
  return serve(nc, subject, () => answer);
}

function refusals({ log }: TestGateway): unknown[] {
  return log
    .filter(({ msg }) => msg === 'handshake rejected')
    .map(({ reason, why }) => `${String(reason)}: ${String(why)}`);
}

describe('a client that is let in', () => {
  test('is asked about in JSON with the names of the .proto, and the time that there is', async () => {
    await using stand = await stage();
    const asked = await answering(stand.nc, json({ accept: {} }));
    const { client, answer } = await shake(
      stand.gateway.port,
      { token: 'tök', n: [1, null] },
      'ws',
    );
    expect(answer).toMatchObject({ code: 200 });
    const question = await asked.nth(0);
    const id = stand.gateway.gateway.id;
    expect(question.json<JsonObject>()).toEqual({
      session: {
        sid: `${id}.1`,
        uid: '',
        gateway: id,
        remote_ip: '127.0.0.1',
        client_type: 'test',
        client_version: '1.2',
        opened_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
        data: {},
        version: '0',
        groups: [],
        transport: 'ws',
        dialect: 'pomelo',
      },
      user: { token: 'tök', n: [1, null] },
      sys: { type: 'test', version: '1.2', rsa: {} },
      headers: {},
      resumed: false,
      refresh: false,
    });
    const ms = Number(question.headers!.get('Pith-Timeout-Ms'));
    expect(ms > 0 && ms <= 15_000).toBe(true);
    client.close();
  });

  test.for([
    ['names of the .proto', { expires_in: '3600s', patch: { uid: 'ann', if_version: '0' } }],
    ['camelCase', { expiresIn: '3600s', patch: { uid: 'ann', ifVersion: 0 } }],
  ] as const)('has what the answer gives it, in %s', async ([, { patch, ...rest }]) => {
    await using stand = await stage();
    const more = { ...patch, set: { level: 3 }, join: ['lobby'], later: 1 };
    const accept = { user: { hello: 'ann' }, patch: more, ...rest, unknown: true };
    await answering(stand.nc, json({ accept }));
    const played = await serve(stand.nc, 'pith.rpc.>', () => json({ ok: 1 }));
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 200, user: { hello: 'ann' } });
    push(stand.nc, 'pith.user.ann.push', 'onUser', { hi: 1 });
    push(stand.nc, 'pith.group.lobby.push', 'onGroup', { hi: 2 });
    client.ack();
    expect(await client.push('onUser')).toEqual({ hi: 1 });
    expect(await client.push('onGroup')).toEqual({ hi: 2 });
    expect(await client.request('game.play.on')).toEqual({ ok: 1 });
    const { headers } = await played.nth(0);
    expect(headers!.get('Pith-Uid')).toBe('ann');
    expect(JSON.parse(headers!.get('Pith-Data'))).toEqual({ level: 3 });
    client.close();
  });

  test('is asked about under the prefix of its backend', async () => {
    await using stand = await stage({ prefix: 'games.eu' });
    const others = await answering(stand.nc, json({ error: { code: 403 } }));
    await answering(stand.nc, json({ accept: { user: { eu: 1 } } }), 'games.eu.connect');
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 200, user: { eu: 1 } });
    expect(others.messages).toEqual([]);
  });
});

describe('a client that is not let in', () => {
  test.for([
    ['the answer says no', json({ error: { code: 403, reason: 'BANNED', message: 'so' } })],
    [
      'its headers do',
      {
        headers: {
          'Nats-Service-Error-Code': '403',
          'Nats-Service-Error': 'so',
          'Pith-Error-Reason': 'BANNED',
        },
      },
    ],
  ] as const)('because %s', async ([, answer]) => {
    await using stand = await stage();
    await answering(stand.nc, answer);
    const { client, answer: got } = await shake(stand.gateway.port);
    expect(got).toMatchObject({ code: 500 });
    await client.ended;
    expect(refusals(stand.gateway)).toEqual(['BANNED: so']);
  });

  test('because nobody listens: 503 at once', async () => {
    await using stand = await stage();
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 503 });
    await client.ended;
    expect(refusals(stand.gateway)).toEqual([expect.stringMatching(/^BACKEND_AWAY/)]);
  });

  test('because NATS is away, before and while it is asked: 503', async () => {
    await using stand = await stage();
    const asked = await Heard.on(stand.nc, 'pith.connect');
    const client = await TestClient.open(stand.gateway.port);
    say(client, {});
    await asked.nth(0);
    await stand.nats.kill();
    expect((await client.next('handshake')).body).toMatchObject({ code: 503 });
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 503 });
    expect(refusals(stand.gateway)).toEqual(
      Array.from({ length: 2 }, () => expect.stringMatching(/^BUS_AWAY/) as string),
    );
  });

  test('because the backend is too slow; what it says later is counted and dropped', async () => {
    await using stand = await stage({ handshake: '1s' });
    const asked = await Heard.on(stand.nc, 'pith.connect');
    const client = await TestClient.open(stand.gateway.port);
    say(client, {});
    const question = await asked.nth(0);
    expect((await client.next('handshake')).body).toMatchObject({ code: 503 });
    await client.ended;
    expect(refusals(stand.gateway)).toEqual([expect.stringMatching(/^TIMEOUT/)]);
    question.respond(JSON.stringify({ accept: {} }));
    await eventually(() => stand.gateway.count('pith_late_replies_total', 'nats') === 1, 'count');
    expect(stand.gateway.gateway.registry.size).toBe(0);
  });

  test('because it left while it was asked about', async () => {
    await using stand = await stage();
    const asked = await Heard.on(stand.nc, 'pith.connect');
    const client = await TestClient.open(stand.gateway.port);
    say(client, {});
    const question = await asked.nth(0);
    client.close();
    await eventually(() => stand.gateway.gateway.registry.size === 0, 'the end of the session');
    question.respond(JSON.stringify({ accept: { patch: { uid: 'ann' } } }));
    await eventually(() => stand.gateway.count('pith_late_replies_total', 'nats') === 1, 'count');
    expect(refusals(stand.gateway)).toEqual([]);
  });

  test.for([
    ['is empty', {}, 'accept or error'],
    ['is no JSON', { body: 'yes' }, 'not JSON'],
    ['says both', json({ accept: {}, error: {} }), 'accept or error'],
    ['is of another kind', json({ ok: true }), 'accept or error'],
    ['has a uid that is no string', json({ accept: { patch: { uid: 7 } } }), 'uid is not'],
    ['has a time that is over', json({ accept: { expires_in: '-1s' } }), 'in the past'],
  ] as const)('because the answer %s', async ([, answer, words]) => {
    await using stand = await stage();
    await answering(stand.nc, answer);
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 500 });
    expect(refusals(stand.gateway)).toEqual([expect.stringContaining(words)]);
    expect(refusals(stand.gateway)).toEqual([expect.stringMatching(/^BAD_REPLY/)]);
  });

  test('because what it says is more than the server takes', async () => {
    await using stand = await stage({ config: 'max_payload: 8KB' });
    await answering(stand.nc, json({ accept: {} }));
    const { answer } = await shake(stand.gateway.port, { token: 'x'.repeat(10_000) });
    expect(answer).toMatchObject({ code: 500 });
    expect(refusals(stand.gateway)).toEqual([expect.stringMatching(/^TOO_LARGE.*max_payload/)]);
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 200 });
  });

  test("by a stream's acknowledgement: it is never taken for an answer, and an error is logged", async () => {
    await using stand = await stage({
      config: 'jetstream { store_dir: "$DIR/js" }',
      handshake: '1s',
    });
    const config = { name: 'GREEDY', storage: 'memory', subjects: ['pith.connect'] };
    await stand.nc.request('$JS.API.STREAM.CREATE.GREEDY', JSON.stringify(config));
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 503 });
    const line = stand.gateway.log.find(({ msg }) => msg.includes('JetStream'));
    expect(line).toMatchObject({ level: 'error', route: 'pith.connect' });
    await answering(stand.nc, json({ accept: {} }));
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 200 });
  });
});
