/** Backends on a Unix socket: the lines both ways, and what happens when they are bad, late, or the socket is away. */
import { describe, expect, test } from 'vitest';

import { IPC_BAD_LINES_MAX } from '../../src/upstream/ipc/line-reader.ts';
import { TestClient } from '../support/client.ts';
import { IpcBackend, ipcStage, socketPath, startIpcGateway } from '../support/ipc-backend.ts';
import { eventually } from '../support/wait.ts';

const AWAY = { code: 503, reason: 'BACKEND_AWAY' };

describe('what a backend reads', () => {
  test('a request is one line with these members', async () => {
    await using stand = await ipcStage();
    const { backend, client } = stand;
    expect(await client.request('chat.room.join', { at: 1 })).toEqual({ at: 1 });
    expect(JSON.parse(backend.lines[0]!)).toEqual({
      cmd: 'chat.room.join',
      payload: { at: 1 },
      seq_id: 1,
      timeout_ms: expect.any(Number) as unknown,
      session: { sid: stand.session().sid, uid: '', data: {} },
    });
    expect(backend.asked[0]!.timeout_ms).toBeGreaterThan(10_000);
    expect(backend.asked[0]!.timeout_ms).toBeLessThanOrEqual(60_000);
  });

  test('the session as it is at that time, with the forwarded data', async () => {
    await using stand = await ipcStage();
    const { sid } = stand.session();
    await stand.ask({ patch: { uid: 'zoë', set: { room: 'Größe 1 😀', level: 3, secret: 1 } } });
    await stand.ask({ patch: { set: { level: null } } });
    await stand.ask({});
    const [, second, third] = stand.backend.asked;
    expect(second!.session).toEqual({ sid, uid: 'zoë', data: { room: 'Größe 1 😀', level: 3 } });
    expect(third!.session).toEqual({ sid, uid: 'zoë', data: { room: 'Größe 1 😀' } });
  });

  test('a notify has no seq_id, and an answer to it is passed over', async () => {
    await using stand = await ipcStage(() => '{"seq_id":0,"payload":{}}\n');
    stand.client.notify('chat.room.say', { x: 1 });
    const asked = await stand.backend.nth(0);
    expect(Object.keys(asked)).toEqual(['cmd', 'payload', 'session']);
    await eventually(
      () => stand.gateway.count('pith_late_replies_total', 'ipc') === 1,
      'the count',
    );
    expect(await stand.ask({ payload: { ok: 1 } })).toEqual({ ok: 1 });
    expect(stand.client.received.filter(({ kind }) => kind === 'response')).toHaveLength(1);
  });

  test('the payload is the text of the client, on one line', async () => {
    await using stand = await ipcStage();
    const { backend, client } = stand;
    const text =
      '{ "a":\r\n\t1.50,\n"b" : "x\\ny \u2028", "big":12345678901234567890, "d":1, "d":2 }';
    const id = client.send('a.b.c', Buffer.from(text));
    await client.answer(id);
    expect(backend.lines[0]).toContain(`"payload":${text.replace(/[\r\n]/g, ' ')},"seq_id"`);
    await client.answer(client.send('a.b.c', Buffer.alloc(0)));
    expect(backend.lines[1]).toContain('"payload":{},"seq_id"');
    await client.answer(client.send('a.b.c', Buffer.from('"text"')));
    expect(backend.lines[2]).toContain('"payload":"text","seq_id"');
  });

  test.each([
    ['no JSON', Buffer.from('{"a":')],
    ['a second line', Buffer.from('{}\n{"cmd":"push","route":"x","all":true}')],
    ['another member', Buffer.from('1,"seq_id":9,"x":1')],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['too deep', Buffer.from('['.repeat(300) + ']'.repeat(300))],
    ['far too deep', Buffer.from('['.repeat(60_000))],
  ])('a body that is %s is a 400 and reaches nobody', async (_what, body) => {
    await using stand = await ipcStage();
    const id = stand.client.send('a.b.c', body);
    expect(await stand.client.answer(id)).toMatchObject({ code: 400, reason: 'BAD_BODY' });
    expect(await stand.client.request('a.b.c', { ok: 1 })).toEqual({ ok: 1 });
    expect(stand.backend.lines).toHaveLength(1);
  });

  test('the end of a session that it has seen', async () => {
    await using stand = await ipcStage();
    await using _stranger = await TestClient.connect(stand.gateway.port);
    const { sid } = stand.session();
    await stand.ask({ patch: { uid: 'ann' } });
    stand.client.close();
    const closed = await stand.backend.nth(0, 'pith.closed');
    expect(closed).toMatchObject({
      payload: { session: { sid, uid: 'ann' }, reason: 'client_closed', code: 0 },
      session: { sid, uid: 'ann', data: {} },
    });
    expect(closed.seq_id).toBeUndefined();
  });
});

