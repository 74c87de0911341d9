/** Behind proxies: whose word about a client's address is taken, over every transport, and whose is not. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ACK, ask, frame, HANDSHAKE, OPCODE, RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { pith, configFile, serve } from '../support/serve.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
/** The proxy that is trusted; everybody else comes from 127.0.0.1. */
const PROXY = '127.0.0.2';
const CLIENT = '203.0.113.7';
const SIGNATURE = '0d0a0d0a000d0a515549540a';
const V1 = Buffer.from(`PROXY TCP4 ${CLIENT} 198.51.100.1 56324 443\r\n`);
const V1_IPV6 = Buffer.from('PROXY TCP6 2001:DB8:0::7 2001:db8::1 56324 443\r\n');
/** With a field behind the addresses. */
const V2 = Buffer.from(`${SIGNATURE}21110010cb007107c6336401dc0401bb04000161`, 'hex');
const LOCAL = Buffer.from(`${SIGNATURE}20000000`, 'hex');

const authority = new Authority();
const secret = new SecretFolder(authority.issue('server'));
afterAll(() => {
  secret[Symbol.dispose]();
});

function listening(keys: string, rest = ''): Promise<TestGateway> {
  const certificate = `tls: { cert: ${secret.cert}, key: ${secret.key} }`;
  const listen = `{ url: "auto://127.0.0.1:0", ${certificate}, ${keys} }`;
  return startGateway(`listen: [${listen}]\n${ROUTES}${rest}`);
}
const trusting = (header: string): string =>
  `trusted_proxies: [${PROXY}], proxy_protocol: ${header}`;

function upgradeWith(...headers: readonly string[]): string {
  return UPGRADE.replace('\r\n\r\n', `\r\n${headers.join('\r\n')}\r\n\r\n`);
}

/** Sends it in pieces, each of which arrives alone. */
async function sendBytewise(raw: RawSocket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    raw.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function onlyAddress(gateway: TestGateway): Promise<string> {
  const session = await eventually(() => [...gateway.gateway.registry.all()][0], 'the session');
  return session.remoteIp;
}

/** A client over TLS whose proxy sends `header` in front of it. */
async function openTls(port: number, header: Buffer): Promise<tls.TLSSocket> {
  const below = net.connect({ port, host: '127.0.0.1', localAddress: PROXY, noDelay: true });
  await once(below, 'connect');
  below.write(header);
  const socket = tls.connect({ socket: below, servername: 'localhost', ca: authority.cert });
  await once(socket, 'secureConnect');
  return socket;
}

function answerTo(socket: tls.TLSSocket, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let came = '';
    socket.on('data', (chunk: Buffer) => {
      came += chunk.toString('latin1');
      if (pattern.test(came)) resolve(came);
    });
    socket.on('close', () => {
      reject(new Error(`closed after ${came}`));
    });
  });
}

const HEADERS = [
  { what: 'version 1', header: V1, address: CLIENT },
  { what: 'version 1 of IPv6', header: V1_IPV6, address: '2001:db8::7' },
  { what: 'version 2', header: V2, address: CLIENT },
  { what: 'version 2, of the proxy itself', header: LOCAL, address: PROXY },
  { what: 'version 1, unknown', header: Buffer.from('PROXY UNKNOWN\r\n'), address: PROXY },
] as const;
const WAYS = ['at once', 'byte by byte', 'alone'] as const;

