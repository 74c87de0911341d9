/** Which tokens hold. They are signed by node:crypto; what they are verified with is read as the configuration gives it. */
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import type { Granted } from '../../../../src/auth/jwt/claims.ts';
import type { Jwks } from '../../../../src/auth/jwt/jwks.ts';
import { TokenCheck, type TokenRules } from '../../../../src/auth/jwt/token-check.ts';
import { Verifier } from '../../../../src/auth/jwt/verifier.ts';
import { KeyRing, readVerifyKeys, secretKey } from '../../../../src/auth/jwt/verify-keys.ts';
import { type Failure, isFailure } from '../../../../src/errors.ts';
import { Metrics } from '../../../../src/telemetry/metrics.ts';
import { ManualClock } from '../../../support/clock.ts';
import { EC_CURVES, jwkOf, keyPairFor, pemOf, token } from '../../../support/jwt.ts';

// oxfmt-ignore
const PUBLIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const SECRET = ['HS256', 'HS384', 'HS512'];
const rsa = keyPairFor('RS256');
const ec = keyPairFor('ES256');
const ed = keyPairFor('EdDSA');
const secret = randomBytes(64);

/** Where the clock of these tests begins. */
const NOW_S = Date.UTC(2026, 0, 1) / 1_000;
const CLAIMS = { sub: 'ann', exp: NOW_S + 60 };

const NO_JWKS = { jwks: null };
type Served = Pick<Jwks, 'find' | 'away'> | null;

function stage(
  algorithms: readonly string[],
  ring: KeyRing,
  rules: Partial<Omit<TokenRules, 'jwks'>> & { jwks?: Served } = NO_JWKS,
) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const check = new TokenCheck({ verifier: new Verifier(), clock, metrics }, {
    ...{ from: 'user.token', algorithms, ring, jwks: null },
    ...{ issuer: '', audience: '', uid: 'sub', data: {}, roles: '', skewMs: 30_000 },
    ...rules,
  } as TokenRules);
  const ask = (text: unknown): Promise<Granted | Failure> =>
    check.check(text, { use: 'handshake', deadline: clock.now() + 5_000, isWanted: () => true });
  /** Why it was refused, as the metric has it; 'accepted'. */
  const outcome = async (text: unknown): Promise<string> => {
    const before = metrics.render();
    const found = await ask(text);
    const line = metrics
      .render()
      .split('\n')
      .find((one) => one.startsWith('pith_jwt_tokens_total{') && !before.includes(`${one}\n`))!;
    const word = /outcome="([a-z_]+)"/.exec(line)![1]!;
    expect(isFailure(found)).toBe(word !== 'accepted');
    return word;
  };
  return { clock, metrics, check, ask, outcome };
}

const ringOf = (text: string, algorithms: readonly string[]): KeyRing =>
  new KeyRing(readVerifyKeys(text, algorithms));
const rsaStage = (algorithms = ['RS256']) =>
  stage(algorithms, ringOf(pemOf(rsa.publicKey), algorithms));

