/** `auth.mode: jwt` by the real process: who comes in, as whom, for how long. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Dialect, PithClient } from '../../src/client/client.ts';
import { tcp } from '../../src/client/tcp.ts';
import { TestClient } from '../support/client.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { fromStruct, toStruct } from '../support/grpc-shapes.ts';
import { say, shake } from '../support/handshake.ts';
import { keyPairFor, pemOf, token } from '../support/jwt.ts';
import { pyTokens } from '../support/py-jwt.ts';
import { come, resumes } from '../support/resuming.ts';
import { pith, serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const folder = mkdtempSync(join(tmpdir(), 'pith-jwt-'));
const key = keyPairFor('ES256');
const other = keyPairFor('ES256');
const pem = join(folder, 'key.pem');
writeFileSync(pem, pemOf(key.publicKey));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;
/** A token of `ann` that lasts an hour; with other claims where they are given. */
const tokenOf = (claims: object = {}, signer = key): string =>
  token({ sub: 'ann', exp: inSeconds(3_600), ...claims }, signer.privateKey, 'ES256');

const JWT = `algorithms: [ES256], keys: ["${pem}"]`;
const yaml = (backend: GrpcBackend, jwt = JWT, more = '', auth = ''): string => `
auth: { mode: jwt, ${auth} jwt: { ${jwt} } }
backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: "staff.>", backend: game, roles: [admin] }, { match: ">", backend: game, forward: ["*"] }]
${more}
`;

