/** `pith probe`: what monitoring learns of a gateway that is well, that refuses, that is silent, that is not there. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Found, runProbe } from '../../src/cli/probe.ts';
import { systemClock } from '../../src/clock.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { freePort } from '../support/process.ts';
import { pith } from '../support/serve.ts';

let gateway: TestGateway;
let url: string;

beforeAll(async () => {
  gateway = await startGateway(`
backends:
  good: { reply: { code: 200 } }
  bad: { reply: { code: 503, reason: "CLOSED", msg: "come back at noon" } }
routes: [{ match: "good.>", backend: good }, { match: "bad.>", backend: bad }]
auth: { mode: jwt, jwt: { algorithms: [HS256], secrets: ["0123456789abcdef0123456789abcdef"] } }`);
  url = `ws://127.0.0.1:${gateway.port}`;
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

// {"alg":"HS256"} . {"sub":"probe","exp":4102444800}, signed with that secret.
const TOKEN =
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwcm9iZSIsImV4cCI6NDEwMjQ0NDgwMH0.tsJd-zegW3c0A5pe83l34ExUKNsDUt_YCWavm8Lr_IY';

async function probe(...args: string[]): Promise<{ code: number; found: Found }> {
  const printed = await runProbe({
    args: [...args, '--json'],
    clock: systemClock,
    version: '1.0.0',
  });
  expect(printed.err).toBe('');
  return { code: printed.code, found: JSON.parse(printed.out) as Found };
}

const user = (): string => JSON.stringify({ token: TOKEN });

describe('a gateway that is well', () => {
  test.each(['ws', 'tcp'])('lets it in over %s, and answers', async (scheme) => {
    const where = `${scheme}://127.0.0.1:${gateway.port}`;
    const { code, found } = await probe(where, '--user', user(), '--request', 'good.a.b');
    expect(code).toBe(0);
    expect(found).toEqual({
      ...{
        ok: true,
        url: where,
        route: 'good.a.b',
        failed: null,
        code: 0,
        reason: '',
        message: '',
      },
      connect_ms: expect.any(Number),
      handshake_ms: expect.any(Number),
      request_ms: expect.any(Number),
      total_ms: expect.any(Number),
    });
    const { connect_ms: connect, handshake_ms: handshake, request_ms: request } = found;
    expect(found.total_ms).toBeGreaterThanOrEqual(connect! + handshake! + request! - 0.2);
  });

  test('without a request the handshake is all', async () => {
    const { code, found } = await probe(url, '--user', user());
    expect(code).toBe(0);
    expect(found).toMatchObject({ ok: true, route: '', request_ms: null });
  });

  test('takes the user block from a file, so that its token is in no list of processes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pith-probe-'));
    const file = join(folder, 'user.json');
    writeFileSync(file, user());
    expect(await probe(url, '--user-file', file)).toMatchObject({ code: 0 });
    rmSync(folder, { recursive: true });
  });

  test('leaves no session behind', async () => {
    await probe(url, '--user', user(), '--request', 'good.a.b');
    expect([...gateway.gateway.registry.all()]).toEqual([]);
  });

  test('the program prints one line', async () => {
    const { code, output } = await pith('probe', url, '--user', user(), '--request', 'good.a.b');
    expect(output).toMatch(
      /^ok: ws:\/\/127\.0\.0\.1:\d+: connect [\d.]+ ms, handshake [\d.]+ ms, good\.a\.b [\d.]+ ms, total [\d.]+ ms\n$/,
    );
    expect(code).toBe(0);
  });
});

describe('what does not go well', () => {
  test('a refused handshake: 1, with code and text', async () => {
    const { code, found } = await probe(url, '--user', '{"token":"no"}');
    expect(code).toBe(1);
    // 500 is Pomelo's own code for a login that failed.
    expect(found).toMatchObject({ ok: false, failed: 'handshake', code: 500, reason: 'BAD_TOKEN' });
    expect(found.message).toContain('token');
    expect(found.connect_ms).not.toBeNull();
    expect(found.handshake_ms).toBeNull();
  });

  test.each([
    ['bad.a.b', 503, 'CLOSED', 'come back at noon'],
    ['none.a.b', 404, 'NO_ROUTE', 'no such route'],
  ])('an error answer on %s: 1', async (route, code, reason, message) => {
    const answer = await probe(url, '--user', user(), '--request', route);
    expect(answer.code).toBe(1);
    expect(answer.found).toMatchObject({ failed: 'request', code, reason, message });
    expect(answer.found.request_ms).not.toBeNull();
  });

  test('in words', async () => {
    const args = [url, '--user', user(), '--request', 'bad.a.b'];
    const { code, out, err } = await runProbe({ args, clock: systemClock, version: '1.0.0' });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(
      /^failed: ws:\S+: bad\.a\.b: 503 CLOSED come back at noon \(connect .* ms, total .* ms\)\n$/,
    );
  });

  test('nobody listens: 69', async () => {
    const { code, found } = await probe(`tcp://127.0.0.1:${await freePort()}`);
    expect(code).toBe(69);
    expect(found).toMatchObject({ failed: 'connect', message: 'connection refused' });
  });

  test('a port that says nothing: 1, once --timeout is over', async () => {
    const silent = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as net.AddressInfo;
    const { code, found } = await probe(`tcp://127.0.0.1:${port}`, '--timeout', '100ms');
    expect(code).toBe(1);
    expect(found).toMatchObject({ failed: 'handshake', reason: 'TIMEOUT', handshake_ms: null });
    silent.close();
  });
});

test.each([
  [['--user-file', '/nowhere/user.json'], '--user-file /nowhere/user.json cannot be read: no such'],
  [['--user', '{}', '--user-file', 'a'], 'expected one of --user and --user-file'],
  [['--user', 'ann'], 'ann is not JSON'],
  [['--timeout', '0s'], '--timeout 0s: expected more than 0'],
  [['--data', '{}'], '--data goes with --request'],
  [['http://a'], 'http://a is not the URL of a server'],
])('%j is refused with 64', async (args, said) => {
  const { code, out, err } = await runProbe({ args, clock: systemClock, version: '1.0.0' });
  expect({ code, out }).toEqual({ code: 64, out: '' });
  expect(err).toContain(`pith: ${said}`);
  expect(err).toContain('see pith probe --help');
});
