/** Several processes that serve as one (`workers`): the real program, its parent and its workers. */
import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startNats, type TestNats } from '../support/nats.ts';
import { pith, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { closeAll, connect, GATE, metricsOf, serveBy, workersOf } from '../support/workers.ts';

let nats: TestNats;

beforeAll(async () => {
  nats = await startNats();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

type Row = { gateway: string; sessions: number; sessions_max: number };

/** What the gateways say of themselves. */
async function gatewaysOf({ adminPort }: Served): Promise<Row[]> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/ListGateways`, {
    method: 'POST',
    body: '{}',
  });
  const { gateways } = (await answer.json()) as { gateways: Row[] };
  return gateways.sort((a, b) => (a.gateway < b.gateway ? -1 : 1));
}

const timeOf = (line: Record<string, unknown>): number => Date.parse(String(line['time']));

describe('two workers', () => {
  test('share the connections, each with an id of its own', async () => {
    await using served = await serveBy(2, nats);
    const clients = await connect(served, 300);
    try {
      const rows = await gatewaysOf(served);
      expect(rows.map(({ gateway }) => gateway)).toEqual([
        expect.stringMatching(/^pith-w1-[A-Za-z0-9]{10}$/),
        expect.stringMatching(/^pith-w2-[A-Za-z0-9]{10}$/),
      ]);
      for (const { sessions } of rows) {
        expect(sessions).toBeGreaterThanOrEqual(135);
        expect(sessions).toBeLessThanOrEqual(165);
      }
      expect(await clients[0]!.request('gate.a')).toEqual({ code: 200 });
      expect(await clients[1]!.request('gate.a')).toEqual({ code: 200 });
    } finally {
      await closeAll(clients);
    }
  });

  test('have equal shares, too, after many have come and gone, and after one has lost all', async () => {
    await using served = await serveBy(2, nats);
    const counted = async (): Promise<[number, number]> => {
      const all = (await gatewaysOf(served)).filter(({ sessions }) => sessions > 0);
      const [a = 0, b = 0] = all.map(({ sessions }) => sessions);
      return [a, b];
    };
    const shares = (count: number): Promise<unknown> =>
      eventually(async () => {
        const [a, b] = await counted();
        return a + b === count && Math.abs(a - b) <= count / 10;
      }, `shares of ${count}`);
    let clients = await connect(served, 100);
    for (let i = 0; i < 10; i++) {
      // Those that stay have come at any time.
      await closeAll(clients.filter((_, n) => n % 3 === i % 3));
      clients = clients.filter((_, n) => n % 3 !== i % 3);
      const left = clients.length;
      await eventually(async () => (await counted()).reduce((a, b) => a + b) === left, `${left}`);
      // The parent goes by what its workers have told it, which each does every 50 ms.
      await new Promise((resolve) => setTimeout(resolve, 500));
      clients.push(...(await connect(served, 100 - clients.length)));
    }
    expect(await shares(100)).toBe(true);
    process.kill(workersOf(served)[0]!, 'SIGKILL');
    await served.logged('the worker is ready again');
    clients.push(...(await connect(served, 60)));
    await eventually(() => clients.some(({ isEnded }) => isEnded), 'the end of some');
    expect(await shares(clients.filter(({ isEnded }) => !isEnded).length)).toBe(true);
    await closeAll(clients);
  });

  test('say in each line which of them it is', async () => {
    await using served = await serveBy(2, nats);
    const lines = served.log().filter(({ msg }) => msg === 'listening');
    expect(new Set(lines.map((line) => line['worker']))).toEqual(new Set([1, 2]));
    expect(new Set(lines.map((line) => String(line['clients']))).size).toBe(1);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('drain at one %s, and end with 0', async (signal) => {
    await using served = await serveBy(2, nats);
    const clients = await connect(served, 10);
    served.running.kill(signal);
    expect(await served.running.exited).toBe(0);
    await Promise.all(clients.map((client) => client.ended));
    const stopped = served.log().filter(({ msg }) => msg === 'stopped');
    expect(stopped.map((line) => line['closed'])).toEqual([5, 5]);
    expect(served.log().filter(({ msg }) => msg === 'draining all workers').length).toBe(1);
  });

  test('are begun again when one crashes, and the other says at once that it is lost', async () => {
    await using served = await serveBy(2, nats);
    const nc = await nats.connect();
    const heard: Record<string, unknown>[] = [];
    nc.subscribe('pith.event.gateway.lost', {
      callback: (_error, message) => {
        heard.push(message.json());
      },
    });
    await nc.flush();
    const clients = await connect(served, 10);
    const [before] = await gatewaysOf(served);
    const [first] = workersOf(served);
    process.kill(first!, 'SIGKILL');
    const crashed = await served.logged('a worker has ended unexpectedly');
    expect(crashed).toMatchObject({ level: 'error', signal: 'SIGKILL' });
    await eventually(() => heard.length > 0, 'lost');
    expect(heard[0]).toMatchObject({ gateway: crashed['gateway'] });
    const lost = await served.logged('gateway lost');
    // By silence it takes 7.5 s.
    expect(timeOf(lost) - timeOf(crashed)).toBeLessThan(5_000);
    expect(before!.sessions).toBe(5);
    const again = await served.logged('the worker is ready again');
    expect(again).toMatchObject({ worker: crashed['worker'] });
    expect(again['gateway']).not.toBe(crashed['gateway']);
    // Newcomers go to the one that has none.
    const more = await connect(served, 5);
    await eventually(async () => {
      const rows = await gatewaysOf(served);
      const alive = rows.filter(({ gateway }) => gateway !== crashed['gateway']);
      return alive.length === 2 && alive.every(({ sessions }) => sessions === 5);
    }, 'five on each');
    await closeAll([...clients, ...more]);
    await nc.close();
  });

  test('that crash together are told to be lost by the first that is begun again', async () => {
    await using served = await serveBy(2, nats);
    const nc = await nats.connect();
    const heard = new Set<unknown>();
    nc.subscribe('pith.event.gateway.lost', {
      callback: (_error, message) => {
        heard.add(message.json<{ gateway: string }>().gateway);
      },
    });
    await nc.flush();
    const before = (await gatewaysOf(served)).map(({ gateway }) => gateway);
    for (const pid of workersOf(served)) process.kill(pid, 'SIGKILL');
    await eventually(() => heard.size === 2, 'both to be lost');
    expect(heard).toEqual(new Set(before));
    await nc.close();
  });
});

describe('the process as a whole', () => {
  test('has one /metrics, whose counters do not fall when a worker crashes', async () => {
    await using served = await serveBy(2, nats);
    const clients = await connect(served, 10);
    for (const client of clients) await client.request('gate.a');
    const before = await metricsOf(served);
    const answered = 'pith_requests_total{backend="gate",outcome="ok"}';
    expect(before.get(answered)).toBe(10);
    expect(before.get('pith_sessions')).toBe(10);
    expect(before.get('pith_workers_ready')).toBe(2);
    expect(before.get('pith_bus_up')).toBe(1);
    expect(before.get('pith_request_duration_seconds_count{backend="gate"}')).toBe(10);
    for (const worker of ['1', '2'])
      expect(before.get(`process_resident_memory_bytes{worker="${worker}"}`)).toBeGreaterThan(0);
    process.kill(workersOf(served)[0]!, 'SIGKILL');
    await served.logged('the worker is ready again');
    const after = await metricsOf(served);
    expect(after.get(answered)).toBe(10);
    expect(after.get('pith_sessions')).toBe(5);
    expect(after.get('pith_worker_crashes_total')).toBe(1);
    await closeAll(clients);
  });

  test('has so many connections from one address as it is told, over all workers', async () => {
    await using served = await serveBy(2, nats, 'limits: { connections_per_address: 5 }\n');
    const clients = await connect(served, 5);
    for (let i = 0; i < 4; i++) {
      const socket = net.connect(served.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'close');
    }
    const refused = 'pith_connections_refused_total{reason="address_limit"}';
    await eventually(async () => (await metricsOf(served)).get(refused) === 4, 'four refused');
    for (const client of clients) expect(await client.request('gate.a')).toEqual({ code: 200 });
    await clients[0]![Symbol.asyncDispose]();
    await eventually(async () => {
      const rows = await gatewaysOf(served);
      return rows.reduce((sum, { sessions }) => sum + sessions, 0) === 4;
    }, 'one to leave');
    await closeAll([...clients.slice(1), ...(await connect(served, 1))]);
  });

  test('reloads all workers, or none', async () => {
    await using served = await serveBy(2, nats);
    const yaml = (code: number, more = ''): string =>
      `workers: 2\nbus: ${nats.url}\n${GATE.replace('200', String(code))}${more}`;
    const reload = async (): Promise<object> => {
      const url = `http://127.0.0.1:${served.adminPort}/v1/Reload`;
      return (await (await fetch(url, { method: 'POST', body: '{}' })).json()) as object;
    };
    const clients = await connect(served, 2);
    served.rewrite(yaml(201));
    expect(await reload()).toMatchObject({ changed: ['backends.gate'] });
    for (const client of clients) expect(await client.request('gate.a')).toEqual({ code: 201 });
    served.rewrite(yaml(202, 'id: other\n'));
    expect(await reload()).toMatchObject({ needs_restart: ['id'] });
    for (const client of clients) expect(await client.request('gate.a')).toEqual({ code: 201 });
    await closeAll(clients);
  });

  test('is ready while one worker is, and drains where one is told to', async () => {
    await using served = await serveBy(2, nats);
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${served.healthPort}/readyz`)).status;
    expect(await ready()).toBe(200);
    process.kill(workersOf(served)[0]!, 'SIGKILL');
    await served.logged('a worker has ended unexpectedly');
    expect(await ready()).toBe(200);
    await served.logged('the worker is ready again');
    const drained = fetch(`http://127.0.0.1:${served.healthPort}/drained`);
    const clients = await connect(served, 4);
    const url = `http://127.0.0.1:${served.adminPort}/v1/Drain`;
    const progress = await (await fetch(url, { method: 'POST', body: '{}' })).text();
    expect(progress).toContain('"state":"drained"');
    expect((await drained).status).toBe(200);
    expect(await served.running.exited).toBe(0);
    const closed = served.log().filter(({ msg }) => msg === 'stopped');
    expect(closed.map((line) => line['closed'])).toEqual([2, 2]);
    await closeAll(clients);
  });
});

describe('workers', () => {
  test('need a bus', async () => {
    const { code, output } = await pith('check', '--set', 'workers=2');
    expect(code).toBe(78);
    expect(output).toContain(
      'workers: more than 1 needs a NATS bus, by which the workers reach the players of each other; set bus: nats://host:4222, or leave workers at 1',
    );
  });

  test('end in order when their parent is killed', async () => {
    await using served = await serveBy(2, nats);
    const [client] = await connect(served, 1);
    const pids = workersOf(served);
    served.running.kill('SIGKILL');
    await client!.ended;
    const isAlive = (pid: number): boolean => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    };
    await eventually(() => !pids.some(isAlive), 'their end');
    expect(served.log().filter(({ msg }) => msg === 'stopped').length).toBe(2);
  });
});