describe.each(HEADERS)('a PROXY header of $what', ({ header, address }) => {
  test.each(WAYS)('in front of packets, %s', async (way) => {
    await using gateway = await listening(trusting('required'));
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    if (way === 'at once') raw.send(Buffer.concat([header, HANDSHAKE]));
    else await sendBytewise(raw, way === 'alone' ? header : Buffer.concat([header, HANDSHAKE]));
    if (way === 'alone') raw.send(HANDSHAKE);
    await raw.waitFor(/"code":200/);
    raw.send(ACK);
    raw.send(ask(1, 'echo.a'));
    await raw.waitFor(/"code":200[^]*"code":200/);
    expect(await onlyAddress(gateway)).toBe(address);
  });

  test.each(WAYS)('in front of WebSocket, %s', async (way) => {
    await using gateway = await listening(trusting('required'));
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    const upgrade = Buffer.from(UPGRADE);
    if (way === 'at once') raw.send(Buffer.concat([header, upgrade]));
    else await sendBytewise(raw, way === 'alone' ? header : Buffer.concat([header, upgrade]));
    if (way === 'alone') raw.send(upgrade);
    await raw.waitFor(/101 Switching Protocols[^]*?\r\n\r\n/);
    await raw.shakeHands('ws');
    raw.send(frame(OPCODE.BINARY, ask(1, 'echo.a')));
    await raw.waitFor(/"code":200[^]*"code":200/);
    expect(await onlyAddress(gateway)).toBe(address);
  });

  test('in front of TLS, with packets in it', async () => {
    await using gateway = await listening(trusting('required'));
    const socket = await openTls(gateway.port, header);
    const answer = answerTo(socket, /"code":200/);
    socket.write(HANDSHAKE);
    await answer;
    expect(await onlyAddress(gateway)).toBe(address);
    socket.destroy();
  });

  test('in front of TLS, with WebSocket in it', async () => {
    await using gateway = await listening(trusting('required'));
    const socket = await openTls(gateway.port, header);
    const answer = answerTo(socket, /101 Switching Protocols/);
    socket.write(UPGRADE);
    await answer;
    expect(await onlyAddress(gateway)).toBe(address);
    socket.destroy();
  });
});

describe('without a PROXY header', () => {
  test.each([
    { header: 'optional', from: PROXY },
    { header: 'optional', from: '127.0.0.1' },
    { header: 'none', from: PROXY },
    { header: 'none', from: '127.0.0.1' },
  ])('$from connects, with proxy_protocol: $header', async ({ header, from }) => {
    await using gateway = await listening(trusting(header));
    await using raw = await RawSocket.connect(gateway.port, from);
    // Its first bytes could be those of a header.
    await sendBytewise(raw, HANDSHAKE);
    await raw.waitFor(/"code":200/);
    expect(await onlyAddress(gateway)).toBe(from);
  });

  test('a request that begins with the same letter is one', async () => {
    await using gateway = await listening(trusting('optional'));
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    await sendBytewise(raw, Buffer.from('PUT / HTTP/1.1\r\nHost: a\r\n\r\n'));
    const [start] = await raw.waitFor(/^HTTP\/1\.1 \d+ /);
    expect(start).toBe('HTTP/1.1 426 ');
  });

  test('a probe of the proxy that says nothing is not counted', async () => {
    await using gateway = await listening(trusting('required'));
    for (const header of ['', LOCAL]) {
      const raw = await RawSocket.connect(gateway.port, PROXY);
      if (header !== '') raw.send(header);
      await raw[Symbol.asyncDispose]();
    }
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    raw.send(Buffer.concat([V2, HANDSHAKE]));
    await raw.waitFor(/"code":200/);
    expect(gateway.log.filter(({ msg }) => msg === 'connection refused')).toEqual([]);
  });
});

type Row = {
  what: string;
  header: string;
  from?: string;
  bytes: Buffer | string;
  why: Parameters<typeof expectRefusedAs>[1];
  detail?: string;
};