async function metric(served: Served, line: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${served.healthPort}/metrics`)).text();
  const found = text.split('\n').find((one) => one.startsWith(`${line} `));
  return Number(found?.split(' ')[1] ?? 0);
}

/** Comes in with a token, and acknowledges. */
async function enter(served: Served, text: unknown): Promise<TestClient> {
  const { client, answer } = await shake(served.port, { token: text });
  expect(answer).toMatchObject({ code: 200 });
  client.ack();
  return client;
}

let backend: GrpcBackend;
beforeAll(async () => {
  backend = await GrpcBackend.start();
});
afterAll(async () => {
  await backend[Symbol.asyncDispose]();
});

describe('the handshake', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(
      yaml(backend, `${JWT}, audience: game, data: { level: app.level }, roles: roles`),
    );
  });
  afterAll(async () => {
    await served[Symbol.asyncDispose]();
  });

  test('a token that holds binds its uid and sets its data, before the first message', async () => {
    const text = tokenOf({ sub: 'änn', aud: ['game'], app: { level: 3 }, roles: 'admin player' });
    const { client, answer } = await shake(served.port, { token: text });
    expect(answer).toMatchObject({ code: 200 });
    // What comes before the ack is kept, and what comes right after it is in order.
    client.ack();
    expect(await client.request('staff.ban')).toMatchObject({ instance: 'test-1' });
    expect(await client.request('game.play')).toMatchObject({ instance: 'test-1' });
    expect(backend.requests.at(-1)).toMatchObject({
      ...{ uid: 'änn', data: { level: 3, roles: ['admin', 'player'] } },
    });
    client.close();
  });

  test('messages sent together with the handshake wait for the token, and are answered in order', async () => {
    const client = await TestClient.open(served.port);
    say(client, { token: tokenOf({ aud: 'game' }) });
    client.ack();
    const ids = [1, 2, 3].map((n) => client.send('game.play', { n }));
    for (const id of ids) expect(await client.answer(id)).toMatchObject({ instance: 'test-1' });
    client.close();
  });

  test.each<[what: string, outcome: string, make: () => unknown]>([
    ['no token', 'missing', () => undefined],
    ['something else', 'malformed', () => ({ a: 1 })],
    ['a forged one', 'signature', () => tokenOf({ aud: 'game' }, other)],
    ['one that has expired', 'expired', () => tokenOf({ aud: 'game', exp: inSeconds(-60) })],
    ['one for others', 'audience', () => tokenOf({ aud: 'shop' })],
    ['one that is not signed', 'algorithm', () => `${token({}, '', 'none')}AA`],
    ['a role that is none', 'claims', () => tokenOf({ aud: 'game', roles: 5 })],
  ])('%s: 500, and the connection ends', async (_, outcome, make) => {
    const counted = `pith_jwt_tokens_total{use="handshake",outcome="${outcome}"}`;
    const before = await metric(served, counted);
    const { client, answer } = await shake(served.port, { token: make() });
    expect(answer).toMatchObject({ code: 500, reason: 'BAD_TOKEN' });
    await client.ended;
    expect(await metric(served, counted)).toBe(before + 1);
  });

  test('a crowd of bad tokens is in some lines of the log, and none of them is in it', async () => {
    const texts = Array.from({ length: 30 }, (_, n) => tokenOf({ n, aud: 'game' }, other));
    await Promise.all(texts.map((text) => shake(served.port, { token: text })));
    // A token with another fault is still logged. The log may arrive later than the answer.
    await shake(served.port, { token: tokenOf({ aud: ['a', 'b'] }) });
    const line = await eventually(
      () =>
        served.log().find(({ why }) => String(why).startsWith('audience: its aud is ["a","b"]')),
      'the line of another fault',
    );
    expect(line).toMatchObject({
      ...{ msg: 'handshake rejected', reason: 'BAD_TOKEN' },
      why: 'audience: its aud is ["a","b"], and auth.jwt.audience is "game"',
    });
    const lines = served.log().filter(({ msg, why }) => {
      return msg === 'handshake rejected' && String(why).startsWith('signature');
    });
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(15);
    const closed = served.log().filter(({ reason }) => reason === 'handshake_refused');
    expect(closed.length).toBeLessThan(25);
    for (const text of texts)
      for (const part of text.split('.').slice(1))
        expect(served.running.output()).not.toContain(part);
  });

  test('a route for some is answered 403 to others', async () => {
    const client = await enter(served, tokenOf({ aud: 'game', roles: ['player'] }));
    expect(await client.request('staff.ban')).toMatchObject({ code: 403, reason: 'FORBIDDEN' });
    client.close();
  });
});

test('tokens that PyJWT has signed, for each algorithm, by PEM, JWK and secret', async () => {
  const signed = await pyTokens({ sub: 'ann', exp: inSeconds(3_600), aud: 'game' });
  if (signed === null) throw new Error('Python 3.9 with venv and pip is needed');
  const all = Object.entries(signed);
  for (const form of ['pem', 'jwk'] as const) {
    const keys = all.flatMap(([, one]) =>
      one.pem === undefined ? [] : [form === 'pem' ? one.pem : JSON.stringify(one.jwk)],
    );
    const jwt = JSON.stringify({
      ...{
        algorithms: Object.keys(signed),
        keys,
        secrets: [signed['HS512']!.secret],
        audience: 'game',
      },
    });
    await using served = await serve(yaml(backend, jwt.slice(1, -1)));
    const codes = await Promise.all(
      all.map(async ([name, one]) => {
        const { client, answer } = await shake(served.port, { token: one.token });
        client.close();
        return [name, answer['code']];
      }),
    );
    expect(codes).toEqual(all.map(([name]) => [name, 200]));
  }
});

describe('each dialect', () => {
  let served: Served;
  const listen = ['pomelo', 'pitaya', 'nano', 'json'].map((dialect) => ({
    ...{ url: `${dialect === 'json' ? 'ws' : 'auto'}://127.0.0.1:0`, dialect },
    ...(dialect === 'nano' && { answer_errors: true }),
  }));
  beforeAll(async () => {
    served = await serve(`listen: ${JSON.stringify(listen)}\n${yaml(backend)}`);
  });
  afterAll(async () => {
    await served[Symbol.asyncDispose]();
  });

  test.each(listen.map(({ dialect }, i) => [dialect as Dialect, i] as const))(
    '%s: comes in, brings a newer token, and is refused without one',
    async (dialect, i) => {
      const url = served.clients[i]!.replace('auto:', dialect === 'nano' ? 'tcp:' : 'ws:');
      const connect = async (text: string): Promise<PithClient> => {
        const dial = dialect === 'nano' ? { dial: tcp() } : {};
        const client = new PithClient(url, {
          dialect,
          user: { token: text },
          reconnect: false,
          ...dial,
        });
        await client.connect();
        return client;
      };
      const client = await connect(tokenOf({ sub: `of ${dialect}` }));
      expect(await client.request('game.play', {})).toMatchObject({ instance: 'test-1' });
      expect(backend.requests.at(-1)!.uid).toBe(`of ${dialect}`);
      const refresh = { token: tokenOf({ sub: `of ${dialect}`, exp: inSeconds(7_200) }) };
      const answer = (await client.request('pith.refresh', refresh)) as Record<string, number>;
      expect(answer['code']).toBe(200);
      expect(answer['expires_in']).toBeGreaterThan(7_100);
      const bad = client.request('pith.refresh', { token: 'a.b.c' }, { throwOnError: true });
      await expect(bad).rejects.toMatchObject({ message: 'the token is not valid' });
      expect(await client.request('game.play', {})).toMatchObject({ instance: 'test-1' });
      await client.close();
      await expect(connect(tokenOf({}, other))).rejects.toMatchObject({ name: 'ClientError' });
    },
  );
});

