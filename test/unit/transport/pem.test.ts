// Certificates and keys are judged before anything uses them, and what is wrong is said of its key.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';

import {
  validate,
  type ClientTls,
  readClientTls,
  readTexts,
  type TlsFiles,
  TlsFault,
} from '../../../src/transport/pem.ts';
import { Authority } from '../../support/tls.ts';

const authority = new Authority();
const own = authority.issue('own');
const other = authority.issue('other');
const encrypted = createPrivateKey(own.key).export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'secret',
}) as string;
const DISK: Readonly<Record<string, string>> = {
  '/own.crt': own.cert,
  '/own.key': own.key,
  '/other.key': other.key,
  '/chain.crt': `${own.cert}${authority.cert}`,
  '/upside-down.crt': `${authority.cert}${own.cert}`,
  '/both.pem': `${own.key}${own.cert}`,
  '/ca.crt': authority.cert,
  '/encrypted.key': encrypted,
  '/broken.crt': own.cert.replace(/^M.*$/m, 'AAAA'),
  '/half.crt': own.cert.slice(0, 200),
  '/broken.key': own.key.replace(/^M.*$/m, 'AAAA'),
  '/second-broken.crt': `${own.cert}${own.cert.replace(/^M.*$/m, 'AAAA')}`,
  '/empty': '',
};

function readFile(path: string): string {
  const text = DISK[path];
  if (text === undefined)
    throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' });
  return text;
}

function load(files: Partial<TlsFiles>) {
  const all = { cert: '/own.crt', key: '/own.key', ca: '', ...files };
  return validate(readTexts(all, readFile), all);
}

function faultOf(files: Partial<TlsFiles>): { key: string; message: string } {
  try {
    load(files);
  } catch (error) {
    if (error instanceof TlsFault) return { key: error.key, message: error.message };
    throw error;
  }
  throw new Error('nothing is wrong with it');
}

test.each<[string, Partial<TlsFiles>]>([
  ['paths', {}],
  ['PEM text', own],
  ['a path and PEM text', { key: own.key }],
  ['a chain', { cert: '/chain.crt' }],
  ['key and certificate in one file', { cert: '/both.pem', key: '/both.pem' }],
  ['authorities', { ca: '/ca.crt' }],
])('%s', (_what, files) => {
  const pem = load(files);
  expect(pem.cert).toContain(own.cert);
  expect(pem.key).toContain(own.key);
  expect(pem.ca).toBe(files.ca === undefined ? '' : authority.cert);
  const days = (pem.expiresAt - Date.now()) / 86_400_000;
  expect(Math.round(days)).toBe(30);
});

test('an RSA key that is in the older format', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
  expect(faultOf({ key }).message).toMatch(/^the PEM text does not belong to/);
});

test.each<[string, Partial<TlsFiles>, key: string, message: string]>([
  ['no such file', { cert: '/none' }, 'cert', '/none cannot be read: no such file or folder'],
  ['no such key', { key: '/none' }, 'key', '/none cannot be read: no such file or folder'],
  [
    'authorities in an empty file',
    { ca: '/empty' },
    'ca',
    '/empty has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"',
  ],
  ['no such authorities', { ca: '/none' }, 'ca', '/none cannot be read: no such file or folder'],
  [
    'an empty file',
    { cert: '/empty' },
    'cert',
    '/empty has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"',
  ],
  [
    'a key in the place of the certificate',
    { cert: '/own.key' },
    'cert',
    '/own.key has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"',
  ],
  [
    'a certificate in the place of the key',
    { key: '/own.crt' },
    'key',
    '/own.crt has no private key; expected PEM, "-----BEGIN PRIVATE KEY-----"',
  ],
  [
    'half of a certificate',
    { cert: '/half.crt' },
    'cert',
    '/half.crt has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"',
  ],
  [
    'a key with a passphrase',
    { key: '/encrypted.key' },
    'key',
    '/encrypted.key is encrypted; give the key without a passphrase',
  ],
  [
    "somebody else's key",
    { key: '/other.key' },
    'key',
    "/other.key does not belong to the first certificate in /own.crt; give that certificate's key, with the server's own certificate first",
  ],
  [
    'a chain upside down',
    { cert: '/upside-down.crt' },
    'key',
    "/own.key does not belong to the first certificate in /upside-down.crt; give that certificate's key, with the server's own certificate first",
  ],
  [
    'authorities that are none',
    { ca: '/own.key' },
    'ca',
    '/own.key has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"',
  ],
])('%s', (_what, files, key, message) => {
  expect(faultOf(files)).toEqual({ key, message });
});

test.each<[string, Partial<TlsFiles>, key: string, message: RegExp]>([
  [
    'a certificate',
    { cert: '/broken.crt' },
    'cert',
    /^cannot read certificate 1 of 1 in \/broken\.crt: ./,
  ],
  [
    'the second certificate of a chain',
    { cert: '/second-broken.crt' },
    'cert',
    /^cannot read certificate 2 of 2 in \/second-broken\.crt: ./,
  ],
  ['a key', { key: '/broken.key' }, 'key', /^cannot read \/broken\.key: ./],
])('%s that is broken', (_what, files, key, message) => {
  const fault = faultOf(files);
  expect(fault.key).toBe(key);
  expect(fault.message).toMatch(message);
});

test('a key too weak for OpenSSL', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 512 });
  const weak = authority.certify('weak', privateKey);
  expect(faultOf(weak)).toEqual({
    key: 'cert',
    message: 'OpenSSL refuses the PEM text: ee key too small',
  });
});

test.each([
  ['base64 without its first line', own.key.split('\n')[1]!],
  ['lines that are no PEM', own.key.split('\n').slice(1).join('\n')],
  ['more than a path can be', 'x'.repeat(5_000)],
])('%s in the place of a key is not shown', (_what, key) => {
  expect(faultOf({ key })).toEqual({
    key: 'key',
    message: 'expected a path, or PEM text with its "-----BEGIN …-----" line',
  });
});

const forClient = (files: Partial<TlsFiles>): ClientTls =>
  readClientTls({ cert: '', key: '', ca: '', ...files }, readFile);

test.each([
  [{}, {}],
  [{ ca: 'system' }, {}],
  [{ ca: '/chain.crt' }, { ca: `${own.cert}${authority.cert}` }],
  [{ ca: authority.cert }, { ca: authority.cert }],
  [
    { cert: '/own.crt', key: '/own.key' },
    { cert: own.cert, key: own.key },
  ],
])('a client may have %j', (files, texts) => {
  expect(forClient(files)).toEqual(texts);
});

test.each([
  [{ ca: '/empty' }, 'ca', '/empty has no certificate'],
  [{ ca: '/none' }, 'ca', '/none cannot be read'],
  [{ cert: '/own.crt', key: '/other.key' }, 'key', '/other.key does not belong'],
  [{ key: `MII${'B'.repeat(60)}` }, 'key', 'expected a path, or PEM text'],
])('a client is refused with %j', (files, key, why) => {
  let fault: unknown;
  try {
    forClient(files);
  } catch (error) {
    fault = error;
  }
  expect(fault).toMatchObject({ key, message: expect.stringContaining(why) });
  // It may be a key, which nobody should read in a log.
  expect((fault as TlsFault).message).not.toContain('BBBB');
});
