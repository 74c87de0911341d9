/** What a clumsy or hostile gRPC backend does to its Link, and who else notices: nobody. */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, test, vi } from 'vitest';

import { AGING_PROTOS } from '../support/aging.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { eventually, SOON } from '../support/wait.ts';

/** Lines of this kind about backends. */
const lines = (gateway: TestGateway, msg: string): readonly unknown[] =>
  gateway.log.filter((line) => line.msg === msg);

describe('frames', () => {
  test('a second hello takes nothing away, and the log says it a few times', async () => {
    await using pair = await Pair.start({ hello: { features: ['credit'] } });
    const link = await pair.backend.wait(() => pair.backend.links[0], 'a link');
    link.send({ credit: { frames: 10, bytes: 100_000 } });
    await pair.logged('link');
    for (let n = 0; n < 1_000; n++) link.hello();
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toMatchObject({ n: 1 });
    expect(lines(pair.gateway, 'backend')).toHaveLength(1);
    expect(lines(pair.gateway, 'backend frame')).toHaveLength(5);
    // Granted once, and not with each hello.
    expect(link.got('credit')).toHaveLength(1);
  });

  test('a name and a reason of a megabyte are cut', async () => {
    const long = 'x'.repeat(1_000_000);
    await using pair = await Pair.start({ instance: long });
    expect(await pair.logged('link')).toBe(`connected to instance ${'x'.repeat(256)}`);
    pair.backend.current.send({ goaway: { reason: long } });
    const said = await eventually(
      () => pair.gateway.log.find(({ why }) => String(why).startsWith('goaway')),
      'the goaway',
    );
    expect(said['why']).toBe(`goaway: ${'x'.repeat(256)}`);
  });

  test('empty ones, unknown ones and unknown fields are passed over', async () => {
    await using pair = await Pair.start();
    await pair.logged('link');
    const link = pair.backend.current;
    link.sendRaw(Buffer.alloc(0));
    // A frame without anything; one of kind 15; one whose only field is number 100; a field 3 of the message.
    link.sendRaw(Buffer.from([0x0a, 0]));
    link.sendRaw(Buffer.from([0x0a, 3, 0x7a, 1, 0x61]));
    link.sendRaw(Buffer.from([0x0a, 4, 0xa2, 0x06, 1, 0x61]));
    link.sendRaw(Buffer.from([0x1a, 1, 0x61]));
    await using client = await pair.join();
    expect(await client.request('game.enter', { n: 1 })).toMatchObject({ n: 1 });
    expect(pair.backend.links).toHaveLength(1);
  });

  test('a goaway again and again moves the sessions once', async () => {
    await using pair = await Pair.start();
    await using client = await pair.join();
    await client.request('game.enter');
    const link = pair.backend.current;
    for (let n = 0; n < 1_000; n++) link.goaway();
    await vi.waitFor(async () => {
      expect(await client.request('game.enter', { n: 2 })).toMatchObject({ n: 2 });
    }, SOON);
    const said = pair.gateway.log.filter(({ why }) => String(why).startsWith('goaway'));
    expect(said).toHaveLength(1);
  });

  test('a goaway of a backend that never ends its side is followed by another link', async () => {
    await using pair = await Pair.start();
    await using client = await pair.join();
    await client.request('game.enter');
    const link = pair.backend.current;
    link.goaway();
    // It reads on, and does nothing.
    link.isOpen = false;
    await pair.backend.wait(() => pair.backend.links[1], 'another link');
    expect(link.got('goaway').map(({ what }) => what)).toEqual([{ reason: 'moved' }]);
    await vi.waitFor(async () => {
      expect(await client.request('game.enter', { n: 2 })).toMatchObject({ n: 2 });
    }, SOON);
  });

  test('credit that is never granted: the calls end in their time, and another address gets them', async () => {
    await using mean = await GrpcBackend.start({
      instance: 'mean',
      hello: { features: ['credit'] },
    });
    await using kind = await GrpcBackend.start({ instance: 'kind' });
    await using gateway = await startGateway(`
backends: { game: { grpc: "ipv4:${mean.address},${kind.address}" } }
routes: [{ match: "game.>", backend: game, timeout: 200ms }]
`);
    await eventually(() => gateway.gateway.info().backends[0]!.healthy === 2, 'both');
    const clients = await Promise.all([0, 1].map(() => TestClient.connect(gateway.port)));
    await vi.waitFor(async () => {
      for (const client of clients)
        expect(await client.request('game.x', {})).toMatchObject({ instance: 'kind' });
    }, SOON);
    for (const client of clients) client.close();
  });
});

