/** Which keys are taken, for which algorithms, and what is said of the others. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import {
  KeyRing,
  readServedJwks,
  readVerifyKeys,
  secretKey,
} from '../../../../src/auth/jwt/verify-keys.ts';
import { jwkOf, keyPairFor, pemOf } from '../../../support/jwt.ts';

const ALL = ['RS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS256'];
const rsa = keyPairFor('RS256');
const ec = keyPairFor('ES256');
const secretJwk = (bytes: number, more: object = {}) => ({
  ...{ kty: 'oct', k: Buffer.alloc(bytes, 7).toString('base64url') },
  ...more,
});

const algorithmsOf = (text: string, allowed = ALL): string[][] =>
  readVerifyKeys(text, allowed).map(({ algorithms }) => [...algorithms]);
const faultOf = (read: () => unknown): string => {
  try {
    read();
    return '';
  } catch (error) {
    expect((error as Error).name).toBe('KeyFault');
    return (error as Error).message;
  }
};

test('a key is for the algorithms of its type alone, of those that are allowed', () => {
  const bothWays = (key: ReturnType<typeof keyPairFor>): string[] => {
    const [pem] = algorithmsOf(pemOf(key.publicKey));
    expect(algorithmsOf(JSON.stringify(jwkOf(key.publicKey)))).toEqual([pem]);
    return pem!;
  };
  expect(bothWays(rsa)).toEqual(['RS256', 'PS512']);
  expect(bothWays(ec)).toEqual(['ES256']);
  expect(bothWays(keyPairFor('ES384'))).toEqual(['ES384']);
  expect(bothWays(keyPairFor('ES512'))).toEqual(['ES512']);
  expect(bothWays(keyPairFor('EdDSA'))).toEqual(['EdDSA', 'Ed25519']);
  expect(algorithmsOf(JSON.stringify(secretJwk(32)))).toEqual([['HS256']]);
  expect(algorithmsOf(JSON.stringify(jwkOf(rsa.publicKey, { alg: 'PS512' })))).toEqual([['PS512']]);
  expect(algorithmsOf(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }) as string)).toEqual([
    ['RS256', 'PS512'],
  ]);
});

describe('what is refused, and why', () => {
  const { privateKey } = ec;
  const curve = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey;
  const one = { ...jwkOf(rsa.publicKey), e: 'AQ' };
  const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
  test.each<[what: string, text: string, why: string]>([
    [
      'a private key',
      privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      'a private key, and the gateway needs only its public key: openssl pkey -in private.pem -pubout',
    ],
    [
      'a private JWK',
      JSON.stringify(privateKey.export({ format: 'jwk' })),
      'a private key, and the gateway needs only its public key: openssl pkey -in private.pem -pubout',
    ],
    [
      'a certificate',
      certificate,
      'a certificate; give its public key: openssl x509 -in cert.pem -noout -pubkey',
    ],
    [
      'two keys in one file',
      pemOf(rsa.publicKey) + pemOf(ec.publicKey),
      'more than one key; give each a file of its own',
    ],
    [
      'no key',
      'hello',
      'neither PEM, "-----BEGIN PUBLIC KEY-----", nor a JWK, nor a JWKS; a secret goes into auth.jwt.secrets',
    ],
    [
      'broken PEM',
      '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
      'not a readable public key',
    ],
    ['broken JSON', '{"kty":', 'not valid JSON'],
    ['a JWK without its parts', '{"kty":"EC","crv":"P-256"}', 'not a readable key'],
    [
      'a point that is not on the curve',
      JSON.stringify({ ...jwkOf(ec.publicKey), y: jwkOf(ec.publicKey).x }),
      'not a readable key',
    ],
    ['a JWKS without keys', '{"keys":[]}', 'a JWKS without keys'],
    ['a list of texts', '{"keys":["a"]}', 'not a JSON Web Key: expected an object'],
    ['a weak key', pemOf(weak), 'an RSA key of 1024 bits; 2048 to 8192 are allowed'],
    [
      'an exponent of 1',
      JSON.stringify(one),
      'an RSA key with an exponent that is not safe; 65537 is usual',
    ],
    [
      'a curve that no algorithm here has',
      pemOf(curve),
      'a key on the curve secp256k1; expected P-256, P-384 or P-521',
    ],
    [
      'a key for agreements',
      pemOf(generateKeyPairSync('x25519').publicKey),
      'a key of type x25519; expected RSA, EC or Ed25519',
    ],
    [
      'a key to encrypt with',
      JSON.stringify(jwkOf(rsa.publicKey, { use: 'enc' })),
      'a key that is not for signatures',
    ],
    [
      'a key to encrypt with, by key_ops',
      JSON.stringify(jwkOf(rsa.publicKey, { key_ops: ['encrypt'] })),
      'a key that is not for signatures',
    ],
    [
      'a key to encrypt with, by key_ops that are no list',
      JSON.stringify(jwkOf(rsa.publicKey, { key_ops: 'encrypt' })),
      'a key that is not for signatures',
    ],
    [
      'a kid that is no text',
      JSON.stringify(jwkOf(rsa.publicKey, { kid: 1 })),
      'a kid that is no text of at most 256 characters',
    ],
    [
      'a key of an algorithm that is not allowed',
      JSON.stringify(jwkOf(rsa.publicKey, { alg: 'RS512' })),
      'a key for an algorithm that auth.jwt.algorithms does not name',
    ],
    ['a short secret', JSON.stringify(secretJwk(31)), 'a secret of 31 bytes; it needs at least 32'],
    ['a secret without bytes', '{"kty":"oct"}', 'a secret without its bytes, "k"'],
  ])('%s', (_, text, why) => {
    expect(faultOf(() => readVerifyKeys(text, ALL))).toBe(why);
  });

  test('an algorithm in a key that is not one of its type', () => {
    const text = JSON.stringify(jwkOf(rsa.publicKey, { alg: 'HS256' }));
    expect(faultOf(() => readVerifyKeys(text, ALL))).toContain('and auth.jwt.algorithms wants');
    const own = JSON.stringify(secretJwk(64, { alg: 'RS256' }));
    expect(faultOf(() => readVerifyKeys(own, ALL))).toContain(
      'no algorithm of auth.jwt.algorithms',
    );
  });

  test('a key of which nothing is allowed, with what would be', () => {
    expect(faultOf(() => readVerifyKeys(pemOf(ec.publicKey), ['RS256']))).toBe(
      'a key for ES256, and auth.jwt.algorithms wants an RSA key',
    );
  });

  test('a secret that is shorter than the longest algorithm needs', () => {
    expect(faultOf(() => secretKey(Buffer.alloc(32), ['HS256', 'HS512']))).toBe(
      'a secret of 32 bytes; it needs at least 64',
    );
    expect([...secretKey(Buffer.alloc(64), ['HS256', 'HS512', 'RS256']).algorithms]).toEqual([
      ...['HS256', 'HS512'],
    ]);
  });

  test('more keys without a name than may have to be tried', () => {
    const [key] = readVerifyKeys(pemOf(ec.publicKey), ALL);
    const nine = Array.from({ length: 9 }, () => key!);
    expect(faultOf(() => new KeyRing(nine))).toBe('9 keys without a kid; at most 8 are allowed');
    expect(new KeyRing(nine.slice(1)).find('ES256', null)).toHaveLength(8);
  });
});

describe('a JWKS that somebody else serves', () => {
  const served = (keys: unknown): string => JSON.stringify({ keys });
  const kidsOf = (text: string): (string | null)[] =>
    readServedJwks(text, ALL).keys.map(({ kid }) => kid);

  test('may have other things in it; secrets and private keys are never used', () => {
    const keys = [
      { kty: 'oct', kid: 'secret', k: Buffer.alloc(64).toString('base64url') },
      { ...ec.privateKey.export({ format: 'jwk' }), kid: 'private' },
      { kty: 'AKP', kid: 'new' },
      jwkOf(rsa.publicKey, { kid: 'enc', use: 'enc' }),
      'text',
      null,
      [],
      jwkOf(rsa.publicKey, { kid: 'good', x5c: ['MIIB'], x5u: 'https://attacker.example' }),
    ];
    expect(kidsOf(served(keys))).toEqual(['good']);
    expect(readServedJwks(served(keys), ALL).faults).toEqual([
      'a secret that everyone can read (kid "secret")',
      'a private key that everyone can read (kid "private")',
      'not a readable key (kid "new")',
      'a key that is not for signatures (kid "enc")',
      'not a JSON Web Key: expected an object',
      'not a JSON Web Key: expected an object',
      'not a JSON Web Key: expected an object',
    ]);
  });

  test.each<[what: string, text: string, why: string]>([
    ['nothing', '', 'not valid JSON'],
    ['a page', '<html>', 'not valid JSON'],
    ['a list', '[]', 'not a JWKS: expected {"keys":[…]}'],
    ['an object', '{"keys":{}}', 'not a JWKS: expected {"keys":[…]}'],
    ['no keys', served([]), 'none of its 0 keys can be used'],
    [
      'a secret',
      served([secretJwk(64)]),
      'none of its 1 keys can be used: a secret that everyone can read',
    ],
    [
      'too many',
      served(Array.from({ length: 101 }, () => ({}))),
      '101 keys; at most 100 are allowed',
    ],
  ])('%s', (_, text, why) => {
    expect(faultOf(() => readServedJwks(text, ALL))).toBe(why);
  });
});
