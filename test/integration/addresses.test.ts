/** limits.connections_per_address and limits.accepts_per_second: who is let in, over every transport, and when. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';

import { PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ACK, ask, HANDSHAKE, pack, RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { serve } from '../support/serve.ts';
import { Authority, SecretFolder } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
/** A trusted proxy; everybody else comes from 127.0.0.1, or from 127.0.0.3. */
const PROXY = '127.0.0.2';

const authority = new Authority();
const secret = new SecretFolder(authority.issue('server'));
afterAll(() => {
  secret[Symbol.dispose]();
});

function start(limit: number, header = 'none'): Promise<TestGateway> {
  const certificate = `tls: { cert: ${secret.cert}, key: ${secret.key} }`;
  const proxies = `proxy_protocol: ${header}, trusted_proxies: [${PROXY}]`;
  const listen = `{ url: "auto://127.0.0.1:0", path: /game, ${certificate}, ${proxies} }`;
  return startGateway(
    `listen: [${listen}]\n${ROUTES}limits: { connections_per_address: ${limit} }\n`,
  );
}

/** Connects over TCP and is answered; false: it was closed instead. */
async function enters(port: number, from?: string): Promise<RawSocket | false> {
  const raw = await RawSocket.connect(port, from);
  raw.send(HANDSHAKE);
  const isAnswered = await raw.waitFor(/"code":200/).then(
    () => true,
    () => false,
  );
  return isAnswered && raw;
}

function upgrade(...headers: readonly string[]): string {
  return UPGRADE.replace('GET / ', 'GET /game ').replace(
    '\r\n\r\n',
    `\r\n${headers.join('\r\n')}\r\n\r\n`,
  );
}

const PATHS: readonly (readonly [string, (port: number) => Promise<RawSocket>])[] = [
  ['a session that its client closes', async (port) => (await enters(port)) as RawSocket],
  [
    'a session that the gateway closes',
    async (port) => {
      const raw = (await enters(port)) as RawSocket;
      raw.send(pack(9));
      await raw.ended;
      return raw;
    },
  ],
  [
    'one that is reset in the middle of its handshake',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(HANDSHAKE.subarray(0, 9));
      raw.socket.resetAndDestroy();
      return raw;
    },
  ],
  ['one that says nothing', (port) => RawSocket.connect(port)],
  [
    'a WebSocket for another path',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(UPGRADE);
      await raw.waitFor(/404/);
      return raw;
    },
  ],
  [
    'a WebSocket',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(upgrade());
      await raw.waitFor(/101 Switching/);
      return raw;
    },
  ],
  [
    'an upgrade that is none',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(upgrade().replace('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Version: 3'));
      await raw.waitFor(/HTTP\/1\.1 4/);
      return raw;
    },
  ],
  [
    'bad HTTP',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send('GET\r\n\r\n');
      await raw.waitFor(/400/);
      return raw;
    },
  ],
  [
    'a TLS handshake that fails',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(Buffer.from('160301000400000000', 'hex'));
      await raw.ended;
      return raw;
    },
  ],
  [
    'a TLS handshake that is given up',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send(Buffer.from('1603010200', 'hex'));
      return raw;
    },
  ],
  [
    'TLS',
    async (port) => {
      const raw = await RawSocket.connect(port);
      const socket = tls.connect({
        socket: raw.socket,
        ca: authority.cert,
        servername: 'localhost',
      });
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      socket.write(HANDSHAKE);
      await once(socket, 'data');
      return raw;
    },
  ],
  [
    'a PROXY header from nobody who may send one',
    async (port) => {
      const raw = await RawSocket.connect(port);
      raw.send('PROXY TCP4 203.0.113.7 198.51.100.1 1 2\r\n');
      await raw.ended;
      return raw;
    },
  ],
];