describe('pith.refresh', () => {
  const data = `${JWT}, clock_skew: 0s, data: { level: level }, roles: roles`;

  test('a session ends when its token lapses, with the reason, and not before', async () => {
    await using served = await serve(yaml(backend, data));
    const client = await enter(served, tokenOf({ exp: inSeconds(2) }));
    expect((await client.next('kick')).body).toEqual({ reason: 'auth_expired' });
    await client.ended;
    expect(Date.now() / 1_000).toBeGreaterThanOrEqual(inSeconds(0));
    expect(served.log()).toContainEqual(
      expect.objectContaining({ msg: 'session closed', reason: 'auth_expired' }),
    );
  });

  test('a newer token keeps it, and says anew what its data and roles are', async () => {
    await using served = await serve(yaml(backend, data));
    const exp = inSeconds(3);
    const client = await enter(served, tokenOf({ exp, level: 1, roles: ['admin'] }));
    expect(await client.request('staff.ban')).toMatchObject({ instance: 'test-1' });
    const newer = tokenOf({ level: 2, roles: ['player'] });
    const answer = await client.request('pith.refresh', { token: newer });
    expect(answer).toEqual({ code: 200, expires_in: expect.any(Number) as number });
    expect(answer['expires_in']).toBeGreaterThan(3_500);
    expect(answer['expires_in']).toBeLessThanOrEqual(3_600);
    expect(await client.request('staff.ban')).toMatchObject({ code: 403 });
    await client.request('game.play');
    expect(backend.requests.at(-1)!.data).toEqual({ level: 2, roles: ['player'] });
    await client.request('pith.refresh', { token: tokenOf({}) });
    await client.request('game.play');
    // What the token does not say any more is gone.
    expect(backend.requests.at(-1)!.data).toEqual({ roles: [] });
    await eventually(() => Date.now() / 1_000 > exp + 1, 'the end of the first token', 10_000);
    expect(await client.request('game.play')).toMatchObject({ instance: 'test-1' });
    client.close();
  });

  test('one that does not hold is answered 401, changes nothing, and the session stays until its own lapses', async () => {
    await using served = await serve(yaml(backend, data));
    const client = await enter(served, tokenOf({ exp: inSeconds(4), level: 1 }));
    const cases: [body: unknown, code: number, reason: string][] = [
      [{ token: tokenOf({ level: 9 }, other) }, 401, 'BAD_TOKEN'],
      [{ token: tokenOf({ sub: 'bob', level: 9 }) }, 401, 'BAD_TOKEN'],
      [{ token: tokenOf({ exp: inSeconds(-1), level: 9 }) }, 401, 'BAD_TOKEN'],
      [{ token: 7 }, 401, 'BAD_TOKEN'],
      [{}, 401, 'BAD_TOKEN'],
      [[], 400, 'BAD_BODY'],
      ['text', 400, 'BAD_BODY'],
      [{ token: 'a'.repeat(20_000) }, 400, 'BAD_BODY'],
    ];
    for (const [body, code, reason] of cases)
      expect(await client.request('pith.refresh', body)).toMatchObject({ code, reason });
    await client.request('game.play');
    expect(backend.requests.at(-1)).toMatchObject({ uid: 'ann', data: { level: 1 } });
    expect((await client.next('kick')).body).toEqual({ reason: 'auth_expired' });
    const bob = 'pith_jwt_tokens_total{use="refresh",outcome="other_uid"}';
    expect(await metric(served, bob)).toBe(1);
  });

  test('many at once: one is verified at a time, each is answered once, and no other message waits', async () => {
    await using served = await serve(yaml(backend, data));
    const client = await enter(served, tokenOf());
    const ids = Array.from({ length: 20 }, () => client.send('pith.refresh', { token: tokenOf() }));
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    const codes = answers.map(({ code }) => code);
    expect(codes.filter((code) => code === 200).length).toBeGreaterThan(0);
    expect(codes.every((code) => code === 200 || code === 429)).toBe(true);
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
    client.close();
  });

  test('is no route where there are no tokens', async () => {
    await using served = await serve(
      `backends: { game: { grpc: "${backend.url}" } }\nroutes: [{ match: ">", backend: game }]`,
    );
    const { client } = await shake(served.port);
    client.ack();
    expect(await client.request('pith.refresh', { token: tokenOf() })).toMatchObject({
      ...{ code: 404, reason: 'NO_ROUTE' },
    });
    client.close();
  });
});

