/** Resume tokens as clients see them: sealed, each with a nonce of its own, by keys that are replaced one by one. */
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { expect, test } from 'vitest';

import { TokenBox } from '../../../src/resume/token-box.ts';

const [ONE, TWO] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const PLAIN = Buffer.from('{"u":"42"}');

test('a token is AES-256-GCM by a subkey of the gateway, its head authenticated, its counter the nonce', () => {
  const box = new TokenBox([ONE], 'gw-0123456789');
  box.seal(PLAIN);
  const bytes = Buffer.from(box.seal(PLAIN)!, 'base64url');
  // version, length of the id, id, counter of 6 bytes; then the ciphertext and 16 bytes of tag
  const head = bytes.subarray(0, 2 + 13 + 6);
  expect(head).toEqual(Buffer.from(`010d${Buffer.from('gw-0123456789').toString('hex')}000000000002`, 'hex')); // prettier-ignore
  const info = 'pith resume token 1 gw-0123456789';
  const key = Buffer.from(hkdfSync('sha256', ONE, '', info, 32));
  const nonce = Buffer.concat([Buffer.alloc(6), head.subarray(-6)]);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(head);
  decipher.setAuthTag(bytes.subarray(-16));
  const sealed = bytes.subarray(head.length, -16);
  expect(Buffer.concat([decipher.update(sealed), decipher.final()])).toEqual(PLAIN);
});

test('no two tokens of a gateway have one nonce, and no two gateways one key', () => {
  const box = new TokenBox([ONE], 'gw-0123456789');
  const tokens = Array.from({ length: 300 }, () => box.seal(PLAIN)!);
  const nonces = tokens.map((token) => Buffer.from(token, 'base64url').subarray(15, 21));
  expect(new Set(nonces.map((nonce) => nonce.toString('hex'))).size).toBe(300);
  const others = new TokenBox([ONE], 'gx-0123456789').seal(PLAIN)!;
  const bodyOf = (token: string): string => Buffer.from(token, 'base64url').toString('hex', 21);
  expect(bodyOf(others)).not.toBe(bodyOf(tokens[0]!));
});

test('the first key seals, all open, and none else does', () => {
  const old = new TokenBox([ONE], 'a-1').seal(PLAIN)!;
  const next = new TokenBox([TWO, ONE], 'b-1').seal(PLAIN)!;
  expect(new TokenBox([TWO, ONE], 'c-1').open(old)).toEqual(PLAIN);
  expect(new TokenBox([ONE, TWO], 'c-1').open(next)).toEqual(PLAIN);
  expect(new TokenBox([ONE], 'c-1').open(next)).toBeNull();
});

test('other keys: what was sealed before opens while its key is there, and no nonce comes twice', () => {
  const box = new TokenBox([ONE], 'a-1');
  const old = box.seal(PLAIN)!;
  box.setKeys([ONE, TWO]);
  expect(box.open(old)).toEqual(PLAIN);
  expect(new TokenBox([ONE], 'c-1').open(box.seal(PLAIN)!)).toEqual(PLAIN);
  box.setKeys([TWO, ONE]);
  const next = box.seal(PLAIN)!;
  expect(box.open(old)).toEqual(PLAIN);
  expect(new TokenBox([TWO], 'c-1').open(next)).toEqual(PLAIN);
  box.setKeys([TWO]);
  expect([box.open(old), box.open(next)]).toEqual([null, PLAIN]);
  // The first key again: its tokens are not those that it has made before.
  box.setKeys([ONE]);
  expect(box.seal(PLAIN)).not.toBe(old);
});

test('every changed, added or missing character voids it', () => {
  const box = new TokenBox([ONE], 'a-1');
  const token = box.seal(PLAIN)!;
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === 'A' ? 'B' : 'A';
    expect(box.open(token.slice(0, at) + other + token.slice(at + 1))).toBeNull();
    expect(box.open(token.slice(0, at))).toBeNull();
    expect(box.open(token.slice(0, at) + token.slice(at + 1))).toBeNull();
  }
  for (const more of ['A', '=', ' ', '\n', 'é']) expect(box.open(token + more)).toBeNull();
  expect(box.open(token)).toEqual(PLAIN);
});

test('another version is not understood', () => {
  const box = new TokenBox([ONE], 'a-1');
  const bytes = Buffer.from(box.seal(PLAIN)!, 'base64url');
  bytes[0] = 2;
  expect(box.open(bytes.toString('base64url'))).toBeNull();
});

test('it has at most 4,096 characters; more is neither made nor read', () => {
  const box = new TokenBox([ONE], 'a-1');
  // 3,072 bytes in all: 11 of head, 16 of tag
  const largest = box.seal(Buffer.alloc(3_072 - 27))!;
  expect(largest.length).toBe(4_096);
  expect(box.open(largest)).toHaveLength(3_045);
  expect(box.seal(Buffer.alloc(3_072 - 26))).toBeNull();
  expect(box.open('A'.repeat(4_097))).toBeNull();
});
