/** Backends that open their Link themselves: by gRPC on the control port, by WebSocket on the admin port. */
import { once } from 'node:events';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { Attach } from '../../src/control/attach.ts';
import { HttpServer } from '../../src/control/http.ts';
import { openPort } from '../support/open-port.ts';
import { TimerWheel } from '../../src/timer-wheel.ts';
import { DialInUpstream } from '../../src/upstream/dial-in/dial-in-upstream.ts';
import { CHAT_ROUTES, expectChat, expectCorners, expectLeave } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { ManualClock } from '../support/clock.ts';
import { seededRandom } from '../support/random.ts';
import { keptLog, keptReport } from '../support/report.ts';
import { linkParts } from '../support/link-parts.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { buildExample } from '../support/go.ts';
import { call, control, grpcurl } from '../support/grpcurl.ts';
import { type Running, start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import {
  DialIn,
  type Frame,
  type Json,
  type Transport,
} from '../unit/upstream/dial-in/dial-in-backend.ts';

const GAME = `
backends: { game: { dial_in: { token: "secret" } } }
routes:
  - { match: game.short, backend: game, timeout: 300ms }
  - { match: game.named, backend: game, to: "{data.room}", forward: [room] }
  - { match: "game.>", backend: game, forward: ["*"], timeout: 10s }
`;
/** A ToGateway that holds a hello of "game" with "secret". */
const HELLO = Buffer.from('\n\x10\x12\x0e2\x04game:\x06secret', 'latin1');
const AWAY = { code: 503, reason: 'BACKEND_AWAY' };
const attached = (gateway: TestGateway): number => gateway.gateway.info().backends[0]!.healthy;

const open: AsyncDisposable[] = [];
function keep<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

async function stage(transport: Transport, hello: Json = {}) {
  const gateway = keep(await startGateway(GAME));
  const backend = keep(await DialIn.attach(transport, gateway, hello));
  const client = keep(await TestClient.connect(gateway.port));
  return { gateway, backend, client };
}

describe.each(['gRPC', 'WebSocket'] as const)('a backend that attaches by %s', (transport) => {
  test('answers with more than 16 MiB: that is 502 to who asked, and to nobody else', async () => {
    const { backend, gateway, client } = await stage(transport);
    const other = keep(await TestClient.connect(gateway.port));
    backend.handle = (route) =>
      route === 'game.long'
        ? { body: { text: 'x'.repeat(17_000_000) } }
        : { body: { text: '{"ok":1}' } };
    const long = client.send('game.long', {});
    expect(await other.request('game.any')).toEqual({ ok: 1 });
    expect(await client.answer(long)).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect(await client.request('game.any')).toEqual({ ok: 1 });
    expect(attached(gateway)).toBe(1);
  });

  test('answers, pushes, changes the session, and hears of its end', async () => {
    const { gateway, backend, client } = await stage(transport, { instance: 'laptop' });
    backend.handle = (_, body) => ({
      ...backend.body({ got: body }),
      patch: { uid: 'ann', set: { fields: { room: { stringValue: 'x' } } }, join: ['g'] },
    });
    // The two JSON forms of a Struct: proto-loader's, and the mapping's.
    if (transport === 'WebSocket')
      backend.handle = (_, body) => ({
        ...backend.body({ got: body }),
        patch: { uid: 'ann', set: { room: 'x' }, join: ['g'] },
      });
    expect(await client.request('game.enter', { n: 1 })).toEqual({ got: { n: 1 } });
    const [session] = [...gateway.gateway.registry.all()];
    expect(session).toMatchObject({ uid: 'ann', data: { room: 'x' } });
    expect(backend.all('hello')[0]).toMatchObject({ gateway: gateway.gateway.id });
    expect((await backend.got('request'))[0]).toMatchObject({
      session: { sid: session!.sid, uid: '', dialect: 'pomelo' },
      route: 'game.enter',
      timeout_ms: expect.any(Number) as number,
    });

    backend.send({ id: 5, push: { target: { groups: ['g'] }, route: 'onX', ...backend.body({}) } });
    expect(await client.push('onX')).toEqual({});
    expect((await backend.got('pushed'))[0]).toMatchObject({ delivered: 1, gateways: 1 });
    backend.send({ id: 6, verb: { target: { uids: ['ann'] }, patch: { leave: ['g'] } } });
    const [done] = await backend.got('done');
    expect([done!['changed'], done!['error'] ?? null]).toEqual([1, null]);

    client.notify('game.note', { n: 2 });
    expect((await backend.got('request', 2))[1]).toMatchObject({ notify: true });
    client.close();
    expect((await backend.got('closed'))[0]).toMatchObject({ session: { uid: 'ann' } });
    expect(gateway.gateway.info().backends[0]).toMatchObject({ kind: 'dial_in', addresses: 1 });
  });

  test('is told that nobody waits any more, may ask for more time once, and may fail', async () => {
    const { gateway, backend, client } = await stage(transport);
    backend.handle = () => null;
    expect(await client.request('game.short', {})).toMatchObject({ reason: 'TIMEOUT' });
    await backend.got('cancel');
    const late = backend.frames.find((frame) => 'request' in frame)!.id!;
    backend.send({ id: late, reply: backend.body({}) });
    await eventually(() => gateway.count('pith_late_replies_total', 'dial_in') === 1, 'the count');

    backend.handle = (_, body, { id }) => {
      const timeout = transport === 'gRPC' ? { seconds: 10 } : '10s';
      backend.send({ id: id!, extend: { timeout } });
      setTimeout(() => {
        backend.send({ id: id!, reply: backend.body(body) });
      }, 500);
      return null;
    };
    expect(await client.request('game.short', { slow: true })).toEqual({ slow: true });
    backend.handle = () => ({ error: { code: 402, reason: 'BROKE', message: 'no coins' } });
    expect(await client.request('game.buy', {})).toMatchObject({ code: 402, reason: 'BROKE' });
  });

  test('may say who comes in', async () => {
    const gateway = keep(await startGateway(`${GAME}\nauth: { mode: connect, backend: game }`));
    const early = keep(await TestClient.open(gateway.port));
    expect(await early.handshake()).toMatchObject({ code: 503 });
    const backend = keep(await DialIn.attach(transport, gateway));
    const client = keep(await TestClient.open(gateway.port));
    const answer = client.handshake();
    await backend.got('connect');
    const { id } = backend.frames.find((frame) => 'connect' in frame)!;
    backend.send({ id: id!, connect: { accept: { patch: { uid: 'bob' } } } });
    expect(await answer).toMatchObject({ code: 200 });
    expect([...gateway.gateway.registry.all()].at(-1)).toMatchObject({ uid: 'bob' });
  });

  test('is turned away where its first frame is wrong, and told what to do', async () => {
    const gateway = keep(await startGateway(GAME));
    const [invalid, unauthenticated] = transport === 'gRPC' ? [3, 16] : [1008, 1008];
    const cases: [Frame, number, string][] = [
      [{ hello: { backend: 'game' } }, unauthenticated, 'backends.game.dial_in.token'],
      [{ hello: { backend: 'game', token: 'Secret' } }, unauthenticated, 'a wrong token'],
      [
        { hello: { backend: 'gam', token: 'secret' } },
        invalid,
        'not a backend that has dial_in: gam',
      ],
      [{ hello: {} }, invalid, 'hello.backend is empty'],
      [{ id: 1, reply: {} }, invalid, 'the first frame must be hello'],
    ];
    for (const [frame, code, words] of cases) {
      const backend = keep(new DialIn(transport, gateway));
      backend.send(frame);
      const ended = await backend.ended;
      expect(ended).toMatchObject({ code, text: expect.stringContaining(words) as string });
      expect(backend.frames).toEqual([]);
    }
    const lines = gateway.log.filter(({ msg }) => msg === 'attach refused');
    expect(lines.length).toBe(cases.length);
    expect(lines[1]).toMatchObject({ backend: 'game', level: 'warn' });
    expect(JSON.stringify(lines)).not.toMatch(/secret/i);
    expect(attached(gateway)).toBe(0);
  });

  test('shares the sessions with others; they move when it is killed, or wants to go', async () => {
    const { gateway, backend: a, client } = await stage(transport);
    const b = keep(await DialIn.attach(transport, gateway));
    const other = keep(await TestClient.connect(gateway.port));
    for (const one of [a, b]) one.handle = () => one.body({ at: one === a ? 'a' : 'b' });
    for (let i = 0; i < 3; i++) {
      expect(await client.request('game.where')).toEqual({ at: 'a' });
      expect(await other.request('game.where')).toEqual({ at: 'b' });
    }
    // What is in flight fails at once, and the next message goes elsewhere.
    a.handle = () => null;
    const ids = [client.send('game.where', {}), client.send('game.where', {})];
    await a.got('request', 5);
    a.kill();
    for (const id of ids) expect(await client.answer(id)).toMatchObject(AWAY);
    expect(await client.request('game.where')).toEqual({ at: 'b' });

    // What is in flight is answered first, and what comes behind it waits for that.
    const c = keep(await DialIn.attach(transport, gateway));
    c.handle = () => c.body({ at: 'c' });
    b.handle = () => null;
    const held = client.send('game.where', {});
    const { id } = await eventually(
      () => b.frames.findLast((frame) => Number((frame['request'] as Json | null)?.['seq']) === 7),
      'the request',
    );
    b.send({ goaway: { reason: 'going home' } });
    await eventually(() => gateway.log.some(({ state }) => state === 'leaving'), 'the goaway');
    const behind = client.send('game.where', {});
    expect(await other.request('game.where')).toEqual({ at: 'c' });
    expect(client.answersTo(behind)).toBe(0);
    b.send({ id: id!, reply: b.body({ at: 'b' }) });
    expect(await client.answer(held)).toEqual({ at: 'b' });
    expect(await client.answer(behind)).toEqual({ at: 'c' });
    expect((await b.ended).code).toBe(transport === 'gRPC' ? 0 : 1000);
    expect(b.all('goaway')).toHaveLength(1);

    c.kill();
    await eventually(() => attached(gateway) === 0, 'the end of the last one');
    expect(await client.request('game.where')).toMatchObject(AWAY);
  });

  test('is picked by its name where the route says so', async () => {
    const { gateway, backend: a, client } = await stage(transport, { instance: 'a' });
    const b = keep(await DialIn.attach(transport, gateway, { instance: 'b' }));
    for (const one of [a, b]) one.handle = () => one.body({ at: one === a ? 'a' : 'b' });
    const [session] = [...gateway.gateway.registry.all()];
    for (const room of ['b', 'a', 'b']) {
      await control(gateway, 'SetData', { sid: session!.sid, set: { room } });
      expect(await client.request('game.named')).toEqual({ at: room });
    }
    await control(gateway, 'SetData', { sid: session!.sid, set: { room: 'c' } });
    expect(await client.request('game.named')).toMatchObject(AWAY);
  });

  test('gets an answer to each of many pushes, however fast they come', async () => {
    const { backend, client } = await stage(transport);
    await client.request('game.any');
    const push = { target: { all: true }, route: 'onX', ...backend.body({}) };
    for (let i = 0; i < 8; i++)
      backend.send(...Array.from({ length: 500 }, (_, n) => ({ id: 500 * i + n + 1, push })));
    expect(await backend.got('pushed', 4_000)).toHaveLength(4_000);
    expect(new Set(backend.frames.map(({ id }) => id)).size).toBeGreaterThanOrEqual(4_000);
    expect(await client.request('game.any', { n: 1 })).toEqual({ n: 1 });
  });

  test('may end the link by itself', async () => {
    const { gateway, backend } = await stage(transport);
    backend.end();
    expect((await backend.ended).code).toBe(transport === 'gRPC' ? 0 : 1005);
    await eventually(() => attached(gateway) === 0, 'the end');
    const [line] = gateway.log.filter(({ state }) => state === 'away');
    expect(line).toMatchObject({ why: 'the backend ended the link' });
  });

  test('is told when the gateway stops, and not let in any more', async () => {
    const { gateway, backend } = await stage(transport);
    await gateway.gateway.drain(() => true);
    expect((await backend.ended).code).toBe(transport === 'gRPC' ? 14 : 1001);
    expect(backend.all('goaway')).toEqual([{ reason: 'the gateway is stopping' }]);
  });
});

describe('the WebSocket', () => {
  const httpText = async (gateway: TestGateway, path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${gateway.adminPort}${path}`, init);
    return `${response.status} ${await response.text()}`;
  };
  /** Status and text of a refused upgrade. */
  const refused = async (url: string, headers: Record<string, string> = {}): Promise<number> => {
    const socket = new WebSocket(url, { headers });
    const [error] = (await once(socket, 'error')) as [Error];
    return Number(/\d+/.exec(error.message)![0]);
  };

  test('is at one path, and not for pages in browsers', async () => {
    const gateway = keep(await startGateway(GAME));
    const at = `ws://127.0.0.1:${gateway.adminPort}`;
    expect(await refused(`${at}/v1/attac`)).toBe(404);
    expect(await refused(`${at}/v1/attach`, { Origin: 'http://evil.example' })).toBe(403);
    expect(await refused(`ws://127.0.0.1:${gateway.healthPort}/v1/attach`)).toBe(404);
    expect(await httpText(gateway, '/v1/attach')).toContain('426 backends attach here');
    expect(await httpText(gateway, '/livez')).toBe('200 ok\n');
    expect(attached(gateway)).toBe(0);
  });

  test('takes camelCase, and every form of a body', async () => {
    const { backend, client } = await stage('WebSocket');
    const bodies = [
      { json: { a: [1, null, 'ä'] } },
      { text: '{"a":[1,null,"ä"]}' },
      { bytes: Buffer.from('{"a":[1,null,"ä"]}').toString('base64') },
    ];
    for (const body of bodies) {
      backend.handle = () => ({ body, unknownThing: 1 });
      expect(await client.request('game.any')).toEqual({ a: [1, null, 'ä'] });
    }
    const [session] = await backend.got('request');
    backend.send({
      id: 9,
      verb: {
        target: { all: true, exceptSids: [(session!['session'] as Json)['sid']] },
        patch: {},
      },
    });
    expect((await backend.got('done'))[0]).toMatchObject({ changed: 0 });
    // Zero values are written, and 64-bit numbers as texts.
    expect(session).toMatchObject({ notify: false, to: '', seq: '1', headers: {} });
  });

  test.each([
    ['{"frames":[', 'not JSON'],
    ['[]', '{"frames":[…]}'],
    ['{"frames":[{"id":"x"}]}', 'frames[0]: id: "x" is not a number'],
    ['{"frames":[{"hello":{},"goaway":{}}]}', 'hello and goaway'],
    ['{"frames":[7]}', 'frames[0] is not an object'],
    [Buffer.from([8, 1]), 'send JSON as text'],
  ])('closes at %j, which is told and logged, and costs what is in flight', async (bad, words) => {
    const { gateway, backend, client } = await stage('WebSocket');
    backend.handle = () => null;
    const id = client.send('game.any', {});
    await backend.got('request');
    backend.raw!.send(bad);
    const ended = await backend.ended;
    expect(ended).toMatchObject({ code: 1011, text: expect.stringContaining(words) as string });
    expect(await client.answer(id)).toMatchObject(AWAY);
    expect(gateway.log.find(({ state }) => state === 'away')!['why']).toContain(words);
    keep(await DialIn.attach('WebSocket', gateway));
    expect(await client.request('game.any', { n: 1 })).toEqual({ n: 1 });
  });

  test('an answer that cannot be read fails its request, and no other', async () => {
    const { backend, client } = await stage('WebSocket');
    backend.handle = () => null;
    const ids = [client.send('game.any', {}), client.send('game.any', {})];
    await backend.got('request', 2);
    const [first] = backend.frames.filter((frame) => 'request' in frame);
    const bad = '{"patch":{"set":{"guild":1234567890123456789}}}';
    backend.raw!.send(`{"frames":[{"id":${first!['id']},"reply":${bad}}]}`);
    expect(await client.answer(ids[0]!)).toMatchObject({
      code: 502,
      msg: expect.stringContaining('reply.patch.set.guild: 1234567890123456789') as string,
    });
    expect(client.answersTo(ids[1]!)).toBe(0);
    backend.handle = (_, body) => backend.body(body);
    expect(await client.request('game.any', { n: 1 })).toEqual({ n: 1 });
  });

  test('that is not read from costs nobody else anything', async () => {
    const gateway = keep(
      await startGateway(
        `${GAME}
  - { match: "gate.>", backend: gate }
limits: { messages_per_second: 100000, burst: 100000 }`.replace(
          'backends: {',
          'backends: { gate: { reply: { code: 200 } },',
        ),
      ),
    );
    const backend = keep(await DialIn.attach('WebSocket', gateway));
    const client = keep(await TestClient.connect(gateway.port));
    expect(await client.request('game.any', {})).toEqual({});
    backend.raw!.pause();
    const text = 'x'.repeat(60_000);
    for (let i = 0; i < 500; i++) client.notify('game.any', { text });
    expect(await client.request('gate.any')).toEqual({ code: 200 });
    expect(await client.request('game.any')).toMatchObject({ code: 503, reason: 'OVERLOADED' });
    backend.raw!.resume();
    await eventually(
      async () => (await client.request('game.any', { n: 1 }))['n'] === 1,
      'the backend to be served again',
    );
  });

  test('takes large messages, and closes at one over the limit', async () => {
    const { backend, client } = await stage('WebSocket');
    backend.handle = () => ({ body: { text: `"${'x'.repeat(1_000_000)}"` } });
    expect(await client.request('game.any')).toHaveLength(1_000_000);
    backend.send({ push: { route: 'onX', body: { text: 'x'.repeat(65 * 1024 * 1024) } } });
    expect((await backend.ended).code).toBe(1009);
  });
});

