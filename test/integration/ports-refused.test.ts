/** Connections that are refused before they become sessions: wrong path, wrong origin, too many. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type LogLine, startGateway } from '../support/gateway.ts';
import { fetchOnce } from '../support/fetch-once.ts';
import { RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { eventually } from '../support/wait.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

/** An upgrade request for `target`, with further header lines. */
function upgrade(target: string, ...lines: string[]): string {
  return UPGRADE.replace('GET /', `GET ${target}`).replace(
    '\r\n\r\n',
    ['', ...lines, '', ''].join('\r\n'),
  );
}

async function answerTo(port: number, bytes: string): Promise<string> {
  await using raw = await RawSocket.connect(port);
  raw.send(bytes);
  const [, status] = await raw.waitFor(/^HTTP\/1\.1 (\d+) [^]*\r\n\r\n/);
  // A refusal is the last that comes.
  if (status !== '101') await raw.ended;
  return raw.received;
}

describe('paths and origins', () => {
  const GAME = 'listen: [{ url: "auto://127.0.0.1:0", path: /game }]\n';
  const ORIGINS =
    'listen: [{ url: "auto://127.0.0.1:0", origins: ["https://game.example.com", "https://Beta.example.com"] }]\n';

  test.each(['/game', '/game?token=x'])('a client of the path comes in: %s', async (target) => {
    await using gateway = await startGateway(ECHO + GAME);
    expect(await answerTo(gateway.port, upgrade(target))).toMatch(/^HTTP\/1\.1 101 /);
    expect(gateway.gateway.registry.size).toBe(1);
  });

  test.each(['/', '/game/', '/Game', '/other?/game', '//game'])(
    'another path gets 404 and a sentence: %s',
    async (target) => {
      await using gateway = await startGateway(ECHO + GAME);
      const answer = await answerTo(gateway.port, upgrade(target));
      expect(answer).toMatch(
        /^HTTP\/1\.1 404 Not Found\r\n[^]*\r\n\r\nThere is nothing at this path/,
      );
      await expectRefusedAs(gateway, 'wrong_path', { detail: target });
      expect(gateway.gateway.registry.size).toBe(0);
    },
  );

  test('a browser gets 404 as well, and is no refused client', async () => {
    await using gateway = await startGateway(ECHO + GAME);
    expect((await fetchOnce(gateway.port, '/')).status).toBe(404);
    expect((await fetchOnce(gateway.port, '/game')).status).toBe(426);
    expect(gateway.count('pith_connections_refused_total', 'wrong_path')).toBe(0);
  });

  test('raw TCP has no path', async () => {
    await using gateway = await startGateway(ECHO + GAME);
    await using client = await TestClient.connect(gateway.port, 'tcp');
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test.each([
    { what: 'one that is listed', lines: ['Origin: https://game.example.com'] },
    { what: 'another, whatever its case', lines: ['Origin: https://beta.EXAMPLE.com'] },
    { what: 'none, as native clients', lines: [] },
  ])('a client comes in with an Origin: $what', async ({ lines }) => {
    await using gateway = await startGateway(ECHO + ORIGINS);
    expect(await answerTo(gateway.port, upgrade('/', ...lines))).toMatch(/^HTTP\/1\.1 101 /);
  });

  test.each([
    'https://evil.example',
    'http://game.example.com',
    'https://game.example.com.evil.example',
    'https://game.example.com:8443',
    'null',
    '',
  ])('another Origin gets 403 and a sentence: "%s"', async (origin) => {
    await using gateway = await startGateway(ECHO + ORIGINS);
    const answer = await answerTo(gateway.port, upgrade('/', `Origin: ${origin}`));
    expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[^]*\r\n\r\nPages from this origin/);
    await expectRefusedAs(gateway, 'wrong_origin', origin === '' ? {} : { detail: origin });
    expect(gateway.gateway.registry.size).toBe(0);
  });

  test('two Origin headers are refused, whatever they say', async () => {
    await using gateway = await startGateway(ECHO + ORIGINS);
    const lines = ['Origin: https://game.example.com', 'Origin: https://evil.example'];
    const answer = await answerTo(gateway.port, upgrade('/', ...lines));
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  });

  test('a client that is refused and stays is cut, and counted once', async () => {
    await using gateway = await startGateway(`${ECHO}${GAME}limits: { handshake: 300ms }\n`);
    const socket = net.connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => {
      socket.on('close', resolve);
    });
    socket.write(upgrade('/'));
    socket.resume();
    await once(socket, 'end');
    // The client leaves its side open; it notices the cut when it writes.
    const writing = setInterval(() => socket.write('x'), 20);
    await closed;
    clearInterval(writing);
    expect(gateway.count('pith_connections_refused_total', 'wrong_path')).toBe(1);
    expect(gateway.count('pith_connections_refused_total', 'slow_handshake')).toBe(0);
  });
});

describe('connections that are not sessions yet', () => {
  test.each([
    { what: 'say nothing', bytes: '' },
    { what: 'are in an HTTP request', bytes: 'GET / HTTP/1.1\r\n' },
  ])('those that $what have their place within limits.connections', async ({ bytes }) => {
    await using gateway = await startGateway(ECHO + 'limits: { connections: 2 }\n');
    await using first = await RawSocket.connect(gateway.port);
    await using second = await RawSocket.connect(gateway.port);
    for (const raw of [first, second]) raw.send(bytes);
    await using third = await RawSocket.connect(gateway.port);
    await third.ended;
    await expectRefusedAs(gateway, 'connection_limit');
    first.socket.destroy();
    const client = await eventually(
      () => TestClient.connect(gateway.port, 'ws').catch(() => undefined),
      'a place',
    );
    await using _client = client;
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test('a flood of refusals is counted one by one, and logged line by second', async () => {
    await using gateway = await startGateway(`${ECHO}listen: [{ url: "tcp://127.0.0.1:0" }]\n`);
    const raws = await Promise.all(
      Array.from({ length: 50 }, () => RawSocket.connect(gateway.port)),
    );
    for (const raw of raws) raw.send(UPGRADE);
    await Promise.all(raws.map(({ ended }) => ended));
    expect(gateway.count('pith_connections_refused_total', 'http_on_tcp_port')).toBe(50);
    const lines = (): LogLine[] => gateway.log.filter(({ msg }) => msg === 'connection refused');
    const told = (): number =>
      lines().reduce((sum, { leftOut = 0 }) => sum + 1 + (leftOut as number), 0);
    await eventually(() => told() === 50, 'the line about what was left out');
    expect(lines().length).toBeLessThan(10);
  });
});
