/** Requests, pushes, states and errors of the client, on a byte pipe and a clock of the test's own. */
import { describe, expect, test, vi } from 'vitest';

import { ClientError, PithClient } from '../../../src/client/client.ts';
import { CLIENT_VERSION } from '../../../src/client/version.ts';
import { readFileSync } from 'node:fs';
import { sourceFiles } from '../../support/layers.ts';
import { findImports } from '../../support/syntax.ts';
import { SOON } from '../../support/wait.ts';
import { packet } from './fake-server.ts';
import { failure, openRig, rig } from './support.ts';

const SRC = new URL('../../../src/client/', import.meta.url);

describe('the files', () => {
  test('import nothing but each other, and Node in tcp.ts alone', () => {
    const found = sourceFiles(SRC.pathname).flatMap((file) =>
      findImports(file, readFileSync(new URL(file, SRC), 'utf8')).map(
        ({ name }) => `${file} ${name}`,
      ),
    );
    const foreign = found.filter((line) => !/^[a-z-]+\.ts \.\/[a-z-]+\.ts$/.test(line));
    expect(foreign).toEqual(['tcp.ts node:net', 'tcp.ts node:tls']);
  });

  test('know the version of the package', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', SRC), 'utf8')) as {
      version: string;
    };
    expect(CLIENT_VERSION).toBe(version);
  });
});

describe('connect', () => {
  test('shakes hands, acknowledges, and says who it is', async () => {
    const { client, server, told } = rig({ user: { token: 't' }, sys: { channel: 'x' } });
    expect(client.state).toBe('idle');
    const opened = client.connect();
    expect(server.last.url).toBe('ws://server');
    expect(server.last.sent).toEqual([]);
    server.last.accept({}, { user: { level: 3 } });
    await opened;
    expect(server.last.hello).toEqual({
      sys: { type: 'pith-client', version: CLIENT_VERSION, channel: 'x' },
      user: { token: 't', pith: { resume: '', cursor: 0 } },
    });
    expect(server.last.packets.map(([type]) => type)).toEqual([1, 2]);
    expect(client.handshake).toEqual({ code: 200, sys: {}, user: { level: 3 } });
    expect(told).toEqual(['connecting', 'open']);
  });

  test('asks for the user block each time, and waits for it', async () => {
    let n = 0;
    const { client, server } = rig({ user: async () => ({ n: ++n }) });
    for (const expected of [1, 2]) {
      const opened = client.connect();
      await vi.waitFor(() => expect(server.connections.length).toBe(expected), SOON);
      server.last.accept();
      await opened;
      expect(server.last.hello.user).toMatchObject({ n: expected });
      const closed = client.close();
      server.last.end();
      await closed;
    }
  });

  test('is one for all who ask, and at once where it is open', async () => {
    const { client, server } = rig();
    const all = [client.connect(), client.connect()];
    server.last.accept();
    await Promise.all(all);
    await client.connect();
    expect(server.connections.length).toBe(1);
  });

  test.each([
    ['{"code":501}', 501, 'the handshake was refused: {"code":501}'],
    ['{"code":500,"why":1}', 500, 'the handshake was refused: {"code":500,"why":1}'],
    ['nonsense', 0, 'the handshake was refused: nonsense'],
  ])('fails when the server answers %s', async (answer, code, message) => {
    const { client, server, told } = rig();
    const failed = failure(client.connect());
    server.last.open();
    server.last.packet(1, answer);
    expect(await failed).toMatchObject({ reason: 'REFUSED', code, message });
    expect(server.last.isDestroyed).toBe(true);
    expect(told).toEqual(['connecting', 'closed REFUSED']);
  });

  test.each([
    [() => Buffer.from('HTTP/1.1 400\r\n'), 'the server does not speak Pomelo: bad_packet_type'],
    [() => packet(1, 'x'.repeat(101)), 'the server does not speak Pomelo: packet_too_long'],
    [
      () => '{"handshake":{}}',
      'the server does not speak Pomelo: it sent text, as in the json dialect',
    ],
  ])('fails when something else comes: %s', async (data, message) => {
    const { client, server } = rig({ packetBytesMax: 100 });
    const failed = failure(client.connect());
    server.last.open();
    server.last.data(data());
    expect(await failed).toMatchObject({ reason: 'BAD_SERVER', code: 0, message });
  });

  test('fails when there is no handshake in time', async () => {
    const { client, server, clock } = rig({ connectTimeoutMs: 300 });
    const failed = failure(client.connect());
    server.last.open();
    clock.advance(300);
    expect(await failed).toMatchObject({
      reason: 'TIMEOUT',
      message: 'no handshake within 300 ms',
    });
    expect(server.last.isDestroyed).toBe(true);
    expect(clock.timerCount).toBe(0);
  });

  test('fails when the server cannot be reached, and says why', async () => {
    const { client, server } = rig();
    const failed = failure(client.connect());
    const cause = new Error('ECONNREFUSED');
    server.last.end('connection refused', cause);
    expect(await failed).toMatchObject({
      reason: 'UNREACHABLE',
      message: 'connection refused',
      cause,
    });
  });

  test('fails when the transport or the user block throws', async () => {
    const { client, server } = rig();
    server.failure = new Error('no such scheme');
    expect((await failure(client.connect())).message).toBe('Error: no such scheme');
    const second = rig({ user: () => Promise.reject(new Error('no token')) });
    expect(await failure(second.client.connect())).toMatchObject({
      reason: 'UNREACHABLE',
      message: 'Error: no token',
    });
    const third = rig({ user: { n: 1n } });
    const failed = failure(third.client.connect());
    third.server.last.open();
    expect((await failed).reason).toBe('BAD_BODY');
  });

  test('is aborted, and then closed', async () => {
    const { client, server, told } = rig();
    const abort = new AbortController();
    const failed = failure(client.connect({ signal: abort.signal }));
    abort.abort(new Error('enough'));
    expect((await failed).message).toBe('enough');
    expect(server.last.isDestroyed).toBe(true);
    expect(told).toEqual(['connecting', 'closed']);
    expect((await failure(client.connect({ signal: abort.signal }))).message).toBe('enough');
    expect(server.connections.length).toBe(1);
  });

  test('is not aborted any more once it is open', async () => {
    const { client, server } = rig();
    const abort = new AbortController();
    const opened = client.connect({ signal: abort.signal });
    server.last.accept();
    await opened;
    abort.abort();
    expect(client.state).toBe('open');
  });

  test('can be closed by a listener of its own state', async () => {
    const { client, server } = rig();
    client.onState(({ state }) => {
      if (state === 'connecting') void client.close();
    });
    expect((await failure(client.connect())).reason).toBe('CLOSED');
    expect(server.connections).toEqual([]);
  });

  test('refuses another scheme, and options out of range', async () => {
    const plain = new PithClient('tcp://127.0.0.1:3010');
    expect(await failure(plain.connect())).toMatchObject({
      reason: 'BAD_URL',
      message: 'expected ws:// or wss://, not tcp://127.0.0.1:3010',
    });
    for (const timeoutMs of [0, -1, NaN, 2 ** 31]) {
      expect(() => new PithClient('ws://a', { timeoutMs })).toThrow(RangeError);
    }
  });
});

