/** Who may call on the control and admin ports: tokens with roles, certificates with SPIFFE ids. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Called, call, grpcurl } from '../support/grpcurl.ts';
import { Authority, type Pair, SecretFolder } from '../support/tls.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const WRITE = 'w3Jz8Qk1vT6pYb0RxN5mUe2H';
const READ = 'r9Lc4Fd7sGh1ZaOiK3wPq6Xv';
const OTHER = 'x0Bn5Mt8uIy2VeWrC7gJh4Sd';
const TOKENS = `{ token: ${WRITE}, tokens: [{ token: ${READ}, role: read, name: dashboard }] }`;

const bearer = (token: string): string[] => ['-H', `authorization: Bearer ${token}`];

type Answer = { status: number; challenge: string | null; json: Record<string, unknown> };

async function post(
  { adminPort }: Pick<TestGateway, 'adminPort'>,
  method: string,
  headers: Record<string, string> = {},
  body = '{}',
): Promise<Answer> {
  const url = `http://127.0.0.1:${adminPort}/v1/${method}`;
  const answer = await fetch(url, { method: 'POST', headers, body });
  return {
    status: answer.status,
    challenge: answer.headers.get('www-authenticate'),
    json: (await answer.json()) as Record<string, unknown>,
  };
}

const withToken = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

describe('tokens', () => {
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await startGateway(`
backends: {}
routes: []
control: { listen: 127.0.0.1:0, token: ${WRITE}, tokens: [{ token: ${READ}, role: read, name: dashboard }] }
admin: { listen: 127.0.0.1:0, token: ${WRITE}, tokens: [{ token: ${READ}, role: read, name: dashboard }] }`);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  const level = { level: 'debug' };

  test('over gRPC: none and a wrong one are refused, write may do all, read may look', async () => {
    const ways: [string, string[], string, string][] = [
      [
        'GetInfo',
        [],
        'Unauthenticated',
        'UNAUTHENTICATED: this port needs a token, as authorization: Bearer <token>',
      ],
      [
        'GetInfo',
        bearer(OTHER),
        'Unauthenticated',
        'UNAUTHENTICATED: the token is not one of this port',
      ],
      [
        'GetInfo',
        bearer(WRITE.slice(1)),
        'Unauthenticated',
        'UNAUTHENTICATED: the token is not one of this port',
      ],
      [
        'GetInfo',
        ['-H', `authorization: Basic ${WRITE}`],
        'Unauthenticated',
        'UNAUTHENTICATED: authorization is not "Bearer <token>"',
      ],
      [
        'GetInfo',
        ['-H', `authorization: ${WRITE}`],
        'Unauthenticated',
        'UNAUTHENTICATED: authorization is not "Bearer <token>"',
      ],
      [
        'GetInfo',
        [...bearer(OTHER), ...bearer(WRITE)],
        'Unauthenticated',
        'UNAUTHENTICATED: the token is not one of this port',
      ],
      ['GetInfo', bearer(READ), 'OK', ''],
      [
        'SetLogLevel',
        bearer(READ),
        'PermissionDenied',
        'FORBIDDEN: SetLogLevel needs the role write, and dashboard has the role read',
      ],
      ['SetLogLevel', bearer(WRITE), 'OK', ''],
      ['GetInfo', ['-H', `authorization: bearer ${WRITE}`], 'OK', ''],
    ];
    const flags = ['-proto', 'pith/v1/control.proto', '-import-path', 'proto'];
    for (const [method, how, status, said] of ways)
      expect([
        how,
        await call(gateway, method, method === 'GetInfo' ? {} : level, [...flags, ...how]),
      ]).toMatchObject([how, { status, text: said } satisfies Partial<Called>]);
  });

  test('reflection needs one that may look', async () => {
    await expect(grpcurl(gateway, ['list'])).rejects.toThrow(/UNAUTHENTICATED|Unauthenticated/);
    expect(await grpcurl(gateway, ['list'], bearer(READ))).toContain('pith.v1.Control\n');
  });

  test('probes need none: grpc.health.v1, /livez, /readyz, /metrics', async () => {
    const flags = ['-proto', 'grpc/health/v1/health.proto', '-import-path', 'proto'];
    expect(await call(gateway, 'grpc.health.v1.Health/Check', {}, flags)).toMatchObject({
      answers: [{ status: 'SERVING' }],
    });
    for (const port of [gateway.healthPort, gateway.adminPort])
      for (const path of ['livez', 'readyz', 'metrics'])
        expect((await fetch(`http://127.0.0.1:${port}/${path}`)).status).toBe(200);
  });

  test('over HTTP: 401 and 403 say what to show', async () => {
    const realm = 'Bearer realm="pith"';
    expect(await post(gateway, 'GetInfo')).toMatchObject({
      status: 401,
      challenge: realm,
      json: { error: { code: 401, reason: 'UNAUTHENTICATED' } },
    });
    expect(await post(gateway, 'GetInfo', withToken(OTHER))).toMatchObject({
      status: 401,
      challenge: `${realm}, error="invalid_token"`,
    });
    expect(await post(gateway, 'Kick', withToken(READ))).toMatchObject({
      status: 403,
      challenge: `${realm}, error="insufficient_scope"`,
      json: {
        error: {
          code: 403,
          reason: 'FORBIDDEN',
          msg: 'Kick needs the role write, and dashboard has the role read',
        },
      },
    });
    expect(await post(gateway, 'GetInfo', withToken(READ))).toMatchObject({
      status: 200,
      challenge: null,
    });
    expect(await post(gateway, 'SetLogLevel', withToken(WRITE), '{"level":"debug"}')).toMatchObject(
      { status: 200 },
    );
    // Whoever has no token is not told which methods there are, nor is its body read.
    expect((await post(gateway, 'Nothing')).status).toBe(401);
    expect((await post(gateway, 'Nothing', withToken(READ))).status).toBe(403);
  });

  test('a page of another site is refused even with one, and a name as host is not', async () => {
    expect(
      (await post(gateway, 'GetInfo', { ...withToken(READ), origin: 'https://evil.example' }))
        .status,
    ).toBe(403);
    const answer = await new Promise<string>((resolve) => {
      const socket = net.connect(gateway.adminPort, '127.0.0.1', () => {
        socket.end(
          `POST /v1/GetInfo HTTP/1.1\r\nHost: pith-admin.prod.svc\r\nAuthorization: Bearer ${READ}\r\n` +
            'Content-Length: 2\r\nConnection: close\r\n\r\n{}',
        );
      });
      void text(socket).then(resolve);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('refusals are counted, and logged a few times, without a token', async () => {
    const counted = (): number =>
      gateway.count('pith_control_calls_refused_total', 'admin', 'UNAUTHENTICATED');
    const before = counted();
    for (let i = 0; i < 50; i++) await post(gateway, 'GetInfo', withToken(`${OTHER}${i}`));
    expect(counted() - before).toBe(50);
    const lines = gateway.log.filter(({ msg, port }) => msg === 'call refused' && port === 'admin');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(20);
    expect(lines[0]).toMatchObject({
      level: 'warn',
      method: 'GetInfo',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as unknown,
    });
    const all = JSON.stringify(gateway.log);
    for (const token of [WRITE, READ, OTHER]) expect(all).not.toContain(token);
  });

  test('GetConfig does not show them', async () => {
    expect(await post(gateway, 'GetConfig', withToken(READ))).toMatchObject({
      status: 403,
      json: { error: { reason: 'FORBIDDEN' } },
    });
    const { json } = await post(gateway, 'GetConfig', withToken(WRITE));
    expect(json['yaml']).toContain('name: dashboard');
    for (const token of [WRITE, READ]) expect(json['yaml']).not.toContain(token);
  });

  test('connections without a token do not keep those with one away', async () => {
    await using small = await startGateway(
      `backends: {}\nroutes: []\nadmin: ${TOKENS.replace('{', '{ listen: 127.0.0.1:0,')}\ncontrol: ${TOKENS.replace('{', '{ listen: 127.0.0.1:0,')}`,
      { resources: { descriptors: 400 } },
    );
    const sockets: net.Socket[] = [];
    // Each makes a call without a token, and stays.
    for (let i = 0; i < 80; i++) {
      const socket = net.connect(small.adminPort, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('POST /v1/GetInfo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}');
      sockets.push(socket);
    }
    await eventually(
      () => small.count('pith_control_calls_refused_total', 'admin', 'UNAUTHENTICATED') >= 64,
      '64 calls that are refused',
    );
    expect((await post(small, 'GetInfo', withToken(READ))).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });
});

test('a backend that is attached is not crowded out by connections without a token', async () => {
  await using gateway = await startGateway(
    `backends: { game: { dial_in: { token: ${OTHER} } } }
routes: [{ match: "game.>", backend: game }]
control: ${TOKENS.replace('{', '{ listen: 127.0.0.1:0,')}`,
    { resources: { descriptors: 400 } },
  );
  await using backend = await DialIn.attach('gRPC', gateway, { backend: 'game', token: OTHER });
  await eventually(() => gateway.gateway.info().backends[0]!.healthy === 1, 'the backend');
  const sockets = Array.from({ length: 120 }, () => {
    const socket = net.connect(gateway.controlPort, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    return socket;
  });
  await eventually(
    () => gateway.count('pith_port_connections_refused_total', 'control', 'crowded_out') >= 10,
    'connections that make room',
  );
  expect(gateway.gateway.info().backends[0]!.healthy).toBe(1);
  for (const socket of sockets) socket.destroy();
  expect(backend.all('hello')).toHaveLength(1);
});

describe('certificates', () => {
  const authority = new Authority('Operators');
  const rogue = new Authority('Operators');
  const folder = new SecretFolder(authority.issue('control'), authority.cert);
  const dir = mkdtempSync(join(tmpdir(), 'pith-access-'));
  const ops = authority.issue('ann', 30, ['spiffe://game.example/ops/ann']);
  const scraper = authority.issue('scraper', 30, ['spiffe://game.example/metrics']);
  const keys = `tls: { cert: ${folder.cert}, key: ${folder.key}, ca: ${folder.ca} }`;
  const rules = `spiffe: [{ id: "spiffe://game.example/ops/*" }, { id: "spiffe://game.example/metrics", role: read }]`;
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await startGateway(`
backends: {}
routes: []
control: { listen: 127.0.0.1:0, ${keys}, ${rules} }
admin: { listen: 127.0.0.1:0, ${keys}, ${rules}, token: ${WRITE} }`);
  });
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
    folder[Symbol.dispose]();
  });

  const ca = ['-cacert', folder.ca];
  const proto = ['-proto', 'pith/v1/control.proto', '-import-path', 'proto'];

  function show(name: string, { cert, key }: Pair): string[] {
    writeFileSync(join(dir, `${name}.crt`), cert);
    writeFileSync(join(dir, `${name}.key`), key);
    return ['-cert', join(dir, `${name}.crt`), '-key', join(dir, `${name}.key`)];
  }

  const level = { level: 'debug' };

  test('with an id that is allowed may call, by its role', async () => {
    const asOps = [...ca, ...proto, ...show('ops', ops)];
    const asScraper = [...ca, ...proto, ...show('scraper', scraper)];
    expect(await call(gateway, 'SetLogLevel', level, asOps)).toMatchObject({ status: 'OK' });
    expect(await call(gateway, 'GetInfo', {}, asScraper)).toMatchObject({ status: 'OK' });
    expect(await call(gateway, 'SetLogLevel', level, asScraper)).toMatchObject({
      status: 'PermissionDenied',
      text: 'FORBIDDEN: SetLogLevel needs the role write, and spiffe://game.example/metrics has the role read',
    });
  });

  test.each([
    ['without one', null, /this port needs a certificate with an id of control\.spiffe/],
    [
      'without an id',
      authority.issue('bob'),
      /has no SPIFFE id for control\.spiffe: it has no URI name/,
    ],
    [
      'with two ids',
      authority.issue('eve', 30, ['spiffe://game.example/ops/ann', 'spiffe://game.example/x']),
      /has no SPIFFE id for control\.spiffe: it has 2 URI names, and an id is the only one/,
    ],
    [
      'of the folder itself',
      authority.issue('eve', 30, ['spiffe://game.example/ops']),
      /spiffe:\/\/game\.example\/ops$/,
    ],
    [
      'of another domain',
      authority.issue('eve', 30, ['spiffe://game.example.evil/ops/ann']),
      /game\.example\.evil/,
    ],
    [
      'with a way up',
      authority.issue('eve', 30, ['spiffe://game.example/ops/../root']),
      /its URI name is not a valid id: spiffe:\/\/game\.example\/ops\/\.\.\/root/,
    ],
    [
      'with a slash at its end',
      authority.issue('eve', 30, ['spiffe://game.example/ops/ann/']),
      /is not a valid id: spiffe:\/\/game\.example\/ops\/ann\//,
    ],
    [
      'with its domain in capitals',
      authority.issue('eve', 30, ['spiffe://Game.Example/ops/ann']),
      /is not a valid id: spiffe:\/\/Game\.Example\/ops\/ann/,
    ],
    [
      'with the id as its subject',
      authority.issue('spiffe://game.example/ops/ann'),
      /it has no URI name/,
    ],
  ])('%s may not', async (_, pair, why) => {
    const flags = [...ca, ...proto, ...(pair === null ? [] : show('other', pair))];
    const called = await call(gateway, 'GetInfo', {}, flags);
    expect(called).toMatchObject({
      status: 'Unauthenticated',
      text: expect.stringMatching(why) as unknown,
    });
  });

  test('one of another authority with the same name may not', async () => {
    const pair = rogue.issue('ann', 30, ['spiffe://game.example/ops/ann']);
    const flags = [...ca, ...proto, ...show('rogue', pair)];
    // OpenSSL may end the connection first: what it found wrong with the signature counts as the connection's own error.
    await expect(grpcurl(gateway, ['pith.v1.Control/GetInfo'], flags)).rejects.toThrow(
      /Unauthenticated|Failed to dial|Unavailable/,
    );
  });

  test('a client without TLS is refused, and counted', async () => {
    for (const [port, name] of [
      [gateway.controlPort, 'control'],
      [gateway.adminPort, 'admin'],
    ] as const) {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      await once(socket, 'close');
      expect(gateway.count('pith_port_connections_refused_total', name, 'plain_on_tls_port')).toBe(
        1,
      );
    }
  });

  test('the admin port takes them too, and a token beside them', async () => {
    const ask = (more: https.RequestOptions): Promise<number> =>
      new Promise((resolve, reject) => {
        const options = {
          port: gateway.adminPort,
          host: '127.0.0.1',
          method: 'POST',
          path: '/v1/GetInfo',
          agent: false,
          ca: authority.cert,
          servername: 'localhost',
        };
        const request = https.request({ ...options, ...more }, (answer) => {
          answer.resume();
          resolve(answer.statusCode!);
        });
        request.on('error', reject);
        request.end('{}');
      });
    expect(await ask({ ...ops })).toBe(200);
    expect(await ask({ headers: { authorization: `Bearer ${WRITE}` } })).toBe(200);
    expect(await ask({})).toBe(401);
    expect(await ask({ ...rogue.issue('ann', 30, ['spiffe://game.example/ops/ann']) })).toBe(401);
    // A wrong token is not made good by a certificate.
    expect(await ask({ ...ops, headers: { authorization: `Bearer ${OTHER}` } })).toBe(401);
  });
});

test('a reload gives the ports other tokens, and refuses weak ones', async () => {
  const yaml = (token: string): string => `
admin: { listen: 127.0.0.1:0, token: ${token} }
backends: {}
routes: []
`;
  const next = 'another-token-that-nobody-guesses-0123';
  await using served = await serve(yaml(WRITE));
  const ask = async (token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    const url = `http://127.0.0.1:${served.adminPort}/v1/GetInfo`;
    return (await fetch(url, { method: 'POST', headers, body: '{}' })).status;
  };
  expect([await ask(WRITE), await ask(next)]).toEqual([200, 401]);
  served.rewrite(yaml(next));
  await served.logged('configuration reloaded');
  expect([await ask(WRITE), await ask(next)]).toEqual([401, 200]);
  served.rewrite(yaml('abcdef'));
  await served.logged('configuration not reloaded: it has errors');
  expect([await ask('abcdef'), await ask(next)]).toEqual([401, 200]);
});
