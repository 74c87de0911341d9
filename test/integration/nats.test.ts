/** Backends on NATS: what they are sent, what their answers do, and what happens when they or NATS are away. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { headersOf, Heard, push, serve, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';
import { dialNats } from '../../src/upstream/nats/dial.ts';

const ROUTES = `
routes:
  - { match: "serial.>", backend: game, order: serial }
  - { match: "hasty.>", backend: game, timeout: 300ms }
  - { match: "room.strict.>", backend: game, to: "{data.room}" }
  - { match: "room.loose.>", backend: game, to: "{data.room}", else: any }
  - { match: "all.>", backend: game, forward: ["*"] }
  - { match: ">", backend: game, forward: [level, room], timeout: 60s }
limits: { messages_per_second: 100000, burst: 100000 }
`;

function start(url: string): Promise<TestGateway> {
  return startGateway(`bus: ${url}\nbackends: { game: { nats: {} } }\n${ROUTES}`);
}

function sidOf(gateway: TestGateway): string {
  return [...gateway.gateway.registry.all()][0]!.sid;
}

describe('what a backend is sent', () => {
  test('a request has all its headers, each with the right value', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await serve(nc, 'pith.rpc.>', () => ({ body: '{"ok":1}' }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const sid = sidOf(gateway);
    await client.request('world.map.look');
    await tellJson(nc, `pith.session.${sid}.patch`, {
      uid: 'zoë 5%',
      set: { level: 'Größe 1', secret: 'x' },
    });
    client.send('world.map.look', { at: 1 }, 77);
    await client.answer(77);
    const first = heard.messages[0]!.headers!;
    expect(first.has('Pith-Uid')).toBe(false);
    expect(first.get('Pith-Data')).toBe('{}');
    const { subject, headers, reply } = heard.messages[1]!;
    expect(subject).toBe('pith.rpc.world.map.look');
    expect(reply).toMatch(new RegExp(`^_INBOX\\.${gateway.gateway.id}\\.`));
    expect(Object.fromEntries(headers!.keys().map((name) => [name, headers!.get(name)]))).toEqual({
      'Pith-Sid': sid,
      'Pith-Uid': 'zo%C3%AB%205%25',
      'Pith-Client-Ip': '127.0.0.1',
      'Pith-Data': '{"level":"Gr\\u00f6\\u00dfe%201"}',
      'Pith-Seq': '2',
      'Pith-Id': '77',
      'Pith-Route': 'world.map.look',
      'Pith-Timeout-Ms': expect.stringMatching(/^(60000|[1-5]\d{4})$/) as unknown,
    });
    await client.request('all.of.it');
    expect(JSON.parse(decodeURIComponent(heard.messages[2]!.headers!.get('Pith-Data')))).toEqual({
      level: 'Größe 1',
      secret: 'x',
    });
  });

  test('a notify has neither id nor reply subject', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await Heard.on(nc, 'pith.rpc.>');
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    client.notify('world.map.step', { x: 1 });
    const { headers, reply } = await heard.nth(0);
    expect(reply ?? '').toBe('');
    expect(headers!.has('Pith-Id')).toBe(false);
    expect(headers!.get('Pith-Seq')).toBe('1');
    expect(headers!.get('Pith-Sid')).toBe(sidOf(gateway));
  });

  test('bodies pass untouched, both ways, whatever bytes they are', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await serve(nc, 'pith.rpc.>', ({ data }) => ({ body: data }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port, 'ws');
    const bytes = Buffer.from([0, 255, 13, 10, 123, 34, 0x80, 0xc3, 1]);
    const id = client.send('world.map.raw', bytes);
    const answer = await client.wait(
      () => client.received.find((item) => item.kind === 'response' && item.id === id),
      'the answer',
    );
    expect(Buffer.from(heard.messages[0]!.data)).toEqual(bytes);
    expect((answer as { body: Buffer }).body).toEqual(bytes);
  });

  test('hostile routes are answered 400 and never reach a subject', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await serve(nc, '>', ({ subject }) =>
      subject.startsWith('pith.rpc.') ? {} : null,
    );
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const hostile = [
      ...[
        '>',
        '*',
        'a.*',
        'a.>',
        'a..b',
        '.a',
        'a.',
        'a b',
        'a\r\nPUB x 0',
        'a\tb',
        'ä.b',
        '',
        '$SYS',
      ],
      ...[
        'a.b\u0000c',
        'a.b.constructor',
        `${'x'.repeat(65)}.a`,
        'a.=cm9v.b',
        `${'a.'.repeat(64)}a`,
      ],
    ];
    for (const route of hostile) {
      expect(await client.request(route), JSON.stringify(route)).toMatchObject({
        code: 400,
        reason: 'BAD_ROUTE',
      });
    }
    expect(await client.request('fine.route.here')).toEqual({});
    // What the gateway says for itself names no route.
    const own =
      /^(_INBOX\..*|\$JS\.API\.STREAM\.NAMES|pith\.fleet\.(hello|orders)|pith\.event\.(gateway\.(ready|alive)|session\.opened))$/;
    expect(heard.subjects.filter((subject) => !own.test(subject))).toEqual([
      'pith.rpc.fine.route.here',
    ]);
  });

  test('an instance name from session data is one token, whatever is in it', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await serve(nc, 'pith.>', ({ subject }) =>
      /^pith\.(rpc|to)\./.test(subject) ? { body: '{"ok":1}' } : null,
    );
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    for (const room of ['r1', 'a.b', '>', '* x', 'x'.repeat(97)]) {
      await tellJson(nc, `pith.session.${sidOf(gateway)}.set`, { set: { room } });
      expect(await client.request('room.strict.go')).toEqual({ ok: 1 });
    }
    expect(heard.subjects.filter((subject) => subject.startsWith('pith.to.'))).toEqual([
      'pith.to.r1.room.strict.go',
      'pith.to.=YS5i.room.strict.go',
      'pith.to.=Pg.room.strict.go',
      'pith.to.=KiB4.room.strict.go',
      'pith.to.=hGajwfut_PQwLc3fjfXLszeFEzv60S-rJwyJxMaUmaI0.room.strict.go',
    ]);
  });
});

describe('who gets it', () => {
  test('a queue group of three shares the requests, each once', async () => {
    await using nats = await startNats();
    const members = await Promise.all([1, 2, 3].map(() => nats.connect()));
    const heard = await Promise.all(
      members.map((nc, i) => serve(nc, 'pith.rpc.world.>', () => ({ body: `{"by":${i}}` }))),
    );
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 150 }, () => client.send('world.map.look', {}));
    await Promise.all(ids.map((id) => client.answer(id)));
    expect(heard.reduce((sum, { messages }) => sum + messages.length, 0)).toBe(150);
    for (const { messages } of heard) expect(messages.length).toBeGreaterThan(0);
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
  });

  test('a serial route has one message of a session in flight, in the order sent', async () => {
    await using nats = await startNats();
    const members = await Promise.all([1, 2, 3].map(() => nats.connect()));
    const order: string[] = [];
    let inFlight = 0;
    let most = 0;
    for (const nc of members) {
      await Heard.on(
        nc,
        'pith.rpc.serial.>',
        (msg) => {
          order.push(msg.string());
          most = Math.max(most, ++inFlight);
          setImmediate(() => {
            inFlight--;
            nc.publish(msg.reply!, '{}');
          });
        },
        'test',
      );
    }
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 60 }, (_, i) => client.send('serial.move.step', i));
    await Promise.all(ids.map((id) => client.answer(id)));
    expect(order).toEqual(ids.map((_, i) => String(i)));
    expect(most).toBe(1);
  });

  test('an instance that is away: 503, or any other where the route allows it', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const one = await serve(nc, 'pith.to.one.>', () => ({ body: '{"by":"one"}' }));
    await serve(nc, 'pith.rpc.>', () => ({ body: '{"by":"any"}' }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('room.strict.go')).toEqual({ by: 'any' });
    await tellJson(nc, `pith.session.${sidOf(gateway)}.set`, { set: { room: 'one' } });
    expect(await client.request('room.strict.go')).toEqual({ by: 'one' });
    expect(await client.request('room.loose.go')).toEqual({ by: 'one' });
    one.stop();
    await nc.flush();
    expect(await client.request('room.strict.go')).toMatchObject({ reason: 'BACKEND_AWAY' });
    expect(await client.request('room.loose.go')).toEqual({ by: 'any' });
  });

  test('the only backend is replaced: requests wait for the next one, each session in its order', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const before = await serve(nc, 'pith.rpc.world.>', () => ({ body: '{"by":"before"}' }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('world.a.b')).toEqual({ by: 'before' });
    before.stop();
    await nc.flush();
    const first = client.request('world.a.b', { n: 1 });
    // The server has said by now that there is nobody.
    await using other = await TestClient.connect(gateway.port);
    await other.request('hasty.no.one');
    const second = client.request('world.a.b', { n: 2 });
    const came: unknown[] = [];
    await serve(nc, 'pith.rpc.world.>', (msg) => {
      came.push(msg.json<{ n: number }>().n);
      return { body: '{"by":"next"}' };
    });
    expect([await first, await second]).toEqual([{ by: 'next' }, { by: 'next' }]);
    expect(came).toEqual([1, 2]);
    expect(gateway.count('pith_requests_total', 'game', 'ok')).toBe(3);
  });

  test('nobody comes: 503, and what was never served does not wait', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const before = await serve(nc, 'pith.rpc.world.a.*', () => ({ body: '{"by":"before"}' }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    await using other = await TestClient.connect(gateway.port);
    expect(await client.request('world.a.b')).toEqual({ by: 'before' });
    before.stop();
    await nc.flush();
    const waits = client.request('world.a.b');
    let isOver = false;
    void waits.then(() => (isOver = true));
    expect(await other.request('world.c.d')).toMatchObject({ reason: 'BACKEND_AWAY' });
    expect(isOver).toBe(false);
    expect(gateway.count('pith_calls_waited_total', 'subscriber')).toBeGreaterThan(0);
    expect(await waits).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    expect(gateway.count('pith_calls_waiting', 'subscriber')).toBe(0);
  });

  test('no backend at all is a 503 at once, not a timeout', async () => {
    await using nats = await startNats();
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('hasty.no.one')).toMatchObject({
      code: 503,
      reason: 'BACKEND_AWAY',
    });
    expect(gateway.count('pith_requests_total', 'game', 'TIMEOUT')).toBe(0);
  });
});

describe('deadlines', () => {
  test('a silent backend is a 504, and its late reply is dropped and counted', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await Heard.on(nc, 'pith.rpc.hasty.>');
    await serve(nc, 'pith.rpc.world.>', () => ({ body: '{"ok":1}' }));
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const id = client.send('hasty.slow.one', {});
    expect(await client.answer(id)).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    nc.publish(heard.messages[0]!.reply!, '{"late":true}', {
      headers: headersOf({ 'Pith-Bind': 'late' }),
    });
    await eventually(() => gateway.count('pith_late_replies_total', 'nats') === 1, 'the count');
    expect(await client.request('world.map.look')).toEqual({ ok: 1 });
    expect(client.answersTo(id)).toBe(1);
    expect([...gateway.gateway.registry.all()][0]!.uid).toBe('');
  });

  test('a second reply to the same request is dropped and counted', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await Heard.on(nc, 'pith.rpc.>', (msg) => {
      nc.publish(msg.reply!, '{"n":1}');
      nc.publish(msg.reply!, '{"n":2}');
    });
    await using gateway = await start(nats.url);
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 20 }, () => client.send('world.map.look', {}));
    for (const id of ids) expect(await client.answer(id)).toEqual({ n: 1 });
    await eventually(() => gateway.count('pith_late_replies_total', 'nats') === 20, 'the count');
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
  });
});

describe('NATS dies', () => {
  test('nats-server killed in mid-request: each is answered once, and all resumes by itself', async () => {
    await using nats = await startNats();
    const nc = await nats.connect({ maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    let answers = false;
    const heard = await serve(nc, 'pith.rpc.>', () => (answers ? { body: '{"ok":1}' } : null));
    await using gateway = await start(nats.url);
    const clients = await Promise.all([1, 2, 3].map(() => TestClient.connect(gateway.port, 'ws')));
    for (const [i, session] of [...gateway.gateway.registry.all()].entries())
      await tellJson(nc, `pith.session.${session.sid}.patch`, { uid: `u${i}`, join: ['all'] });
    const waiting = clients.map((client) =>
      Array.from({ length: 20 }, () => client.send('world.map.look', {})),
    );
    await heard.until((messages) => messages.length === 60, '60 requests');
    await nats.kill();
    for (const [i, client] of clients.entries()) {
      for (const id of waiting[i]!) {
        const { code } = await client.answer(id);
        expect([503, 504]).toContain(code);
      }
      expect(await client.request('world.map.look')).toMatchObject({
        code: 503,
        reason: 'BUS_AWAY',
      });
    }
    expect((await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`)).status).toBe(200);
    answers = true;
    await nats.restart();
    await eventually(
      async () => (await clients[0]!.request('world.map.look'))['ok'] === 1,
      'the service to resume',
    );
    const other = await nats.connect();
    for (const i of [0, 1, 2]) {
      expect(
        await tellJson(other, `pith.user.u${i}.push`, '{"back":1}', { 'Pith-Route': 'onBack' }),
      ).toEqual({ delivered: 1, dropped: 0, refused: 0 });
    }
    expect(
      await tellJson(other, 'pith.group.all.push', '{}', { 'Pith-Route': 'onAll' }),
    ).toMatchObject({ delivered: 3 });
    for (const [i, client] of clients.entries()) {
      expect(await client.push('onBack')).toEqual({ back: 1 });
      expect(waiting[i]!.map((id) => client.answersTo(id))).toEqual(waiting[i]!.map(() => 1));
      client.close();
    }
  });

  test('away at the start: clients are answered 503 until it is there, and only the first loss counts', async () => {
    await using nats = await startNats();
    await nats.kill();
    await using gateway = await start(nats.url);
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`)).status;
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('world.map.look')).toMatchObject({ code: 503, reason: 'BUS_AWAY' });
    expect(await ready()).toBe(503);
    await nats.restart();
    await eventually(async () => (await ready()) === 200, 'readiness');
    const nc = await nats.connect();
    await serve(nc, 'pith.rpc.>', () => ({
      body: '{"ok":1}',
      headers: { 'Pith-Bind': 'ann' },
    }));
    expect(await client.request('world.map.look')).toEqual({ ok: 1 });
    push(nc, 'pith.user.ann.push', 'onHi', { hi: 1 });
    expect(await client.push('onHi')).toEqual({ hi: 1 });
    expect(await tell(nc, `pith.session.${sidOf(gateway)}.get`)).not.toBeNull();
    await nats.kill();
    expect(await client.request('world.map.look')).toMatchObject({ code: 503 });
    expect(await ready()).toBe(200);
  });
});

describe('a connection', () => {
  const INFO =
    'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":100,"proto":1}\r\n';
  const NO_ONE = {
    creds: '',
    user: '',
    password: '',
    token: '',
    nkey: '',
    inboxPrefix: '_INBOX.g',
  };

  /** What a server has got after the first PING. */
  async function dialled() {
    let got = '';
    const server = createServer((socket) => {
      socket.write(INFO);
      socket.setEncoding('latin1').on('data', (text: string) => {
        got += text;
        for (const _ of text.matchAll(/PING\r\n/g)) socket.write('PONG\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const nc = await dialNats({ ...NO_ONE, gatewayId: 'g' }, [`127.0.0.1:${port}`]);
    const said = (): string => got.slice(got.indexOf('PING\r\n') + 6).replaceAll('\r\n', '|');
    return {
      nc,
      said,
      [Symbol.asyncDispose]: () => (nc.discard(), server.close(), Promise.resolve()),
    };
  }

  test('says everything in the order of the calls', async () => {
    await using stand = await dialled();
    const { nc, said } = stand;
    nc.publish('a', Buffer.from('1'));
    const subscribed = nc.subscribe('x', () => {}, '');
    nc.publish('b', Buffer.from('2'), { reply: 'r' });
    nc.publish('c', Buffer.alloc(0));
    subscribed.unsubscribe();
    nc.publish('d', Buffer.from('4'));
    await nc.flush();
    expect(said()).toBe('PUB a 1|1|SUB x 1|PUB b r 1|2|PUB c 0||UNSUB 1|PUB d 1|4|PING|');
    nc.publish('e', Buffer.from('5'));
    await nc.drain();
    expect(said().slice(said().indexOf('PUB e'))).toBe('PUB e 1|5|PING|');
  });

  test('counts what waits for the end of the turn, and what was published', async () => {
    await using stand = await dialled();
    const { nc, said } = stand;
    nc.publish('a', Buffer.from('12345'));
    expect([nc.unsentBytes, nc.publishedBytes]).toEqual(['PUB a 5..12345..'.length, 5]);
    expect(() => {
      nc.publish('a', Buffer.alloc(101));
    }).toThrow('101 bytes; the server takes 100');
    await eventually(() => said() === 'PUB a 5|12345|', 'it to be sent');
    expect([nc.unsentBytes, nc.publishedBytes]).toEqual([0, 5]);
    nc.discard();
    await nc.close();
    expect(() => {
      nc.publish('a', Buffer.alloc(1));
    }).toThrow('the server closed the connection before it was ready');
  });
});