describe('answers', () => {
  test('the payload goes to the client byte for byte', async () => {
    await using stand = await ipcStage();
    const { client, backend } = stand;
    const payload = '{"n":1.0, "big":12345678901234567890 ,"s":"\\u00e4"}';
    backend.answering = ({ seq_id: id }) =>
      `{ "x":{"payload":1}, "seq_id" : ${id},"payload" :${payload} }\n`;
    const id = client.send('a.b.c', {});
    const answer = await client.wait(
      () => client.received.find((item) => item.kind === 'response' && item.id === id),
      'the answer',
    );
    expect((answer as { body: Buffer }).body.toString()).toBe(payload);
  });

  test('none, or null, is an empty object', async () => {
    await using stand = await ipcStage();
    expect(await stand.ask({})).toEqual({});
    expect(await stand.ask({ payload: null, error: null })).toEqual({});
    const zeros = { cmd: '', error: { code: 0, reason: '', msg: '' }, patch: null, route: '' };
    expect(await stand.ask({ ...zeros, payload: { ok: 1 } })).toEqual({ ok: 1 });
  });

  test('errors, with and without a body of their own', async () => {
    await using stand = await ipcStage();
    const error = { code: 402, reason: 'TOO_POOR', msg: 'no gold' };
    expect(await stand.ask({ error })).toEqual(error);
    expect(await stand.ask({ error: { reason: 'X' } })).toEqual({
      code: 500,
      reason: 'X',
      msg: expect.any(String) as unknown,
    });
    expect(await stand.ask({ error: 'sold out' })).toEqual({
      code: 500,
      reason: 'BACKEND_ERROR',
      msg: 'sold out',
    });
    expect(await stand.ask({ error, payload: { code: 9, mine: [1] } })).toEqual({
      code: 9,
      mine: [1],
    });
    expect(await stand.ask({ error: 7 })).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    expect(await stand.ask({ patch: { uid: 1 } })).toMatchObject({
      code: 502,
      msg: "the answer's uid is not a string",
    });
    await eventually(() => stand.logged('uid is not a string') === 1, 'the log line');
  });

  test('they find their requests by number, in any order', async () => {
    await using stand = await ipcStage(() => null);
    const { client, backend } = stand;
    const ids = Array.from({ length: 50 }, (_, i) => client.send('a.b.c', { i }));
    await backend.nth(49);
    expect(backend.asked.map(({ payload }) => payload)).toEqual(ids.map((_, i) => ({ i })));
    for (const { seq_id, payload } of backend.asked.toReversed()) backend.say({ seq_id, payload });
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    expect(answers).toEqual(ids.map((_, i) => ({ i })));
  });

  test('late, twice, or of a number that never was: dropped and counted', async () => {
    await using stand = await ipcStage(() => null);
    const { client, backend, gateway } = stand;
    const id = client.send('hasty.a.b', {});
    expect(await client.answer(id)).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    for (const seqId of [1, 1, 77, -1, 0])
      backend.say({ seq_id: seqId, payload: {}, patch: { uid: 'late' } });
    await eventually(() => gateway.count('pith_late_replies_total', 'ipc') === 5, 'the count');
    expect(client.answersTo(id)).toBe(1);
    expect(stand.session().uid).toBe('');
  });

  test('a patch is in force before the answer, and close comes after it', async () => {
    await using stand = await ipcStage();
    const patch = { uid: 'ann', join: ['a'], set: { level: 1 } };
    expect(await stand.ask({ payload: { ok: 1 }, patch })).toEqual({ ok: 1 });
    expect(stand.session()).toMatchObject({ uid: 'ann', data: { level: 1 } });
    expect([...stand.session().groups]).toEqual(['a']);
    expect(await stand.ask({ payload: { bye: 1 }, close: { reason: 'banned' } })).toEqual({
      bye: 1,
    });
    await stand.client.ended;
  });
});

