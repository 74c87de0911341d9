/** What of `auth` is not safe, or has no effect, is refused with what to write instead. */
import { describe, expect, test } from 'vitest';

import { load, problemsOf } from './support.ts';

const SECRET = '0123456789abcdef0123456789abcdef';
const jwt = (keys: string, more = ''): string =>
  `backends: { login: { grpc: "a:1" } }\nauth: { mode: jwt, ${more}jwt: { ${keys} } }`;
const url = 'jwks_url: "https://id.example/jwks.json"';

const UNSAFE: readonly (readonly [what: string, yaml: string, expected: string])[] = [
  [
    'no signature',
    jwt('algorithms: [none], keys: [/k]'),
    '2: auth.jwt.algorithms[0]: none is no signature: anyone could make a token. Name the algorithm that yours are signed with, as ES256',
  ],
  [
    'no signature, spelt otherwise',
    jwt('algorithms: [ES256, None], keys: [/k]'),
    '2: auth.jwt.algorithms[1]: none is no signature: anyone could make a token. Name the algorithm that yours are signed with, as ES256',
  ],
  [
    'an algorithm that does not exist',
    jwt('algorithms: [RS265], keys: [/k]'),
    '2: auth.jwt.algorithms[0]: unknown algorithm "RS265"; did you mean "RS256"?',
  ],
  [
    'an algorithm to encrypt with',
    jwt('algorithms: [A128GCMKW], keys: [/k]'),
    '2: auth.jwt.algorithms[0]: unknown algorithm "A128GCMKW"; expected one of RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 HS256 HS384 HS512',
  ],
  [
    'no list of algorithms',
    jwt('keys: [/k]'),
    '2: auth.jwt.algorithms: name the algorithms that your tokens are signed with, as [ES256]; no other is accepted',
  ],
  [
    'no keys',
    jwt('algorithms: [ES256]'),
    '2: auth.mode: jwt needs auth.jwt.keys, auth.jwt.secrets or auth.jwt.jwks_url',
  ],
  [
    'a JWKS over http',
    jwt('algorithms: [ES256], audience: a, jwks_url: "http://id.example/jwks.json"'),
    '2: auth.jwt.jwks_url: http is not safe: whoever is on the way could put in keys of their own. Use https://, with auth.jwt.tls.ca for an authority of your own',
  ],
  [
    'a JWKS over http on this machine',
    jwt('algorithms: [ES256], audience: a, jwks_url: "http://127.0.0.1:8080/jwks.json"'),
    '2: auth.jwt.jwks_url: http is not safe: whoever is on the way could put in keys of their own. Use https://, with auth.jwt.tls.ca for an authority of your own',
  ],
  [
    'a JWKS whose URL is put together from a token',
    jwt('algorithms: [ES256], audience: a, jwks_url: "https://{iss}/jwks.json"'),
    '2: auth.jwt.jwks_url: there are no placeholders: whoever makes a token could choose where its key is read',
  ],
  [
    'a JWKS in a file',
    jwt('algorithms: [ES256], audience: a, jwks_url: "file:///jwks.json"'),
    '2: auth.jwt.jwks_url: expected an https URL, as https://id.example.com/jwks.json',
  ],
  [
    'a JWKS with a password',
    jwt('algorithms: [ES256], audience: a, jwks_url: "https://a:b@id.example/jwks.json"'),
    '2: auth.jwt.jwks_url: a JWKS is public, so there is no user and password',
  ],
  [
    'the tokens that a provider signs for others',
    jwt(`algorithms: [ES256], ${url}`),
    '2: auth.jwt.audience: with jwks_url, set audience or issuer: a provider signs tokens for others with the same keys, and all of those would be let in',
  ],
  [
    'a secret of six letters',
    jwt('algorithms: [HS256], secrets: [secret]'),
    '2: auth.jwt.secrets[0]: 6 bytes; HS256 needs at least 32, or it can be guessed: make one with: openssl rand -base64 32',
  ],
  [
    'a secret that is long enough for HS256 alone',
    jwt(`algorithms: [HS256, HS512], secrets: [${SECRET}]`),
    '2: auth.jwt.secrets[0]: 32 bytes; HS512 needs at least 64, or it can be guessed: make one with: openssl rand -base64 64',
  ],
  [
    'a secret that is short once it is decoded',
    jwt(`algorithms: [HS256], secrets: ["base64:${SECRET}"]`),
    '2: auth.jwt.secrets[0]: 24 bytes; HS256 needs at least 32, or it can be guessed: make one with: openssl rand -base64 32',
  ],
  [
    'a long secret of few bytes',
    jwt(`algorithms: [HS256], secrets: ["${'abc'.repeat(20)}"]`),
    '2: auth.jwt.secrets[0]: it has fewer than 8 different bytes, and can be guessed; make one with: openssl rand -base64 32',
  ],
  [
    'a secret that is no base64',
    jwt('algorithms: [HS256], secrets: ["base64:?"]'),
    '2: auth.jwt.secrets[0]: not base64 after "base64:"',
  ],
  [
    'a public key as a secret',
    jwt(
      String.raw`algorithms: [HS256], secrets: ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]`,
    ),
    '2: auth.jwt.secrets[0]: this is a key and not a secret; a public key as a secret would let anyone make tokens. Put it into auth.jwt.keys',
  ],
  [
    'a JWK as a secret',
    jwt(`algorithms: [HS256], secrets: ['{"kty":"RSA","n":"${SECRET}"}']`),
    '2: auth.jwt.secrets[0]: this is a key and not a secret; a public key as a secret would let anyone make tokens. Put it into auth.jwt.keys',
  ],
  [
    'a secret that a URL shows',
    jwt(`algorithms: [HS256], audience: a, ${url}`),
    '2: auth.jwt.secrets: HS256 needs a secret, and one that a URL shows to everybody is none',
  ],
  [
    'a secret that nothing uses',
    jwt(`algorithms: [ES256], keys: [/k], secrets: [${SECRET}]`),
    '2: auth.jwt.secrets: ES256 use no secret; add HS256 to algorithms, or remove it',
  ],
  [
    'more secrets than are tried',
    jwt(`algorithms: [HS256], secrets: [${Array.from({ length: 9 }, () => SECRET).join()}]`),
    '2: auth.jwt.secrets: 9 secrets; at most 8 are allowed',
  ],
  [
    'clocks that may differ by more than five minutes',
    jwt('algorithms: [ES256], keys: [/k], clock_skew: 1h'),
    '2: auth.jwt.clock_skew: expected 1ms to 5m, or 0s',
  ],
  [
    'a token where the gateway keeps its own',
    jwt('algorithms: [ES256], keys: [/k], from: user.pith.resume'),
    '2: auth.jwt.from: user.pith is for the gateway itself; use another key',
  ],
  [
    'a token nowhere',
    jwt('algorithms: [ES256], keys: [/k], from: token'),
    '2: auth.jwt.from: expected a key of the handshake, as user.token or sys.token',
  ],
  [
    'nobody who says who it is',
    jwt('algorithms: [ES256], keys: [/k], uid: ""'),
    '2: auth.jwt.uid: without a claim for the uid, auth.backend has to say who it is',
  ],
  [
    'two claims for one key',
    jwt('algorithms: [ES256], keys: [/k], roles: roles, data: { roles: groups }'),
    '2: auth.jwt.data.roles: auth.jwt.roles sets the same key',
  ],
  [
    'a claim without a name',
    jwt('algorithms: [ES256], keys: [/k], data: { level: "" }'),
    '2: auth.jwt.data.level: expected the name of a claim, as level or app.level',
  ],
  [
    'TLS towards nothing',
    jwt('algorithms: [ES256], keys: [/k], tls: { ca: /ca }'),
    '2: auth.jwt.tls: only with jwks_url',
  ],
  [
    'keys that are not used, so that everyone comes in',
    'auth: { jwt: { algorithms: [ES256], keys: [/k] } }',
    '1: auth.jwt: has no effect with auth.mode: none; set auth.mode: jwt',
  ],
  [
    'algorithms that are not used',
    'backends: { login: { grpc: "a:1" } }\nauth: { mode: connect, backend: login, jwt: { algorithms: [ES256] } }',
    '2: auth.jwt: has no effect with auth.mode: connect; set auth.mode: jwt',
  ],
  [
    'a backend that is not asked, so that everyone comes in',
    'backends: { login: { grpc: "a:1" } }\nauth: { backend: login }',
    '2: auth.backend: nobody is asked with auth.mode: none; set auth.mode: connect',
  ],
  [
    'a backend that cannot be asked',
    'backends: { login: { reply: {} } }\nauth: { mode: jwt, backend: login, jwt: { algorithms: [ES256], keys: [/k] } }',
    '2: auth.backend: "login" is a fixed answer, and cannot be asked',
  ],
];

