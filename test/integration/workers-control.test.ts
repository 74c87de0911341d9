/** Control where several workers serve as one (`workers`): each call is about the process, whichever worker answers. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { run } from '../support/process.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { pith, ROOT, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { closeAll, connect, loggedTimes, serveBy, workersOf } from '../support/workers.ts';

let nats: TestNats;

beforeAll(async () => {
  nats = await startNats();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const MAIN = join(ROOT, 'src/main.ts');

type Json = Record<string, unknown>;

/** Its lines; the only one, where it answers once. */
async function linesOf(served: Served, method: string, body: object = {}): Promise<Json[]> {
  const answer = await fetch(`http://127.0.0.1:${served.adminPort}/v1/${method}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  const lines = (await answer.text()).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Json);
}

async function ask(served: Served, method: string, body: object = {}): Promise<Json> {
  return (await linesOf(served, method, body))[0]!;
}

type Worker = { worker: number; gateway: string; state: string; sessions: number; pid: number };

async function workersIn(served: Served): Promise<Worker[]> {
  return (await ask(served, 'GetInfo'))['workers'] as Worker[];
}

describe('with two workers', () => {
  test('GetInfo names both, and which one answers; GetConfig is that of the file', async () => {
    await using served = await serveBy(2, nats, 'limits: { connections: 100 }\n');
    const clients = await connect(served, 4);
    await eventually(
      async () => (await workersIn(served)).every(({ sessions }) => sessions === 2),
      'two sessions each',
    );
    const pids = workersOf(served);
    const info = await ask(served, 'GetInfo');
    const workers = info['workers'] as Worker[];
    expect(workers).toEqual([
      { worker: 1, gateway: workers[0]!.gateway, state: 'ready', sessions: 2, pid: pids[0] },
      { worker: 2, gateway: workers[1]!.gateway, state: 'ready', sessions: 2, pid: pids[1] },
    ]);
    expect(workers[0]!.gateway).toMatch(/^pith-w1-/);
    expect(workers[1]!.gateway).toMatch(/^pith-w2-/);
    expect(workers.find(({ worker }) => worker === info['worker'])?.gateway).toBe(info['gateway']);
    const yaml = (await ask(served, 'GetConfig'))['yaml'] as string;
    expect(yaml).toMatch(/^id: pith$/m);
    expect(yaml).toMatch(/^ {2}connections: 100$/m);
    await closeAll(clients);
  });

  test('Call reaches a session wherever it is', async () => {
    await using served = await serveBy(2, nats);
    const clients = await connect(served, 4);
    const sessions = await eventually(async () => {
      const lines = await linesOf(served, 'ListSessions', { target: { all: true } });
      const found = lines.filter(({ sid }) => typeof sid === 'string' && sid !== '');
      return found.length === 4 && found;
    }, 'four sessions');
    expect(new Set(sessions.map(({ gateway }) => gateway)).size).toBe(2);
    for (const { sid } of sessions) {
      const answer = await ask(served, 'Call', { sid, route: 'gate.a', body: { json: {} } });
      expect(answer).toMatchObject({ body: { text: '{"code":200}' } });
      const refused = await ask(served, 'Call', { sid, route: 'none.a', body: { json: {} } });
      expect(refused).toMatchObject({ error: { reason: 'NO_ROUTE', code: 404 } });
    }
    for (const sid of [`${sessions[0]!['gateway'] as string}.999`, 'pith-w9-AAAAAAAAAA.1', 'x'])
      expect(await ask(served, 'Call', { sid, route: 'gate.a' })).toMatchObject({
        error: { msg: expect.stringContaining('no such session') as string },
      });
    await closeAll(clients);
  });

  test('Reload of many at once is one or a few, and all are answered', async () => {
    await using served = await serveBy(2, nats, 'reload: { watch: false }\n');
    const asked = Array.from({ length: 40 }, () => ask(served, 'Reload'));
    for (const outcome of await Promise.all(asked))
      expect(outcome).toEqual({ changed: [], needs_restart: [], errors: [] });
    const lines = served.log().filter(({ msg }) => msg === 'configuration reloaded');
    // Each worker writes one, for each time.
    expect(lines.length).toBeLessThan(40);
    expect(lines.length).toBeGreaterThanOrEqual(2);
  });

  test('Profile is of the worker that it names', async () => {
    await using served = await serveBy(2, nats);
    const admin = ['--admin', `127.0.0.1:${served.adminPort}`];
    for (const worker of ['1', '2']) {
      const lines = await linesOf(served, 'Profile', { worker, duration: '1s' });
      expect(lines[0]!['name']).toMatch(new RegExp(`^pith-w${worker}-.*\\.cpuprofile$`));
      const data = Buffer.concat(lines.map((line) => Buffer.from(line['data'] as string, 'base64'))); // prettier-ignore
      const profile = JSON.parse(data.toString()) as { nodes: unknown[]; startTime: number; endTime: number }; // prettier-ignore
      expect(profile.nodes.length).toBeGreaterThan(5);
      expect(profile.endTime - profile.startTime).toBeGreaterThan(900_000);
    }
    // Both at once, of the same one.
    const two = await Promise.all([1, 2].map(() => linesOf(served, 'Profile', { worker: 2, duration: '1s' }))); // prettier-ignore
    const refused = two.filter((lines) => JSON.stringify(lines).includes('a profile is being taken already; try again')); // prettier-ignore
    expect(refused.length).toBe(1);
    const folder = mkdtempSync(join(tmpdir(), 'pith-profiles-'));
    const args = [MAIN, 'profile', '--worker', 'all', '--seconds', '1', ...admin];
    const { code } = await run(process.execPath, args, { cwd: folder });
    expect(code).toBe(0);
    expect(readdirSync(folder).toSorted()).toEqual([
      expect.stringMatching(/^pith-w1-.*\.cpuprofile$/),
      expect.stringMatching(/^pith-w2-.*\.cpuprofile$/),
    ]);
    rmSync(folder, { recursive: true });
    const none = await pith('profile', '--worker', '3', ...admin);
    expect(none).toEqual({ code: 1, output: expect.stringContaining('worker is not one of 1, 2') });
  });

  test('WatchLog has what the parent warns of', async () => {
    await using served = await serveBy(2, nats);
    process.kill(workersOf(served)[1]!, 'SIGKILL');
    // Until the parent has noticed, it may hand the connection to the one that has gone.
    await served.logged('a worker has ended unexpectedly');
    const leaving = new AbortController();
    const { body } = await fetch(`http://127.0.0.1:${served.adminPort}/v1/WatchLog`, {
      ...{ method: 'POST', body: '{}', signal: leaving.signal },
    });
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of body!) {
      text += decoder.decode(chunk, { stream: true });
      if (/"message":"a worker has ended unexpectedly".*\n/.test(text)) break;
    }
    leaving.abort();
    const lines = text.split('\n').slice(0, -1);
    const all = lines.map((line) => JSON.parse(line) as Json);
    const crash = all.find(({ message }) => message === 'a worker has ended unexpectedly')!;
    expect(JSON.parse(crash['fields'] as string)).toMatchObject({ worker: 2, signal: 'SIGKILL' });
  });

  test('SetLogLevel and SetMaintenance for one gateway are for both, and for one that comes later', async () => {
    await using served = await serveBy(2, nats);
    await ask(served, 'SetLogLevel', { level: 'debug' });
    await loggedTimes(served, 'log level changed', 2);
    await ask(served, 'SetMaintenance', { on: true, scope: 'gateway', routes: ['gate.a'] });
    await loggedTimes(served, 'maintenance has begun', 2);
    const clients = await connect(served, 4);
    for (const client of clients)
      expect(await client.request('gate.a')).toMatchObject({ code: 503, reason: 'MAINTENANCE' });
    process.kill(workersOf(served)[1]!, 'SIGKILL');
    await served.logged('the worker is ready again');
    const again = await connect(served, 4);
    for (const client of again)
      expect(await client.request('gate.a')).toMatchObject({ code: 503, reason: 'MAINTENANCE' });
    const changed = served.log().filter(({ msg }) => msg === 'log level changed');
    expect(changed.map(({ worker, to }) => [worker, to])).toEqual([
      expect.anything(),
      expect.anything(),
      [2, 'debug'],
    ]);
    await ask(served, 'SetMaintenance', { on: false, scope: 'gateway' });
    await loggedTimes(served, 'maintenance has ended', 2);
    for (const client of again) expect(await client.request('gate.a')).toEqual({ code: 200 });
    await closeAll([...clients, ...again]);
  });
});
