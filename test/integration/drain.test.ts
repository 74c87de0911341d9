/** SIGTERM to the real process: nobody new comes in, what is in flight is answered, everybody is sent away in order. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type LinkBackend, startLinkBackend } from '../support/link-backend.ts';
import { run } from '../support/process.ts';
import { RawSocket } from '../support/raw.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

/** Answers `….quick` at once and leaves the rest to the test. */
function quickBackend(): Promise<LinkBackend> {
  return startLinkBackend((request) => {
    if (request.route.endsWith('.quick')) request.answer({ code: 200 });
  });
}

function config(backend: LinkBackend, rest: string): string {
  return (
    `backends: { b: { grpc: "${backend.address}" } }\n` +
    `routes: [{ match: ">", backend: b, timeout: 60s }]\n${rest}\n`
  );
}

async function canConnect(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function health(controlPort: number): Promise<string> {
  const { output } = await run('grpcurl', [
    '-plaintext',
    '-connect-timeout',
    '5',
    `127.0.0.1:${controlPort}`,
    'grpc.health.v1.Health/Check',
  ]);
  return output;
}

describe('on SIGTERM', () => {
  test('it is not ready, finishes what is in flight, and ends with 0', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { budget: 60s }'));
    await using busy = await TestClient.connect(served.port, 'ws');
    await using other = await TestClient.connect(served.port, 'tcp');
    await using idle = await TestClient.connect(served.port, 'ws');
    await using silent = await RawSocket.connect(served.port);
    await using unready = await RawSocket.open(served.port, 'ws');
    expect(await health(served.controlPort)).toContain('"SERVING"');
    expect(await idle.request('a.quick')).toEqual({ code: 200 });
    const slow = busy.send('a.slow', {});
    const slowToo = other.send('a.slow', {});
    await eventually(
      () => backend.requests.filter(({ route }) => route === 'a.slow').length === 2,
      'the slow requests',
    );

    served.running.kill('SIGTERM');
    await served.logged('draining');
    const ready = await fetch(`http://127.0.0.1:${served.healthPort}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, 'draining\n']);
    expect((await fetch(`http://127.0.0.1:${served.healthPort}/livez`)).status).toBe(200);
    expect(await health(served.controlPort)).toContain('"NOT_SERVING"');
    expect(await canConnect(served.port)).toBe(false);

    expect(await idle.ended).toEqual({ code: 1001, reason: 'draining' });
    await unready.waitFor(/draining/);
    const refused = await eventually(async () => {
      const body = await busy.request('a.quick');
      return body['code'] === 503 && body;
    }, 'a refusal');
    expect(refused).toEqual({ code: 503, reason: 'DRAINING', msg: expect.any(String) });
    expect([busy.isEnded, other.isEnded]).toEqual([false, false]);

    for (const request of backend.requests)
      if (request.route === 'a.slow') request.answer({ code: 200, slow: true });
    expect(await busy.answer(slow)).toEqual({ code: 200, slow: true });
    expect(await other.answer(slowToo)).toEqual({ code: 200, slow: true });
    expect(await busy.ended).toEqual({ code: 1001, reason: 'draining' });
    await other.ended;
    silent.socket.destroy();
    expect(await served.running.exited).toBe(0);
    expect(backend.goaways).toHaveLength(1);
    expect(served.log().at(-1)).toMatchObject({ msg: 'stopped', forced: 0 });
  });

  test('/drained answers once the drain is over, so that a container beside it can stay for it', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { budget: 60s }'));
    await using client = await TestClient.connect(served.port);
    const slow = client.send('a.slow', {});
    await eventually(() => backend.requests.length === 1, 'the slow request');
    let isDrained = false;
    const drained = fetch(`http://127.0.0.1:${served.healthPort}/drained`).then(async (answer) => {
      isDrained = true;
      return [answer.status, await answer.text()];
    });

    served.running.kill('SIGTERM');
    await served.logged('draining');
    // Two requests of the same kind are behind it by then.
    for (let i = 0; i < 2; i++) await fetch(`http://127.0.0.1:${served.healthPort}/livez`);
    expect([isDrained, client.isEnded]).toEqual([false, false]);
    backend.requests[0]!.answer({ code: 200, slow: true });
    expect(await client.answer(slow)).toEqual({ code: 200, slow: true });
    expect(await drained).toEqual([200, 'drained\n']);
    expect(backend.goaways).toHaveLength(1);
    expect(await served.running.exited).toBe(0);
  });

  test('sessions are closed at drain.per_second', async () => {
    await using backend = await quickBackend();
    await using served = await serve(
      config(backend, 'drain: { budget: 60s, per_second: 20 }\nlog: { level: info }'),
    );
    const clients = await Promise.all(
      Array.from({ length: 16 }, () => TestClient.connect(served.port)),
    );
    await Promise.all(clients.map((client) => client.request('a.quick')));
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
    await Promise.all(clients.map((client) => client.ended));
    const log = served.log();
    const began = Date.parse(String(log.find(({ msg }) => msg === 'draining')!['time']));
    const closes = log.filter(({ msg }) => msg === 'session closed');
    expect(closes).toHaveLength(16);
    for (const [i, line] of closes.entries()) {
      expect(line['reason']).toBe('draining');
      // One step early at most, as the pace is kept in steps of 50 ms.
      expect(Date.parse(String(line['time'])) - began).toBeGreaterThanOrEqual((i - 2) * 50);
    }
  });

  test('with drain.hint_route each client is told before, and served meanwhile', async () => {
    await using backend = await quickBackend();
    await using served = await serve(
      config(backend, 'drain: { budget: 60s, hint_route: onLeave, hint_lead: 1s }'),
    );
    await using leaves = await TestClient.connect(served.port, 'ws');
    await using stays = await TestClient.connect(served.port, 'tcp');
    await Promise.all([leaves.request('a.quick'), stays.request('a.quick')]);
    served.running.kill('SIGTERM');
    await eventually(() => leaves.pushes('onLeave').length === 1, 'the hint');
    expect(leaves.pushes('onLeave')).toEqual([
      { route: 'onLeave', body: { reason: 'draining', in_ms: 1_000 } },
    ]);
    leaves.close();
    await eventually(() => stays.pushes('onLeave').length === 1, 'the other hint');
    expect(await stays.request('a.quick')).toEqual({ code: 200 });
    await stays.ended;
    expect(await served.running.exited).toBe(0);
    const closes = served.log().filter(({ msg }) => msg === 'session closed');
    expect(closes.map(({ reason }) => reason)).toEqual(['client_closed', 'draining']);
    expect(served.log().at(-1)).toMatchObject({ msg: 'stopped', closed: 2, forced: 0 });
  });

  test('with drain.signal: kick each client is kicked before the close', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { signal: kick }'));
    await using tcp = await TestClient.connect(served.port, 'tcp');
    await using ws = await TestClient.connect(served.port, 'ws');
    await Promise.all([tcp.request('a.quick'), ws.request('a.quick')]);
    served.running.kill('SIGTERM');
    expect((await ws.ended).code).toBe(1001);
    await tcp.ended;
    for (const client of [tcp, ws])
      expect(client.received.at(-1)).toEqual({ kind: 'kick', body: { reason: 'draining' } });
    expect(await served.running.exited).toBe(0);
  });

  test('a client that never reads holds it up no longer than drain.budget', async () => {
    await using backend = await quickBackend();
    await using served = await serve(
      config(backend, 'drain: { budget: 1s }\nlimits: { outbox: 64MiB }\nheartbeat: 0s'),
    );
    await using deaf = await TestClient.connect(served.port, 'ws');
    await deaf.request('a.quick');
    deaf.pauseReading(true);
    const { sid } = backend.requests[0]!;
    const body = { bytes: Buffer.from(JSON.stringify('x'.repeat(500_000))) };
    for (let n = 0; n < 60; n++)
      await backend.push({ target: { sids: [sid] }, route: 'onTest', body });
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
    expect(served.log().at(-1)).toMatchObject({ msg: 'stopped', closed: 0, forced: 1 });
  });

  test('a second SIGTERM ends it at once; what is in flight is answered with an error first', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { budget: 5m }'));
    await using ws = await TestClient.connect(served.port, 'ws');
    await using tcp = await TestClient.connect(served.port, 'tcp');
    const asked = [ws, tcp].map((client) => [1, 2, 3].map((n) => client.send(`a${n}.slow`, {})));
    await backend.came(6);
    served.running.kill('SIGTERM');
    await served.logged('draining');
    served.running.kill('SIGTERM');
    expect(await ws.ended).toEqual({ code: 1001, reason: 'drain_forced' });
    await tcp.ended;
    for (const [i, client] of [ws, tcp].entries()) {
      for (const id of asked[i]!) {
        expect(client.answersTo(id)).toBe(1);
        expect(await client.answer(id)).toMatchObject({ code: 503, reason: 'DRAINING' });
      }
    }
    expect(await served.running.exited).toBe(0);
    expect(served.log().at(-1)).toMatchObject({ msg: 'stopped', closed: 0, forced: 2 });
  });

  test('what is in flight when the budget is over is answered with an error too', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { budget: 1s }'));
    await using client = await TestClient.connect(served.port);
    const id = client.send('a.slow', {});
    await backend.came(1);
    served.running.kill('SIGTERM');
    expect(await client.answer(id)).toMatchObject({ code: 503, reason: 'DRAINING' });
    expect(await served.running.exited).toBe(0);
  });

  test('without clients it ends right away, and SIGINT is the same', async () => {
    await using backend = await quickBackend();
    await using served = await serve(config(backend, 'drain: { budget: 5m }'));
    served.running.kill('SIGINT');
    expect(await served.running.exited).toBe(0);
  });
});