describe('a request', () => {
  test('is answered, whatever the order of the answers', async () => {
    const { client, server } = await openRig();
    const first = client.request('a.b', { n: 1 });
    const second = client.request('a.c');
    expect(server.last.asked).toEqual([
      { id: 1, route: 'a.b', body: '{"n":1}' },
      { id: 2, route: 'a.c', body: '{}' },
    ]);
    server.last.answer(2, '"two"');
    server.last.answer(1, '{"text":"你好 \\ud83d\\ude02 😂"}');
    expect(await second).toBe('two');
    expect(await first).toEqual({ text: '你好 😂 😂' });
  });

  test('with an empty answer has an empty object', async () => {
    const { client, server } = await openRig();
    const answer = client.request('a.b');
    server.last.answer(1, '');
    expect(await answer).toEqual({});
  });

  test('with an answer that is not JSON fails, and shows its bytes to who asks for them', async () => {
    const { client, server } = await openRig();
    const failed = failure(client.request('a.b'));
    server.last.answer(1, '{');
    expect(await failed).toMatchObject({
      reason: 'BAD_BODY',
      message: 'the body of a.b is not JSON',
    });
    const raw = client.request('a.b', undefined, { raw: true });
    server.last.answer(2, Buffer.of(0, 1, 255));
    expect(await raw).toEqual(Uint8Array.of(0, 1, 255));
    const asked = client.ask('a.b');
    server.last.answer(3, '[1]');
    expect(await asked).toMatchObject({
      route: 'a.b',
      isError: false,
      isProtobuf: false,
      body: [1],
    });
  });

  test('of bytes goes out as it is', async () => {
    const { client, server } = await openRig();
    void client.request('a.b', Uint8Array.of(0x78, 0x79)).catch(() => {});
    client.notify('a.b', Uint8Array.of(0x7a).buffer);
    expect(server.last.asked.map(({ body }) => body)).toEqual(['xy', 'z']);
  });

  test('has an error in its body as an answer, unless it is to be thrown', async () => {
    const { client, server } = await openRig();
    const body = '{"code":503,"reason":"BACKEND_AWAY","msg":"gone","retry_after_ms":70}';
    const answer = client.request('a.b');
    server.last.answer(1, body);
    expect(await answer).toEqual(JSON.parse(body));
    const thrown = failure(client.request('a.b', {}, { throwOnError: true }));
    server.last.answer(2, body);
    const error = await thrown;
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 503, reason: 'BACKEND_AWAY', message: 'gone' });
    expect(error.retryAfterMs).toBe(70);
    for (const [at, fine] of ['{"code":500}', '{"code":200,"reason":"x"}', 'null'].entries()) {
      const passed = client.request('a.b', {}, { throwOnError: true });
      server.last.answer(3 + at, fine);
      expect(await passed).toEqual(JSON.parse(fine));
    }
  });

  test('fails after its own timeout, and a late answer is passed over', async () => {
    const { client, server, clock, told } = await openRig({ timeoutMs: 500 });
    const failed = [
      failure(client.request('a.b')),
      failure(client.request('a.c', {}, { timeoutMs: 200 })),
    ];
    clock.advance(200);
    expect(await failed[1]).toMatchObject({
      reason: 'TIMEOUT',
      code: 0,
      message: 'a.c was not answered in 200 ms',
    });
    clock.advance(300);
    expect((await failed[0])!.message).toBe('a.b was not answered in 500 ms');
    server.last.answer(1, '{}');
    server.last.answer(77, '{}');
    expect(clock.timerCount).toBe(0);
    expect(told).toEqual(['connecting', 'open']);
    expect((await failure(client.request('a.b', {}, { timeoutMs: 0 }))).message).toContain(
      'timeoutMs is 0',
    );
  });

  test('is aborted with the reason of its signal', async () => {
    const { client, server, clock } = await openRig();
    const abort = new AbortController();
    const failed = failure(client.request('a.b', {}, { signal: abort.signal }));
    abort.abort();
    expect(await failed).toMatchObject({ name: 'AbortError' });
    server.last.answer(1, '{}');
    expect(clock.timerCount).toBe(0);
    expect(await failure(client.request('a.b', {}, { signal: abort.signal }))).toMatchObject({
      name: 'AbortError',
    });
    expect(server.last.asked.length).toBe(1);
  });

  test('fails at once where there is no connection', async () => {
    const { client, server } = rig();
    expect(await failure(client.request('a.b'))).toMatchObject({
      reason: 'NOT_OPEN',
      message: 'not connected: idle',
    });
    const failed = failure(client.connect());
    expect((await failure(client.request('a.b'))).message).toBe('not connected: connecting');
    expect(() => client.notify('a.b')).toThrow(ClientError);
    server.last.end();
    await failed;
  });

  test.each([
    ['', {}, 'BAD_ROUTE', 'the route is empty'],
    ['r'.repeat(256), {}, 'BAD_ROUTE', 'a route has 256 bytes; at most 255 fit'],
    ['a.b', 'x'.repeat(60), 'TOO_LONG', 'a packet has 68 bytes; at most 64 fit'],
    ['a.b', () => 1, 'BAD_BODY', 'the body of a.b is not JSON'],
    ['a.b', { n: 1n }, 'BAD_BODY', 'the body of a.b is not JSON'],
  ])('is refused: %s %o', async (route, body, reason, message) => {
    const { client, server, clock } = await openRig({ packetBytesMax: 64 });
    expect(await failure(client.request(route, body))).toMatchObject({ reason, message });
    expect(server.last.asked).toEqual([]);
    expect(clock.timerCount).toBe(0);
  });

  test('is one of so many that may wait', async () => {
    const { client, server } = await openRig({ inFlightMax: 2 });
    const answers = [client.request('a.b'), client.request('a.b')];
    expect(await failure(client.request('a.b'))).toMatchObject({ reason: 'TOO_MANY' });
    client.notify('a.b');
    server.last.answer(1, '{}');
    await answers[0];
    answers.push(client.request('a.b'));
    server.last.answer(2, '{}');
    server.last.answer(3, '{}');
    await Promise.all(answers);
  });

  test('is refused where too much waits to be sent', async () => {
    const { client, server } = await openRig({ bufferedBytesMax: 100 });
    client.notify('a.b', 'x'.repeat(200));
    server.last.bufferedBytes = 90;
    expect(() => client.notify('a.b')).toThrow('90 bytes are already pending');
    expect(await failure(client.request('a.b'))).toMatchObject({ reason: 'BUFFER_FULL' });
    server.last.bufferedBytes = 40;
    client.notify('a.b');
    expect(server.last.asked.length).toBe(2);
  });
});

