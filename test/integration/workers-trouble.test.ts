/** Workers that crash, hang, or cannot start (`workers`): the real program, its parent and its workers. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Running, start } from '../support/process.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { configFile, ROOT, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import {
  closeAll,
  connect,
  GATE,
  loggedTimes,
  metricsOf,
  serveBy,
  workersOf,
} from '../support/workers.ts';

let nats: TestNats;

beforeAll(async () => {
  nats = await startNats();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const LOST = '"msg":"a worker has ended unexpectedly"';
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const readyOf = async (served: Served): Promise<number | undefined> =>
  (await metricsOf(served).catch(() => null))?.get('pith_workers_ready');

const HANDSHAKE = Buffer.from('{"sys":{"type":"js-websocket","version":"0.0.1"},"user":{}}');

/** A connection that says its first word and waits for the answer. */
function dial(port: number): { readonly socket: net.Socket; readonly outcome: Promise<string> } {
  const socket = net.connect(port, '127.0.0.1');
  const outcome = new Promise<string>((resolve) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      resolve('answered');
    });
    socket.once('close', () => {
      resolve('closed');
    });
  });
  socket.write(Buffer.concat([Buffer.from([1, 0, 0, HANDSHAKE.length]), HANDSHAKE]));
  return { socket, outcome };
}

describe('a worker that hangs', () => {
  test.each([0, 1])('gets nobody, is killed and begun again; health is answered: %i', async (i) => {
    await using served = await serveBy(2, nats, 'worker_timeout: 6s\n');
    const clients = await connect(served, 4);
    process.kill(workersOf(served)[i]!, 'SIGSTOP');
    await eventually(async () => (await readyOf(served)) === 1, 'one that is ready');
    // Each would go to the one that has fewer.
    const more = await connect(served, 12);
    for (const client of more) expect(await client.request('gate.a')).toEqual({ code: 200 });
    const ready = await fetch(`http://127.0.0.1:${served.healthPort}/readyz`);
    expect(ready.status).toBe(200);
    const killed = await served.logged('the worker hangs: it is killed');
    expect(killed).toMatchObject({ level: 'error', worker: i + 1, silentMs: 6000 });
    const crashed = await served.logged('a worker has ended unexpectedly');
    expect(crashed).toMatchObject({ worker: i + 1, gateway: killed['gateway'] });
    await served.logged('gateway lost');
    await served.logged('the worker is ready again');
    await eventually(async () => (await readyOf(served)) === 2, 'two that are ready');
    for (const client of more) expect(await client.request('gate.a')).toEqual({ code: 200 });
    await closeAll([...clients, ...more]);
  });

  test('is killed though the process has been told to stop', async () => {
    await using served = await serveBy(2, nats, 'worker_timeout: 5s\n');
    process.kill(workersOf(served)[1]!, 'SIGSTOP');
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(70);
    expect(served.log().filter(({ msg }) => msg === 'stopped').length).toBe(1);
  });

  test('is none when all processes were stopped, as a machine that was suspended', async () => {
    await using served = await serveBy(2, nats, 'worker_timeout: 5s\n');
    const clients = await connect(served, 4);
    const all = [served.running.pid, ...workersOf(served)];
    for (const pid of all) process.kill(pid, 'SIGSTOP');
    await sleep(12_000);
    for (const pid of all) process.kill(pid, 'SIGCONT');
    // Longer than it would take to be killed for what was before.
    await sleep(4_000);
    for (const client of clients) expect(await client.request('gate.a')).toEqual({ code: 200 });
    expect(workersOf(served)).toEqual(all.slice(1));
    await closeAll(clients);
  });
});

describe('a worker that crashes', () => {
  test('leaves the connections that wait for it to the other', async () => {
    await using served = await serveBy(2, nats);
    const [, second] = workersOf(served);
    const before = descriptorsOf(served.running.pid);
    process.kill(second!, 'SIGSTOP');
    const dialled = Array.from({ length: 20 }, () => dial(served.port));
    await Promise.race(dialled.map(({ outcome }) => outcome));
    await eventually(() => descriptorsOf(served.running.pid) > before, 'some that wait');
    process.kill(second!, 'SIGKILL');
    const outcomes = await Promise.all(dialled.map(({ outcome }) => outcome));
    // Of the one that was under way nobody knows who has it.
    expect(outcomes.filter((one) => one === 'answered').length).toBeGreaterThanOrEqual(19);
    for (const { socket } of dialled) socket.destroy();
    await served.logged('the worker is ready again');
    await eventually(() => descriptorsOf(served.running.pid) <= before, 'its descriptors back');
  });

  test('again and again ends the process', async () => {
    await using served = await serveBy(2, nats);
    const [client] = await connect(served, 1);
    const seen = new Set<number>();
    const crash = async (): Promise<void> => {
      const pid = await eventually(() => workersOf(served).find((one) => !seen.has(one)), 'one');
      seen.add(pid);
      process.kill(pid, 'SIGKILL');
      await eventually(() => served.running.output().split(LOST).length > seen.size, 'its end');
    };
    while (seen.size < 10) await crash();
    expect(served.running.output()).not.toContain('giving up');
    await crash();
    expect(await served.running.exited).toBe(70);
    expect(served.running.output()).toContain(
      'pith: workers have crashed 11 times in 5 minutes: giving up\n',
    );
    await client!.ended;
  });

  test.each(['is waited for', 'starts'])('and %s is no hindrance to a stop', async (when) => {
    await using served = await serveBy(2, nats);
    const clients = await connect(served, 4);
    process.kill(workersOf(served)[1]!, 'SIGKILL');
    await served.logged('the worker is begun again');
    if (when === 'starts') await eventually(() => workersOf(served).length === 2, 'the next');
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
    expect(served.log().filter(({ msg }) => msg === 'the worker does not stop: it is killed')).toEqual([]); // prettier-ignore
    await Promise.all(clients.map((client) => client.ended));
  });
});

