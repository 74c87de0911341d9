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
  /** Starts it again on the same port. */
  restart(): Promise<void>;
};

/** @param config Lines for its configuration file, such as permissions; `jetstream: true` works too. */
export async function startNats(config = ''): Promise<TestNats> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'pith-nats-'));
  const file = join(dir, 'nats.conf');
  writeFileSync(file, `listen: 127.0.0.1:${port}\n${config.replaceAll('$DIR', dir)}\n`);
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
    async restart() {
      server = await launch();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()));
      await server[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
