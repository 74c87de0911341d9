/** A gRPC backend that vanishes without a word: its connection stays open, and nothing comes on it any more. */
import { once } from 'node:events';
import { Client, credentials } from '@grpc/grpc-js';
import { describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';

import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { ECHO_PROTO, echo as echoMethod } from '../support/method-pair.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { Authority } from '../support/tls.ts';
import { eventually, SOON } from '../support/wait.ts';

const authority = new Authority();
const MODES = ['link', 'handle', 'method', 'link over TLS'] as const;
type Mode = (typeof MODES)[number];

type Stage = AsyncDisposable & { port: number; keys: string };

async function stage(mode: Mode): Promise<Stage> {
  if (mode === 'method') {
    const service = { proto: ECHO_PROTO, service: 't.Echo', handler: echoMethod };
    const backend = await MethodBackend.start({ ...service, reflection: 'v1' });
    return {
      port: Number(backend.address.split(':').pop()),
      keys: ', mode: method, services: [t.Echo], reflection: true',
      [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
    };
  }
  const tls = mode === 'link over TLS' ? { tls: authority.issue('backend') } : {};
  const backend = await GrpcBackend.start(tls);
  return {
    port: backend.port,
    keys:
      mode === 'link over TLS'
        ? `, tls: { ca: ${JSON.stringify(authority.cert)} }`
        : `, mode: ${mode}`,
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

function gatewayTo(port: number, mode: Mode, keys: string): Promise<TestGateway> {
  const method = mode === 'method' ? ', method: "/t.Echo/{method}"' : '';
  return startGateway(`
backends: { game: { grpc: "dns:///localhost:${port}", dead_after: 1s${keys} } }
routes:
  - { match: "t.>", backend: game, timeout: 300ms${method} }
`);
}

function logged(gateway: TestGateway, words: RegExp): Promise<unknown> {
  return eventually(() => gateway.log.find(({ why }) => words.test(String(why))), String(words));
}

describe.each(MODES)('a backend in mode: %s', (mode) => {
  test('that vanishes is found out by what it does not answer, and reached anew', async () => {
    await using backend = await stage(mode);
    await using cable = await layCable(backend.port);
    await using gateway = await gatewayTo(cable.port, mode, backend.keys);
    await using client = await TestClient.connect(gateway.port);
    await vi.waitFor(async () => {
      expect(await client.request('t.say', { text: 'a' })).toMatchObject({ text: 'a' });
    }, SOON);
    cable.freeze();
    // One call, whose time is over long before its backend is found dead.
    expect(await client.request('t.say', { text: 'b' })).toMatchObject({ reason: 'TIMEOUT' });
    await logged(gateway, /nothing came for 1 s \(dead_after\)/);
    await vi.waitFor(async () => {
      expect(await client.request('t.say', { text: 'c' })).toMatchObject({ text: 'c' });
    }, SOON);
  });
});

test('a connection that leads nowhere is given up, and another made', async () => {
  const play = async (mode: Mode): Promise<void> => {
    await using backend = await stage(mode);
    await using cable = await layCable(backend.port);
    cable.swallow(1);
    await using gateway = await gatewayTo(cable.port, mode, backend.keys);
    await using client = await TestClient.connect(gateway.port);
    await vi.waitFor(async () => {
      expect(await client.request('t.say', { text: mode })).toMatchObject({ text: mode });
    }, SOON);
  };
  // Side by side, since each takes 5 s.
  await Promise.all(MODES.map(play));
});

test('a backend that is slow is no dead one', async () => {
  await using backend = await GrpcBackend.start({
    handler(asked) {
      setTimeout(() => {
        asked.answer({ done: true });
      }, 3_500);
    },
  });
  await using gateway = await startGateway(`
backends: { game: { grpc: "${backend.url}", dead_after: 1s } }
routes: [{ match: "t.>", backend: game, timeout: 20s }]
`);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('t.say')).toEqual({ done: true });
  expect(backend.links).toHaveLength(1);
});

describe('a backend that has dialled in and vanishes is found out without a call', () => {
  const open = (): Promise<TestGateway> =>
    startGateway(`
backends: { game: { dial_in: {}, dead_after: 1s } }
routes: [{ match: "t.>", backend: game }]
`);
  const attached = (gateway: TestGateway): number => gateway.gateway.info().backends[0]!.healthy;

  test('by gRPC', async () => {
    await using gateway = await open();
    await using cable = await layCable(gateway.controlPort);
    const client = new Client(`127.0.0.1:${cable.port}`, credentials.createInsecure());
    const raw = (bytes: Buffer): Buffer => bytes;
    const stream = client.makeBidiStreamRequest('/pith.v1.Gateway/Attach', raw, raw);
    stream.on('error', () => {});
    // A hello whose field 6, backend, is "game".
    stream.write(Buffer.from([0x0a, 8, 0x12, 6, 0x32, 4, ...Buffer.from('game')]));
    await once(stream, 'data');
    expect(attached(gateway)).toBe(1);
    cable.freeze();
    await eventually(() => attached(gateway) === 0, 'it to be gone');
    stream.cancel();
    client.close();
  });

  test('by WebSocket', async () => {
    await using gateway = await open();
    await using cable = await layCable(gateway.adminPort);
    const socket = new WebSocket(`ws://127.0.0.1:${cable.port}/v1/attach`);
    socket.on('error', () => {});
    await once(socket, 'open');
    socket.send('{"frames":[{"hello":{"backend":"game"}}]}');
    await once(socket, 'message');
    expect(attached(gateway)).toBe(1);
    cable.freeze();
    await eventually(() => attached(gateway) === 0, 'it to be gone');
    await logged(gateway, /nothing came for 1 s \(dead_after\)/);
    socket.terminate();
  });
});
