/** How each alert is caused on a real gateway, from outside. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';

import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startNats } from '../support/nats.ts';
import { freePort } from '../support/process.ts';
import { ACK, HANDSHAKE } from '../support/raw.ts';
import { configFile, ROOT, type Served } from '../support/serve.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';
import type { Prometheus } from './prometheus.ts';

export type Stage = {
  readonly prometheus: Prometheus;
  /** Starts a gateway that is scraped, and waits until it has been. */
  gateway(yaml: string): Promise<Served>;
  /** Goes on until the end of the scenario, a tenth of a second apart. */
  again(work: () => Promise<unknown> | void): void;
  /** Is disposed of at the end. */
  use<T extends AsyncDisposable | Disposable>(thing: T): T;
};

/** The labels of the alert that has to fire, besides its name. */
type Labels = Readonly<Record<string, string>>;
type Cause = (stage: Stage) => Promise<Labels>;

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]`;

const instanceOf = ({ healthPort }: Served): Labels => ({ instance: `127.0.0.1:${healthPort}` });

async function call(gateway: Served, method: string, body: object, token = ''): Promise<Response> {
  const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
  const url = `http://127.0.0.1:${gateway.adminPort}/v1/${method}`;
  return fetch(url, { method: 'POST', body: JSON.stringify(body), headers });
}

async function ask(gateway: Served, method: string, body: object): Promise<unknown> {
  return JSON.parse((await (await call(gateway, method, body)).text()).split('\n')[0]!);
}

async function post(...args: Parameters<typeof call>): Promise<void> {
  await (await call(...args)).arrayBuffer();
}

/** A client that is let in and reads nothing from then on. */
async function deafClient({ port }: Served): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(HANDSHAKE);
  await once(socket, 'data');
  socket.write(ACK);
  socket.pause();
  return socket;
}

const closing = (sockets: readonly net.Socket[]): Disposable => ({
  [Symbol.dispose]() {
    for (const socket of sockets) socket.destroy();
  },
});

/** Requests to a backend that is not there. */
const noBackend: Cause = async (stage) => {
  const gateway = await stage.gateway(`
backends: { chat: { grpc: "127.0.0.1:${await freePort()}" } }
routes: [{ match: "chat.>", backend: chat }]`);
  const client = stage.use(await TestClient.connect(gateway.port));
  stage.again(async () => {
    await client.request('chat.a.b', {});
  });
  return { backend: 'chat' };
};

/** It gets a few milliseconds of each third of a second. */
const starved: Cause = async (stage) => {
  const gateway = await stage.gateway(`${ECHO}\nlimits: { event_loop_lag: 200ms }`);
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  stage.again(async () => {
    for (let i = 0; i < 30; i++) {
      gateway.running.kill('SIGSTOP');
      await pause(300);
      gateway.running.kill('SIGCONT');
      await pause(15);
    }
  });
  return instanceOf(gateway);
};

const tooMany: Cause = async (stage) => {
  const gateway = await stage.gateway(`${ECHO}\nlimits: { connections: 10 }`);
  for (let i = 0; i < 10; i++) stage.use(await TestClient.connect(gateway.port));
  stage.again(async () => {
    const socket = net.connect(gateway.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'close');
  });
  return instanceOf(gateway);
};

const deaf: Cause = async (stage) => {
  const gateway = await stage.gateway(`${ECHO}
limits: { outboxes: 4MiB, outbox: 4MiB, slow: { close_after: 60s } }`);
  stage.use(closing([await deafClient(gateway)]));
  const body = { text: 'x'.repeat(60_000) };
  const url = `http://127.0.0.1:${gateway.healthPort}/metrics`;
  await eventually(async () => {
    await post(gateway, 'Push', { push: { target: { all: true }, route: 'onX', body } });
    const held = /^pith_outbox_bytes (\d+)/m.exec(await (await fetch(url)).text());
    return Number(held![1]) > 3_500_000;
  }, 'an outbox that is nearly full');
  return instanceOf(gateway);
};