describe('time', () => {
  /** An admin port whose clock stands still, and one backend that may attach there. */
  async function still() {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const { report } = keptReport('game', 'dial_in', clock);
    const game = new DialInUpstream(
      {
        name: 'game',
        token: '',
        deadAfterMs: 30_000,
        balance: 'round_robin',
        hashBy: '',
        clock,
        random: seededRandom(),
      },
      linkParts(wheel, report),
    );
    const attach = new Attach(() => [game], {
      convertBytesMax: 1_048_576,
      clock,
      wheel,
      log: keptLog().log,
    });
    const server = new HttpServer(
      {
        notReady: () => [],
        sendsElsewhere: () => false,
        metrics: () => null,
        drained: new Promise(() => {}),
      },
      openPort(wheel),
      { attach },
    );
    await server.listen({ host: '127.0.0.1', port: 0 });
    keep({ [Symbol.asyncDispose]: () => server.close() });
    return { clock, game, adminPort: server.port };
  }

  test('who does not say hello is sent away after 5 s', async () => {
    const { clock, adminPort } = await still();
    const socket = new WebSocket(`ws://127.0.0.1:${adminPort}/v1/attach`);
    await once(socket, 'open');
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    clock.advance(5_100);
    const [code, text] = await closed;
    expect(code).toBe(1008);
    expect(text.toString()).toContain('no hello within 5000 ms; the first frame must be hello');
  });

  test('a silent one is pinged, and given up when it stays silent', async () => {
    const { clock, game, adminPort } = await still();
    const sockets: WebSocket[] = [];
    keep({ [Symbol.asyncDispose]: async () => void sockets.map((socket) => socket.terminate()) });
    for (const autoPong of [true, false]) {
      const socket = new WebSocket(`ws://127.0.0.1:${adminPort}/v1/attach`, { autoPong });
      sockets.push(socket);
      await once(socket, 'open');
      socket.send('{"frames":[{"hello":{"backend":"game"}}]}');
      await once(socket, 'message');
    }
    const [, silent] = sockets as [WebSocket, WebSocket];
    expect(game.info()).toMatchObject({ healthy: 2 });
    const closed = once(silent, 'close');
    const pings = [0, 0];
    for (const [at, socket] of sockets.entries()) socket.on('ping', () => void pings[at]!++);
    for (let second = 5; second <= 30; second += 5) {
      clock.advance(5_000);
      // What is asked behind a pong is answered after it was read.
      for (let i = 0; i < 3; i++) await fetch(`http://127.0.0.1:${adminPort}/livez`);
    }
    expect((await closed)[0]).toBe(1006);
    // At 10 s and 20 s; the other one was heard after the first of them.
    expect(pings).toEqual([2, 2]);
    expect(game.info()).toMatchObject({ healthy: 1 });
  });
});

