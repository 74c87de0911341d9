/** The keys that a configuration names: which files are read, and what is said of those that cannot be used. */
import { expect, test } from 'vitest';

import { readOwnKeys } from '../../../../src/auth/jwt/own-keys.ts';
import { load } from '../../config/support.ts';
import { jwkOf, keyPairFor, pemOf } from '../../../support/jwt.ts';

const ec = keyPairFor('ES256');
const other = keyPairFor('ES256');
const LONG = '/var/run/secrets/example.com/jwt-signing-secret';
const FILES: Readonly<Record<string, string>> = {
  '/k/a.pem': pemOf(ec.publicKey),
  '/k/set.json': JSON.stringify({ keys: [jwkOf(other.publicKey, { kid: 'o' })] }),
  '/k/long': 'x'.repeat(600_000),
  [LONG]: 's'.repeat(40),
};

function read(jwt: object) {
  const yaml = JSON.stringify({ auth: { mode: 'jwt', jwt } });
  const read: string[] = [];
  const { ring, texts, faults } = readOwnKeys(load(yaml).auth.jwt, (path) => {
    read.push(path);
    const text = FILES[path];
    if (text === undefined) throw Object.assign(new Error('no such'), { code: 'ENOENT' });
    return text;
  });
  const told = faults.map(({ path, message }) => `${path.slice(2).join('.')}: ${message}`);
  return { kids: ring.keys.map(({ kid }) => kid), texts, read, told };
}

test('files, a JWKS in one of them, and text in their place', () => {
  const jwk = JSON.stringify(jwkOf(ec.publicKey, { kid: 'text' }));
  const found = read({ algorithms: ['ES256'], keys: ['/k/a.pem', '/k/set.json', jwk] });
  expect(found).toMatchObject({ kids: [null, 'o', 'text'], told: [] });
  expect(found.read).toEqual(['/k/a.pem', '/k/set.json']);
  expect(found.texts).toEqual([FILES['/k/a.pem'], FILES['/k/set.json'], jwk]);
});

test('each that cannot be used is named, with its file', () => {
  expect(read({ algorithms: ['ES256'], keys: ['/k/none', '/k/long', '/k/a.pem'] }).told).toEqual([
    'keys.0: /k/none: no such file or folder',
    'keys.1: /k/long: too long for keys',
  ]);
});

test('the name of a file is no secret, however long it is', () => {
  expect(read({ algorithms: ['HS256'], secrets: [LONG] }).told).toEqual([
    'secrets.0: the secret: this is the path of a file; for what is in it write "${file:/run/secrets/jwt}"',
  ]);
  // What only begins like one is.
  const base64 = `/${'abcdefghijk'.repeat(4).slice(1)}`;
  expect(read({ algorithms: ['HS256'], secrets: [base64] })).toMatchObject({
    told: [],
    kids: [null],
  });
});

test('an algorithm that no key is for is named, unless a URL may have one', () => {
  const jwt = { algorithms: ['ES256', 'HS256'], keys: ['/k/a.pem'] };
  expect(read(jwt).told).toEqual([
    'algorithms.1: no key for HS256; it needs a secret of 32 bytes or more',
  ]);
  const url = { algorithms: ['ES256', 'RS256'], jwks_url: 'https://id.example', issuer: 'me' };
  expect(read({ ...url, keys: ['/k/a.pem'] }).told).toEqual([]);
});
