/** `pith serve` as the child of another program: what it tells its parent, how it ends with it, and its exit codes. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { buildExample } from '../support/go.ts';
import { hasProgram } from '../support/npm-clients.ts';
import { freePort, type Running, start } from '../support/process.ts';
import { type ConfigFile, configFile, pith, ROOT, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const MAIN = join(ROOT, 'src/main.ts');
const FREE_PORTS = `
listen: [{ url: "auto://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { format: json }
`;
const GATE = `${FREE_PORTS}
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]
`;

type Ready = {
  gateway: string;
  version: string;
  pid: number;
  clients: string[];
  controlPort: number;
  adminPort: number;
  pages: string[];
  healthPort: number;
  notReady: string[];
};

type Child = AsyncDisposable & {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  /** All that came on descriptor 3, once it is closed. */
  readonly told: Promise<string>;
  readonly code: Promise<number | null>;
  output(): string;
};

/** Starts it as a supervisor does, with a pipe as stdin and one as descriptor 3. */
function startChild(file: ConfigFile): Child {
  const args = [MAIN, 'serve', file.path, '--ready-fd', '3', '--exit-with-parent'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = once(child, 'close').then(([exit]) => exit as number | null);
  return {
    process: child,
    told: text(child.stdio[3] as Readable),
    code,
    output: () => output,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await code;
    },
  };
}

const portOf = (url: string): number => Number(url.split(':').pop());

describe('--ready-fd', () => {
  test('gets one line with the real addresses once it listens, and is closed', async () => {
    using file = configFile(GATE);
    await using child = startChild(file);
    const told = await child.told;
    expect(told).toMatch(/^\{[^\n]*\}\n$/);
    const ready = JSON.parse(told) as Ready;
    const { version } = (await import(join(ROOT, 'package.json'), { with: { type: 'json' } }))
      .default as { version: string };
    expect(ready).toEqual({
      gateway: expect.stringMatching(/^pith-/),
      version,
      pid: child.process.pid,
      clients: [expect.stringMatching(/^auto:\/\/127\.0\.0\.1:[1-9]\d*$/)],
      controlPort: expect.any(Number),
      adminPort: expect.any(Number),
      pages: ['playground', 'console'].map((page) => `http://127.0.0.1:${ready.adminPort}/${page}`),
      healthPort: expect.any(Number),
      notReady: [],
    });
    expect((await fetch(ready.pages[0]!)).status).toBe(200);
    await using client = await TestClient.connect(portOf(ready.clients[0]!));
    expect(await client.request('gate.a')).toEqual({ code: 200 });
    expect((await fetch(`http://127.0.0.1:${ready.healthPort}/readyz`)).status).toBe(200);
    const info = await fetch(`http://127.0.0.1:${ready.adminPort}/v1/GetInfo`, { method: 'POST' });
    expect(await info.json()).toMatchObject({ gateway: ready.gateway });
  });

  test('says why it is not ready yet, where NATS is away', async () => {
    using file = configFile(`${GATE}bus: nats://127.0.0.1:${await freePort()}\n`);
    await using child = startChild(file);
    expect(JSON.parse(await child.told)).toMatchObject({
      notReady: ['not connected to the bus yet'],
    });
  });

  test('gets nothing from one that cannot listen', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as net.AddressInfo;
    using file = configFile(GATE.replace('127.0.0.1:0', `127.0.0.1:${port}`));
    await using child = startChild(file);
    expect(await child.told).toBe('');
    expect(await child.code).toBe(71);
    taken.close();
  });

  test.each(['0', '2', '-1', 'three', '3.5', ''])('%j is refused', async (number) => {
    const { code, output } = await pith('serve', `--ready-fd=${number}`);
    expect(output).toContain(`pith: --ready-fd ${number}: expected a number from 3 on`);
    expect(code).toBe(64);
  });

  // Under these numbers Node has pipes and more of its own, which must not be written to.
  test('a number that the parent has not passed on is refused', async () => {
    for (const number of ['3', '5', '6', '7', '900']) {
      const { code, output } = await pith('serve', '--ready-fd', number);
      expect(output).toContain(`pith: --ready-fd ${number}: the parent has not passed on a pipe`);
      expect(code).toBe(64);
    }
  });
});

describe('--exit-with-parent', () => {
  test('drains when stdin ends', async () => {
    using file = configFile(GATE);
    await using child = startChild(file);
    const { clients } = JSON.parse(await child.told) as Ready;
    await using client = await TestClient.connect(portOf(clients[0]!));
    // Whatever is written there means nothing.
    child.process.stdin.write('x'.repeat(100_000));
    expect(await client.request('gate.a')).toEqual({ code: 200 });
    child.process.stdin.end();
    await client.ended;
    expect(await child.code).toBe(0);
    const messages = child.output().match(/"msg":"[^"]*"/g);
    expect(messages).toEqual([
      '"msg":"listening"',
      '"msg":"stdin has ended, so the parent is gone: stopping"',
      '"msg":"draining"',
      '"msg":"session closed"',
      '"msg":"stopped"',
    ]);
    expect(child.output()).toContain('"closed":1,"forced":0');
  });

  test('is no second signal: a drain goes on when the parent ends before it', async () => {
    using file = configFile(`${GATE}drain: { accept_for: 1s }\n`);
    await using child = startChild(file);
    await child.told;
    child.process.kill('SIGTERM');
    await eventually(() => child.output().includes('"draining"'), 'the drain');
    child.process.stdin.end();
    expect(await child.code).toBe(0);
    const at = (msg: string): number =>
      Date.parse(new RegExp(`"time":"([^"]*)"[^\n]*"${msg}"`).exec(child.output())![1]!);
    expect(at('stopped') - at('draining')).toBeGreaterThanOrEqual(950);
  });

  test('is refused where stdin does not end with the parent', async () => {
    const { code, output } = await pith('serve', '--exit-with-parent');
    expect(output).toContain('pith: --exit-with-parent: stdin is neither a pipe nor a socket');
    expect(code).toBe(64);
  });

  test('without it the gateway outlives the end of stdin', async () => {
    await using served = await serve(GATE.slice(FREE_PORTS.length));
    await using client = await TestClient.connect(served.port);
    expect(await client.request('gate.a')).toEqual({ code: 200 });
  });
});