describe('what a backend says by itself', () => {
  test('pushes by sid, uid, group and all, in the order with the answer', async () => {
    await using stand = await ipcStage();
    const { client, backend, gateway } = stand;
    const { sid } = stand.session();
    await stand.ask({ patch: { uid: 'ann', join: ['g'] } });
    await using other = await TestClient.connect(gateway.port);
    backend.answering = ({ seq_id: id }) => {
      const push = (to: object, n: number): void =>
        backend.say({ cmd: 'push', route: 'onChat', payload: { n }, seq_id: 0, ...to });
      push({ sid }, 1);
      push({ uid: 'ann', sid: '' }, 2);
      push({ group: 'g', all: false }, 3);
      push({ all: true }, 4);
      push({ all: true, except_sids: [sid] }, 5);
      return `{"seq_id":${id},"payload":{"ok":1}}\n`;
    };
    await client.request('a.b.c');
    const kinds = client.received
      .filter(({ kind }) => kind === 'push' || kind === 'response')
      .slice(1);
    expect(kinds.map(({ kind }) => kind)).toEqual(['push', 'push', 'push', 'push', 'response']);
    expect(client.pushes('onChat').map(({ body }) => body)).toEqual(
      [1, 2, 3, 4].map((n) => ({ n })),
    );
    await other.push('onChat', 1);
    expect(other.pushes().map(({ body }) => body)).toEqual([{ n: 4 }, { n: 5 }]);
  });

  test('patch, kick and close', async () => {
    await using stand = await ipcStage();
    const { client, backend, gateway } = stand;
    const { sid } = stand.session();
    await client.request('a.b.c');
    backend.say({ cmd: 'patch', sid, patch: { uid: 'ann', set: { level: 2 } } });
    await eventually(() => stand.session().uid === 'ann', 'the bind');
    backend.say({ cmd: 'kick', uid: 'ann', reason: 'banned' });
    expect((await client.next('kick')).body).toMatchObject({ reason: 'banned' });
    await client.ended;
    await using other = await TestClient.connect(gateway.port);
    backend.say({ cmd: 'close', sid: stand.session().sid, reason: 'bye' });
    await other.ended;
    expect(other.received.some(({ kind }) => kind === 'kick')).toBe(false);
  });

  test.each([
    [{ cmd: 'push', payload: {}, all: true }, 'route is missing'],
    [{ cmd: 'push', route: 'x' }, 'it has no target: give one of sid, uid, group, all'],
    [{ cmd: 'push', route: 'x', sid: 'a', uid: 'b' }, 'there are sid and uid'],
    [{ cmd: 'push', route: 'x', uid: 7 }, 'uid is not a string'],
    [{ cmd: 'push', route: 'x', all: true, delivery: 'soon' }, 'delivery is not must'],
    [{ cmd: 'patch', uid: 'a' }, 'patch is not a JSON object'],
    [{ cmd: 'dance' }, 'unknown cmd "dance"'],
    [{ hello: 1 }, 'it has neither seq_id, like an answer, nor cmd'],
    ['what?', 'it is not JSON: "what?"'],
    ['[1]', 'it is JSON, but not an object'],
  ])('%j is passed over and logged', async (line, words) => {
    await using stand = await ipcStage();
    await stand.client.request('a.b.c');
    if (typeof line === 'string') stand.backend.write(`${line}\n\n\r\n`);
    else stand.backend.say(line);
    await eventually(() => stand.logged(words) === 1, 'the log line');
    expect(await stand.ask({ payload: { ok: 1 } })).toEqual({ ok: 1 });
    expect(stand.backend.connections).toBe(1);
  });
});