describe('gRPC', () => {
  test('frames that no one can read end the link, and the backend is told which', async () => {
    const gateway = keep(await startGateway(GAME));
    const client = new Client(`127.0.0.1:${gateway.controlPort}`, credentials.createInsecure());
    const raw = (bytes: Buffer): Buffer => bytes;
    const stream = client.makeBidiStreamRequest('/pith.v1.Gateway/Attach', raw, raw);
    const ended = once(stream, 'error') as Promise<[ServiceError]>;
    stream.write(HELLO);
    await once(stream, 'data');
    expect(attached(gateway)).toBe(1);
    stream.write(Buffer.from([0x0a, 0x7f]));
    const [{ code, details }] = await ended;
    client.close();
    expect(code).toBe(status.ABORTED);
    expect(details).toBe('a frame could not be read: field 1 is cut off');
    expect(attached(gateway)).toBe(0);
  });

  test('reflection lists Attach, and grpcurl is told what is missing', async () => {
    const gateway = keep(await startGateway(GAME));
    expect(await grpcurl(gateway, ['list'])).toContain('pith.v1.Gateway');
    expect(await grpcurl(gateway, ['describe', 'pith.v1.Gateway'])).toContain('rpc Attach');
    const hello = { frames: [{ hello: { backend: 'game', token: 'x' } }] };
    const called = await call(gateway, 'pith.v1.Gateway/Attach', hello);
    expect(called.status).toBe('Unauthenticated');
    expect(called.text).toContain('a wrong token for backend game');
  });
});

