/** What comes over sockets beside packets and lines: WebSocket frames, answers of HTTP servers, paths, certificates. */
import { isIP } from 'node:net';

import { ipAddress, Networks } from '../../../src/ip.ts';
import { isOwnPath } from '../../../src/routing/reserved.ts';
import { forwardedAddress } from '../../../src/transport/forwarded.ts';
import { FrameReader } from '../../../src/transport/frame-reader.ts';
import { readClientTls, readTexts, TlsFault, validate } from '../../../src/transport/pem.ts';
import { beginsWithProxyHeader, readProxyHeader } from '../../../src/transport/proxy-header.ts';
import { answerHeaders } from '../../../src/upstream/http/answer-headers.ts';
import { InterimHeads } from '../../../src/upstream/http/interim.ts';
import { Paths } from '../../../src/upstream/http/path.ts';
import { refusalOf, retryAfterMs } from '../../../src/upstream/http/status.ts';
import { RETRY_AFTER_MS_MAX } from '../../../src/contract/refusal.ts';
import { chanceOf, waysToCut } from '../cuts.ts';
import { check, orError, same, type Target } from '../target.ts';

/** [RFC 6455 section 5.2] Where messages end; `frames`: and where any frame does. */
function endsOf(input: Buffer): { readonly messages: Set<number>; readonly frames: Set<number> } {
  const [messages, frames] = [new Set([0]), new Set([0])];
  let inMessage = false;
  for (let at = 0; at + 2 <= input.length;) {
    const [first, second] = [input[at]!, input[at + 1]!];
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const head = 2 + lengthBytes + (second >= 0x80 ? 4 : 0);
    if (at + head > input.length) break;
    let length = short;
    if (lengthBytes > 0)
      length = Number(`0x${input.toString('hex', at + 2, at + 2 + lengthBytes)}`);
    if ((first & 0x0f) < 8) inMessage = first < 0x80;
    at += head + length;
    if (at > input.length) break;
    frames.add(at);
    if (!inMessage) messages.add(at);
  }
  return { messages, frames };
}

const LIMITS = { payloadBytesMax: 1_000, fragmentsMax: 128 };

const frames: Target = {
  name: 'websocket-frames',
  drives: ['transport/frame-reader.ts FrameReader'],
  forms: ['bytes'],
  seeds: [
    Buffer.from('82850102030468656c6c6f', 'hex'),
    Buffer.from('01820000000061628980000000008082000000006364', 'hex'),
    Buffer.concat([Buffer.from('82fe008001020304', 'hex'), Buffer.alloc(128)]),
    Buffer.concat([Buffer.from('82ff000000000000000501020304', 'hex'), Buffer.alloc(5)]),
    Buffer.from('8800', 'hex'),
  ],
  run(input) {
    const { messages: ends, frames: frameEnds } = endsOf(input);
    for (const pieces of waysToCut(input)) {
      const reader = new FrameReader(LIMITS);
      let before = 0;
      for (const piece of pieces) {
        for (let at = 0; at < piece.length;) {
          const end = reader.read(piece, at);
          if (end > at)
            check(ends.has(before + at) && ends.has(before + end), 'it reads whole ones');
          at = end > at ? end : reader.follow(piece, at);
          // From then on `ws` reads.
          if (reader.isFaulty) break;
          check(
            at === piece.length || frameEnds.has(before + at),
            'it follows no farther than a message goes',
          );
        }
        if (reader.isFaulty) break;
        before += piece.length;
        same(reader.isWithin, !ends.has(before), 'it is within a message unless one ends there');
      }
    }
  },
};

/** The same with each status 100 as 102, by the lines of the heads. */
function expectedHeads(text: string): string {
  let done = '';
  let rest = text;
  for (;;) {
    const found = /^[\r\n]*HTTP\/[0-9]\.[0-9] 1[^][^]/.exec(rest);
    if (found === null) return done + rest;
    const [start] = found;
    done += start.endsWith('100') ? `${start.slice(0, -1)}2` : start;
    rest = rest.slice(start.length);
    const end = /\n\r*\n/.exec(rest);
    if (end === null) return done + rest;
    done += rest.slice(0, end.index + end[0].length);
    rest = rest.slice(end.index + end[0].length);
  }
}

const interim: Target = {
  name: 'interim-heads',
  drives: ['upstream/http/interim.ts InterimHeads'],
  forms: ['lines', 'text'],
  seeds: [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 100\r\n\r\nHTTP/1.1 404 No\r\n\r\nHTTP/1.1 100 x',
    '\r\nHTTP/1.1 102 P\n\nHTTP/1.1 100\r\nA: b\r\n \r\n\r\n',
    'no http',
  ],
  tokens: ['HTTP/1.1 100', '\r\n\r\n', '\n\n'],
  run(input) {
    const expected = expectedHeads(input.toString('latin1'));
    for (const pieces of waysToCut(input)) {
      const heads = new InterimHeads();
      heads.expect();
      for (const piece of pieces) heads.take(piece);
      same(
        Buffer.concat(pieces).toString('latin1'),
        expected,
        'each status 100 is 102, and nothing else is changed',
      );
    }
    const heads = new InterimHeads();
    const copy = Buffer.from(input);
    heads.take(copy);
    check(copy.equals(input), 'nothing is changed while no head is awaited');
  },
};

