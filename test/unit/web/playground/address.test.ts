/** What is typed as an address, and what a browser can make of it. */
import { expect, test } from 'vitest';

import { addressOf, readAddress } from '../../../../src/web/playground/address.ts';

const PLAIN = { protocol: 'http:', hostname: '127.0.0.1' };
const SECURE = { protocol: 'https:', hostname: 'ops.example.com' };

test.each([
  ['127.0.0.1:3010', 'ws://127.0.0.1:3010'],
  [' ws://game.example.com/path ', 'ws://game.example.com/path'],
  ['wss://game.example.com', 'wss://game.example.com'],
  ['[::1]:3010', 'ws://[::1]:3010'],
])('%s is taken', (typed, url) => {
  expect(readAddress(typed, PLAIN)).toEqual({ url });
});

test.each([
  ['', /^Write an address/],
  ['ws://', /is not an address/],
  ['tcp://127.0.0.1:3010', /^A browser has no TCP/],
  ['tls://127.0.0.1:3010', /^A browser has no TCP/],
  ['http://127.0.0.1:3010', /^http:\/\/ cannot be used/],
  ['javascript://x', /^javascript:\/\/ cannot be used/],
])('%s is not, and it says why', (typed, why) => {
  expect(readAddress(typed, PLAIN)).toEqual({ problem: expect.stringMatching(why) as string });
});

test('a page over TLS may only use TLS', () => {
  expect(readAddress('game.example.com', SECURE)).toEqual({ url: 'wss://game.example.com' });
  expect(readAddress('ws://game.example.com', SECURE)).toEqual({
    problem: 'This page came over TLS, and so browsers allow it wss:// alone',
  });
});

test.each([
  ['auto://127.0.0.1:3010', false, PLAIN, 'ws://127.0.0.1:3010'],
  ['auto://0.0.0.0:3010', false, PLAIN, 'ws://127.0.0.1:3010'],
  ['auto://[::]:3010', true, SECURE, 'wss://ops.example.com:3010'],
  ['auto://[::1]:3010', true, PLAIN, 'ws://[::1]:3010'],
  ['wss://10.0.0.1:443', true, PLAIN, 'wss://10.0.0.1:443'],
  ['tcp://127.0.0.1:3010', false, PLAIN, null],
  ['tls://127.0.0.1:3010', true, PLAIN, null],
])('the listener %s, secure %s', (url, secure, here, expected) => {
  expect(addressOf({ url, secure, dialect: 'pomelo' }, here)).toBe(expected);
});
