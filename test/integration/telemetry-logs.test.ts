/** Whatever ends a session, the log says so once: with the reason, at the level of its row, with the client's id. */
import { expect, test } from 'vitest';

import { CLOSE_REASONS, type CloseReason } from '../../src/session/close-reason.ts';
import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { type LogLine, startGateway, type TestGateway } from '../support/gateway.ts';
import type { ConnectAsked } from '../support/connect-asked.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { frame, HANDSHAKE, OPCODE, pack, RawSocket } from '../support/raw.ts';
import { eventually } from '../support/wait.ts';

type Ending = {
  readonly reason: CloseReason;
  readonly config?: string;
  /** Leaves a connection that ends for that reason. */
  readonly provoke: (gateway: TestGateway) => Promise<unknown>;
  readonly fields?: Record<string, unknown>;
};

async function raw(gateway: TestGateway, ...send: Buffer[]): Promise<RawSocket> {
  const socket = await RawSocket.connect(gateway.port);
  for (const bytes of send) socket.send(bytes);
  return socket;
}

async function active(gateway: TestGateway): Promise<TestClient> {
  const client = await TestClient.connect(gateway.port);
  await client.request('fix.any');
  return client;
}

const ENDINGS: readonly Ending[] = [
  { reason: 'client_closed', provoke: async (gateway) => (await active(gateway)).close() },
  {
    reason: 'connection_lost',
    provoke: async (gateway) => {
      const client = await raw(gateway, HANDSHAKE);
      await client.waitFor(/"code":200/);
      client.socket.resetAndDestroy();
    },
    fields: { error: expect.stringMatching(/ECONNRESET/) as string },
  },
  {
    reason: 'connection_lost',
    config: 'heartbeat: 31s',
    provoke: async (gateway) => {
      const client = await RawSocket.open(gateway.port, 'ws');
      await client.shakeHands('ws');
      client.socket.resetAndDestroy();
    },
    fields: { error: expect.stringMatching(/ECONNRESET/) as string },
  },
  {
    reason: 'handshake_refused',
    provoke: (gateway) => raw(gateway, pack(1, 'no JSON')),
    fields: { error: expect.stringMatching(/^not a valid handshake: /) as string },
  },
  {
    reason: 'handshake_refused',
    config: 'pomelo: { client_types: ["unity >=2.0"] }',
    provoke: async (gateway) => {
      const client = await TestClient.open(gateway.port);
      await client.handshake({ type: 'unity', version: '1.9' });
    },
    fields: { error: 'pomelo.client_types does not allow type "unity" in version "1.9"' },
  },
  {
    reason: 'handshake_refused',
    config: 'pomelo: { use_crypto: true }',
    provoke: async (gateway) => {
      const client = await TestClient.open(gateway.port);
      await client.handshake();
    },
    fields: { error: expect.stringMatching(/^use_crypto is on, but .* no RSA key/) as string },
  },
  {
    reason: 'ping_flood',
    provoke: async (gateway) => {
      const client = await RawSocket.open(gateway.port, 'ws');
      client.send(Buffer.concat(Array<Buffer>(100).fill(frame(OPCODE.PING, Buffer.alloc(2)))));
    },
    fields: { error: expect.stringMatching(/^over 60 pings at once/) as string },
  },
  {
    reason: 'outbox_full',
    fields: { error: 'limits.outbox is reached' },
    config: 'limits: { outbox: 1KiB }',
    provoke: async (gateway) => {
      const client = await raw(gateway, HANDSHAKE);
      await client.waitFor(/"code":200/);
      const [session] = gateway.gateway.registry.all();
      // Nothing may go out before its ack.
      for (let i = 0; i < 5; i++) {
        session!.push(Buffer.alloc(600), null);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  },
  {
    reason: 'handshake_timeout',
    config: 'limits: { handshake: 100ms }',
    // A connection that says nothing at all never becomes a session.
    provoke: (gateway) => raw(gateway, HANDSHAKE.subarray(0, 3)),
  },
  {
    reason: 'ack_timeout',
    config: 'limits: { ack: 100ms }',
    provoke: (gateway) => raw(gateway, HANDSHAKE),
  },
  {
    reason: 'assemble_timeout',
    config: 'limits: { assemble: 100ms }',
    provoke: async (gateway) => (await active(gateway)).raw(pack(4, 'cut', 100)),
  },
  { reason: 'heartbeat_timeout', config: 'heartbeat: 1s', provoke: active },
  {
    reason: 'bind_timeout',
    config: 'auth: { bind_within: 200ms }',
    provoke: active,
    fields: { error: 'auth.bind_within is 200 ms' },
  },
  {
    reason: 'idle_timeout',
    config: 'limits: { idle: 200ms }',
    provoke: active,
    fields: { error: 'limits.idle is 200 ms' },
  },
  {
    reason: 'max_age',
    config: 'sessions: { max_age: 1s }',
    provoke: active,
    fields: { error: 'sessions.max_age is 1000 ms' },
  },
  { reason: 'bad_packet_type', provoke: (gateway) => raw(gateway, pack(9)) },
  {
    reason: 'packet_too_long',
    config: 'limits: { packet: 1KiB }',
    provoke: (gateway) => raw(gateway, pack(1, '', 5_000)),
  },
  {
    reason: 'malformed',
    provoke: async (gateway) => {
      const client = await active(gateway);
      for (let i = 0; i < 16; i++) client.raw(pack(4));
    },
  },
  {
    reason: 'bad_signature',
    config: 'pomelo: { use_crypto: true, on_bad_signature: close }',
    provoke: async (gateway) => {
      const client = await TestClient.open(gateway.port);
      await client.handshake({ rsa: { rsa_n: 'ab'.repeat(128), rsa_e: 65_537 } });
      client.ack();
      client.send('fix.any', { unsigned: true });
    },
  },
  {
    reason: 'auth_expired',
    config: 'auth: { mode: connect, backend: chat }',
    provoke: (gateway) => TestClient.connect(gateway.port),
  },
  {
    reason: 'slow_consumer',
    config: 'limits: { slow: { drop_after: 100ms, close_after: 300ms } }',
    provoke: async (gateway) => {
      const client = await active(gateway);
      client.pauseReading(true);
      client.send('chat.much', {});
    },
  },
  {
    reason: 'closed',
    provoke: async (gateway) => (await active(gateway)).send('chat.close', {}),
    fields: { words: 'moved' },
  },
  {
    reason: 'kick',
    provoke: async (gateway) => (await active(gateway)).send('chat.kick', {}),
    fields: { words: 'moved' },
  },
  {
    reason: 'logged_in_elsewhere',
    config: 'auth: { sessions_per_uid: kick_old }',
    provoke: async (gateway) => {
      await (await active(gateway)).request('chat.bind');
      await (await active(gateway)).request('chat.bind');
    },
    fields: { uid: 'ann' },
  },
  {
    reason: 'blocked',
    provoke: async (gateway) => {
      await (await active(gateway)).request('chat.bind');
      await admin(gateway, 'Block', { uid: 'ann' });
    },
    fields: { uid: 'ann', error: 'its uid is blocked' },
  },
  {
    reason: 'resumed',
    config: `sessions: { resume: { window: 60s, keys: ["${'B'.repeat(42)}A="] } }`,
    provoke: async (gateway) => {
      const shake = async (resume: string): Promise<string> => {
        const asks = { sys: { type: 'test', version: '1' }, user: { pith: { resume } } };
        const client = await raw(gateway, pack(1, JSON.stringify(asks)));
        const [, token] = await client.waitFor(/"resume":"([^"]+)"/);
        return token!;
      };
      await shake(await shake(''));
    },
  },
  {
    reason: 'draining',
    provoke: async (gateway) => {
      await active(gateway);
      await gateway.gateway.drain();
    },
  },
  {
    reason: 'draining',
    config: 'drain: { budget: 2s, per_second: 10000, signal: kick }',
    provoke: async (gateway) => {
      await active(gateway);
      await gateway.gateway.drain();
    },
  },
  {
    reason: 'drain_forced',
    provoke: async (gateway) => {
      await active(gateway);
      await gateway.gateway.drain(() => true);
    },
  },
];

function answer(asked: Asked): void {
  const close = { reason: 'moved', code: 7, kick: asked.route === 'chat.kick' };
  if (asked.route === 'chat.much') asked.answer('x'.repeat(12_000_000));
  else if (asked.route === 'chat.bind') asked.answer({}, { patch: { uid: 'ann' } });
  else asked.answer({}, { close });
}

/** Lets everybody in for a second, and nobody again. */
function connect(asked: ConnectAsked): void {
  if (asked.request.refresh) asked.refuse({ code: 401, reason: 'EXPIRED' });
  else asked.accept(null, { expires_in: { seconds: 1, nanos: 0 } });
}

test.each(ENDINGS)('$reason, $config', async ({ reason, config = '', provoke, fields = {} }) => {
  await using backend = await GrpcBackend.start({ handler: answer, connect });
  await using gateway = await startGateway(`${config}
backends: { chat: { grpc: "${backend.url}" }, fix: { reply: {} } }
routes: [{ match: "chat.>", backend: chat }, { match: "fix.>", backend: fix }]`);
  await provoke(gateway);
  const closed = (): LogLine[] => gateway.log.filter(({ msg }) => msg === 'session closed');
  await eventually(() => closed().length > 0, `the log to say ${reason}`);
  expect(closed()).toEqual([
    {
      time: expect.any(String) as string,
      level: expect.stringMatching(/^(debug|info|warn)$/) as string,
      msg: 'session closed',
      sid: `${gateway.gateway.id}.1`,
      uid: '',
      remoteIp: '127.0.0.1',
      reason,
      lastedMs: expect.any(Number) as number,
      messages: expect.any(Number) as number,
      sent: expect.any(Number) as number,
      bytesIn: expect.any(Number) as number,
      bytesOut: expect.any(Number) as number,
      by: CLOSE_REASONS[reason].by,
      ref: `${gateway.gateway.id}.1-0`,
      ...fields,
    },
  ]);
  expect(gateway.count('pith_sessions_closed_total', reason)).toBe(1);
});

test('every reason is provoked here, except those that it takes a fleet to cause, and the one that no one can', () => {
  const ways = new Set(ENDINGS.map(({ reason }) => reason));
  expect(Object.keys(CLOSE_REASONS).filter((reason) => !ways.has(reason as CloseReason))).toEqual([
    'rebalanced',
    'internal',
  ]);
});
