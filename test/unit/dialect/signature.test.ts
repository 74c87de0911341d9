import { createSign, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';

import { readPublicKey, verified } from '../../../src/dialect/signature.ts';
import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import { vector } from '../protocol/vectors.ts';

type Signed = {
  rsa_n: string;
  rsa_e: number;
  signedString: string;
  wireBody: Record<string, unknown>;
};

for (const name of ['crypto-ascii', 'crypto-cjk']) {
  test(`what a stock client signed is verified, and the backend sees it unsigned: ${name}`, () => {
    const { rsa_n, rsa_e, signedString, wireBody } = vector(name).input as unknown as Signed;
    const key = readPublicKey({ rsa: { rsa_n, rsa_e } })!;
    const body = Buffer.from(JSON.stringify(wireBody));
    expect(verified(body, key)?.toString()).toBe(signedString);
    expect(verified(Buffer.from(body.toString().replace(/u1|你/, 'x')), key)).toBeNull();
  });
}

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
const { n, e } = publicKey.export({ format: 'jwk' });
const rsa = {
  rsa_n: Buffer.from(n!, 'base64url').toString('hex'),
  rsa_e: Number.parseInt(Buffer.from(e!, 'base64url').toString('hex'), 16),
};
const key = readPublicKey({ rsa })!;
const sign = (text: string): string => createSign('sha256').update(text).sign(privateKey, 'hex');

test('an empty message is signed as {}', () => {
  expect(verified(Buffer.from(`{"__crypto__":"${sign('{}')}"}`), key)?.toString()).toBe('{}');
});

test('what is verified when it is written again, as Pomelo does it, is taken so', () => {
  const body = `{ "a" : 1, "__crypto__":"${sign('{"a":1}')}" }`;
  expect(verified(Buffer.from(body), key)?.toString()).toBe('{"a":1}');
});

test.each([
  ['no signature', '{"a":1}'],
  ['no JSON', '"__crypto__":"00"'],
  ['another text', `{"a":2,"__crypto__":"${sign('{"a":1}')}"}`],
  ['no hex', '{"a":1,"__crypto__":"zz"}'],
  ['nothing', ''],
  ['a signature cut off', '{"a":1,"__crypto__":"00'],
  ['something behind it', `{"a":1,"__crypto__":"${sign('{"a":1}')}","b":2}`],
])('%s is not verified', (_what, body) => {
  expect(verified(Buffer.from(body), key)).toBeNull();
});

test.each([
  ['none', {}],
  ['an empty one, as unsigned browsers send it', { rsa: {} }],
  ['a short one', { rsa: { rsa_n: 'abcd', rsa_e: 65_537 } }],
  ['a very long one', { rsa: { rsa_n: 'f'.repeat(2_000), rsa_e: 65_537 } }],
  ['no hex', { rsa: { rsa_n: 'x'.repeat(256), rsa_e: 65_537 } }],
  ['no exponent', { rsa: { rsa_n: rsa.rsa_n } }],
  ['a list', { rsa: [] }],
  ['a text', { rsa: 'key' }],
])('a handshake with %s has no key', (_what, sys) => {
  expect(readPublicKey(sys)).toBeNull();
});

test.each<readonly [what: string, exponent: unknown]>([
  ['an object without a text', { toString: 0, valueOf: 0 }],
  ['a number that is kept as it was written', parseAsWritten('65537.0')],
  ['a list', [3]],
  ['nothing', null],
])('an exponent that is %s is no key', (_what, exponent) => {
  expect(readPublicKey({ rsa: { rsa_n: rsa.rsa_n, rsa_e: exponent } })).toBeNull();
});