// The table of deploy/README.md, "As a child process"; 69 is in packages.test.ts, since it takes an older Node.
describe('the exit code', () => {
  const listening = async (args: string[] = []): Promise<[Running, ConfigFile]> => {
    const file = configFile(GATE);
    const running = await start(process.execPath, [...args, MAIN, 'serve', file.path], {
      ready: /"listening"/,
    });
    return [running, file];
  };

  test.each(['SIGTERM', 'SIGINT'] as const)('is 0 after %s', async (signal) => {
    const [running, file] = await listening();
    await using _running = running;
    using _file = file;
    running.kill(signal);
    expect(await running.exited).toBe(0);
    expect(running.output()).toContain('"msg":"stopped"');
  });

  test('is 0 also when a second signal has ended the drain', async () => {
    await using served = await serve(`${GATE.slice(FREE_PORTS.length)}drain: { accept_for: 1h }\n`);
    served.running.kill('SIGTERM');
    await served.logged('draining');
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
    await served.logged('stopped');
  });

  test('is 64 for wrong arguments', async () => {
    expect((await pith('serve', '--nope')).code).toBe(64);
  });

  test('is 70 for an internal error', async () => {
    const broken = `process.on('SIGWINCH', () => { throw new Error('a bug'); });`;
    const [running, file] = await listening(['--import', `data:text/javascript,${broken}`]);
    await using _running = running;
    using _file = file;
    running.kill('SIGWINCH');
    expect(await running.exited).toBe(70);
    expect(running.output()).toContain('pith: internal error\nError: a bug');
  });

  test('is 71 where it cannot listen', async () => {
    await using served = await serve('');
    using file = configFile(`listen: [{ url: "auto://127.0.0.1:${served.port}" }]`);
    expect((await pith('serve', file.path)).code).toBe(71);
  });

  test('is 78 for a wrong configuration', async () => {
    using file = configFile('colour: red');
    expect((await pith('serve', file.path)).code).toBe(78);
  });
});

describe.skipIf(!hasProgram('go'))('the supervisor in Go', () => {
  const supervise = async (path: string): Promise<Running> =>
    start(await buildExample('supervise-go'), [path], {
      env: { PITH: `${process.execPath} ${MAIN}` },
    });

  const pids = (running: Running): number[] =>
    [...running.output().matchAll(/started, pid (\d+)/g)].map((match) => Number(match[1]));

  test('starts a killed gateway again, and drains it at SIGTERM', async () => {
    using file = configFile(GATE);
    await using supervisor = await supervise(file.path);
    const [, port] = await supervisor.waitFor(/listens at auto:\/\/127\.0\.0\.1:(\d+),/);
    await using lost = await TestClient.connect(Number(port));
    process.kill(pids(supervisor)[0]!, 'SIGKILL');
    await lost.ended;
    await supervisor.waitFor(/ended by itself, signal: killed; again in 250ms/);
    const [, next] = await supervisor.waitFor(/again in 250ms[^]*listens at auto:[^:]*:(\d+),/);
    expect(pids(supervisor)).toHaveLength(2);
    await using client = await TestClient.connect(Number(next));
    expect(await client.request('gate.a')).toEqual({ code: 200 });
    supervisor.kill('SIGTERM');
    expect(await supervisor.exited).toBe(0);
    await client.ended;
    expect(supervisor.output()).toMatch(
      /"draining"}\n[^]*"closed":1,"forced":0,"msg":"stopped"}\nsupervisor: stopped, exit status 0\n$/,
    );
  });

  test('is not outlived by its gateway, which drains when the supervisor is killed', async () => {
    using file = configFile(GATE);
    await using supervisor = await supervise(file.path);
    const [, port] = await supervisor.waitFor(/listens at auto:\/\/127\.0\.0\.1:(\d+),/);
    await using client = await TestClient.connect(Number(port));
    supervisor.kill('SIGKILL');
    await client.ended;
    // Its output ends when the gateway, which writes to it too, has ended.
    expect(await supervisor.exited).toBe('SIGKILL');
    expect(supervisor.output()).toMatch(/"closed":1,"forced":0,"msg":"stopped"}\n$/);
  });

  test('does not start again what a restart cannot mend', async () => {
    using file = configFile('colour: red');
    await using supervisor = await supervise(file.path);
    expect(await supervisor.exited).toBe(78);
    expect(pids(supervisor)).toHaveLength(1);
    expect(supervisor.output()).toContain('exit status 78: a restart would not help');
  });
});
