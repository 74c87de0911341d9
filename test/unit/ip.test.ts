// Addresses in one form, and networks of them.
import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  addressBlock,
  ipAddress,
  Networks,
  parseNetwork,
  plainAddress,
  shownAddress,
} from '../../src/ip.ts';

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:0db8::0001', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['fe80::1%25eth0', 'fe80::1'],
  ['::', '::'],
  ['::1', '::1'],
  // It only looks like one of IPv4.
  ['::192.0.2.1', '::192.0.2.1'],
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
])('%s is %s', (text, expected) => {
  expect(ipAddress(text)).toBe(expected);
});

test.each([
  '',
  ' ',
  'localhost',
  '192.0.2',
  '192.0.2.01',
  '192.0.2.256',
  '0x7f.0.0.1',
  '2130706433',
])('"%s" is not an address', (text) => {
  expect(ipAddress(text)).toBe('');
});

test.each([
  '192.0.2.1 ',
  '192.0.2.1:80',
  '[::1]',
  '[::1]:80',
  '::1::',
  ':::',
  '1:2',
  '192.0.2.1%eth0',
])('"%s" is not an address alone', (text) => {
  expect(ipAddress(text)).toBe('');
});

test('what a socket says that is no address stays', () => {
  expect(plainAddress('unix')).toBe('unix');
  expect(plainAddress('::ffff:127.0.0.1')).toBe('127.0.0.1');
});

test.each([
  ['10.0.0.0/8', { address: '10.0.0.0', bits: 8, family: 4 }],
  ['10.0.0.0/08', { address: '10.0.0.0', bits: 8, family: 4 }],
  ['192.0.2.1', { address: '192.0.2.1', bits: 32, family: 4 }],
  ['0.0.0.0/0', { address: '0.0.0.0', bits: 0, family: 4 }],
  ['fd00::/8', { address: 'fd00::', bits: 8, family: 6 }],
  ['FD00::1', { address: 'fd00::1', bits: 128, family: 6 }],
  ['::ffff:10.0.0.0/104', { address: '10.0.0.0', bits: 8, family: 4 }],
  ['::ffff:10.0.0.1', { address: '10.0.0.1', bits: 32, family: 4 }],
  ['::ffff:0:0/95', { address: '::ffff:0.0.0.0', bits: 95, family: 6 }],
])('the network %s', (text, expected) => {
  expect(parseNetwork(text)).toEqual(expected);
});

test.each([
  '',
  '/8',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '10.0.0/8',
  'a/8',
  '1/8',
])('"%s" is not a network of IPv4', (text) => {
  expect(parseNetwork(text)).toBeNull();
  expect(() => new Networks([text])).toThrow(RangeError);
});

test.each([
  'fd00::/129',
  '[fd00::]/8',
  'fe80::1%eth0/64',
  'fe80::%eth0',
  'fd00::/8 ',
  '::ffff:10.0.0.0/129',
])('"%s" is not a network of IPv6', (text) => {
  expect(parseNetwork(text)).toBeNull();
});

test.each<[networks: string[], has: string[], hasNot: string[]]>([
  [[], [], ['10.0.0.1', '::1']],
  [['10.0.0.0/8'], ['10.0.0.0', '10.255.255.255'], ['11.0.0.0', '9.255.255.255', '::a00:1']],
  [['10.1.2.3/8'], ['10.9.9.9'], []],
  [['192.0.2.1'], ['192.0.2.1'], ['192.0.2.2']],
  [['10.0.0.0/31'], ['10.0.0.0', '10.0.0.1'], ['10.0.0.2']],
  [
    ['fd00::/8', '127.0.0.1'],
    ['fdff::1', '127.0.0.1'],
    ['fe00::', '127.0.0.2'],
  ],
  [['::ffff:10.0.0.0/104'], ['10.2.3.4'], ['11.2.3.4']],
  [['10.0.0.0/8'], [], ['', 'unknown', '10.0.0.1:80']],
])('%j', (networks, has, hasNot) => {
  const known = new Networks(networks);
  expect(has.filter((address) => !known.has(address))).toEqual([]);
  expect(hasNot.filter((address) => known.has(address))).toEqual([]);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
  ['2001:db8:1::6', '2001:db8:1:0::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8::1:0:0:0:1', '2001:db8:0:1::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['::192.0.2.1', '0:0:0:0::/64'],
  ['::1:2:3:4:5:6', '0:0:1:2::/64'],
  ['fe80::1', 'fe80:0:0:0::/64'],
  ['', ''],
  ['unknown', ''],
])('%s counts as %s', (address, block) => {
  expect(addressBlock(ipAddress(address))).toBe(block);
});

test('addresses count as one if their first 64 bits are the same, and only then', () => {
  const group = fc.nat(0xffff).map((n) => (n % 3 === 0 ? 0 : n));
  const eight = fc.array(group, { minLength: 8, maxLength: 8 });
  const text = (groups: readonly number[]): string =>
    ipAddress(groups.map((n) => n.toString(16)).join(':'));
  fc.assert(
    fc.property(eight, eight, (a, b) => {
      // Those of IPv4 in IPv6 are counted as what they are.
      fc.pre(a.slice(0, 5).some((n) => n !== 0) && b.slice(0, 5).some((n) => n !== 0));
      const near = [...a.slice(0, 4), ...b.slice(4)];
      expect(addressBlock(text(near))).toBe(addressBlock(text(a)));
      for (let i = 0; i < 4; i++) {
        const far = a.with(i, a[i]! ^ 1);
        fc.pre(far.slice(0, 5).some((n) => n !== 0));
        expect(addressBlock(text(far))).not.toBe(addressBlock(text(a)));
      }
    }),
  );
});

test.each([
  ['203.0.113.77', '203.0.113.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
  ['2001:db8::7', '2001:db8::/48'],
  ['::1', '::/48'],
  ['::ffff:203.0.113.77', '203.0.113.0/24'],
  ['@unix', ''],
  ['', ''],
])('%s, masked, is %s', (address, masked) => {
  expect(shownAddress(address, 'masked')).toBe(masked);
  expect(shownAddress(address, 'full')).toBe(address);
  expect(shownAddress(address, 'off')).toBe('');
});