describe('each algorithm', () => {
  test.each(PUBLIC)(
    '%s: by PEM, JWK and JWKS, and not by the key of another',
    async (algorithm) => {
      const { publicKey, privateKey } = keyPairFor(algorithm);
      const good = token(CLAIMS, privateKey, algorithm);
      const forged = token(CLAIMS, keyPairFor(algorithm).privateKey, algorithm);
      const forms = [
        pemOf(publicKey),
        JSON.stringify(jwkOf(publicKey)),
        JSON.stringify({ keys: [jwkOf(publicKey, { use: 'sig', alg: algorithm })] }),
      ];
      for (const form of forms) {
        const { outcome } = stage([algorithm], ringOf(form, [algorithm]));
        expect([await outcome(good), await outcome(forged)]).toEqual(['accepted', 'signature']);
      }
    },
  );

  test.each(SECRET)('%s: by a secret, and not by another', async (algorithm) => {
    const { outcome } = stage([algorithm], new KeyRing([secretKey(secret, [algorithm])]));
    const other = token(CLAIMS, randomBytes(64), algorithm);
    const good = token(CLAIMS, secret, algorithm);
    expect([await outcome(good), await outcome(other)]).toEqual(['accepted', 'signature']);
  });

  test('no other is accepted, though the key could', async () => {
    const { outcome } = rsaStage(['RS256']);
    for (const algorithm of ['RS384', 'RS512', 'PS256', 'PS512'])
      expect(await outcome(token(CLAIMS, rsa.privateKey, algorithm))).toBe('algorithm');
  });

  test('says whose it is, what its session gets, and until when', async () => {
    const { ask } = stage(['RS256'], ringOf(pemOf(rsa.publicKey), ['RS256']), {
      ...{ data: { level: 'app.level', guild: 'guild' }, roles: 'roles' },
    });
    const claims = { ...CLAIMS, app: { level: 7 }, roles: ['admin'] };
    expect(await ask(token(claims, rsa.privateKey, 'RS256'))).toEqual({
      ...{ holder: 'ann', uid: 'ann' },
      set: { level: 7, guild: null, roles: ['admin'] },
      expiresAtWall: (NOW_S + 60) * 1_000,
    });
  });
});

