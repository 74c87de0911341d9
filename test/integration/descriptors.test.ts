/**
 * Few file descriptors, and strangers who hold connections on every port at once without asking anything: probes are
 * answered, clients that are in stay, and new ones come in when there are places.
 */
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { fetchOnce } from '../support/fetch-once.ts';
import { grpcurl } from '../support/grpcurl.ts';
import { serveWithin } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const DESCRIPTORS = 400;
const CONFIG = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
limits: { handshake: 2s, messages_per_second: 100000, burst: 100000 }
`;

/** What a stranger says, and then no more. */
const BEGINNINGS = {
  clients: ['', '\x01\x00', 'GET / HTTP/1.1\r\nHost: x\r\n', '\x16\x03\x01'],
  health: [
    '',
    'GET /livez HTTP/1.1\r\n',
    'G',
    'POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n',
  ],
  admin: ['', 'POST /v1/GetInfo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{', 'GET /met'],
  control: [
    '',
    'PRI * HTTP/2.0\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0',
  ],
};

/** Holds `count` connections to a port; each that is closed is opened again until `stop`. */
class Strangers {
  readonly #port: number;
  readonly #beginnings: readonly string[];
  readonly #sockets = new Set<net.Socket>();
  #opened = 0;
  #stopped = false;

  constructor(port: number, beginnings: readonly string[], count: number) {
    this.#port = port;
    this.#beginnings = beginnings;
    for (let i = 0; i < count; i++) this.#open();
  }

  get opened(): number {
    return this.#opened;
  }

  stop(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): void {
    const beginning = this.#beginnings[this.#opened++ % this.#beginnings.length]!;
    const socket = net.connect({ port: this.#port, host: '127.0.0.1' });
    this.#sockets.add(socket);
    socket.on('connect', () => socket.write(Buffer.from(beginning, 'latin1')));
    socket.on('error', () => {});
    socket.resume();
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // Some hundred a second on each port.
      setTimeout(
        () => {
          if (!this.#stopped) this.#open();
        },
        200 + 400 * Math.random(),
      );
    });
  }
}

/** As Kubernetes does: three failures in a row are one. */
async function probe(port: number, path: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return (await fetchOnce(port, path)).status;
    } catch (error) {
      if (tries === 3) throw error;
    }
  }
}

test('with 400 descriptors, and 150 strangers and more on each port', async () => {
  await using gateway = await serveWithin(DESCRIPTORS, CONFIG);
  const { port, healthPort, adminPort, controlPort, running } = gateway;
  await using old = await TestClient.connect(port, 'tcp');
  await using older = await TestClient.connect(port, 'ws');
  const strangers = [
    new Strangers(port, BEGINNINGS.clients, 300),
    new Strangers(healthPort, BEGINNINGS.health, 150),
    new Strangers(adminPort, BEGINNINGS.admin, 150),
    new Strangers(controlPort, BEGINNINGS.control, 150),
  ];
  let rounds = 0;
  // Long enough for the first ones to have been sent away for their silence, and others to have come.
  while (strangers.some(({ opened }) => opened < 400)) {
    expect(await probe(healthPort, '/livez')).toBe(200);
    expect(await probe(healthPort, '/readyz')).toBe(200);
    expect(await probe(adminPort, '/livez')).toBe(200);
    expect(await old.request('echo.a')).toEqual({ code: 200 });
    expect(await older.request('echo.a')).toEqual({ code: 200 });
    expect(readdirSync(`/proc/${running.pid}/fd`).length).toBeLessThan(DESCRIPTORS);
    rounds++;
  }
  expect(rounds).toBeGreaterThan(0);
  expect(await grpcurl(gateway, ['grpc.health.v1.Health/Check'])).toContain('SERVING');
  for (const one of strangers) one.stop();
  const metrics = (await fetchOnce(healthPort, '/metrics')).body;
  for (const name of ['health', 'admin', 'control'])
    expect(metrics).toMatch(
      new RegExp(
        `pith_port_connections_refused_total\\{port="${name}",reason="crowded_out"\\} [1-9]`,
      ),
    );
  await using young = await eventually(
    () => TestClient.connect(port, 'ws').catch(() => undefined),
    'a place for a new client',
  );
  expect(await young.request('echo.a')).toEqual({ code: 200 });
  expect(await old.request('echo.a')).toEqual({ code: 200 });
  await eventually(
    () => readdirSync(`/proc/${running.pid}/fd`).length < 80,
    'the descriptors to be given back',
  );
});
