// The header of the PROXY protocol, byte by byte. [HAProxy, proxy-protocol.txt]
import { expect, test } from 'vitest';

import { beginsWithProxyHeader, readProxyHeader } from '../../../src/transport/proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
/** 192.0.2.1 port 56324 to 198.51.100.1 port 443. */
const IPV4 = 'c0000201c6336401dc0401bb';
/** 2001:db8::1 to 2001:db8::2, the same ports. */
const IPV6 = `20010db8${'00'.repeat(11)}0120010db8${'00'.repeat(11)}02dc0401bb`;
const MAPPED = `${'00'.repeat(10)}ffffc0000201${'00'.repeat(10)}ffffc6336401dc0401bb`;

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const text = (line: string): Buffer => Buffer.from(line, 'latin1');

test.each<[what: string, bytes: Buffer, source: string]>([
  ['TCP4', text('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'), '192.0.2.1'],
  ['port 0', text('PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\n'), '192.0.2.1'],
  ['TCP6', text('PROXY TCP6 2001:DB8::0001 2001:db8::2 56324 443\r\n'), '2001:db8::1'],
  ['TCP6 of IPv4', text('PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n'), '192.0.2.1'],
  ['UNKNOWN', text('PROXY UNKNOWN\r\n'), ''],
  ['UNKNOWN and more', text('PROXY UNKNOWN 192.0.2.1 198.51.100.1 1 2\r\n'), ''],
  [
    'the longest line, 107 bytes',
    text(`PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`),
    '',
  ],
  ['2, IPv4', hex(`${SIGNATURE}2111000c${IPV4}`), '192.0.2.1'],
  ['2, IPv4 and fields', hex(`${SIGNATURE}21110010${IPV4}04000161`), '192.0.2.1'],
  ['2, IPv4 and what is no field', hex(`${SIGNATURE}2111000e${IPV4}04ff`), '192.0.2.1'],
  ['2, IPv6', hex(`${SIGNATURE}21210024${IPV6}`), '2001:db8::1'],
  ['2, IPv4 in IPv6', hex(`${SIGNATURE}21210024${MAPPED}`), '192.0.2.1'],
  ['2, Unix', hex(`${SIGNATURE}213100d8${'2f61'.repeat(108)}`), ''],
  ['2, unspecified', hex(`${SIGNATURE}21000000`), ''],
  ['2, unspecified and fields', hex(`${SIGNATURE}2100000404000161`), ''],
  ['2, datagrams', hex(`${SIGNATURE}2112000c${IPV4}`), ''],
  ['2, LOCAL', hex(`${SIGNATURE}20000000`), ''],
  ['2, LOCAL of an address', hex(`${SIGNATURE}2011000c${IPV4}`), ''],
  ['2, LOCAL and fields of any family', hex(`${SIGNATURE}20ff000404000161`), ''],
  [
    '2, the longest, 4096 bytes',
    hex(`${SIGNATURE}21110ff0${IPV4}${'00'.repeat(4_068)}`),
    '192.0.2.1',
  ],
])('%s', (_, bytes, source) => {
  const header = { kind: 'header', bytes: bytes.length, source };
  expect(readProxyHeader(bytes)).toEqual(header);
  // What follows it is the client's.
  expect(readProxyHeader(Buffer.concat([bytes, text('GET / HTTP/1.1\r\n')]))).toEqual(header);
  expect(beginsWithProxyHeader(bytes)).toBe(true);
  for (let end = 0; end < bytes.length; end++)
    expect(readProxyHeader(bytes.subarray(0, end))).toEqual({ kind: 'partial' });
});

const LINE_FORM = 'a line of version 1 is PROXY, TCP4, TCP6 or UNKNOWN, two addresses, two ports';