describe('refused:', () => {
  test.each<Row>([
    {
      what: 'a header from somebody else',
      header: 'required',
      from: '127.0.0.1',
      bytes: V1,
      why: 'untrusted_proxy',
    },
    {
      what: 'a header that somebody else may not send',
      header: 'optional',
      from: '127.0.0.1',
      bytes: V2,
      why: 'untrusted_proxy',
    },
    {
      what: 'somebody else without one',
      header: 'required',
      from: '127.0.0.1',
      bytes: UPGRADE,
      why: 'untrusted_proxy',
    },
    { what: 'a proxy without one', header: 'required', bytes: UPGRADE, why: 'no_proxy_header' },
    {
      what: 'a proxy with packets alone',
      header: 'required',
      bytes: HANDSHAKE,
      why: 'no_proxy_header',
    },
    {
      what: 'version 1 where none is read',
      header: 'none',
      bytes: V1,
      why: 'unexpected_proxy_header',
    },
    {
      what: 'version 2 where none is read',
      header: 'none',
      bytes: V2,
      why: 'unexpected_proxy_header',
    },
    {
      what: 'the same from somebody else',
      header: 'none',
      from: '127.0.0.1',
      bytes: V2,
      why: 'unexpected_proxy_header',
    },
    {
      what: 'a line without addresses',
      header: 'required',
      bytes: 'PROXY TCP4\r\n',
      why: 'bad_proxy_header',
      detail: 'a line of version 1 is PROXY, TCP4, TCP6 or UNKNOWN, two addresses, two ports',
    },
    {
      what: 'the same where it is optional',
      header: 'optional',
      bytes: 'PROXY TCP4\r\n',
      why: 'bad_proxy_header',
      detail: 'a line of version 1 is PROXY, TCP4, TCP6 or UNKNOWN, two addresses, two ports',
    },
    {
      what: 'a line that does not end',
      header: 'required',
      bytes: `PROXY UNKNOWN ${'x'.repeat(100)}`,
      why: 'bad_proxy_header',
      detail: 'a line of version 1 has at most 107 bytes',
    },
    {
      what: 'a header that is too long',
      header: 'required',
      bytes: Buffer.from(`${SIGNATURE}2111ffff`, 'hex'),
      why: 'bad_proxy_header',
      detail: '65551 bytes; a header has at most 4096',
    },
    {
      what: 'a second header',
      header: 'required',
      bytes: Buffer.concat([V2, V1, Buffer.from(UPGRADE)]),
      why: 'bad_http',
    },
    {
      what: 'half a header',
      header: 'required',
      bytes: V1.subarray(0, -1),
      why: 'slow_proxy_header',
    },
    { what: 'nothing behind it', header: 'required', bytes: V2, why: 'silent' },
    { what: 'nothing at all', header: 'required', bytes: '', why: 'silent' },
    {
      what: 'half a request behind it',
      header: 'required',
      bytes: Buffer.concat([V2, Buffer.from('GET /')]),
      why: 'slow_handshake',
    },
  ])('$what', async ({ header, from = PROXY, bytes, why, detail }) => {
    await using gateway = await listening(trusting(header), 'limits: { handshake: 300ms }\n');
    await using raw = await RawSocket.connect(gateway.port, from);
    if (bytes !== '') raw.send(bytes);
    await raw.ended;
    const isKnown = /^silent|^slow_hand|^bad_http/.test(why) && bytes !== '';
    await expectRefusedAs(gateway, why, {
      // Whom the proxy has named by then.
      remoteAddress: isKnown ? CLIENT : from,
      ...(detail !== undefined && { detail }),
    });
    expect(gateway.gateway.registry.size).toBe(0);
  });

  test('nothing behind a header that came in pieces', async () => {
    await using gateway = await listening(trusting('required'), 'limits: { handshake: 300ms }\n');
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    await sendBytewise(raw, V2);
    await raw.ended;
    await expectRefusedAs(gateway, 'silent', { remoteAddress: CLIENT });
  });

  test('a trickle of header does not put its end off', async () => {
    await using gateway = await listening(trusting('required'), 'limits: { handshake: 300ms }\n');
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    raw.send(Buffer.from(`${SIGNATURE}21110ff0`, 'hex'));
    const trickle = setInterval(() => raw.send('\0'), 20);
    await raw.ended;
    clearInterval(trickle);
    await expectRefusedAs(gateway, 'slow_proxy_header', { remoteAddress: PROXY });
  });
});