/** A server of HTTP/2 alone, of which a test does what it likes. */
async function startRaw(
  onStream: (stream: http2.ServerHttp2Stream, path: string) => void,
  options: http2.ServerOptions = {},
): Promise<AsyncDisposable & { url: string; sessions: http2.ServerHttp2Session[]; links: number }> {
  const sessions: http2.ServerHttp2Session[] = [];
  const server = http2.createServer(options);
  const raw = { links: 0 };
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const path = String(headers[':path']);
    if (path.endsWith('/Link')) raw.links++;
    onStream(stream, path);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(raw, {
    url: `127.0.0.1:${port}`,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  });
}

const RESPONSE = { ':status': 200, 'content-type': 'application/grpc' };
/** A message of gRPC with a ToGateway in it. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
const HELLO = framed(Buffer.from([0x0a, 5, 0x12, 3, 0x0a, 1, 0x61]));

function gatewayTo(url: string, more = '', route = ''): Promise<TestGateway> {
  return startGateway(`
backends: { game: { grpc: "${url}"${more} }, here: { reply: { ok: 1 } } }
routes: [{ match: "here.>", backend: here }, { match: "game.>", backend: game, timeout: 60s${route} }]
`);
}

describe('streams', () => {
  test('a backend that resets each Link as soon as it is open is dialled less and less often', async () => {
    const opened: number[] = [];
    await using raw = await startRaw((stream) => {
      opened.push(performance.now());
      stream.respond(RESPONSE);
      stream.write(HELLO, () => {
        stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      });
    });
    await using gateway = await gatewayTo(raw.url, ', health: false');
    await eventually(() => opened.length >= 5, 'five links');
    // After at most 100, 200, 400 and 800 ms, and at least half of that.
    expect(opened[4]! - opened[3]!).toBeGreaterThan(390);
    expect(opened[3]! - opened[2]!).toBeGreaterThan(190);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('here.x')).toEqual({ ok: 1 });
    expect(lines(gateway, 'backend').length).toBeLessThanOrEqual(10);
  });

  test.each(['handle', 'method'])(
    'a backend that ends each connection as soon as it is made is dialled once a second (mode: %s)',
    async (mode) => {
      const made: number[] = [];
      const server = http2.createServer();
      server.on('session', (session) => {
        made.push(performance.now());
        session.once('remoteSettings', () => {
          session.destroy();
        });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const how = mode === 'method' ? ', services: [t.Echo], descriptors: [none.binpb]' : '';
      await using gateway = await startGateway(`
backends:
  bad: { grpc: "127.0.0.1:${port}", mode: ${mode}, health: false${how} }
  here: { reply: { ok: 1 } }
routes: [{ match: here.x, backend: here }]
`);
      await eventually(() => made.length >= 3, 'three connections');
      for (const n of [1, 2]) expect(made[n]! - made[n - 1]!).toBeGreaterThan(900);
      await using client = await TestClient.connect(gateway.port);
      expect(await client.request('here.x')).toEqual({ ok: 1 });
      server.close();
    },
  );

  test.each<[string, (stream: http2.ServerHttp2Stream) => void, RegExp]>([
    [
      'ends in the middle of a message',
      (stream) => stream.end(Buffer.concat([HELLO, Buffer.from([0, 0, 0, 1, 0, 0x0a])])),
      /./,
    ],
    [
      'sends a message of 4 GiB, by its head',
      (stream) =>
        void stream.write(Buffer.concat([HELLO, Buffer.from([0, 255, 255, 255, 255, 1])])),
      /a message of 4294967295 bytes came; at most 67108864 are read/,
    ],
    [
      'sends a message that says it is compressed',
      (stream) => void stream.write(Buffer.concat([HELLO, Buffer.from([1, 0, 0, 0, 1, 0])])),
      /./,
    ],
  ])('one that %s loses the link, and the process lives', async (_, send, why) => {
    await using raw = await startRaw((stream) => {
      stream.respond(RESPONSE);
      send(stream);
    });
    await using gateway = await gatewayTo(raw.url);
    await using client = await TestClient.connect(gateway.port);
    const line = await eventually(
      () => gateway.log.find(({ state }) => state === 'away'),
      'the log line',
    );
    expect(line['why']).toMatch(why);
    expect(await client.request('here.x')).toEqual({ ok: 1 });
  });

  test.each([
    [12, { state: 'handle' }],
    [7, { state: 'away' }],
    [0, { state: 'away' }],
    [999, { state: 'away' }],
  ])('status %i in trailers alone', async (code, expected) => {
    await using raw = await startRaw((stream) => {
      stream.respond({ ...RESPONSE, 'grpc-status': String(code) }, { endStream: true });
    });
    await using gateway = await gatewayTo(raw.url);
    const line = await eventually(
      () => gateway.log.find(({ state }) => state === expected.state),
      expected.state,
    );
    expect(line['why']).not.toBe('');
  });
});

describe('connections', () => {
  test('a server that lets one stream be open at a time serves its Link', async () => {
    await using raw = await startRaw(
      (stream, path) => {
        if (!path.endsWith('/Link')) return;
        stream.respond(RESPONSE);
        stream.write(HELLO);
        stream.on('data', (bytes: Buffer) => {
          // The id of a request that stands alone in its message.
          const at = bytes.indexOf(Buffer.from([0x08]), 5);
          if (bytes.length < 60) return;
          const id = bytes[at + 1]!;
          stream.write(framed(Buffer.from([0x0a, 8, 0x08, id, 0x1a, 4, 0x0a, 2, 0x0a, 0])));
        });
      },
      { settings: { maxConcurrentStreams: 1 } },
    );
    await using gateway = await gatewayTo(raw.url, ', dead_after: 1s');
    await using client = await TestClient.connect(gateway.port);
    for (let n = 0; n < 3; n++) expect(await client.request('game.x', {})).toEqual({});
    expect(raw.links).toBe(1);
  });

  test.each([
    ['handle', ', mode: handle', ''],
    [
      'method',
      `, mode: method, services: [aging.v1.Backend], protos: ${JSON.stringify(AGING_PROTOS)}`,
      ', method: /aging.v1.Backend/Handle',
    ],
  ])('one that lets one stream be open answers calls, mode: %s', async (_, keys, route) => {
    await using raw = await startRaw(
      (stream, path) => {
        stream.respond(RESPONSE, { waitForTrailers: true });
        // A watch of its health stays open.
        if (!path.endsWith('/Handle')) return;
        stream.on('wantTrailers', () => {
          stream.sendTrailers({ 'grpc-status': '0' });
        });
        stream.resume();
        stream.end(framed(Buffer.alloc(0)));
      },
      { settings: { maxConcurrentStreams: 1 } },
    );
    await using gateway = await gatewayTo(raw.url, keys, route);
    await using client = await TestClient.connect(gateway.port);
    await vi.waitFor(async () => {
      expect(await client.request('game.room.x', {})).toEqual({});
    }, SOON);
    for (let n = 0; n < 5; n++) expect(await client.request('game.room.x', {})).toEqual({});
  });

  test('floods of PING and SETTINGS hold nobody up', async () => {
    await using raw = await startRaw((stream) => {
      stream.respond(RESPONSE);
      stream.write(HELLO);
    });
    await using gateway = await gatewayTo(raw.url);
    await using client = await TestClient.connect(gateway.port);
    await eventually(() => gateway.log.find(({ state }) => state === 'link'), 'a link');
    for (let round = 0; round < 20; round++) {
      for (const session of raw.sessions) {
        if (session.destroyed) continue;
        for (let n = 0; n < 10; n++) session.ping(() => {});
        for (let n = 0; n < 5; n++) session.settings({});
      }
      expect(await client.request('here.x')).toEqual({ ok: 1 });
    }
  });
});
