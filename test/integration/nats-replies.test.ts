/** What a reply over NATS may say beside its body, and what becomes of one that says it badly. */
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { type Answer, Heard, serve, tell, tellJson, type Words } from '../support/nats-backend.ts';

/** One gateway, one backend that answers as the test says, and one client. */
async function stage(nats: TestNats): Promise<
  AsyncDisposable & {
    gateway: TestGateway;
    client: TestClient;
    asked: Heard;
    session(): Promise<Record<string, unknown>>;
    /** The client's answer to a request that the backend answers so. */
    ask(answer: Answer): Promise<Record<string, unknown>>;
  }
> {
  const nc = await nats.connect();
  let next: Answer = {};
  const asked = await serve(nc, 'pith.rpc.>', () => next);
  const gateway = await startGateway(
    `bus: ${nats.url}
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s, forward: ["*"] }]
sessions: { data: 100B, groups: 3 }
`,
  );
  const client = await TestClient.connect(gateway.port);
  const { sid } = [...gateway.gateway.registry.all()][0]!;
  return {
    gateway,
    client,
    asked,
    async session() {
      const { sessions } = await tellJson(nc, `pith.session.${sid}.get`);
      return (sessions as Record<string, unknown>[])[0]!;
    },
    async ask(answer) {
      next = answer;
      return client.request('world.map.look');
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await gateway[Symbol.asyncDispose]();
    },
  };
}

describe('errors', () => {
  test('code, text and reason in headers become the error of the client', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    const headers = {
      'Nats-Service-Error-Code': '402',
      'Nats-Service-Error': 'too poor: 100 % of it',
      'Pith-Error-Reason': 'TOO_POOR',
    };
    expect(await stand.ask({ headers })).toEqual({
      code: 402,
      reason: 'TOO_POOR',
      msg: 'too poor: 100 % of it',
    });
  });

  test('without a reason, or without a sound code, the standard ones stand in', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    expect(await stand.ask({ headers: { 'Nats-Service-Error': 'oops' } })).toEqual({
      code: 500,
      reason: 'BACKEND_ERROR',
      msg: 'oops',
    });
    expect(await stand.ask({ headers: { 'Nats-Service-Error-Code': 'many' } })).toMatchObject({
      code: 500,
      reason: 'BACKEND_ERROR',
    });
  });

  test('an error with a body of its own passes as it is', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    const headers = { 'Nats-Service-Error-Code': '409', 'Nats-Service-Error': 'taken' };
    expect(await stand.ask({ headers, body: '{"code":9,"mine":[1]}' })).toEqual({
      code: 9,
      mine: [1],
    });
  });

  test('an empty answer is an empty object', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    expect(await stand.ask({})).toEqual({});
  });
});

describe('changes to the session', () => {
  test('bind, set, join and leave take effect before the answer, and the next request shows them', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    await stand.ask({
      body: '{"ok":1}',
      headers: {
        'Pith-Bind': 'zo%C3%AB',
        'Pith-Set': '{"level":3,"room":"Gr\\u00f6\\u00dfe%201"}',
        'Pith-Join': '["a","b"]',
      },
    });
    expect(await stand.session()).toMatchObject({
      uid: 'zoë',
      data: { level: 3, room: 'Größe 1' },
      groups: ['a', 'b'],
      version: '1',
    });
    await stand.ask({ headers: { 'Pith-Set': '{"room":null}', 'Pith-Leave': '["a"]' } });
    const { headers } = stand.asked.messages[1]!;
    expect(headers!.get('Pith-Uid')).toBe('zo%C3%AB');
    expect(await stand.session()).toMatchObject({ data: { level: 3 }, groups: ['b'] });
    await stand.ask({ headers: { 'Pith-Bind': '' } });
    expect(await stand.session()).toMatchObject({ uid: '', data: { level: 3 }, groups: ['b'] });
    await stand.ask({});
    expect(stand.asked.messages[3]!.headers!.has('Pith-Uid')).toBe(false);
  });

  test('names are read in any case, and raw spaces and percent signs stand for themselves', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    await stand.ask({
      headers: {
        'pith-bind': '5% of 10',
        'PITH-SET': '{"a": "x y", "b": 1}',
        'pItH-jOiN': '["g h"]',
      },
    });
    expect(await stand.session()).toMatchObject({
      uid: '5% of 10',
      data: { a: 'x y', b: 1 },
      groups: ['g h'],
    });
    expect(await stand.ask({ headers: { 'NATS-SERVICE-ERROR-CODE': '418' } })).toMatchObject({
      code: 418,
    });
  });

  test('Pith-If-Version lets a change through at that version only', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    await stand.ask({ headers: { 'Pith-Set': '{"n":1}' } });
    expect(await stand.ask({ headers: { 'Pith-Set': '{"n":2}', 'Pith-If-Version': '1' } })).toEqual(
      {},
    );
    expect(
      await stand.ask({
        body: '{"ok":1}',
        headers: { 'Pith-Set': '{"n":3}', 'Pith-If-Version': '1' },
      }),
    ).toMatchObject({ code: 409, reason: 'CONFLICT' });
    expect(await stand.session()).toMatchObject({ data: { n: 2 }, version: '2' });
  });

  test('Pith-Close ends the session after the answer, with the reason', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    expect(await stand.ask({ body: '{"bye":1}', headers: { 'Pith-Close': 'enough' } })).toEqual({
      bye: 1,
    });
    await stand.client.ended;
    expect(stand.client.received.some(({ kind }) => kind === 'kick')).toBe(false);
    const line = stand.gateway.log.find(({ msg }) => msg === 'session closed');
    expect(line).toMatchObject({ reason: 'closed', words: 'enough' });
  });

  test('a change beyond the limits is refused whole', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    const tooMuch: Words[] = [
      { 'Pith-Bind': 'ann', 'Pith-Set': `{"big":"${'x'.repeat(200)}"}` },
      { 'Pith-Bind': 'ann', 'Pith-Join': '["a","b","c","d"]' },
      { 'Pith-Bind': 'x'.repeat(257) },
    ];
    for (const headers of tooMuch)
      expect(await stand.ask({ headers })).toMatchObject({ code: 413, reason: 'TOO_LARGE' });
    expect(await stand.session()).toMatchObject({ uid: '', data: {}, groups: [], version: '0' });
  });
});