const deafOnes: Cause = async (stage) => {
  const gateway = await stage.gateway(`${ECHO}
limits: { outbox: 64KiB, slow: { drop_after: 100ms, close_after: 200ms } }`);
  const body = { text: 'x'.repeat(60_000) };
  // They come and are closed, again and again.
  stage.again(async () => {
    const sockets = await Promise.all([1, 2, 3, 4].map(() => deafClient(gateway)));
    while (sockets.some((socket) => !socket.closed)) {
      await post(gateway, 'Push', { push: { target: { all: true }, route: 'onX', body } });
      const url = `http://127.0.0.1:${gateway.healthPort}/metrics`;
      const text = await (await fetch(url)).text();
      if (/^pith_sessions 0$/m.test(text)) break;
    }
    closing(sockets)[Symbol.dispose]();
  });
  return instanceOf(gateway);
};

const noLogins: Cause = async (stage) => {
  const gateway = await stage.gateway(`${ECHO}
auth: { mode: jwt, jwt: { algorithms: [HS256], secrets: ["0123456789abcdef0123456789abcdef"] } }`);
  stage.again(async () => {
    const socket = net.connect(gateway.port, '127.0.0.1', () => socket.write(HANDSHAKE));
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'close');
  });
  return {};
};

const noReader: Cause = async (stage) => {
  // What nobody reads: a pipe to a program that sleeps.
  const health = await freePort();
  const port = await freePort();
  const file = stage.use(
    configFile(`
listen: [{ url: "tcp://127.0.0.1:${port}" }]
health: { listen: 127.0.0.1:${health} }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug, format: json }${ECHO}`),
  );
  const main = join(ROOT, 'src/main.ts');
  const child = spawn(process.execPath, [main, 'serve', file.path], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  stage.use({
    [Symbol.dispose]() {
      child.kill('SIGKILL');
    },
  });
  child.stdout.pause();
  stage.prometheus.scrape(`127.0.0.1:${health}`);
  const client = stage.use(
    await eventually(() => TestClient.connect(port).catch(() => null), 'the gateway'),
  );
  stage.again(async () => {
    for (let i = 0; i < 200; i++) await client.request('echo.a.b', {});
  });
  return { instance: `127.0.0.1:${health}` };
};

const largeEvents: Cause = async (stage) => {
  const nats = stage.use(await startNats());
  const gateway = await stage.gateway(`bus: "${nats.url}"${ECHO}
sessions: { data: 1MiB }
events: { data: ["*"] }`);
  stage.use(await TestClient.connect(gateway.port));
  const { sid } = (await ask(gateway, 'ListSessions', {})) as { sid: string };
  await post(gateway, 'SetData', { sid, set: { deck: 'x'.repeat(500_000) } });
  await nats.kill();
  // 16 MiB of events may wait; what was dropped is counted, and told, once NATS is back.
  for (let i = 0; i < 30; i++) {
    await post(gateway, 'Bind', { sid, uid: 'ann' });
    await post(gateway, 'Unbind', { sid });
  }
  await nats.restart();
  return instanceOf(gateway);
};

const backlog: Cause = async (stage) => {
  const nats = stage.use(await startNats());
  const gateway = await stage.gateway(`bus: "${nats.url}"
backends: { far: { nats: {} } }
routes: [{ match: "far.>", backend: far, timeout: 60s }]
limits: { packet: 1MiB, in_flight_bytes: 1024MiB }`);
  const client = stage.use(await TestClient.connect(gateway.port));
  // The server is stopped, and the connection not yet given up: what is sent waits.
  nats.signal('SIGSTOP');
  const text = 'x'.repeat(900_000);
  for (let i = 0; i < 14; i++) client.notify('far.a.b', { text });
  return instanceOf(gateway);
};

/** What causes each alert. PithInternalErrors has no way in from outside, and is tried by promtool alone. */
export const CAUSES: Readonly<Record<string, Cause>> = {
  PithNoGateway: ({ prometheus }) => {
    prometheus.scrape();
    return Promise.resolve({});
  },
  PithGatewayDown: async (stage) => {
    const gateway = await stage.gateway(ECHO);
    gateway.running.kill('SIGKILL');
    return instanceOf(gateway);
  },
  PithBusAway: async (stage) => {
    const nats = stage.use(await startNats());
    const gateway = await stage.gateway(`bus: "${nats.url}"${ECHO}`);
    await nats.kill();
    return instanceOf(gateway);
  },
  PithBackendAway: noBackend,
  PithErrors: noBackend,
  PithSlow: async (stage) => {
    const backend = stage.use(
      await HttpBackend.start(async () => {
        await new Promise((resolve) => setTimeout(resolve, 1_300));
        return { body: '{}' };
      }),
    );
    const gateway = await stage.gateway(`
backends: { slow: { http: "${backend.url}" } }
routes: [{ match: "slow.>", backend: slow, order: none }]`);
    const client = stage.use(await TestClient.connect(gateway.port));
    stage.again(() => client.request('slow.a.b', {}));
    return { backend: 'slow' };
  },
  PithOverloaded: starved,
  PithEventLoopLag: starved,
  PithConnectionsNearLimit: tooMany,
  PithConnectionsRefused: async (stage) => ({
    ...(await tooMany(stage)),
    reason: 'connection_limit',
  }),
  PithLoginsRefused: noLogins,
  PithKeysStale: async (stage) => {
    const gateway = await stage.gateway(`${ECHO}
auth:
  mode: jwt
  jwt: { algorithms: [ES256], issuer: me, jwks_url: "https://127.0.0.1:${await freePort()}/keys" }`);
    return instanceOf(gateway);
  },
  PithCertificateExpires: async (stage) => {
    const folder = stage.use(new SecretFolder(new Authority().issue('gateway', 13)));
    const gateway = await stage.gateway(`
listen: [{ url: "wss://127.0.0.1:0", tls: { cert: ${folder.cert}, key: ${folder.key} } }]${ECHO}`);
    return instanceOf(gateway);
  },
  PithOutboxNearLimit: deaf,
  PithSlowConsumers: deafOnes,
  PithConfigRefused: async (stage) => {
    const gateway = await stage.gateway(ECHO);
    gateway.rewrite('routes: [{ match: "a..b", backend: none }]');
    gateway.running.kill('SIGHUP');
    return instanceOf(gateway);
  },
  PithBackendMessagesDropped: async (stage) => {
    const at = stage.use(socketPath());
    const backend = stage.use(await IpcBackend.start(at.path));
    const gateway = await stage.gateway(`
backends: { old: { ipc: "unix://${at.path}" } }
routes: [{ match: "old.>", backend: old }]`);
    await eventually(() => backend.sockets.size > 0, 'the connection to the backend');
    for (const socket of backend.sockets) socket.write('this is no JSON\n');
    return { ...instanceOf(gateway), backend: 'old' };
  },
  PithEventsDropped: largeEvents,
  PithBusBacklog: backlog,
  PithLogLinesDropped: noReader,
  PithTracesLost: async (stage) => {
    const gateway = await stage.gateway(`${ECHO}
telemetry: { otlp: "http://127.0.0.1:${await freePort()}", sample: 1 }`);
    const client = stage.use(await TestClient.connect(gateway.port));
    stage.again(() => client.request('echo.a.b', {}));
    return instanceOf(gateway);
  },
  PithDrainStuck: async (stage) => {
    const gateway = await stage.gateway(`${ECHO}\ndrain: { budget: 1h, per_second: 1 }`);
    // At one a second, and the last one after an hour.
    for (let i = 0; i < 60; i++) stage.use(await TestClient.connect(gateway.port));
    gateway.running.kill('SIGTERM');
    return instanceOf(gateway);
  },
  PithMaintenanceLeftOn: async (stage) => {
    const gateway = await stage.gateway(ECHO);
    await post(gateway, 'SetMaintenance', { on: true });
    return {};
  },
  PithControlRefused: async (stage) => {
    const gateway = await stage.gateway(`${ECHO}
admin: { listen: "127.0.0.1:0", token: "0123456789abcdef0123456789" }`);
    stage.again(() => post(gateway, 'GetInfo', {}, 'not-that-one'));
    return { ...instanceOf(gateway), port: 'admin' };
  },
};