describe('a forged token', () => {
  const pem = pemOf(rsa.publicKey);
  const der = rsa.publicKey.export({ type: 'spki', format: 'der' });

  test.each(['none', 'None', 'NONE', 'nOnE'])('without a signature, alg %s', async (alg) => {
    const { outcome } = rsaStage();
    const unsigned = token(CLAIMS, '', 'none', { alg });
    expect(await outcome(unsigned)).toBe('malformed');
    expect(await outcome(`${unsigned}AA`)).toBe('algorithm');
  });

  test('by the public key as a secret, in any of its forms', async () => {
    const both = ['RS256', 'HS256', 'HS384', 'HS512'];
    const jwk = JSON.stringify(jwkOf(rsa.publicKey));
    const secrets = [
      pem,
      pem.trim(),
      pem.replaceAll('\n', ''),
      der,
      Buffer.from(jwk),
      Buffer.alloc(0),
    ];
    for (const algorithms of [['RS256'], both]) {
      const ring = new KeyRing([...readVerifyKeys(pem, algorithms)]);
      const { outcome } = stage(algorithms, ring);
      for (const one of secrets)
        for (const alg of SECRET)
          expect(await outcome(token(CLAIMS, Buffer.from(one), alg))).toBe(
            algorithms.length === 1 ? 'algorithm' : 'unknown_key',
          );
    }
    // The same where there is a secret, too.
    const ring = new KeyRing([...readVerifyKeys(pem, both), secretKey(secret, both)]);
    const { outcome } = stage(both, ring);
    for (const one of secrets)
      expect(await outcome(token(CLAIMS, Buffer.from(one), 'HS256'))).toBe('signature');
    expect(await outcome(token(CLAIMS, secret, 'HS256'))).toBe('accepted');
  });

  test('by a key that it brings along, or says where to find', async () => {
    const own = keyPairFor('RS256');
    const thumb = createHash('sha1').update(der).digest('base64url');
    const { outcome } = rsaStage();
    for (const header of [
      { jwk: jwkOf(own.publicKey) },
      { jku: 'https://attacker.example/jwks.json' },
      { jku: 'file:///etc/passwd' },
      { x5u: 'http://127.0.0.1:1/cert.pem' },
      { x5c: [pemOf(own.publicKey)] },
      { x5t: thumb },
      { kid: pemOf(own.publicKey).slice(0, 256) },
    ])
      expect(await outcome(token(CLAIMS, own.privateKey, 'RS256', header))).toBe('signature');
  });

  test.each([
    ['a path', '../../../../dev/null'],
    ['SQL', "x' UNION SELECT 'secret';--"],
    ['a pattern', '.*'],
    ['a URL', 'https://attacker.example/key'],
    ['a command', '| cat /etc/passwd'],
    ['a name of every object', '__proto__'],
    ['another', 'constructor'],
    ['NUL', 'a\u0000'],
    ['nothing', ''],
  ])('whose kid is %s is only compared with it', async (_, kid) => {
    const ring = new KeyRing(
      readVerifyKeys(JSON.stringify(jwkOf(rsa.publicKey, { kid: 'a' })), ['RS256', 'HS256']),
    );
    const { outcome } = stage(['RS256', 'HS256'], ring);
    for (const [key, alg] of [
      [rsa.privateKey, 'RS256'],
      ['', 'HS256'],
      ['secret', 'HS256'],
    ] as const)
      expect(await outcome(token(CLAIMS, key === '' ? Buffer.alloc(0) : key, alg, { kid }))).toBe(
        'unknown_key',
      );
  });

  test.each([
    ['a list', ['a']],
    ['a number', 1],
    ['an object', { a: 1 }],
    ['true', true],
    ['too long', 'a'.repeat(257)],
  ])('whose kid is %s', async (_, kid) => {
    const { outcome } = rsaStage();
    expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', { kid }))).toBe('malformed');
  });

  test.each([
    ['crit of nothing', { crit: [] }],
    ['crit of what nobody knows', { crit: ['exp'], exp: 1 }],
    ['crit of b64', { crit: ['b64'], b64: false }],
    ['b64 without crit', { b64: false }],
    ['b64 as usual', { b64: true, crit: ['b64'] }],
    ['typ of a logout', { typ: 'logout+jwt' }],
    ['typ of an event', { typ: 'application/secevent+jwt' }],
    ['typ of nothing', { typ: 5 }],
  ])('with a header that asks for something else: %s', async (_, header) => {
    const { outcome } = rsaStage();
    expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', header))).toBe('malformed');
  });

  test.each([
    ['JWT', { typ: 'JWT' }],
    ['jwt', { typ: 'jwt' }],
    ['at+jwt', { typ: 'at+jwt' }],
    ['application/at+jwt', { typ: 'application/at+JWT' }],
  ])('is none that says as usual what it is: %s', async (_, header) => {
    const { outcome } = rsaStage();
    expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', header))).toBe('accepted');
  });

  test('whose header says something twice', async () => {
    const { outcome } = rsaStage();
    for (const header of [
      '{"alg":"none","alg":"RS256"}',
      '{"alg":"RS256","alg":"none"}',
      String.raw`{"alg":"RS256","\u0061lg":"none"}`,
      '{"alg":"RS256","kid":"a","kid":"b"}',
    ])
      expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', header, 'RS256'))).toBe(
        'malformed',
      );
  });

  test('whose alg is none of our words', async () => {
    const { outcome } = rsaStage();
    for (const alg of [
      'rs256',
      'RS256 ',
      ['RS256'],
      { toString: 'RS256' },
      null,
      1,
      '',
      '__proto__',
      'constructor',
    ])
      expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', { alg }, 'RS256'))).toBe(
        'algorithm',
      );
  });

  test('that was changed, cut, or put together from two', async () => {
    const { outcome } = rsaStage();
    const [head, body, mac] = token(CLAIMS, rsa.privateKey, 'RS256').split('.') as [
      string,
      string,
      string,
    ];
    const [otherHead, otherBody] = token({ ...CLAIMS, sub: 'bob' }, rsa.privateKey, 'RS256', {
      kid: 'a',
    }).split('.') as [string, string, string];
    for (const text of [`${head}.${otherBody}.${mac}`, `${otherHead}.${body}.${mac}`])
      expect(await outcome(text)).toBe('signature');
    const flipped = Buffer.from(mac, 'base64url');
    flipped[0]! ^= 1;
    expect(await outcome(`${head}.${body}.${flipped.toString('base64url')}`)).toBe('signature');
    for (const text of [
      `${head}.${body}.`,
      `${head}.${body}`,
      `${head}..${mac}`,
      `.${body}.${mac}`,
      `${head}.${body}.${mac}.`,
      `${head}.${body}.${mac}.${mac}`,
      // Five parts: encrypted, with a token inside maybe.
      `${head}.${body}.${mac}.${body}.${mac}`,
      ` ${head}.${body}.${mac}`,
      `${head}.${body}.${mac}\n`,
      `${head}.${body}.${mac}=`,
      `Bearer ${head}.${body}.${mac}`,
      `${head}.${body}.+/${mac}`,
      JSON.stringify({ protected: head, payload: body, signature: mac }),
    ])
      expect(await outcome(text)).toBe('malformed');
  });

  test('of any other form or size', async () => {
    const { outcome } = rsaStage();
    const missing = [undefined, null, ''];
    for (const text of missing) expect(await outcome(text)).toBe('missing');
    const long = token({ ...CLAIMS, pad: 'x'.repeat(8_192) }, rsa.privateKey, 'RS256');
    for (const text of [
      1,
      true,
      {},
      [],
      { token: 'a' },
      [long],
      'a',
      '..',
      'a.b.c',
      '\u0000.\u0000.\u0000',
      long,
      'a'.repeat(1e6),
    ])
      expect(await outcome(text)).toBe('malformed');
  });

  test('whose signature of an elliptic curve is all zeros, or in DER', async () => {
    const algorithms = ['ES256'];
    const { outcome } = stage(algorithms, ringOf(pemOf(ec.publicKey), algorithms));
    const [head, body] = token(CLAIMS, ec.privateKey, 'ES256').split('.') as [string, string];
    for (const mac of [
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      Buffer.alloc(63, 1),
      Buffer.from('30060201010201 01'.replace(' ', ''), 'hex'),
    ])
      expect(await outcome(`${head}.${body}.${mac.toString('base64url')}`)).toBe('signature');
  });
});

