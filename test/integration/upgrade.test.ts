/** `pith upgrade`: the real program, its parent and workers, and versions of it on disk. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { run } from '../support/process.ts';
import { type Edit, Releases } from '../support/releases.ts';
import { pith, type Served, serveOther } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
limits: { messages_per_second: 1000000, burst: 1000000 }
`;

type Outcome = { readonly code: number | string; readonly output: string };

/** What an operator calls. */
function upgrade({ running }: Served, main: string, ...args: readonly string[]): Promise<Outcome> {
  return run(process.execPath, [main, 'upgrade', '--pid', String(running.pid), ...args], {});
}

/** Process ids of the workers. */
function workersOf({ running: { pid } }: Served): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

type One = AsyncDisposable & { readonly releases: Releases; readonly served: Served };

/** An upgrade that has begun its successor, which takes its time, under one client. */
async function upgradeSlowly({ served, releases }: Awaited<ReturnType<typeof serveOne>>) {
  const [client] = await connect(served, 1);
  releases.install('2.0.0', SLOW);
  const upgrading = upgrade(served, releases.main);
  await served.logged('takes its time');
  return { client: client!, upgrading, workers: workersOf(served) };
}

/** One gateway that can be upgraded, from version 1.0.0. */
async function serveOne(edits: readonly Edit[] = [], yaml = ECHO): Promise<One> {
  const releases = new Releases();
  releases.install('1.0.0', edits);
  const served = await serveOther(releases.main, yaml, '--upgradable');
  await served.logged('all workers are ready');
  return {
    ...{ releases, served },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      releases[Symbol.dispose]();
    },
  };
}

async function connect({ port }: Served, count: number): Promise<TestClient[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => TestClient.connect(port, i % 2 === 0 ? 'ws' : 'tcp')),
  );
}

async function closeAll(clients: readonly TestClient[]): Promise<void> {
  for (const client of clients) await client[Symbol.asyncDispose]();
}

/** Lets all ask, one request after another, until `stop`. */
function asking(clients: readonly TestClient[]): {
  readonly answers: () => number;
  stop(): Promise<void>;
} {
  let isOver = false;
  let answers = 0;
  const all = clients.map(async (client) => {
    while (!isOver) {
      expect(await client.request('echo.a')).toEqual({ code: 200 });
      answers++;
    }
  });
  return {
    answers: () => answers,
    stop: async () => {
      isOver = true;
      await Promise.all(all);
    },
  };
}