describe('with auth.backend', () => {
  const asking = (login: GrpcBackend, more = '', jwt = `${JWT}, data: { level: level }`): string =>
    `auth: { mode: jwt, backend: login, jwt: { ${jwt} } }
backends: { login: { grpc: "${login.url}" } }
routes: [{ match: ">", backend: login, forward: ["*"] }]\n${more}`;

  test('it is asked once the token holds, as who the client is by it, and adds to that', async () => {
    await using login = await GrpcBackend.start({
      connect: (asked) => {
        const patch = { set: toStruct({ level: 7, guild: 'g' }), join: ['lobby'] };
        asked.accept({ hello: 1 }, { patch });
      },
    });
    await using served = await serve(asking(login));
    const bad = await shake(served.port, { token: tokenOf({}, other) });
    expect(bad.answer).toMatchObject({ code: 500 });
    expect(login.connects).toHaveLength(0);
    const { client, answer } = await shake(served.port, { token: tokenOf({ level: 3 }) });
    expect(answer).toMatchObject({ code: 200, user: { hello: 1 } });
    const { request } = await login.asked(0);
    expect(request).toMatchObject({ refresh: false, resumed: false, session: { uid: 'ann' } });
    expect(fromStruct(request.session.data!)).toEqual({ level: 3 });
    client.ack();
    await client.request('game.play');
    expect(login.requests.at(-1)).toMatchObject({ uid: 'ann', data: { level: 7, guild: 'g' } });
    client.close();
  });

  test('it may refuse, and bind no other uid than the token has, unless the token has none', async () => {
    await using login = await GrpcBackend.start({
      connect: (asked) => {
        if (asked.user['banned'] === true)
          asked.refuse({ code: 403, reason: 'BANNED', message: 'no' });
        else asked.accept(null, { patch: { uid: 'bob' } });
      },
    });
    await using served = await serve(asking(login));
    const banned = await shake(served.port, { token: tokenOf(), banned: true });
    expect(banned.answer).toMatchObject({ code: 500, reason: 'BANNED' });
    const renamed = await shake(served.port, { token: tokenOf() });
    expect(renamed.answer).toMatchObject({ code: 500, reason: 'CONFLICT' });
    await using open = await serve(asking(login, '', `${JWT}, uid: ""`));
    const client = await enter(open, tokenOf());
    await client.request('game.play');
    expect(login.requests.at(-1)!.uid).toBe('bob');
    // A newer token must be that of the same sub.
    expect(await client.request('pith.refresh', { token: tokenOf() })).toMatchObject({ code: 200 });
    const others = await client.request('pith.refresh', { token: tokenOf({ sub: 'eve' }) });
    expect(others).toMatchObject({ code: 401 });
    client.close();
  });

  test('that is away: 503', async () => {
    await using login = await GrpcBackend.start();
    await using served = await serve(asking(login));
    await login.kill();
    const { answer } = await shake(served.port, { token: tokenOf() });
    expect(answer).toMatchObject({ code: 503 });
  });
});