const answers: Target = {
  name: 'http-answer',
  drives: [
    'upstream/http/answer-headers.ts answerHeaders',
    'upstream/http/status.ts refusalOf',
    'upstream/http/status.ts retryAfterMs',
  ],
  forms: ['lines', 'text'],
  seeds: [
    '402\n5\nTOO_POOR\n{"code":402}',
    '503\nWed, 21 Oct 2099 07:28:00 GMT\n\n',
    '200\n-1\nx%20y\n',
    '404\n999999999\n%zz\nplain text',
  ],
  run(input) {
    const [status = '', retry = '', reason = '', ...rest] = input.toString('latin1').split('\n');
    const headers = answerHeaders({
      'pith-bind': reason,
      'pith-close': [reason, 'second'],
      other: retry,
    });
    same(
      [...(headers ?? [])].map(([name]) => name),
      ['pith-bind', 'pith-close'],
      'our headers alone are read',
    );
    const wait = retryAfterMs(retry, 1_700_000_000_000);
    check(
      Number.isInteger(wait) && wait >= 0 && wait <= RETRY_AFTER_MS_MAX,
      'the wait is bounded',
      wait,
    );
    const code = Number(status) || 500;
    const body = Buffer.from(rest.join('\n'), 'latin1');
    const { failure } = refusalOf({
      status: code,
      body,
      reason: headers?.get('pith-bind') ?? '',
      retryAfter: retry,
      wallNow: 0,
    });
    check(
      Number.isInteger(failure.code) && failure.code !== 0,
      'a refusal has a code',
      failure.code,
    );
  },
};

const BASE = '/game';

const paths: Target = {
  name: 'http-path',
  drives: ['upstream/http/path.ts Paths', 'routing/reserved.ts isOwnPath'],
  forms: ['lines', 'words'],
  seeds: [
    '/{server}/{handler}/{method}\na.b.c',
    '/pith/closed\nx.y',
    '/x/../pith/%63onnect\nconnect.closed',
    '/%70ith//{method}?q={server}#f\npith.connect',
    '/é{server}{method}\na.b',
    '/./pith/;a/closed.\nx',
  ],
  tokens: [
    '/',
    '..',
    '.',
    '%2e',
    '%2F',
    '%25',
    ';',
    '?',
    '{server}',
    '{handler}',
    '{method}',
    'pith',
    'closed',
    'connect',
    'lost',
  ],
  run(input) {
    const [template = '', name = ''] = input.toString().split('\n');
    const route =
      name
        .replaceAll(/[^A-Za-z0-9_.-]/g, '')
        .replaceAll(/\.{2,}/g, '.')
        .replaceAll(/^\.|\.$/g, '') || 'a.b';
    const own = new Paths(BASE);
    if (template !== '' && !template.startsWith('/')) return;
    const path = own.of(route, template);
    same(new Paths(BASE).of(route, template), path, 'the same when the template is compiled anew');
    check(path.startsWith(`${BASE}/`), 'a path is under the base', path);
    check(/^[\x21-\x7e]*$/.test(path), 'a path may stand in the first line of a request', path);
    const url = orError(() => new URL(`http://h${path}`), TypeError);
    if (url instanceof Error) return;
    // What every server makes of it.
    const plain = url.pathname.replaceAll(/\/{2,}/g, '/').toLowerCase();
    if (['connect', 'closed', 'lost'].some((own) => plain === `${BASE}/pith/${own}`))
      check(own.isOwn(path), 'our own path is known by every spelling', path);
    same(own.isOwn(path), isOwnPath(path, BASE), 'the short look finds what the long one finds');
  },
};

const PEM = '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ0c=\n-----END CERTIFICATE-----\n';

const pem: Target = {
  name: 'pem',
  drives: ['transport/pem.ts readTexts', 'transport/pem.ts readClientTls'],
  forms: ['lines', 'text'],
  seeds: [
    PEM,
    `${PEM}|-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n|system`,
    '/etc/a.pem|/etc/b.pem|',
    '-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----|x|y',
  ],
  tokens: ['-----BEGIN ', '-----END ', '-----', 'TRUSTED ', 'X509 '],
  run(input) {
    const [cert = '', key = '', ca = ''] = input.toString('latin1').split('|');
    const files = { cert, key, ca };
    const readFile = (path: string): string => {
      check(
        !/[\r\n\0]/.test(path) && path.length <= 4_096 && !path.includes('PRIVATE'),
        'only a path is opened',
        path,
      );
      return chanceOf(input).is(0.5) ? PEM : input.toString('latin1');
    };
    const texts = orError(() => readTexts(files, readFile), TlsFault);
    for (const read of [
      () => readClientTls(files, readFile),
      () => (texts instanceof Error ? texts : validate(texts, files)),
    ]) {
      const found = orError(read as () => unknown, TlsFault);
      if (found instanceof TlsFault)
        check(
          !found.message.includes('PRIVATE KEY-----\n'),
          'no message shows a key',
          found.message,
        );
    }
  },
};