describe('a reload', () => {
  const UNWATCHED = 'reload: { watch: false }\n';
  const yaml = (code: number): string =>
    `workers: 2\nbus: ${nats.url}\n${GATE.replace('200', String(code))}${UNWATCHED}`;
  const reload = async ({ adminPort }: Served): Promise<object> => {
    const url = `http://127.0.0.1:${adminPort}/v1/Reload`;
    return (await (await fetch(url, { method: 'POST', body: '{}' })).json()) as object;
  };

  test('that one worker cannot apply is undone by the others', async () => {
    await using served = await serveBy(2, nats, UNWATCHED);
    const clients = await connect(served, 2);
    const [, second] = workersOf(served);
    process.kill(second!, 'SIGSTOP');
    served.rewrite(yaml(201));
    served.running.kill('SIGHUP');
    await served.logged('configuration reloaded');
    process.kill(second!, 'SIGKILL');
    const undone = await served.logged(
      'a worker could not reload, so the others have gone back to the configuration before',
    );
    expect(undone).toMatchObject({ why: 'SIGHUP', errors: ['worker 2: the process has gone'] });
    await served.logged('the worker is ready again');
    const more = await connect(served, 4);
    const first = clients.find(({ isEnded }) => !isEnded)!;
    for (const client of [first, ...more])
      expect(await client.request('gate.a')).toEqual({ code: 200 });
    await closeAll([...clients, ...more]);
  });

  test('does not wait for a worker that is begun again, which has it once it is ready', async () => {
    await using served = await serveBy(2, nats, UNWATCHED);
    process.kill(workersOf(served)[1]!, 'SIGKILL');
    await served.logged('the worker is begun again');
    await eventually(() => workersOf(served).length === 2, 'the next');
    served.rewrite(yaml(201));
    expect(await reload(served)).toMatchObject({ changed: ['backends.gate'] });
    await served.logged('the worker is ready again');
    await loggedTimes(served, 'configuration reloaded', 2);
    const clients = await connect(served, 4);
    for (const client of clients) expect(await client.request('gate.a')).toEqual({ code: 201 });
    await closeAll(clients);
  });
});

describe('a process whose workers cannot start', () => {
  const begin = async (more: string): Promise<Running & Disposable> => {
    const file = configFile(`workers: 2\nbus: ${nats.url}\n${GATE}${more}`);
    const args = ['src/main.ts', 'serve', '--config', file.path, '--set', 'log.format=json'];
    const running = await start(process.execPath, args, { cwd: ROOT });
    return { ...running, [Symbol.dispose]: () => file[Symbol.dispose]() };
  };
  const PORTS = ['health', 'control', 'admin'].map((one) => `${one}: { listen: 127.0.0.1:0 }\n`);

  test('ends, and says which port is taken', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as net.AddressInfo;
    const listen = `listen: [{ url: "auto://127.0.0.1:${port}" }]\n`;
    using running = await begin(`${PORTS.join('')}${listen}`);
    expect(await running.exited).toBe(71);
    expect(running.output()).toContain(
      `pith: listen[0].url: cannot listen on auto://127.0.0.1:${port}: `,
    );
    taken.close();
  });

  const FREE = `${PORTS.join('')}listen: [{ url: "auto://127.0.0.1:0" }]\n`;

  test('ends, and says that one has ended', async () => {
    using running = await begin(FREE);
    const [first] = await eventually(() => {
      const pids = workersOf({ running });
      return pids.length === 2 && pids;
    }, 'both');
    process.kill(first!, 'SIGKILL');
    expect(await running.exited).toBe(70);
    expect(running.output()).toContain('pith: a worker has ended while the process started: SIGKILL\n'); // prettier-ignore
  });

  test.each([0, 300, 700, 1_100])(
    'stops when it is told to, %i ms after they were begun',
    async (ms) => {
      using running = await begin(FREE);
      await eventually(() => workersOf({ running }).length === 2, 'both');
      await sleep(ms);
      running.kill('SIGTERM');
      expect(await running.exited).toBe(0);
      expect(running.output()).not.toContain('it is killed');
    },
  );
});