describe('a client that comes back', () => {
  const come3 = (served: Served, resume: string, text: string) =>
    come(served.port, resume, { token: text });

  test('needs a token of the same user, and goes on; what that says of its data holds', async () => {
    await using served = await serve(yaml(backend, `${JWT}, data: { level: level }`, resumes()));
    const first = await come3(served, '', tokenOf({ level: 1 }));
    const back = await come3(served, first.pith.resume, tokenOf({ level: 2 }));
    expect(back.pith.resumed).toBe(true);
    await first.client.ended;
    await back.client.request('game.play');
    expect(backend.requests.at(-1)).toMatchObject({ uid: 'ann', data: { level: 2 } });
    // Of another user: a new session, with nothing of the one before.
    const eve = await come3(served, back.pith.resume, tokenOf({ sub: 'eve' }));
    expect(eve.pith.resumed).toBe(undefined);
    await eve.client.request('game.play');
    expect(backend.requests.at(-1)).toMatchObject({ uid: 'eve', data: {} });
    expect(back.client.isEnded).toBe(false);
    expect(await metric(served, 'pith_resumes_refused_total{reason="other_uid"}')).toBe(1);
    // With none that holds: nobody comes in.
    const { client, answer } = await shake(served.port, {
      ...{ token: tokenOf({}, other), pith: { resume: back.pith.resume } },
    });
    expect(answer).toMatchObject({ code: 500 });
    await client.ended;
    expect(back.client.isEnded).toBe(false);
    for (const one of [back, eve]) one.client.close();
  });
});

