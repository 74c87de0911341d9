// Where a client is that came through HTTP proxies.
import { describe, expect, test } from 'vitest';

import { Networks } from '../../../src/ip.ts';
import { forwardedAddress } from '../../../src/transport/forwarded.ts';

const TRUSTED = new Networks(['10.0.0.0/8', 'fd00::/8']);
const PROXY = '10.0.0.1';
const CLIENT = '203.0.113.7';

function addressOf({ peer = PROXY, x = '', forwarded = '' }): string | null {
  return forwardedAddress(peer, { xForwardedFor: x, forwarded }, TRUSTED);
}

describe('X-Forwarded-For', () => {
  test.each([
    ['', PROXY],
    ['   ', PROXY],
    [',,', PROXY],
    ['203.0.113.7', CLIENT],
    ['  203.0.113.7\t', CLIENT],
    ['203.0.113.7:4711', CLIENT],
    ['"203.0.113.7"', CLIENT],
    ['203.0.113.7,', CLIENT],
    ['203.0.113.7, 10.0.0.2', CLIENT],
    ['203.0.113.7,10.0.0.3:80,,fd00::2', CLIENT],
    ['203.0.113.7, ::ffff:10.0.0.2', CLIENT],
    ['::ffff:203.0.113.7', CLIENT],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:443', 'fe80::1'],
    // What the client has written itself is never reached.
    ['198.51.100.1, 203.0.113.7', CLIENT],
    ['10.0.0.9, 203.0.113.7', CLIENT],
    ['unknown, 203.0.113.7', CLIENT],
    ['", 203.0.113.7', CLIENT],
    ['127.0.0.1, 203.0.113.7, 10.0.0.2', CLIENT],
    // All are trusted: the client is one of ours.
    ['10.0.0.3, 10.0.0.2', '10.0.0.3'],
    // Without an address the proxy that has written it is the last one known.
    ['unknown', PROXY],
    ['203.0.113.7, unknown', PROXY],
    ['203.0.113.7, _hidden, 10.0.0.2', '10.0.0.2'],
    ['203.0.113.7, 203.0.113', PROXY],
    ['203.0.113.7, 192.0.2.01', PROXY],
    ['203.0.113.7:99x', PROXY],
    ['[203.0.113.7]', PROXY],
    ['[2001:db8::1', PROXY],
    ['for=203.0.113.7', PROXY],
  ])('"%s" is %s', (x, expected) => {
    expect(addressOf({ x })).toBe(expected);
  });
});

describe('Forwarded', () => {
  test.each([
    ['for=203.0.113.7', CLIENT],
    ['For=203.0.113.7', CLIENT],
    ['FOR="203.0.113.7"', CLIENT],
    ['for="203.0.113.7:4711"', CLIENT],
    ['for="203.0.113.7:_port"', CLIENT],
    ['for="[2001:DB8::1]"', '2001:db8::1'],
    ['for="[2001:db8::1]:4711"', '2001:db8::1'],
    ['for=[2001:db8::1]', '2001:db8::1'],
    ['for="[::ffff:203.0.113.7]"', CLIENT],
    ['proto=https;for=203.0.113.7;by=10.0.0.1', CLIENT],
    [' by = 10.0.0.1 ; for = 203.0.113.7 ; ', CLIENT],
    ['for=203.0.113.7;host="a,b;for=10.0.0.9"', CLIENT],
    ['for=203.0.113.7;host="a\\"b, for=198.51.100.1"', CLIENT],
    ['for=203.0.113.7;host="a, for=198.51.100.1\\"b"', CLIENT],
    ['for=203.0.113.7, for=10.0.0.2;proto=http', CLIENT],
    ['for=198.51.100.1, for=203.0.113.7', CLIENT],
    // An open quote does not swallow what the proxy has added, and what is within one is not read.
    ['for=198.51.100.1;x=", for=203.0.113.7', CLIENT],
    ['", for=203.0.113.7', CLIENT],
    ['for="\\, for=203.0.113.7', CLIENT],
    ['for=203.0.113.7;host="x;for=198.51.100.1;y"', CLIENT],
    // Without an address.
    ['for=unknown', PROXY],
    ['for=_gazonk', PROXY],
    ['for=203.0.113.7, for=_hidden', PROXY],
    ['for=203.0.113.7, for="_hidden", for=10.0.0.2', '10.0.0.2'],
    ['for=203.0.113.7, proto=https', PROXY],
    ['for=203.0.113.7;for=198.51.100.1', PROXY],
    ['for=', PROXY],
    ['for=203.0.113.7 x', PROXY],
    ['xfor=203.0.113.7', PROXY],
    ['203.0.113.7', PROXY],
    ['proto=https', PROXY],
  ])('"%s" is %s', (forwarded, expected) => {
    expect(addressOf({ forwarded })).toBe(expected);
  });
});

describe('nobody else is believed', () => {
  test.each(['203.0.113.9', '2001:db8::9', '', 'unix'])('"%s"', (peer) => {
    expect(addressOf({ peer, x: '198.51.100.1' })).toBe(peer);
    expect(addressOf({ peer, forwarded: 'for=198.51.100.1' })).toBe(peer);
    expect(addressOf({ peer, x: '198.51.100.1', forwarded: 'for=198.51.100.2' })).toBe(peer);
  });
});

describe('both', () => {
  test.each<[what: string, x: string, forwarded: string, expected: string | null]>([
    ['agree', '203.0.113.7', 'for="203.0.113.7:1"', CLIENT],
    ['agree after other beginnings', '192.0.2.1, 203.0.113.7', 'for=203.0.113.7', CLIENT],
    ['name two clients', '203.0.113.7', 'for=198.51.100.1', null],
    [
      'only one names the client, as the first proxy writes one alone',
      '203.0.113.7, 10.0.0.2',
      'for=10.0.0.2',
      CLIENT,
    ],
    ['the same the other way round', '10.0.0.2', 'for=203.0.113.7, for=10.0.0.2', CLIENT],
    ['Forwarded is for the scheme alone', '203.0.113.7', 'proto=https', CLIENT],
    ['X-Forwarded-For is empty', ' , ', 'for=203.0.113.7', CLIENT],
    ['a hidden one against a client', '203.0.113.7', 'for=unknown', null],
    ['a client against a hidden one', 'unknown', 'for=203.0.113.7', null],
    ['both hide it', 'unknown, 10.0.0.2', 'for=_a', PROXY],
  ])('%s', (_, x, forwarded, expected) => {
    expect(addressOf({ x, forwarded })).toBe(expected);
  });
});