describe('an address has its place back, once, after', () => {
  test.each(PATHS)('%s', async (_, come) => {
    await using gateway = await start(2);
    for (let i = 0; i < 3; i++) await (await come(gateway.port))[Symbol.asyncDispose]();
    await using first = await eventually(() => enters(gateway.port), 'a place');
    await using second = await eventually(() => enters(gateway.port), 'the other place');
    expect(await enters(gateway.port)).toBe(false);
    expect([first.isEnded, second.isEnded]).toEqual([false, false]);
  });
});

describe('one too many', () => {
  test('is closed without a word, and others come in from elsewhere', async () => {
    await using gateway = await start(1);
    await using first = (await enters(gateway.port)) as RawSocket;
    await using refused = await RawSocket.connect(gateway.port);
    await refused.ended;
    expect(refused.received).toBe('');
    await expectRefusedAs(gateway, 'address_limit', {
      detail: 'limits.connections_per_address is 1',
    });
    await using elsewhere = (await enters(gateway.port, '127.0.0.3')) as RawSocket;
    expect([first.isEnded, elsewhere.isEnded]).toEqual([false, false]);
  });

  test('of a client behind a proxy with a PROXY header counts where the client is', async () => {
    await using gateway = await start(1, 'required');
    const header = (address: string): string => `PROXY TCP4 ${address} 198.51.100.1 1 2\r\n`;
    const come = async (address: string): Promise<RawSocket> => {
      const raw = await RawSocket.connect(gateway.port, PROXY);
      raw.send(Buffer.concat([Buffer.from(header(address)), HANDSHAKE]));
      return raw;
    };
    await using first = await come('203.0.113.7');
    await first.waitFor(/"code":200/);
    await using refused = await come('203.0.113.7');
    await refused.ended;
    expect(refused.received).toBe('');
    await expectRefusedAs(gateway, 'address_limit', { remoteAddress: '203.0.113.7' });
    await using other = await come('203.0.113.8');
    await other.waitFor(/"code":200/);
    expect(first.isEnded).toBe(false);
  });

  test('of a client behind a proxy with X-Forwarded-For is answered 429', async () => {
    await using gateway = await start(1);
    const come = async (address: string): Promise<RawSocket> => {
      const raw = await RawSocket.connect(gateway.port, PROXY);
      raw.send(upgrade(`X-Forwarded-For: 198.51.100.9, ${address}`));
      return raw;
    };
    await using first = await come('2001:db8:1:2::7');
    await first.waitFor(/101 Switching/);
    await using refused = await come('2001:db8:1:2:3:4:5:6');
    await refused.waitFor(/^HTTP\/1\.1 429 Too Many Requests\r\n[^]*from your address\.\n$/);
    await using other = await come('2001:db8:1:3::7');
    await other.waitFor(/101 Switching/);
    expect(first.isEnded).toBe(false);
    expect(gateway.count('pith_connections_refused_total', 'address_limit')).toBe(1);
  });

  test('is not told by what a client writes itself', async () => {
    await using gateway = await start(1);
    await using first = await RawSocket.connect(gateway.port);
    first.send(upgrade('X-Forwarded-For: 198.51.100.9'));
    await first.waitFor(/101 Switching/);
    await using refused = await RawSocket.connect(gateway.port);
    await refused.ended;
    expect(refused.received).toBe('');
  });
});

test('a limit that is set by a reload counts those who are here', async () => {
  const config = (limits: string): string => `reload: { watch: false }\n${ROUTES}${limits}`;
  await using served = await serve(config(''));
  await using first = (await enters(served.port)) as RawSocket;
  await using second = (await enters(served.port)) as RawSocket;
  served.rewrite(config('limits: { connections_per_address: 2, accepts_per_second: 700 }'));
  const reload = await fetch(`http://127.0.0.1:${served.adminPort}/v1/Reload`, {
    method: 'POST',
    body: '{}',
  });
  expect(await reload.json()).toMatchObject({
    changed: ['limits.accepts_per_second', 'limits.connections_per_address'],
  });
  expect(await enters(served.port)).toBe(false);
  expect([first.isEnded, second.isEnded]).toEqual([false, false]);
  await first[Symbol.asyncDispose]();
  await using third = await eventually(() => enters(served.port), 'the place');
  expect(third.isEnded).toBe(false);
});

