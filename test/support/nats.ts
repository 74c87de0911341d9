/** A real nats-server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type NatsConnection } from 'nats';

import { freePort, type Running, start } from './process.ts';

export type TestNats = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  /** A client of its own for the test; closed with the server. */
  connect(options?: ConnectionOptions): Promise<NatsConnection>;
  /** kill -9. */
  kill(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Starts it again on the same port when it has ended; with other lines in its configuration, where they are given. */
  restart(lines?: string): Promise<void>;
};

/** @param config Lines for its configuration file, such as permissions; `jetstream: true` works too. */
export async function startNats(config = ''): Promise<TestNats> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'pith-nats-'));
  const file = join(dir, 'nats.conf');
  const configure = (lines: string): void => {
    writeFileSync(file, `listen: 127.0.0.1:${port}\n${lines.replaceAll('$DIR', dir)}\n`);
  };
  configure(config);
  const launch = (): Promise<Running> =>
    start('nats-server', ['-c', file], { ready: /Server is ready/ });
  let server = await launch();
  const clients: NatsConnection[] = [];
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    async connect(options = {}) {
      const client = await connect({ servers: `127.0.0.1:${port}`, ...options });
      clients.push(client);
      return client;
    },
    async kill() {
      server.kill('SIGKILL');
      await server.exited;
    },
    signal(name) {
      server.kill(name);
    },
    async restart(lines) {
      if (lines !== undefined) configure(lines);
      await server.exited;
      server = await launch();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()));
      await server[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
