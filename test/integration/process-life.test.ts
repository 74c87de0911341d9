/** The real process: it lives while whatever it needs is away, and ends with 0 when it is told to, whatever it waits for. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import type { LogLine } from '../support/gateway.ts';
import { socketPath } from '../support/ipc-backend.ts';
import { startNats } from '../support/nats.ts';
import { freePort, start } from '../support/process.ts';
import { configFile, ROOT, serve } from '../support/serve.ts';

const AWAY =
  'bus unreachable; listening anyway and retrying, and not ready until it is reached: is nats-server running at ';

/** Takes connections, reads nothing, says nothing. */
async function blackHole(): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ pauseOnConnect: true }, (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const messages = (log: readonly LogLine[]): string[] => log.map(({ msg }) => msg);

async function readyz(port: number): Promise<[number, string]> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  return [answer.status, await answer.text()];
}

const NATS = `
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game }]
`;

describe('without NATS at the start', () => {
  /** Where it is not, and what the log says of it. */
  const places: [string, () => Promise<{ at: string } & AsyncDisposable>, RegExp][] = [
    [
      'nobody listens',
      async () => ({ at: `127.0.0.1:${await freePort()}`, [Symbol.asyncDispose]: async () => {} }),
      /^connection refused$/,
    ],
    [
      'the name is unknown',
      () => Promise.resolve({ at: 'nats.invalid:4222', [Symbol.asyncDispose]: async () => {} }),
      /nats\.invalid/,
    ],
    [
      'nobody answers',
      async () => {
        const hole = await blackHole();
        return {
          at: `127.0.0.1:${hole.port}`,
          [Symbol.asyncDispose]: () => hole[Symbol.asyncDispose](),
        };
      },
      /^no answer yet$/,
    ],
  ];

  test.each(places)(
    '%s: it listens, answers 503, is not ready, says what to do, and stops with 0',
    async (_, make, why) => {
      await using place = await make();
      await using served = await serve(`bus: nats://${place.at}\n${NATS}`);
      expect(await readyz(served.healthPort)).toEqual([503, 'not connected to the bus yet\n']);
      await using client = await TestClient.connect(served.port);
      expect(await client.request('a.b')).toMatchObject({ code: 503, reason: 'BUS_AWAY' });
      // The answer may be here before the line is.
      await served.logged('call failed');
      const told = served.log().filter(({ level }) => level === 'warn');
      expect(told).toEqual([
        expect.objectContaining({ msg: `${AWAY}${place.at}?`, why: expect.stringMatching(why) }),
        // What the request came to, for whoever looks for that.
        expect.objectContaining({ msg: 'call failed', reason: 'BUS_AWAY', route: 'a.b' }),
      ]);
      served.running.kill('SIGTERM');
      expect(await served.running.exited).toBe(0);
      expect(messages(served.log()).at(-1)).toBe('stopped');
      expect(served.running.output()).not.toContain('unsettled');
    },
  );

  test('it is ready when NATS has come, and the log tells it in four lines', async () => {
    await using nats = await startNats();
    await nats.kill();
    await using served = await serve(`bus: ${nats.url}\n`);
    await nats.restart();
    await served.logged('ready');
    expect(await readyz(served.healthPort)).toEqual([200, 'ok\n']);
    expect(messages(served.log())).toEqual([
      `${AWAY}127.0.0.1:${nats.port}? "bus: embedded" needs none`,
      'listening',
      'bus connected',
      'ready',
    ]);
  });

  test('told to stop before it listens, it stops with 0 and never listens', async () => {
    const port = await freePort();
    using file = configFile(
      `bus: nats://127.0.0.1:${port}\nlog: { format: json, level: debug }\nhealth: { listen: 127.0.0.1:0 }\n`,
    );
    await using running = await start(
      process.execPath,
      ['src/main.ts', 'serve', '--config', file.path],
      { cwd: ROOT },
    );
    // The last line of a start before it waits for the bus.
    await running.waitFor(/no routes/);
    running.kill('SIGTERM');
    expect(await running.exited).toBe(0);
    expect(running.output()).toContain('"msg":"stopped"');
    expect(running.output()).not.toContain('"msg":"listening"');
  });
});

/** All kinds of what a gateway may need beside NATS, in one place that is not as it should be. */
function everything(host: string, port: number, socket: string): string {
  const at = `${host}:${port}`;
  return `
bus: embedded
consul: { address: "${at}", register: true }
telemetry: { otlp: "http://${at}" }
backends:
  link: { grpc: "dns:///${at}" }
  method: { grpc: "dns:///${at}", mode: method, services: [t.Echo], reflection: true }
  found: { grpc: "consul:///game" }
  web: { http: "http://${at}" }
  pipe: { ipc: "unix://${socket}" }
routes:
  - { match: "link.>", backend: link, timeout: 300ms }
  - { match: "method.>", backend: method, method: t.Echo/Echo, timeout: 300ms }
  - { match: "found.>", backend: found, timeout: 300ms }
  - { match: "web.>", backend: web, timeout: 300ms }
  - { match: "pipe.>", backend: pipe, timeout: 300ms }
`;
}

describe('without its backends, Consul and the collector', () => {
  const places = [
    ['nobody listens', '127.0.0.1', () => freePort()],
    ['the name is unknown', 'away.invalid', () => Promise.resolve(80)],
    ['nobody answers', '127.0.0.1', null],
  ] as const;

  test.each(places)(
    '%s: it listens, is ready, answers 503 or 504, and stops with 0',
    async (_, host, port) => {
      await using hole = await blackHole();
      using folder = socketPath();
      const to = port === null ? hole.port : await port();
      const silent =
        port === null ? net.createServer({ pauseOnConnect: true }).listen(folder.path) : null;
      await using served = await serve(everything(host, to, folder.path));
      expect(await readyz(served.healthPort)).toEqual([200, 'ok\n']);
      await using client = await TestClient.connect(served.port);
      for (const name of ['link', 'method', 'found', 'web', 'pipe'])
        expect(await client.request(`${name}.a`), name).toMatchObject({
          code: expect.toSatisfy((code) => code === 503 || code === 504),
        });
      served.running.kill('SIGTERM');
      expect(await served.running.exited).toBe(0);
      expect(messages(served.log()).at(-1)).toBe('stopped');
      silent?.close();
    },
  );
});

describe('signals', () => {
  test('SIGUSR1 opens no debugger; it, SIGUSR2, SIGHUP and SIGPIPE leave the gateway as it is', async () => {
    await using served = await serve('');
    for (const name of ['SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGPIPE'] as const)
      served.running.kill(name);
    await served.logged('SIGUSR1 is ignored');
    await served.running.waitFor(/SIGUSR2 is ignored: only pith serve with workers/);
    expect(await served.logged('configuration reloaded')).toMatchObject({ why: 'SIGHUP' });
    expect(await readyz(served.healthPort)).toEqual([200, 'ok\n']);
    expect(served.running.output()).not.toMatch(/debugger/i);
    served.running.kill('SIGTERM');
    expect(await served.running.exited).toBe(0);
  });
});
