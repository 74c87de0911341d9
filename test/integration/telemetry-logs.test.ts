/**
 * Whatever ends a session, log, metric, event and client have the same word for it, the log has one line, and
 * `pith why` explains it. With TEST_PRINT=1 in the environment all of them are printed as a table.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { recordOfLine } from '../../src/cli/why-log.ts';
import { adviceOn } from '../../src/failures/advice.ts';
import { CLOSE_REASONS, type CloseReason } from '../../src/session/close-reason.ts';
import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { type LogLine, startGateway, type TestGateway } from '../support/gateway.ts';
import type { ConnectAsked } from '../support/connect-asked.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { frame, HANDSHAKE, OPCODE, pack, RawSocket } from '../support/raw.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { Heard } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

type Ending = {
  readonly reason: CloseReason;
  readonly config?: string;
  /** Leaves a connection that ends for that reason. */
  readonly provoke: (gateway: TestGateway) => Promise<unknown>;
  readonly fields?: Record<string, unknown>;
  /** What the client that `provoke` gives is told; default: the reason. */
  readonly told?: string;
};

async function raw(gateway: TestGateway, ...send: Buffer[]): Promise<RawSocket> {
  const socket = await RawSocket.connect(gateway.port);
  for (const bytes of send) socket.send(bytes);
  return socket;
}

async function active(gateway: TestGateway, way: 'ws' | 'tcp' = 'ws'): Promise<TestClient> {
  const client = await TestClient.connect(gateway.port, way);
  await client.request('fix.any');
  return client;
}

