/** JSON Web Tokens: their headers and claims, keys to verify them with, secrets. */
import { type ClaimRules, readClaims } from '../../../src/auth/jwt/claims.ts';
import { readTokenHead, TOKEN_CHARS_MAX } from '../../../src/auth/jwt/token.ts';
import { readServedJwks, readVerifyKeys } from '../../../src/auth/jwt/verify-keys.ts';
import { parseSecret } from '../../../src/config/jwt-keys.ts';
import { anyJson } from '../fresh.ts';
import { check, same, type Target } from '../target.ts';

const ALLOWED = ['ES256', 'RS256', 'HS256'];
const part = (text: string): string => Buffer.from(text).toString('base64url');

const heads: Target = {
  name: 'jwt-head',
  drives: ['auth/jwt/token.ts readTokenHead'],
  forms: ['json', 'text'],
  seeds: [
    '{"alg":"ES256","typ":"JWT","kid":"a"}',
    '{"alg":"none"}',
    '{"alg":"RS256","crit":["b64"],"b64":false}',
    '{"alg":"HS256","alg":"none"}',
  ],
  fresh: anyJson(),
  run(input) {
    const text = input.toString('latin1');
    for (const token of [text, `${input.toString('base64url')}.e30.AA`, part(text)]) {
      const head = readTokenHead(token, { algorithms: ALLOWED, from: 'user.token' });
      if ('fault' in head) continue;
      check(
        token.length <= TOKEN_CHARS_MAX && token.split('.').length === 3,
        'only a token is read',
      );
      check(ALLOWED.includes(head.algorithm), 'an algorithm is one that is allowed', head);
    }
  },
};

const NOW_MS = 1_800_000_000_000;
const RULES: ClaimRules = {
  ...{ issuer: '', audience: 'game', uid: 'sub', data: { level: 'app.level' } },
  ...{ roles: 'roles', skewMs: 30_000 },
};

const claims: Target = {
  name: 'jwt-claims',
  drives: ['auth/jwt/claims.ts readClaims'],
  forms: ['json', 'text'],
  seeds: [
    '{"sub":"ann","aud":"game","exp":1800000060}',
    '{"sub":42,"aud":["game"],"exp":1.9e9,"nbf":1,"iat":1.0,"roles":"a b","app":{"level":1e400}}',
    '{"sub":"ann","sub":"bob","aud":"game","exp":1800000060}',
    '{"sub":"ann","aud":"game","exp":"1800000060","roles":["a",1]}',
  ],
  fresh: anyJson(),
  run(input) {
    const granted = readClaims(input, RULES, NOW_MS);
    if ('fault' in granted) return;
    const { uid, holder, set, expiresAtWall } = granted;
    check(uid !== '' && holder === uid, 'it has a uid', granted);
    check(
      expiresAtWall > NOW_MS - 30_000 && expiresAtWall < 2.6e14,
      'it ends, and has not',
      granted,
    );
    check(
      Object.keys(set).join() === 'level,roles',
      'it sets what is configured',
      Object.keys(set),
    );
    check(Array.isArray(set['roles']), 'roles are a list');
  },
};

const KEYS = [
  '{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}',
  '{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
  '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n-----END PUBLIC KEY-----\n',
];

const keys: Target = {
  name: 'jwt-keys',
  drives: ['auth/jwt/verify-keys.ts readVerifyKeys', 'auth/jwt/verify-keys.ts readServedJwks'],
  forms: ['json', 'text'],
  seeds: KEYS,
  fresh: anyJson(),
  run(input) {
    const text = input.toString();
    for (const read of [
      readVerifyKeys,
      (...args: Parameters<typeof readServedJwks>) => readServedJwks(...args).keys,
    ]) {
      try {
        for (const { key, algorithms } of read(text, ALLOWED)) {
          check(key.type !== 'private', 'no private key is used');
          check(algorithms.size > 0, 'each is for something');
          const isSecret = key.type === 'secret';
          check(
            [...algorithms].every((name) => name.startsWith('HS') === isSecret),
            'each is for its own',
          );
          check(!isSecret || read === readVerifyKeys, 'nothing that is served is a secret');
        }
      } catch (error) {
        same((error as Error).name, 'KeyFault', 'what cannot be used is said to be so');
      }
    }
  },
};

const secrets: Target = {
  name: 'jwt-secret',
  drives: ['config/jwt-keys.ts parseSecret'],
  forms: ['text'],
  seeds: ['base64:c2VjcmV0', 'a secret', '-----BEGIN PUBLIC KEY-----', '{"kty":"oct"}', 'base64:'],
  run(input) {
    const text = input.toString();
    try {
      const { length } = parseSecret(text);
      check(length <= Buffer.byteLength(text), 'it is no longer than what was written');
    } catch (error) {
      const { message } = error as Error;
      const secret = text.replace(/^base64:/, '');
      check(secret.length < 8 || !message.includes(secret), 'the error does not show it', message);
    }
  },
};

export const targets: readonly Target[] = [heads, claims, keys, secrets];