describe('why a token does not hold, for the log: what it has, what is wanted, and the key that says so', () => {
  const rules = { issuer: 'https://id.example', audience: 'game' };
  const good = { ...CLAIMS, iss: 'https://id.example', aud: 'game' };
  const sign = (claims: object, header = {}): string =>
    token({ ...good, ...claims }, rsa.privateKey, 'RS256', header);
  test.each<[text: unknown, why: string]>([
    ['', 'missing: there is no token at user.token'],
    [
      token(good, rsa.privateKey, 'RS512'),
      'algorithm: auth.jwt.algorithms does not name its alg, RS512',
    ],
    [sign({}, { typ: 'logout+jwt' }), 'malformed: its typ is neither JWT nor at+jwt'],
    [sign({}, { kid: 'new' }), 'unknown_key: no key that is known is for RS256 and its kid'],
    [
      sign({ iss: 'https://id.example/' }),
      'issuer: its iss is "https://id.example/", and auth.jwt.issuer is "https://id.example"',
    ],
    [
      sign({ iss: undefined }),
      'issuer: its iss is not there, and auth.jwt.issuer is "https://id.example"',
    ],
    [
      sign({ aud: ['shop', 'x'.repeat(200)] }),
      `audience: its aud is ["shop","${'x'.repeat(91)}…, and auth.jwt.audience is "game"`,
    ],
    [
      sign({ exp: NOW_S - 45.26 }),
      'expired: its exp was 45.3 s ago, and auth.jwt.clock_skew is 30000 ms',
    ],
    [
      sign({ nbf: NOW_S + 31 }),
      'not_yet: its nbf is 31 s ahead, and auth.jwt.clock_skew is 30000 ms',
    ],
    [sign({ exp: NOW_S * 1_000 }), 'claims: its exp is no number of seconds since 1970'],
    [sign({ sub: 1.5 }), 'claims: its claim sub is no uid: neither text nor a whole number'],
  ])('%#: %s', async (text, why) => {
    const jwk = JSON.stringify(jwkOf(rsa.publicKey, { kid: 'old' }));
    const { ask } = stage(['RS256'], ringOf(jwk, ['RS256']), rules);
    expect(await ask(text)).toMatchObject({ reason: 'BAD_TOKEN', detail: why });
  });
});