describe('a push', () => {
  test('reaches those who listen to its route, and those who listen to all', async () => {
    const { client, server } = await openRig();
    const heard: unknown[] = [];
    const off = client.onPush('onChat', (body, push) => void heard.push([push.route, body]));
    client.onPush<{ n: number }>(
      '*',
      ({ n }, { route, bytes }) => void heard.push([route, n, bytes.length]),
    );
    server.last.push('onChat', '{"n":1}');
    server.last.push('onJoin', '{"n":2}');
    off();
    server.last.push('onChat', '{"n":3}');
    expect(heard).toEqual([
      ['onChat', { n: 1 }],
      ['onChat', 1, 7],
      ['onJoin', 2, 7],
      ['onChat', 3, 7],
    ]);
  });

  test('that cannot be read is told, and the next one comes', async () => {
    const { client, server, told } = await openRig();
    const heard: unknown[] = [];
    client.onPush('onChat', (body) => void heard.push(body));
    server.last.push('onChat', '{');
    server.last.push(7, '{}');
    server.last.push('onOther', '{');
    server.last.push('onChat', '1');
    expect(heard).toEqual([1]);
    expect(told.slice(2)).toEqual([
      'error BAD_BODY: the body of onChat is not JSON',
      'error BAD_ROUTE: the dictionary has no code 7',
    ]);
  });

  test('is bytes where the client wants bytes', async () => {
    const { client, server } = await openRig({ raw: true });
    const heard: unknown[] = [];
    client.onPush('onChat', (body) => void heard.push(body));
    server.last.push('onChat', Buffer.of(255));
    expect(heard).toEqual([Uint8Array.of(255)]);
  });

  test('and many more come in one frame, or cut in pieces', async () => {
    const { client, server } = await openRig();
    const heard: unknown[] = [];
    client.onPush('*', (body) => void heard.push(body));
    const answer = client.request('a.b');
    const all = Buffer.concat([
      packet(4, Buffer.from('06026f6e31', 'hex')),
      packet(3),
      packet(4, Buffer.from('04017b7d', 'hex')),
      packet(4, Buffer.from('06026f6e32', 'hex')),
    ]);
    server.last.data(all);
    for (const byte of all) server.last.data(Buffer.of(byte));
    expect(heard).toEqual([1, 2, 1, 2]);
    expect(await answer).toEqual({});
  });

  test('whose listener throws does not keep the others from it', async () => {
    const { client, server } = await openRig();
    const thrown = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {});
    try {
      const heard: unknown[] = [];
      client.onPush('onChat', () => {
        throw new Error('the application');
      });
      client.onPush('onChat', (body) => void heard.push(body));
      server.last.push('onChat', '1');
      expect(heard).toEqual([1]);
      expect(thrown.mock.calls[0]![0]).toThrow('the application');
    } finally {
      thrown.mockRestore();
    }
  });

  test.each([
    ['0e', 'message bad_kind'],
    ['06', 'message truncated'],
  ])('that is no message ends the connection: %s', async (hex, why) => {
    const { client, server } = await openRig();
    const failed = failure(client.request('a.b'));
    server.last.packet(4, Buffer.from(hex, 'hex'));
    expect(await failed).toMatchObject({
      reason: 'BAD_SERVER',
      message: `the server does not speak Pomelo: ${why}`,
    });
    expect(client.state).toBe('closed');
  });
});

describe('close', () => {
  test('fails what waits, sends what is unsent, and is done when the server is', async () => {
    const { client, server, clock, told } = await openRig({}, { heartbeat: 3 });
    const failed = failure(client.request('a.b'));
    const closed = client.close();
    expect(client.state).toBe('closed');
    expect(await failed).toMatchObject({ reason: 'CLOSED', code: 0 });
    expect([server.last.closes, server.last.isDestroyed]).toEqual([1, false]);
    server.last.push('onChat', '{}');
    server.last.end('closed by the server, 1000');
    await closed;
    expect(clock.timerCount).toBe(0);
    expect(told).toEqual(['connecting', 'open', 'closed']);
    await client.close();
  });

  test('does not wait for ever', async () => {
    const { client, server, clock } = await openRig();
    const closed = client.close();
    clock.advance(1_000);
    await closed;
    expect(server.last.isDestroyed).toBe(true);
    expect(clock.timerCount).toBe(0);
  });

  test('may be followed by a new connection, which hears nothing of the old one', async () => {
    const { client, server } = await openRig();
    const closed = client.close();
    const opened = client.connect();
    server.last.accept();
    await opened;
    server.connections[0]!.end();
    await closed;
    expect(client.state).toBe('open');
  });
});