test.each<[what: string, bytes: Buffer, problem: string]>([
  ['no kind', text('PROXY \r\n'), LINE_FORM],
  ['another kind', text('PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n'), LINE_FORM],
  ['lower case', text('PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n'), LINE_FORM],
  ['no addresses', text('PROXY TCP4\r\n'), LINE_FORM],
  ['no ports', text('PROXY TCP4 192.0.2.1 198.51.100.1\r\n'), LINE_FORM],
  ['one port', text('PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n'), LINE_FORM],
  ['more behind the ports', text('PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n'), LINE_FORM],
  ['two spaces', text('PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n'), LINE_FORM],
  ['a tab', text('PROXY TCP4\t192.0.2.1 198.51.100.1 1 2\r\n'), LINE_FORM],
  ['UNKNOWN with more at once', text('PROXY UNKNOWNS\r\n'), LINE_FORM],
  ['a CR within', text('PROXY UNKNOWN \r \r\n'), LINE_FORM],
  ['a name', text('PROXY TCP4 localhost 198.51.100.1 1 2\r\n'), LINE_FORM],
  ['a zone', text('PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n'), LINE_FORM],
  ['a port with a sign', text('PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n'), LINE_FORM],
  ['a port with a zero before', text('PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n'), LINE_FORM],
  [
    'a port too large',
    text('PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n'),
    'a port is 0 to 65535',
  ],
  ['IPv6 as TCP4', text('PROXY TCP4 ::1 ::1 1 2\r\n'), 'not an address of IPv4'],
  ['IPv4 as TCP6', text('PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n'), 'not an address of IPv6'],
  ['half an address', text('PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n'), 'not an address of IPv4'],
  ['a bad destination', text('PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n'), 'not an address of IPv4'],
  [
    'a line of 108 bytes',
    text(`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`),
    'a line of version 1 has at most 107 bytes',
  ],
  [
    'a line without an end',
    text(`PROXY UNKNOWN ${'f'.repeat(93)}`),
    'a line of version 1 has at most 107 bytes',
  ],
  ['LF alone', text('PROXY UNKNOWN\n'), 'a line of version 1 ends with CR and LF'],
  ['version 1 as binary', hex(`${SIGNATURE}11110000`), 'version 1; after this signature it is 2'],
  ['version 3', hex(`${SIGNATURE}31110000`), 'version 3; after this signature it is 2'],
  ['another command', hex(`${SIGNATURE}2211000c`), 'command 2; there are 0 and 1'],
  ['another family', hex(`${SIGNATURE}2141000c`), 'address family 4; there are 0 to 3'],
  ['another transport', hex(`${SIGNATURE}2113000c`), 'transport 3; there are 0 to 2'],
  ['IPv4 cut short', hex(`${SIGNATURE}2111000b`), '11 bytes of addresses; family 1 has 12'],
  ['IPv6 cut short', hex(`${SIGNATURE}21210023`), '35 bytes of addresses; family 2 has 36'],
  ['Unix cut short', hex(`${SIGNATURE}213100d7`), '215 bytes of addresses; family 3 has 216'],
  ['4097 bytes', hex(`${SIGNATURE}21110ff1`), '4097 bytes; a header has at most 4096'],
  ['the greatest length', hex(`${SIGNATURE}2000ffff`), '65551 bytes; a header has at most 4096'],
])('bad: %s', (_, bytes, what) => {
  expect(readProxyHeader(bytes)).toEqual({ kind: 'bad', what });
  expect(beginsWithProxyHeader(bytes)).toBe(true);
});

test.each<[what: string, bytes: Buffer]>([
  ['a packet', hex('0100000a7b7d')],
  ['TLS', hex('160301')],
  ['an upgrade', text('GET / HTTP/1.1\r\n')],
  ['a POST', text('POST / HTTP/1.1\r\n')],
  ['a word that begins so', text('PROXYING')],
  ['lower case', text('proxy TCP4')],
  ['almost the signature', hex('0d0a0d0a000d0a515549540b2111')],
  ['line breaks', text('\r\n\r\n\r\n')],
])('none: %s', (_, bytes) => {
  expect(readProxyHeader(bytes)).toEqual({ kind: 'none' });
  expect(beginsWithProxyHeader(bytes)).toBe(false);
});

test('the beginning of a signature is not one yet', () => {
  expect(beginsWithProxyHeader(text('PROXY'))).toBe(false);
  expect(beginsWithProxyHeader(hex(SIGNATURE.slice(0, -2)))).toBe(false);
  expect(beginsWithProxyHeader(hex(SIGNATURE))).toBe(true);
});