describe('the key of a token', () => {
  const three = Array.from({ length: 3 }, () => keyPairFor('ES256'));
  const named = three.map(({ publicKey }, i) => jwkOf(publicKey, { kid: `k${i}` }));
  const ring = ringOf(JSON.stringify({ keys: named }), ['ES256']);

  test('is the one of its name, and no other', async () => {
    const { outcome } = stage(['ES256'], ring);
    expect(await outcome(token(CLAIMS, three[1]!.privateKey, 'ES256', { kid: 'k1' }))).toBe(
      'accepted',
    );
    expect(await outcome(token(CLAIMS, three[1]!.privateKey, 'ES256', { kid: 'k0' }))).toBe(
      'signature',
    );
    expect(await outcome(token(CLAIMS, three[1]!.privateKey, 'ES256', { kid: 'k9' }))).toBe(
      'unknown_key',
    );
  });

  test('without a name is any of them, and a key without a name is that of any token', async () => {
    const { outcome } = stage(['ES256'], ring);
    for (const { privateKey } of three)
      expect(await outcome(token(CLAIMS, privateKey, 'ES256'))).toBe('accepted');
    const unnamed = stage(['ES256'], ringOf(pemOf(three[0]!.publicKey), ['ES256']));
    expect(await unnamed.outcome(token(CLAIMS, three[0]!.privateKey, 'ES256', { kid: 'x' }))).toBe(
      'accepted',
    );
  });

  test('on another curve is of another algorithm', async () => {
    const algorithms = Object.keys(EC_CURVES);
    const wide = keyPairFor('ES384');
    const { outcome } = stage(algorithms, ringOf(pemOf(wide.publicKey), algorithms));
    expect(await outcome(token(CLAIMS, wide.privateKey, 'ES384'))).toBe('accepted');
    expect(await outcome(token(CLAIMS, ec.privateKey, 'ES256'))).toBe('unknown_key');
    expect(await outcome(token(CLAIMS, ed.privateKey, 'EdDSA'))).toBe('algorithm');
  });
});

describe('keys behind a URL', () => {
  const answers = (found: KeyRing | null, away = ''): Served & { asked: unknown[] } => {
    const asked: unknown[] = [];
    return {
      asked,
      away,
      find: (...args) => {
        asked.push(args);
        return Promise.resolve(found === null ? [] : found.find(...args));
      },
    };
  };
  const served = ringOf(JSON.stringify(jwkOf(ec.publicKey, { kid: 'e' })), ['ES256']);
  const own = ringOf(pemOf(keyPairFor('ES256').publicKey), ['ES256']);
  const good = token(CLAIMS, ec.privateKey, 'ES256', { kid: 'e' });

  test('are asked for by alg and kid alone, once the header is found to be in order', async () => {
    const jwks = answers(served);
    const { outcome } = stage(['ES256'], new KeyRing([]), { jwks });
    expect(await outcome(good)).toBe('accepted');
    expect(await outcome(token(CLAIMS, rsa.privateKey, 'RS256', { kid: 'e' }))).toBe('algorithm');
    expect(await outcome(`${good}.`)).toBe('malformed');
    expect(jwks.asked).toEqual([['ES256', 'e']]);
  });

  test('are tried after our own keys, and not for a token with the name of one of ours', async () => {
    const jwks = answers(served);
    const { outcome } = stage(['ES256'], own, { jwks });
    expect(await outcome(good)).toBe('accepted');
    const ours = ringOf(JSON.stringify(jwkOf(three().publicKey, { kid: 'e' })), ['ES256']);
    const shadowed = stage(['ES256'], ours, { jwks });
    expect(await shadowed.outcome(good)).toBe('signature');
    expect(jwks.asked).toHaveLength(1);
  });
  const three = (): { publicKey: KeyObject } => keyPairFor('ES256');

  test('that are not there say nothing of the client: it may try again', async () => {
    const { outcome, ask, check } = stage(['ES256'], new KeyRing([]), {
      jwks: answers(null, 'no keys'),
    });
    expect(await outcome(good)).toBe('no_keys');
    expect(await ask(good)).toMatchObject({ code: 503, reason: 'NO_KEYS', detail: 'no keys' });
    expect(check.notReady).toBe('no keys');
    const seen = stage(['ES256'], new KeyRing([]), { jwks: answers(null) });
    expect(await seen.outcome(good)).toBe('unknown_key');
    expect(seen.check.notReady).toBe('');
  });
});