describe('pith check', () => {
  test('names the key and the file of every key that cannot be used', async () => {
    const priv = join(folder, 'private.pem');
    writeFileSync(priv, key.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const config = join(folder, 'pith.yaml');
    writeFileSync(
      config,
      `auth:\n  mode: jwt\n  jwt:\n    algorithms: [RS256]\n    keys: [private.pem, key.pem, none.pem]\n`,
    );
    const missing = await pith('check', config);
    expect(missing.output).toBe(
      `${config}:5: auth.jwt.keys[2]: no such file: ${join(folder, 'none.pem')}\n`,
    );
    writeFileSync(
      config,
      `auth:\n  mode: jwt\n  jwt:\n    algorithms: [RS256]\n    keys: [private.pem, key.pem]\n`,
    );
    const { code, output } = await pith('check', config);
    expect(code).toBe(78);
    expect(output).toBe(
      `${config}:5: auth.jwt.keys[0]: ${priv}: a private key, and the gateway needs only its public key: openssl pkey -in private.pem -pubout\n` +
        `${config}:5: auth.jwt.keys[1]: ${pem}: a key for ES256, and auth.jwt.algorithms wants an RSA key\n`,
    );
  });

  test('names an algorithm without a key', async () => {
    const config = join(folder, 'pith.yaml');
    writeFileSync(
      config,
      `auth:\n  mode: jwt\n  jwt: { algorithms: [ES256, RS256], keys: [key.pem] }\n`,
    );
    const { output } = await pith('check', config);
    expect(output).toBe(
      `${config}:3: auth.jwt.algorithms[1]: no key for RS256; it needs an RSA key\n`,
    );
  });
});

describe('another key', () => {
  test('in the same file is taken by itself; sessions with the old one stay', async () => {
    const file = join(folder, 'turned.pem');
    writeFileSync(file, pemOf(key.publicKey));
    await using served = await serve(yaml(backend, `algorithms: [ES256], keys: ["${file}"]`));
    const old = await enter(served, tokenOf());
    writeFileSync(file, pemOf(other.publicKey));
    expect(await served.logged('configuration reloaded')).toMatchObject({
      ...{ why: `${file} has changed`, changed: ['auth.jwt.keys'] },
    });
    const fresh = await enter(served, tokenOf({}, other));
    expect((await shake(served.port, { token: tokenOf() })).answer).toMatchObject({ code: 500 });
    expect(await old.request('game.play')).toMatchObject({ instance: 'test-1' });
    for (const client of [old, fresh]) client.close();
  });

  test('that a ${file:…} refers to, too', async () => {
    const file = join(folder, 'watched-secret');
    const secretOf = (letter: string): string => letter + '0123456789abcdef0123456789abcdef';
    writeFileSync(file, secretOf('a'));
    const jwt = `algorithms: [HS256], secrets: ["\${file:${file}}"]`;
    await using served = await serve(yaml(backend, jwt));
    const signed = (letter: string): string =>
      token({ sub: 'ann', exp: inSeconds(60) }, secretOf(letter), 'HS256');
    const old = await enter(served, signed('a'));
    writeFileSync(file, secretOf('b'));
    expect(await served.logged('configuration reloaded')).toMatchObject({
      ...{ why: `${file} has changed`, changed: ['auth.jwt.secrets[0]'] },
    });
    const fresh = await enter(served, signed('b'));
    expect((await shake(served.port, { token: signed('a') })).answer).toMatchObject({ code: 500 });
    for (const client of [old, fresh]) client.close();
  });

  test('by a reload, all or nothing; what cannot be used changes nothing', async () => {
    const secret = join(folder, 'secret');
    const text = '0123456789abcdef0123456789abcdef';
    writeFileSync(secret, `${text}\n`);
    const base = (jwt: string): string => yaml(backend, jwt, 'reload: { watch: false }');
    await using served = await serve(base(JWT));
    const reload = async (jwt: string): Promise<Record<string, unknown>> => {
      served.rewrite(base(jwt));
      const answer = await fetch(`http://127.0.0.1:${served.adminPort}/v1/Reload`, {
        ...{ method: 'POST', body: '{}' },
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    const client = await enter(served, tokenOf());
    expect(await reload('algorithms: [HS256], secrets: [short]')).toMatchObject({ changed: [] });
    expect(
      await reload(`${JWT}, audience: a, jwks_url: "https://127.0.0.1:1/jwks.json"`),
    ).toMatchObject({ changed: [], errors: [expect.stringContaining('auth.jwt.jwks_url: ')] });
    const still = await enter(served, tokenOf());
    const both = `algorithms: [ES256, HS256], keys: ["${pem}"], secrets: ["\${file:${secret}}"], audience: game`;
    expect(await reload(both)).toMatchObject({ errors: [], needs_restart: [] });
    const hs = token({ sub: 'ann', exp: inSeconds(60), aud: 'game' }, text, 'HS256');
    const third = await enter(served, hs);
    expect((await shake(served.port, { token: tokenOf() })).answer).toMatchObject({ code: 500 });
    expect(await client.request('game.play')).toMatchObject({ instance: 'test-1' });
    for (const one of [client, still, third]) one.close();
  });
});

test('a client may say its handshake and leave: nothing is left of it', async () => {
  await using served = await serve(yaml(backend));
  for (let n = 0; n < 20; n++) {
    const { client } = await shake(served.port, { token: tokenOf() });
    client.close();
  }
  const half = await shake(served.port, { token: tokenOf() });
  say(half.client, { token: 'again' });
  half.client.close();
  await eventually(async () => (await metric(served, 'pith_sessions')) === 0, 'no sessions');
  expect(await metric(served, 'pith_internal_errors_total')).toBe(0);
});