const ENDINGS: readonly Ending[] = [
  {
    reason: 'client_closed',
    provoke: async (gateway) => {
      const client = await active(gateway);
      client.close();
      return client;
    },
    told: '',
  },
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
    provoke: async (gateway) => (await active(gateway, 'tcp')).raw(pack(4, 'cut', 100)),
  },
  { reason: 'heartbeat_timeout', config: 'heartbeat: 1s', provoke: (one) => active(one) },
  {
    reason: 'bind_timeout',
    config: 'auth: { bind_within: 200ms }',
    provoke: (gateway) => active(gateway),
    fields: { error: 'auth.bind_within is 200 ms' },
  },
  {
    reason: 'idle_timeout',
    config: 'limits: { idle: 200ms }',
    provoke: (gateway) => active(gateway),
    fields: { error: 'limits.idle is 200 ms' },
  },
  {
    reason: 'max_age',
    config: 'sessions: { max_age: 1s }',
    provoke: (gateway) => active(gateway),
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
      return client;
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
      const client = await active(gateway, 'tcp');
      client.pauseReading(true);
      client.send('chat.much', {});
    },
  },
  {
    reason: 'closed',
    provoke: async (gateway) => {
      const client = await active(gateway);
      client.send('chat.close', {});
      return client;
    },
    fields: { words: 'moved' },
    told: 'moved',
  },
  {
    reason: 'kick',
    provoke: async (gateway) => {
      const client = await active(gateway);
      client.send('chat.kick', {});
      return client;
    },
    fields: { words: 'moved' },
    told: 'moved',
  },
  {
    reason: 'logged_in_elsewhere',
    config: 'auth: { sessions_per_uid: kick_old }',
    provoke: async (gateway) => {
      const client = await active(gateway);
      await client.request('chat.bind');
      await (await active(gateway)).request('chat.bind');
      return client;
    },
    fields: { uid: 'ann' },
  },
  {
    reason: 'blocked',
    provoke: async (gateway) => {
      const client = await active(gateway);
      await client.request('chat.bind');
      await admin(gateway, 'Block', { uid: 'ann' });
      return client;
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
      const client = await active(gateway);
      await gateway.gateway.drain();
      return client;
    },
  },
  {
    reason: 'draining',
    config: 'drain: { budget: 2s, per_second: 10000, signal: kick }',
    provoke: async (gateway) => {
      const client = await active(gateway);
      await gateway.gateway.drain();
      return client;
    },
  },
  {
    reason: 'drain_forced',
    provoke: async (gateway) => {
      const client = await active(gateway);
      await gateway.gateway.drain(() => true);
      return client;
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

let nats: TestNats;
let events: Heard;
/** What each has said, to be printed. */
const table: Record<string, unknown>[] = [];

beforeAll(async () => {
  nats = await startNats();
  events = await Heard.on(await nats.connect(), 'pith.event.session.closed');
});

afterAll(async () => {
  if (process.env['TEST_PRINT'] === '1') console.table(table);
  await nats[Symbol.asyncDispose]();
});

/** The word for the end of this session in the event; undefined: none came. */
function eventOf(sid: string): string | undefined {
  const told = events.messages.map((message) => message.json<ClosedJson>());
  return told.find(({ session }) => session.sid === sid)?.close_reason;
}
type ClosedJson = { readonly session: { readonly sid: string }; readonly close_reason: string };

/** The word that a client was told: of the kick, or else of the close frame. */
async function toldTo(client: TestClient): Promise<string> {
  const { reason } = await client.ended;
  const kick = client.received.find(({ kind }) => kind === 'kick');
  return kick?.kind === 'kick' ? String(kick.body['reason']) : reason;
}

test.each(ENDINGS)('$reason, $config', async (ending) => {
  const { reason, config = '', provoke, fields = {}, told = reason } = ending;
  await using backend = await GrpcBackend.start({ handler: answer, connect });
  await using gateway = await startGateway(`bus: ${nats.url}
${config}
backends: { chat: { grpc: "${backend.url}" }, fix: { reply: {} } }
routes: [{ match: "chat.>", backend: chat }, { match: "fix.>", backend: fix }]`);
  const client = await provoke(gateway);
  const closed = (): LogLine[] => gateway.log.filter(({ msg }) => msg === 'session closed');
  await eventually(() => closed().length > 0, `the log to say ${reason}`);
  const sid = `${gateway.gateway.id}.1`;
  const [first, ...more] = closed().filter((one) => one['sid'] === sid);
  const { roundTripMs: _, ...line } = first!;
  expect([line, ...more]).toEqual([
    {
      time: expect.any(String) as string,
      level: expect.stringMatching(/^(debug|info|warn)$/) as string,
      msg: 'session closed',
      sid,
      uid: '',
      remoteIp: '127.0.0.1',
      reason,
      lastedMs: expect.any(Number) as number,
      messages: expect.any(Number) as number,
      sent: expect.any(Number) as number,
      bytesIn: expect.any(Number) as number,
      bytesOut: expect.any(Number) as number,
      by: CLOSE_REASONS[reason].by,
      ref: `${sid}-0`,
      ...fields,
    },
  ]);
  expect(gateway.count('pith_sessions_closed_total', reason)).toBe(1);
  const words = client instanceof TestClient ? await toldTo(client) : null;
  const isTold = words !== null;
  await eventually(() => !isTold || eventOf(sid) !== undefined, 'the event');
  const event = eventOf(sid);
  const isAnnounced = isTold || event !== undefined;
  expect([words, event]).toEqual([isTold ? told : null, isAnnounced ? reason : undefined]);
  const known = recordOfLine(line);
  expect(known).toMatchObject({ reason, what: 'session', by: CLOSE_REASONS[reason].by });
  expect(adviceOn(known!)).toContain(CLOSE_REASONS[reason].about);
  table.push({ log: line['reason'], metric: reason, event, client: words, why: known!.reason });
});

test('every reason is provoked here, except those that it takes a fleet to cause, and the one that no one can', () => {
  const ways = new Set(ENDINGS.map(({ reason }) => reason));
  expect(Object.keys(CLOSE_REASONS).filter((reason) => !ways.has(reason as CloseReason))).toEqual([
    'rebalanced',
    'internal',
  ]);
});