describe('one gateway', () => {
  test('goes on in the version that is on disk, and its clients ask on', async () => {
    await using one = await serveOne();
    const { served, releases } = one;
    const clients = await connect(served, 20);
    const load = asking(clients);
    const [before] = workersOf(served);
    releases.install('2.0.0');
    const { code, output } = await upgrade(served, releases.main);
    expect(output).toMatch(
      /^upgrading the gateway of pid \d+\nworker 1 \(pith-\w{10}, pid \d+\): beginning its successor\nworker 1: version 1\.0\.0 is followed by 2\.0\.0 \(pid \d+\): 20 clients moved, paused for \d+ ms\nupgraded: 1 of 1 workers\n$/,
    );
    expect(code).toBe(0);
    const answered = load.answers();
    await eventually(() => load.answers() > answered + 100, 'answers of the new process');
    await load.stop();
    expect(isAlive(before!)).toBe(false);
    const [listening, again] = served.log().filter(({ msg }) => msg === 'listening');
    expect(again!['gateway']).toBe(listening!['gateway']);
    expect(again!['clients']).toEqual(listening!['clients']);
    const more = await connect(served, 2);
    for (const client of more) expect(await client.request('echo.a')).toEqual({ code: 200 });
    expect(clients.filter(({ isEnded }) => isEnded)).toEqual([]);
    await closeAll([...clients, ...more]);
    // Once more, from the one that has taken over.
    releases.install('3.0.0');
    const { output: json } = await upgrade(served, releases.main, '--json');
    expect(JSON.parse(json)).toMatchObject({ workers: [{ from: '2.0.0', to: '3.0.0' }], why: '' });
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
  });

  test('is upgraded by SIGUSR2, which its worker and one without a parent ignore', async () => {
    await using one = await serveOne();
    const { served } = one;
    const [worker] = workersOf(served);
    process.kill(worker!, 'SIGUSR2');
    await served.running.waitFor(/SIGUSR2 is ignored: it is for the parent of the workers/);
    served.running.kill('SIGUSR2');
    await served.logged('upgraded');
    expect(workersOf(served)).not.toContain(worker);
  });

  test('newcomers who come meanwhile are served', async () => {
    await using one = await serveOne();
    const { served, releases } = one;
    let isOver = false;
    let came = 0;
    const coming = (async () => {
      while (!isOver) {
        const client = await TestClient.connect(served.port, came % 2 === 0 ? 'ws' : 'tcp');
        expect(await client.request('echo.a')).toEqual({ code: 200 });
        await client[Symbol.asyncDispose]();
        came++;
      }
    })();
    expect((await upgrade(served, releases.main)).code).toBe(0);
    const before = came;
    await eventually(() => came > before + 5, 'newcomers of the new process');
    isOver = true;
    await coming;
  });

  test('its counters do not fall', async () => {
    await using one = await serveOne();
    const { served, releases } = one;
    const requests = async (): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${served.adminPort}/metrics`)).text();
      return Number(/^pith_requests_total\{.*outcome="ok"\} (\d+)$/m.exec(text)?.[1]);
    };
    const [client] = await connect(served, 1);
    for (let i = 0; i < 10; i++) await client!.request('echo.a');
    expect((await upgrade(served, releases.main)).code).toBe(0);
    for (let i = 0; i < 5; i++) await client!.request('echo.a');
    expect(await requests()).toBe(15);
    await closeAll([client!]);
  });
});

describe('nothing changes', () => {
  test.each([
    [
      'the new version keeps another state',
      [['takeover/session-state.ts', 'STATE_VERSION = 5;', 'STATE_VERSION = 6;']],
      /not upgraded: worker 1: it reads version 6 of the state, and this process writes 5/,
    ],
    [
      'the new version cannot be loaded',
      [['serve-worker.ts', "'./workers/own-worker.ts'", "'./workers/none.ts'"]],
      /not upgraded: worker 1: it did not begin \(it ended with exit code 1\)/,
    ],
    [
      'the new version does not know of takeovers',
      [['serve-worker.ts', 'const from = begun.isSuccessor ?', 'const from = begun.worker < 0 ?']],
      /\(the program on disk does not know how to take over\)/,
    ],
    [
      'the new version crashes when it has the sessions',
      [['takeover/take-over.ts', 'this.#parts!.restore(state);', 'process.exit(3);']],
      /it has not gone on in time \(it ended with exit code 3\)/,
    ],
    [
      'the new version cannot make a session',
      [['takeover/take-over.ts', 'this.#parts!.restore(state);', "throw new Error('no room');"]],
      /not upgraded: worker 1: no room/,
    ],
  ] as [string, Edit[], RegExp][])('%s', async (_what, edits, why) => {
    await using one = await serveOne();
    const { served, releases } = one;
    const clients = await connect(served, 10);
    const load = asking(clients);
    const [before] = workersOf(served);
    releases.install('2.0.0', edits);
    const { code, output } = await upgrade(served, releases.main);
    expect(output).toMatch(why);
    expect(output).toMatch(/; nothing has changed\n$/);
    expect(code).toBe(1);
    await load.stop();
    expect(workersOf(served)).toEqual([before]);
    const more = await connect(served, 2);
    for (const client of [...clients, ...more])
      expect(await client.request('echo.b')).toEqual({ code: 200 });
    await closeAll([...clients, ...more]);
    // It can be tried again.
    releases.install('2.0.1');
    expect((await upgrade(served, releases.main)).code).toBe(0);
  });

  test('the configuration on disk is wrong, or has other listeners', async () => {
    await using one = await serveOne();
    const { served, releases } = one;
    served.rewrite(`${ECHO}nonsense: 1\n`);
    const wrong = await upgrade(served, releases.main);
    expect(wrong.output).toMatch(/worker 1: .*pith\.yaml:\d+: nonsense: unknown key/);
    served.rewrite(`${ECHO}listen: [{ url: "ws://127.0.0.1:0" }]\n`);
    const other = await upgrade(served, releases.main);
    expect(other.output).toMatch(/worker 1: listen\[0\]\.url: changed, which needs a restart/);
    expect([wrong.code, other.code]).toEqual([1, 1]);
  });

  test('two upgrades at once: the second is refused', async () => {
    await using one = await serveOne();
    const { served, releases } = one;
    const both = await Promise.all([
      upgrade(served, releases.main),
      upgrade(served, releases.main),
    ]);
    expect(new Set(both.map(({ code }) => code))).toEqual(new Set([0, 1]));
    expect(both.find(({ code }) => code === 1)!.output).toMatch(
      /not upgraded: an upgrade is under way already/,
    );
  });

  test('nobody is there to be upgraded', async () => {
    expect(await pith('upgrade', '--pid', String(process.pid))).toEqual({
      code: 69,
      output: expect.stringMatching(/is not the parent of workers/) as string,
    });
    expect((await pith('upgrade', '--pid', 'x')).code).toBe(64);
  });
});

/** It takes its time before it says that it is prepared. */
const SLOW: Edit[] = [
  [
    'takeover/take-over.ts',
    "this.#line.say({ say: 'prepared' });",
    "log.info({}, 'takes its time'); await sleep(clock, 30_000); this.#line.say({ say: 'prepared' });",
  ],
];

describe('meanwhile', () => {
  test('the old process crashes: its clients are closed, and it is begun again from what is on disk', async () => {
    await using one = await serveOne([
      ['takeover/hand-over.ts', 'wheel.pause();', "process.kill(process.pid, 'SIGKILL');"],
    ]);
    const { served, releases } = one;
    const clients = await connect(served, 4);
    releases.install('2.0.0');
    const { code, output } = await upgrade(served, releases.main);
    expect(output).toMatch(/not upgraded: worker 1: .*; it has ended, its clients have lost/);
    expect(code).toBe(1);
    await Promise.all(clients.map(({ ended }) => ended));
    await served.logged('the worker is ready again');
    const [client] = await connect(served, 1);
    expect(await client!.request('echo.a')).toEqual({ code: 200 });
    await closeAll([client!]);
  });

  test('the parent is killed: both processes end, and the old one drains', async () => {
    await using one = await serveOne();
    const { served } = one;
    const { client, upgrading, workers } = await upgradeSlowly(one);
    expect(workers.length).toBe(2);
    served.running.kill('SIGKILL');
    expect((await upgrading).code).toBe(1);
    await client.ended;
    const closed = served.log().find(({ msg }) => msg === 'session closed');
    expect(closed).toMatchObject({ reason: 'draining' });
    await eventually(() => !workers.some(isAlive), 'both to end');
  });

  test('a drain comes: nothing is handed over, and all end', async () => {
    await using one = await serveOne();
    const { served } = one;
    const { client, upgrading, workers } = await upgradeSlowly(one);
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
    const { code, output } = await upgrading;
    expect(code).toBe(1);
    // The parent may be gone before it can say so.
    expect(output).toMatch(
      /(not upgraded: the gateway drains; nothing has changed|the gateway has ended before the upgrade had)\n$/,
    );
    await client.ended;
    await eventually(() => !workers.some(isAlive), 'both to end');
  });
});

test('500 clients that ask all the time: none is closed, and none waits in vain', async () => {
  await using one = await serveOne();
  const { served, releases } = one;
  const clients: TestClient[] = [];
  while (clients.length < 500) clients.push(...(await connect(served, 50)));
  const load = asking(clients);
  releases.install('2.0.0');
  const { code, output } = await upgrade(served, releases.main);
  expect(output).toMatch(/ 500 clients moved, paused/);
  expect(code).toBe(0);
  await load.stop();
  for (const client of clients) expect(await client.request('echo.b')).toEqual({ code: 200 });
  expect(clients.filter(({ isEnded }) => isEnded)).toEqual([]);
  await closeAll(clients);
});