describe('replies that cannot be read', () => {
  test('a header of the wrong shape is a 502, and changes nothing', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    const bad: Words[] = [
      { 'Pith-Set': '{"a":' },
      { 'Pith-Set': '[1]' },
      { 'Pith-Set': `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}` },
      { 'Pith-Join': '"a"' },
      { 'Pith-Join': '[1]' },
      { 'Pith-Leave': '{' },
      { 'Pith-Set': '{"a":1}', 'Pith-If-Version': 'new' },
    ];
    for (const headers of bad)
      expect(
        await stand.ask({ body: '{"ok":1}', headers: { 'Pith-Bind': 'ann', ...headers } }),
        JSON.stringify(headers).slice(0, 80),
      ).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect(await stand.session()).toMatchObject({ uid: '', data: {}, version: '0' });
    expect(await stand.ask({ body: '{"ok":1}' })).toEqual({ ok: 1 });
  });

  test('so is a header block that is none', async () => {
    await using nats = await startNats();
    await using gateway = await startGateway(
      `bus: ${nats.url}
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s }]`,
    );
    const nc = await nats.connect();
    const socket = net.connect(nats.port, '127.0.0.1');
    socket.write('CONNECT {"verbose":false,"headers":true}\r\n');
    const blocks = ['NATS/1.0\r\nPith Bind: x\r\n\r\n', 'NATS/1.0\r\n\u0000: x\r\n\r\n'];
    await Heard.on(nc, 'pith.rpc.>', ({ reply }) => {
      const block = blocks.shift();
      if (block === undefined) nc.publish(reply!, '{"ok":1}');
      else socket.write(`HPUB ${reply} ${block.length} ${block.length + 2}\r\n${block}{}\r\n`);
    });
    await using client = await TestClient.connect(gateway.port);
    for (const what of ['a name with a space', 'a name with a zero byte'])
      expect(await client.request('world.map.look'), what).toMatchObject({ reason: 'BAD_REPLY' });
    expect(blocks).toEqual([]);
    expect(await client.request('world.map.look')).toEqual({ ok: 1 });
    socket.destroy();
  });

  test('unknown headers mean nothing', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    expect(
      await stand.ask({ body: '{"ok":1}', headers: { 'Pith-Future': '{', 'X-Other': 'ä' } }),
    ).toEqual({ ok: 1 });
    expect(await stand.session()).toMatchObject({ version: '0' });
  });

  test('a stranger cannot answer for a backend on an inbox that nobody waits at', async () => {
    await using nats = await startNats();
    await using stand = await stage(nats);
    const nc = await nats.connect();
    const inbox = `_INBOX.${stand.gateway.gateway.id}`;
    for (const subject of [
      `${inbox}.rpc.1`,
      `${inbox}.rpc.zzzz`,
      `${inbox}.rpc.-`,
      `${inbox}.ask.1`,
    ])
      nc.publish(subject, '{"forged":1}');
    await nc.flush();
    expect(await stand.ask({ body: '{"ok":1}' })).toEqual({ ok: 1 });
    expect(await tell(nc, 'pith.user.nobody.get')).toBeNull();
  });
});