/** Connects, sends all of a login and a request at once, and says when its answer came. */
async function play(port: number): Promise<number> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.write(Buffer.concat([HANDSHAKE, ACK, ask(1, 'echo.a')]));
  let came = '';
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      came += chunk.toString('latin1');
      // The answer of the handshake, and the one of the request.
      if (came.split('"code":200').length === 3) resolve();
    });
    socket.on('close', () => {
      reject(new Error(`closed after "${came}"`));
    });
  });
  socket.destroy();
  return performance.now();
}

describe('after a crash', () => {
  test('everybody comes back at once, and is let in at a pace', async () => {
    const limits = 'limits: { accepts_per_second: 400 }\n';
    await using served = await serve(`${ROUTES}${limits}`);
    const since = performance.now();
    const times = await Promise.all(Array.from({ length: 600 }, () => play(served.port)));
    // A fifth of a second's worth at once, and then never more than the rate.
    for (const [i, at] of times.toSorted((a, b) => a - b).entries())
      expect(i + 1).toBeLessThanOrEqual(80 + 0.4 * (at - since) + 40);
    const line = await served.logged('new connections wait for their turn');
    expect(line).toMatchObject({
      level: 'warn',
      what: 'limits.accepts_per_second is 400; in the first seconds it is less',
    });
    const metrics = await (await fetch(`http://127.0.0.1:${served.healthPort}/metrics`)).text();
    expect(metrics).toMatch(/^pith_accepts_waiting 0$/m);
    const delayed = Number(/^pith_accepts_delayed_total (\d+)$/m.exec(metrics)?.[1]);
    expect(delayed).toBeGreaterThanOrEqual(400);
    expect(delayed).toBeLessThan(600);
  });

  test('probes and operators do not wait', async () => {
    await using served = await serve(`${ROUTES}limits: { accepts_per_second: 1 }\n`);
    const waiting = await Promise.all(
      Array.from({ length: 20 }, () => RawSocket.connect(served.port)),
    );
    for (let i = 0; i < 5; i++) {
      const ready = await fetch(`http://127.0.0.1:${served.healthPort}/readyz`, {
        headers: { Connection: 'close' },
      });
      expect(ready.status).toBe(200);
    }
    await Promise.all(waiting.map((raw) => raw[Symbol.asyncDispose]()));
  });

  test('who gives up while he waits takes nobody’s turn', async () => {
    await using gateway = await startGateway(`${ROUTES}limits: { accepts_per_second: 4 }\n`);
    const crowd = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const raw = await RawSocket.connect(gateway.port);
        raw.send(HANDSHAKE);
        return raw;
      }),
    );
    await Promise.all(crowd.map((raw) => raw[Symbol.asyncDispose]()));
    // With them in front it would take fifty seconds.
    await using client = await TestClient.connect(gateway.port, 'tcp');
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.count('pith_connections_accepted_total', 'tcp')).toBeLessThan(20);
    client.packet(PacketType.HEARTBEAT);
  });

  test('what comes while it is held is neither lost nor read without end', async () => {
    await using gateway = await startGateway(`${ROUTES}limits: { accepts_per_second: 4 }\n`);
    await using first = (await enters(gateway.port)) as RawSocket;
    await using held = await RawSocket.connect(gateway.port);
    const many = Array.from({ length: 5_000 }, (_, i) => ask((i % 100) + 1, 'echo.a'));
    held.send(Buffer.concat([HANDSHAKE, ACK, ...many]));
    await held.waitFor(/"code":200/);
    await eventually(() => held.received.split('"code":').length === 5_002, 'every answer');
    expect(first.isEnded).toBe(false);
  });
});