describe('the example in Go', () => {
  const YAML = `backends: { chat: { dial_in: {} } }\n${CHAT_ROUTES}
sessions: { groups: 1000 }
limits: { messages_per_second: 1000000, burst: 1000000 }`;
  const startChat = async (gateway: TestGateway, env: Record<string, string> = {}) =>
    keep<Running>(
      await start(await buildExample('chat-dial-in-go'), [], {
        env: { GATEWAY: `ws://127.0.0.1:${gateway.adminPort}/v1/attach`, ...env },
      }),
    );

  test('is the chat; SIGTERM ends it with 0, a wrong token with 1', async () => {
    const gateway = keep(await startGateway(YAML));
    const backend = await startChat(gateway);
    await backend.waitFor(/attached to/);
    const [ann, bob, zoe, ben] = await Promise.all(
      (['tcp', 'ws', 'ws', 'tcp'] as const).map((transport) =>
        TestClient.connect(gateway.port, transport),
      ),
    );
    await expectChat(keep(ann!), keep(bob!));
    await expectCorners(keep(zoe!), keep(ben!));
    await expectLeave(ann!, bob!);
    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
    const lost = await startChat(gateway, { BACKEND: 'chess' });
    expect(await lost.exited).toBe(1);
    expect(lost.output()).toContain('not a backend that has dial_in: chess');
  });

  test('killed, stopped and attached again under load: each request is answered once', async () => {
    const gateway = keep(await startGateway(YAML));
    const chats = [await startChat(gateway), await startChat(gateway), await startChat(gateway)];
    await eventually(() => attached(gateway) === 3, 'three links');
    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => keep(await TestClient.connect(gateway.port))),
    );
    const asked: { client: TestClient; id: number; room: string }[] = [];
    const ask = (each: number): void => {
      for (const client of clients)
        for (let i = 0; i < each; i++) {
          const room = `r${asked.length}`;
          asked.push({ client, room, id: client.send('chat.room.join', { name: 'x', room }) });
        }
    };
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      ask(40);
      await clients[0]!.answer(asked.at(-400)!.id);
      const victim = chats.shift()!;
      victim.kill(signal);
      ask(20);
      await victim.exited;
      chats.push(await startChat(gateway));
      await chats.at(-1)!.waitFor(/attached to/);
      ask(20);
    }
    let right = 0;
    const wrong: unknown[] = [];
    for (const { client, id, room } of asked) {
      const answer = await client.answer(id);
      if (answer['code'] === 200 && answer['room'] === room) right++;
      else if (answer['code'] !== 503 || answer['reason'] !== 'BACKEND_AWAY') wrong.push(answer);
    }
    expect(wrong).toEqual([]);
    // What is answered last comes behind any second answer that was sent before.
    for (const client of clients) await client.request('chat.room.leave', {});
    expect(asked.filter(({ client, id }) => client.answersTo(id) !== 1)).toEqual([]);
    expect(right).toBeGreaterThan(asked.length / 2);
    expect(gateway.count('pith_late_replies_total', 'dial_in')).toBe(0);
  });
});