describe('the answer', () => {
  test('comes by the deadline, whatever it waits for', async () => {
    const never: Served = { away: '', find: () => new Promise(() => {}) };
    const { ask, clock, metrics } = stage(['ES256'], new KeyRing([]), { jwks: never });
    const answer = ask(token(CLAIMS, ec.privateKey, 'ES256'));
    clock.advance(5_000);
    expect(await answer).toMatchObject({ code: 503, reason: 'OVERLOADED' });
    expect(metrics.count('pith_jwt_tokens_total', ['handshake', 'overloaded'])).toBe(1);
    expect(clock.timerCount).toBe(0);
  });

  test.each([
    ['expired', 'the token has expired', { exp: NOW_S - 31 }],
    ['not_yet', 'the token is not valid', { nbf: NOW_S + 31 }],
    ['claims', 'the token is not valid', { exp: undefined }],
  ])('tells the client of %s no more than: %s', async (word, message, claims) => {
    const { ask, outcome } = rsaStage();
    const text = token({ ...CLAIMS, ...claims }, rsa.privateKey, 'RS256');
    expect(await outcome(text)).toBe(word);
    expect(await ask(text)).toMatchObject({ code: 401, reason: 'BAD_TOKEN', message });
  });

  test('has nothing of a token in what is logged', async () => {
    const { ask } = rsaStage();
    const bad = token({ ...CLAIMS, secret: 'topsecret' }, keyPairFor('RS256').privateKey, 'RS256', {
      kid: 'namedkey',
    });
    for (const text of [
      bad,
      `${bad}.x`,
      token(CLAIMS, rsa.privateKey, 'RS256', { alg: 'ODDALG' }, 'RS256'),
    ]) {
      const found = (await ask(text)) as Failure;
      for (const piece of [...text.split('.'), 'topsecret', 'namedkey', 'ODDALG'])
        expect(JSON.stringify(found)).not.toContain(piece.slice(0, 40));
    }
  });

  test('is not waited for by a client that has gone, and nothing is verified for it', async () => {
    const { check, clock } = rsaStage();
    const good = token(CLAIMS, rsa.privateKey, 'RS256');
    const gone = { use: 'handshake', deadline: clock.now() + 1, isWanted: () => false } as const;
    expect(await check.check(good, gone)).toMatchObject({ reason: 'CLOSING' });
  });

  test('comes to many at once', async () => {
    const { ask, outcome } = rsaStage();
    const good = token(CLAIMS, rsa.privateKey, 'RS256');
    const bad = token(CLAIMS, keyPairFor('RS256').privateKey, 'RS256');
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(i % 2 ? good : bad)));
    expect(all.filter((one) => isFailure(one))).toHaveLength(50);
    expect(await outcome(good)).toBe('accepted');
  });
});

test('a token is where auth.jwt.from says, also where a key has a dot', () => {
  const request = (user: unknown, sys: object = {}) => ({ user, sys }) as never;
  const at = (from: string, user: unknown, sys: object = {}) =>
    stage([], new KeyRing([]), { from, jwks: null }).check.tokenIn(request(user, sys));
  expect(at('user.token', { token: 't' })).toBe('t');
  expect(at('user.auth.token', { auth: { token: 't' } })).toBe('t');
  expect(at('user.auth.token', { 'auth.token': 't' })).toBe('t');
  expect(at('sys.token', { token: 'u' }, { token: 't' })).toBe('t');
  for (const user of [undefined, null, 'token', ['t'], {}, { auth: null }])
    expect(at('user.auth.token', user)).toBe(undefined);
  for (const name of ['constructor', 'toString', '__proto__'])
    expect(at(`user.${name}`, {})).toBe(undefined);
});