const SIGNATURE = '0d0a0d0a000d0a515549540a';

const proxyHeader: Target = {
  name: 'proxy-header',
  drives: [
    'transport/proxy-header.ts readProxyHeader',
    'transport/proxy-header.ts beginsWithProxyHeader',
  ],
  forms: ['bytes', 'text'],
  seeds: [
    'PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n',
    'PROXY TCP6 2001:db8::1 2001:DB8:0::2 1 65535\r\n',
    'PROXY UNKNOWN\r\n',
    'PROXY UNKNOWN ffff:f...f 1\r\n',
    Buffer.from(`${SIGNATURE}2111000cc0000201c6336401dc0401bb0100`, 'hex'),
    Buffer.from(`${SIGNATURE}21210027${'20010db8'.repeat(8)}dc0401bb040000`, 'hex'),
    Buffer.from(`${SIGNATURE}20000000`, 'hex'),
    Buffer.from(`${SIGNATURE}2000000404000161`, 'hex'),
    Buffer.from(`${SIGNATURE}213100d8${'2f'.repeat(216)}`, 'hex'),
  ],
  tokens: ['PROXY ', 'TCP4 ', 'TCP6 ', 'UNKNOWN', '\r\n', Buffer.from(SIGNATURE, 'hex')],
  run(input) {
    const whole = readProxyHeader(input);
    if (whole.kind === 'header') {
      const { bytes, source } = whole;
      check(bytes <= input.length && bytes <= 4_096, 'a header is part of the bytes', whole);
      same(readProxyHeader(input.subarray(0, bytes)), whole, 'nothing behind it changes it');
      check(source === '' || isIP(source) !== 0, 'its source is an address', source);
      check(beginsWithProxyHeader(input), 'a header begins like one');
    }
    let last = whole;
    for (let end = 0; end <= Math.min(input.length, 4_200); end++) {
      last = readProxyHeader(input.subarray(0, end));
      if (last.kind !== 'partial') break;
    }
    same(last, whole, 'however it is cut, it is the same');
    check(whole.kind !== 'partial' || input.length < 4_096, 'it does not wait without end');
  },
};

const forwarded: Target = {
  name: 'forwarded',
  drives: ['transport/forwarded.ts forwardedAddress', 'ip.ts ipAddress'],
  forms: ['lines', 'words'],
  seeds: [
    '203.0.113.7, 10.0.0.2\n',
    '\nfor=203.0.113.7;proto=https, for="[fd00::2]:_p"',
    '[2001:DB8::1]:443,::ffff:10.0.0.2, \nFor="[2001:db8::1]" ; by=_x',
    'unknown, 10.0.0.1:80\nfor=unknown, for=_hidden',
    'fe80::1%eth0\nfor="a\\"b,c", for=10.0.0.1',
  ],
  tokens: [
    'for=',
    'unknown',
    '"',
    '[',
    ']',
    '%25',
    '::ffff:',
    '10.0.0.9',
    '203.0.113.7',
    ', ',
    ';',
  ],
  run(input) {
    const [xForwardedFor = '', forwarded = ''] = input.toString('latin1').split('\n');
    const address = (one: string, other: string): string | null =>
      forwardedAddress('10.0.0.1', { xForwardedFor: one, forwarded: other }, PROXIES);
    const found = address(xForwardedFor, forwarded);
    check(found === null || isIP(found) !== 0, 'it is an address', found);
    same(found === null ? null : ipAddress(found), found, 'it is in its one form');
    // Whatever a client has written, what its proxy adds is what counts.
    same(
      address(`${xForwardedFor}, 198.51.100.9`, ''),
      '198.51.100.9',
      'X-Forwarded-For is from the right',
    );
    same(
      address('', `${forwarded}, for=198.51.100.9`),
      '198.51.100.9',
      'Forwarded is from the right',
    );
    same(
      forwardedAddress('198.51.100.9', { xForwardedFor, forwarded }, PROXIES),
      '198.51.100.9',
      'nobody else is believed',
    );
  },
};

const PROXIES = new Networks(['10.0.0.0/8', 'fd00::/8']);

export const targets: readonly Target[] = [
  frames,
  interim,
  answers,
  paths,
  pem,
  proxyHeader,
  forwarded,
];
