/** The examples in TypeScript and Python do what those in Go do (chat.test.ts), and `make run` starts one. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { CHAT_ROUTES, expectChat, expectCorners, expectLeave } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { installPython, startPythonChat, startTsChat } from '../support/examples.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { freePort, run, start } from '../support/process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function gatewayTo(grpc: string): Promise<TestGateway> {
  return startGateway(`backends: { chat: { grpc: "${grpc}" } }\n${CHAT_ROUTES}`);
}

async function expectWholeChat(gateway: TestGateway): Promise<void> {
  await using ann = await TestClient.connect(gateway.port, 'tcp');
  await using bob = await TestClient.connect(gateway.port, 'ws');
  await expectChat(ann, bob);
  await using zoe = await TestClient.connect(gateway.port, 'ws');
  await using ben = await TestClient.connect(gateway.port, 'tcp');
  await expectCorners(zoe, ben);
}

async function expectLeaving(gateway: TestGateway): Promise<void> {
  await using ann = await TestClient.connect(gateway.port, 'tcp');
  await using bob = await TestClient.connect(gateway.port, 'ws');
  await expectLeave(ann, bob);
}

describe('the chat in TypeScript', () => {
  test('over a Link; SIGTERM ends it with 0', async () => {
    await using backend = await startTsChat();
    await using gateway = await gatewayTo(backend.address);
    await expectWholeChat(gateway);
    await expectLeaving(gateway);
    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
  });

  test('by Handle, where Link is off', async () => {
    await using backend = await startTsChat({ LINK: 'off' });
    await using gateway = await gatewayTo(backend.address);
    await expectWholeChat(gateway);
    expect(gateway.log.some((line) => line['state'] === 'handle')).toBe(true);
  });

  test('on a Unix socket, also where a killed one has left it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pith-chat-'));
    try {
      const env = { ADDR: `unix:${join(dir, 'chat.sock')}` };
      await using killed = await startTsChat(env);
      killed.kill('SIGKILL');
      await killed.exited;
      await using _backend = await startTsChat(env);
      await using gateway = await gatewayTo(`unix://${join(dir, 'chat.sock')}`);
      await expectWholeChat(gateway);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('the chat in Python', () => {
  test('on plain NATS; SIGTERM ends it with 0', async (ctx) => {
    const python = await installPython();
    if (python === null) return ctx.skip('there is no Python 3.9 with venv and pip');
    await using nats = await startNats();
    await using backend = await startPythonChat(python, nats.url);
    await using gateway = await startGateway(
      `bus: ${nats.url}\nbackends: { chat: { nats: {} } }\n${CHAT_ROUTES}`,
    );
    await expectWholeChat(gateway);
    await expectLeaving(gateway);
    await using ann = await TestClient.connect(gateway.port, 'tcp');
    expect(await ann.request('chat.room.whisper', { to: 'nobody', text: 'psst' })).toEqual({
      code: 404,
      reason: 'OFFLINE',
    });
    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
  });
});

describe('make run', () => {
  const FREE = {
    PITH_CONTROL__LISTEN: '127.0.0.1:0',
    PITH_ADMIN__LISTEN: '127.0.0.1:0',
    PITH_HEALTH__LISTEN: '127.0.0.1:0',
  };

  /** `make run` without make, which would install packages now, and ends with a code of its own on a signal. */
  const makeRun = (port: number) =>
    start(process.execPath, ['src/main.ts', 'dev'], {
      cwd: ROOT,
      env: { ...FREE, PITH_LISTEN__0__URL: `auto://127.0.0.1:${port}` },
    });

  test('is that', async () => {
    const { code, output } = await run('make', ['-n', 'run'], { cwd: ROOT });
    expect(output).toContain('node src/main.ts dev');
    expect(code).toBe(0);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'starts gateway and chat, and %s stops both with 0',
    async (signal) => {
      const port = await freePort();
      await using demo = await makeRun(port);
      await demo.waitFor(/client ws:\/\/127\.0\.0\.1:\d+\n/);
      expect(demo.output()).toContain(`pith -- client ws://127.0.0.1:${port}\n`);
      const [, playground] = await demo.waitFor(/^ {2}playground (http:\S+\/playground)$/m);
      expect((await fetch(playground!)).status).toBe(200);
      const pids = await childrenOf(demo.pid);
      expect(pids).toHaveLength(2);

      await using ann = await TestClient.connect(port, 'ws');
      await using bob = await TestClient.connect(port, 'tcp');
      expect(await ann.request('gate.gateHandler.queryEntry', { uid: '1' })).toEqual({
        code: 200,
        host: '127.0.0.1',
        port,
      });
      await expectChat(ann, bob);

      demo.kill(signal);
      expect(await demo.exited).toBe(0);
      expect(pids.filter(isAlive)).toEqual([]);
    },
  );

  test('says what to do when a port is taken, and leaves nothing behind', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    try {
      const { port } = taken.address() as net.AddressInfo;
      await using demo = await makeRun(port);
      await demo.waitFor(/listening on/);
      const pids = await childrenOf(demo.pid);
      expect(await demo.exited).toBe(1);
      expect(demo.output()).toContain(`127.0.0.1:${port} is taken`);
      expect(demo.output()).toContain('PITH_LISTEN__0__URL=auto://127.0.0.1:3011');
      expect(pids.filter(isAlive)).toEqual([]);
    } finally {
      taken.close();
    }
  });

  test('ends with 1 when the chat dies', async () => {
    await using demo = await makeRun(await freePort());
    await demo.waitFor(/client ws:\/\/127\.0\.0\.1:\d+\n/);
    const pids = await childrenOf(demo.pid);
    process.kill(pids[0]!, 'SIGKILL');
    expect(await demo.exited).toBe(1);
    expect(demo.output()).toContain('chat-ts-grpc/main.ts ended (SIGKILL)');
    expect(pids.filter(isAlive)).toEqual([]);
  });
});

/** In the order in which they were started. */
async function childrenOf(parent: number): Promise<number[]> {
  const { output } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
  return output
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid!)
    .sort((a, b) => a - b);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