test.each(UNSAFE)('%s', (_, yaml, expected) => {
  expect(problemsOf(yaml)).toEqual([`pith.yaml:${expected}`]);
});

describe('what is safe', () => {
  test.each([
    jwt('algorithms: [ES256, EdDSA], keys: [/k]'),
    jwt('algorithms: [HS256], keys: [/secret.jwk]'),
    jwt(`algorithms: [HS256], secrets: [${SECRET}]`),
    jwt(
      `algorithms: [HS512], secrets: ["base64:${Buffer.from(SECRET + SECRET).toString('base64')}"]`,
    ),
    jwt(`algorithms: [RS256], audience: game, ${url}`),
    jwt(
      `algorithms: [RS256, HS256], issuer: me, ${url}, secrets: [${SECRET}], tls: { ca: system }`,
    ),
    jwt('algorithms: [ES256], keys: [/k], uid: "", from: sys.auth.token', 'backend: login, '),
    jwt(
      'algorithms: [ES256], keys: [/k], roles: "https://game.example/roles", data: { level: app.level }',
    ),
  ])('%s', (yaml) => {
    expect(problemsOf(yaml)).toEqual([]);
  });

  test('keys may be their text, and relative paths begin at the folder of the file', () => {
    const jwk = JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'AA' });
    const yaml = jwt(
      `algorithms: [EdDSA], keys: [keys/a.pem, '${jwk}', "-----BEGIN PUBLIC KEY-----"]`,
    );
    expect(load(yaml, { folder: '/etc/pith' }).auth.jwt.keys).toEqual([
      ...['/etc/pith/keys/a.pem', jwk, '-----BEGIN PUBLIC KEY-----'],
    ]);
  });
});