describe('headers of HTTP proxies', () => {
  const X = 'X-Forwarded-For';

  test.each<{ what: string; from?: string; headers: string[]; address: string }>([
    { what: 'none', headers: [], address: PROXY },
    { what: 'X-Forwarded-For', headers: [`${X}: ${CLIENT}`], address: CLIENT },
    {
      what: 'the same in lower case, with a port',
      headers: [`${X.toLowerCase()}: ${CLIENT}:1`],
      address: CLIENT,
    },
    {
      what: 'what a client wrote before',
      headers: [`${X}: 198.51.100.1, ${CLIENT}`],
      address: CLIENT,
    },
    {
      what: 'the same in a line of its own',
      headers: [`${X}: 198.51.100.1`, `${X}: ${CLIENT}`],
      address: CLIENT,
    },
    { what: 'IPv6', headers: [`${X}: 2001:DB8:0::7`], address: '2001:db8::7' },
    {
      what: 'Forwarded',
      headers: ['Forwarded: for="[2001:db8::7]:1";proto=https'],
      address: '2001:db8::7',
    },
    {
      what: 'Forwarded in two lines',
      headers: ['Forwarded: for=198.51.100.1', `Forwarded: for=${CLIENT}`],
      address: CLIENT,
    },
    {
      what: 'both, which agree',
      headers: [`${X}: ${CLIENT}`, `Forwarded: for=${CLIENT}`],
      address: CLIENT,
    },
    {
      what: 'X-Forwarded-For of somebody else',
      from: '127.0.0.1',
      headers: [`${X}: ${CLIENT}`],
      address: '127.0.0.1',
    },
    {
      what: 'Forwarded of somebody else',
      from: '127.0.0.1',
      headers: [`Forwarded: for=${CLIENT}`],
      address: '127.0.0.1',
    },
    {
      what: 'two of somebody else that do not agree',
      from: '127.0.0.1',
      headers: [`${X}: ${CLIENT}`, 'Forwarded: for=198.51.100.1'],
      address: '127.0.0.1',
    },
    { what: 'another name', headers: [`X-Real-IP: ${CLIENT}`], address: PROXY },
  ])('$what', async ({ from = PROXY, headers, address }) => {
    await using gateway = await listening(`trusted_proxies: [${PROXY}]`);
    await using raw = await RawSocket.connect(gateway.port, from);
    raw.send(headers.length === 0 ? UPGRADE : upgradeWith(...headers));
    await raw.waitFor(/101 Switching Protocols[^]*?\r\n\r\n/);
    expect(await onlyAddress(gateway)).toBe(address);
  });

  test('two that name different clients are refused', async () => {
    await using gateway = await listening(`trusted_proxies: [${PROXY}]`);
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    raw.send(upgradeWith(`${X}: ${CLIENT}`, 'Forwarded: for=198.51.100.1'));
    await raw.waitFor(/^HTTP\/1\.1 400 [^]*name different clients\.\n$/);
    await expectRefusedAs(gateway, 'forwarded_conflict', {
      remoteAddress: PROXY,
      detail: `X-Forwarded-For: ${CLIENT}; Forwarded: for=198.51.100.1`,
    });
  });

  test('what else is refused then names the client', async () => {
    await using gateway = await listening(`trusted_proxies: [${PROXY}], path: /game`);
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    raw.send(upgradeWith(`${X}: ${CLIENT}`));
    await raw.waitFor(/^HTTP\/1\.1 404 /);
    await expectRefusedAs(gateway, 'wrong_path', { remoteAddress: CLIENT });
  });

  test.each([
    {
      what: 'the PROXY header names a client, whose headers are its own',
      of: CLIENT,
      address: CLIENT,
    },
    { what: 'it names a proxy, which tells of its client', of: PROXY, address: '198.51.100.1' },
  ])('behind a PROXY header: $what', async ({ of, address }) => {
    await using gateway = await listening(trusting('required'));
    await using raw = await RawSocket.connect(gateway.port, PROXY);
    raw.send(`PROXY TCP4 ${of} 198.51.100.9 1 2\r\n${upgradeWith(`${X}: 198.51.100.1`)}`);
    await raw.waitFor(/101 Switching Protocols/);
    expect(await onlyAddress(gateway)).toBe(address);
  });
});

describe('the process', () => {
  test('tells Control and the log where a client is, and is not deceived', async () => {
    await using served = await serve(
      `
log: { level: debug }
${ROUTES}`,
      '--set',
      `listen.0.trusted_proxies=["${PROXY}"]`,
      '--set',
      'listen.0.proxy_protocol=optional',
    );
    await using proxied = await RawSocket.connect(served.port, PROXY);
    proxied.send(Buffer.concat([V2, HANDSHAKE]));
    await proxied.waitFor(/"code":200/);
    await using spoofing = await RawSocket.connect(served.port);
    spoofing.send(upgradeWith(`X-Forwarded-For: ${CLIENT}`));
    await spoofing.waitFor(/101 Switching Protocols[^]*?\r\n\r\n/);
    await spoofing.shakeHands('ws');
    const { lines } = await admin(served, 'ListSessions');
    expect(new Set(lines.map((line) => line['remote_ip']))).toEqual(new Set(['127.0.0.1', CLIENT]));
    proxied.send(ACK);
    await eventually(
      () =>
        served.log().some((line) => line.msg === 'session active' && line['remoteIp'] === CLIENT),
      'the line of its session',
    );
  });

  test.each([
    ['proxy_protocol: required', 'needs trusted_proxies'],
    [
      'trusted_proxies: ["0.0.0.0/0"], proxy_protocol: required',
      '"0.0.0.0/0" trusts far more than proxies',
    ],
  ])('does not start with %s', async (keys, sentence) => {
    using file = configFile(`listen: [{ url: "auto://127.0.0.1:0", ${keys} }]\n${ROUTES}`);
    const { code, output } = await pith('serve', '--config', file.path);
    // EX_CONFIG of sysexits.h.
    expect(code).toBe(78);
    expect(output).toContain(sentence);
  });
});