describe('the connection', () => {
  test('a backend that is away: 503 at once; one that comes is found', async () => {
    using folder = socketPath();
    await using gateway = await startIpcGateway(folder.path);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('a.b.c')).toMatchObject(AWAY);
    expect(gateway.gateway.info().backends[0]).toMatchObject({
      kind: 'ipc',
      addresses: 1,
      healthy: 0,
    });
    await using _backend = await IpcBackend.start(folder.path);
    await eventually(() => gateway.gateway.info().backends[0]!.healthy === 1, 'the connection');
    expect(await client.request('a.b.c', { x: 1 })).toEqual({ x: 1 });
    const states = gateway.log.filter(({ msg }) => msg === 'backend');
    expect(states.map(({ state, why }) => [state, why])).toEqual([
      [
        'away',
        `there is no socket at ${folder.path}: start the backend, or correct backends.game.ipc`,
      ],
      ['connected', 'connected'],
    ]);
  });

  test('lost with requests in flight: each is a 503 at once, and none is sent again', async () => {
    await using stand = await ipcStage(() => null);
    const { client, backend, gateway } = stand;
    const ids = Array.from({ length: 20 }, () => client.send('a.b.c', {}));
    await backend.nth(19);
    backend.write('{"seq_id":1');
    backend.cut();
    for (const id of ids) expect(await client.answer(id)).toMatchObject(AWAY);
    await eventually(
      () => gateway.gateway.info().backends[0]!.healthy === 1,
      'the next connection',
    );
    expect(await stand.ask({ payload: { ok: 1 } })).toEqual({ ok: 1 });
    expect(backend.lines).toHaveLength(21);
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
    // It is another process, maybe, which has never seen the session of before.
    expect(backend.connections).toBe(2);
  });

  test('too many bad lines end it, and it is made again', async () => {
    await using stand = await ipcStage();
    await stand.client.request('a.b.c');
    stand.backend.write('x\n'.repeat(IPC_BAD_LINES_MAX));
    await eventually(
      () => stand.logged(`${IPC_BAD_LINES_MAX} lines could not be read`) === 1,
      'the end',
    );
    await eventually(() => stand.backend.connections === 2, 'the next connection');
    await eventually(() => stand.gateway.gateway.info().backends[0]!.healthy === 1, 'it is used');
    expect(await stand.client.request('a.b.c', { x: 1 })).toEqual({ x: 1 });
  });

  test('a line in pieces is whole; one without end is refused', async () => {
    await using stand = await ipcStage(() => null);
    const { client, backend } = stand;
    const id = client.send('a.b.c', {});
    await backend.nth(0);
    for (const piece of ['{"seq_id":1,"pay', 'load":{"n":', '5}}', '\n{"cmd":"push",']) {
      backend.write(piece);
      await new Promise(setImmediate);
    }
    expect(await client.answer(id)).toEqual({ n: 5 });
    backend.write('"route":"onX","all":true}\n');
    expect(await client.push('onX')).toEqual({});
    const late = client.send('a.b.c', {});
    await backend.nth(1);
    const piece = Buffer.alloc(1024 * 1024, ' ');
    for (let bytes = 0; bytes <= 64 * 1024 * 1024; bytes += piece.length) backend.write(piece);
    expect(await client.answer(late)).toMatchObject(AWAY);
    await eventually(() => stand.logged('one JSON object a line is read') === 1, 'the log line');
  });

  test.each([
    ['before the payload', (pad: string) => `{"seq_id":1,"payload":"${pad}"}\n`],
    ['behind it', (pad: string) => `{"payload":{"seq_id":2,"pad":"${pad}"},"seq_id":1}\n`],
  ])(
    'an answer of 20 MB is 502 to who asked, and harms no one else: seq_id %s',
    async (_, line) => {
      await using stand = await ipcStage(() => null);
      await using neighbour = await TestClient.connect(stand.gateway.port);
      const id = stand.client.send('a.b.c', {});
      await stand.backend.nth(0);
      const other = neighbour.send('a.b.c', {});
      await stand.backend.nth(1);
      stand.backend.write(line('\\"x'.repeat(7_000_000)));
      stand.backend.write('{"seq_id":2,"payload":{"n":2}}\n');
      expect(await stand.client.answer(id)).toEqual({
        code: 502,
        reason: 'BAD_REPLY',
        msg: "the backend's answer does not fit into a packet",
      });
      expect(await neighbour.answer(other)).toEqual({ n: 2 });
      expect(stand.backend.connections).toBe(1);
      await eventually(() => stand.logged('the answer to a.b.c has 210000') === 1, 'the log line');
    },
  );

  test('a push of 20 MB is passed over, and the log says so', async () => {
    await using stand = await ipcStage();
    await stand.client.request('a.b.c');
    const pad = 'x'.repeat(20_000_000);
    stand.backend.write(`{"cmd":"push","route":"onX","all":true,"payload":"${pad}"}\n`);
    await eventually(() => stand.logged('a line has 200000') === 1, 'the log line');
    expect(await stand.client.request('a.b.c', { x: 1 })).toEqual({ x: 1 });
    expect(stand.backend.connections).toBe(1);
  });

  test('a seq_id that is no number is refused at once, and its request where it is known', async () => {
    await using stand = await ipcStage(() => null);
    const id = stand.client.send('a.b.c', {});
    await stand.backend.nth(0);
    for (const seqId of ['7.5', '[1]', 'true', '"1.0"', '"1"'])
      stand.backend.write(`{"seq_id":${seqId},"payload":{}}\n`);
    expect(await stand.client.answer(id)).toEqual({
      code: 502,
      reason: 'BAD_REPLY',
      msg: 'the backend answered with a seq_id that is not a number',
    });
    expect(stand.logged('seq_id is 7.5, not a whole number as it was sent')).toBe(1);
    expect(stand.logged('seq_id is "1", not a whole number as it was sent')).toBe(1);
  });

  test('an answer without its newline: a timeout whose log line says so', async () => {
    await using stand = await ipcStage(() => '{"seq_id":1,"payload":{}}');
    expect(await stand.client.request('hasty.a.b')).toMatchObject({ reason: 'TIMEOUT' });
    await eventually(
      () => stand.logged('25 bytes wait for the newline that ends a line') === 1,
      'the log line',
    );
  });

  test('a backend that does not read: what does not fit is a 503, and the rest is answered later', async () => {
    await using stand = await ipcStage();
    const { backend, gateway } = stand;
    await stand.client.request('a.b.c');
    const [socket] = backend.sockets;
    socket!.pause();
    const clients = await Promise.all(
      Array.from({ length: 4 }, () => TestClient.connect(gateway.port)),
    );
    const body = { x: 'y'.repeat(500_000) };
    const ids = clients.map((client) =>
      Array.from({ length: 16 }, () => client.send('a.b.c', body)),
    );
    const refused = (): number => gateway.count('pith_requests_total', 'game', 'OVERLOADED');
    await eventually(() => refused() > 0, 'the first refusal');
    socket!.resume();
    const answers = await Promise.all(
      clients.flatMap((client, at) => ids[at]!.map((id) => client.answer(id))),
    );
    const served = answers.filter(({ reason }) => reason === undefined);
    expect(served.length).toBeGreaterThan(0);
    expect(served.length + refused()).toBe(64);
    expect(answers.filter(({ reason }) => reason === 'OVERLOADED')).toHaveLength(refused());
    for (const client of clients) client.close();
  });

  test('a gateway that stops lets the backend finish, and closes', async () => {
    using folder = socketPath();
    await using backend = await IpcBackend.start(folder.path);
    const gateway = await startIpcGateway(folder.path);
    await using client = await TestClient.connect(gateway.port);
    await client.request('a.b.c');
    await gateway[Symbol.asyncDispose]();
    await eventually(() => backend.sockets.size === 0, 'the end of the connection');
    expect(backend.asked.map(({ cmd }) => cmd)).toEqual(['a.b.c', 'pith.closed']);
  });
});
