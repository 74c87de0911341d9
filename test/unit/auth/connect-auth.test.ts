/** Who comes in at a listener, and for how long: a backend that answers when the test says so, time that it moves. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import { ConnectAuth } from '../../../src/auth/connect-auth.ts';
import { SessionCommands } from '../../../src/bus/session-commands.ts';
import { EntryRules, type EntryRulesParts } from '../../../src/auth/entry-rules.ts';
import { Maintenance } from '../../../src/orders/maintenance.ts';
import { parseClientRule } from '../../../src/config/client-rules.ts';
import type { Accepted, Patch } from '../../../src/contract/commands.ts';
import { type Failure, failure } from '../../../src/errors.ts';
import { PacketType } from '../../../src/protocol/packet.ts';
import { Registry } from '../../../src/session/registry.ts';
import { LogThrottle } from '../../../src/telemetry/log-throttle.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { TimerWheel } from '../../../src/timer-wheel.ts';
import { ConnectCall } from '../../../src/upstream/connect-call.ts';
import type { ConnectAsk } from '../../../src/upstream/upstream.ts';
import { keptLog } from '../../support/report.ts';
import { packetBytes } from '../protocol/wire.ts';
import { ScriptedBackend } from '../relay/support.ts';
import { ACK, connect, makeWorld, RecordingHost, turn } from '../session/support.ts';

const FOR_EVER: Accepted = { patch: null, user: null, expiresInMs: 0 };

/** The backend that is asked. */
class AskedBackend extends ScriptedBackend {
  readonly asked: ConnectAsk[] = [];
  readonly #wheel: TimerWheel;
  #call: ConnectCall | null = null;

  constructor(wheel: TimerWheel) {
    super();
    this.#wheel = wheel;
  }

  override connect(ask: ConnectAsk): Promise<Accepted | Failure> {
    this.asked.push(ask);
    this.#call = new ConnectCall(ask, this, this.#wheel, () => failure('BAD_REPLY'));
    return this.#call.outcome;
  }

  /** Answers what was asked last, and lets the gateway act upon it. */
  async answer(outcome: Accepted | Failure): Promise<void> {
    this.#call!.answered(outcome);
    await turn();
  }

  /** Whether the last answer is still wanted. */
  get isAwaited(): boolean {
    return !this.#call!.ended;
  }
}

type Choice = Partial<EntryRulesParts> & { needsKey?: boolean; asks?: boolean };

function stage({ asks = true, needsKey = false, ...rules }: Choice = {}) {
  const world = makeWorld();
  const { clock, wheel } = world;
  const { lines, log } = keptLog();
  const backend = new AskedBackend(wheel);
  const confirms: (() => void)[] = [];
  const asksForGaps: string[] = [];
  const registry = new Registry('g-0123456789', {
    add: () => new Promise((resolve) => confirms.push(resolve)),
    remove: () => {},
  });
  const limits = { dataBytesMax: 200, groupsMax: 3 };
  const metrics = new Metrics();
  const auth = new ConnectAuth({
    entry: new EntryRules({
      clientRules: [],
      blocks: { ofClient: () => null },
      maintenance: new Maintenance(),
      ...rules,
    }),
    needsKey,
    bounds: 'these bounds',
    asked: asks ? { upstream: backend, ordinal: 0 } : null,
    tokens: null,
    resume: null,
    handshakeMs: 10_000,
    ...{ tellsRefs: () => false, troubleOf: () => '' },
    joins: { tellGaps: ({ sid }) => asksForGaps.push(sid) },
    sessionCommands: new SessionCommands({
      ...{ registry, limits, groupTtlMs: 0, clock, wheel, log, metrics, fanouts: world.fanouts },
    }),
    log,
    throttle: new LogThrottle(clock),
    wheel,
  });
  const host = new RecordingHost();
  let n = 0;
  /** A client that has said its handshake. */
  const greet = (body: unknown = { sys: { type: 'js', version: '1.0' } }) => {
    const client = connect({ world: { ...world, registry }, host, auth, n: ++n });
    registry.add(client.session);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    client.session.onBytes(packetBytes(PacketType.HANDSHAKE, Buffer.from(text)));
    /** What the gateway has answered; undefined: nothing yet. */
    const answer = () => {
      const packet = client.connection.packets.find(({ type }) => type === PacketType.HANDSHAKE);
      return packet && (JSON.parse(packet.body.toString()) as Record<string, unknown>);
    };
    return { ...client, answer };
  };
  const confirm = async () => {
    for (const done of confirms.splice(0)) done();
    await turn();
  };
  /** Time goes by, and what falls due in it is done. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return {
    ...world,
    auth,
    backend,
    greet,
    confirm,
    pass,
    lines,
    ended: host.ended,
    registry,
    asksForGaps,
  };
}

/** A client that is in, for `expiresInMs`. */
async function comeIn(expiresInMs: number) {
  const world = stage();
  const client = world.greet();
  await world.backend.answer({ ...FOR_EVER, expiresInMs });
  client.session.onBytes(ACK);
  expect(client.session.state).toBe('active');
  return { ...world, ...client };
}

describe('without a backend', () => {
  test('everyone comes in at once', () => {
    const { greet, backend } = stage({ asks: false });
    expect(greet().answer()).toMatchObject({ code: 200 });
    expect(backend.asked).toEqual([]);
  });

  test('a client that asks to be told of gaps is, and no other', () => {
    const { greet, asksForGaps } = stage({ asks: false });
    for (const pith of [undefined, {}, { gap: false }, { gap: 'true' }, { gap: 1 }, [true]])
      greet({ sys: {}, user: { pith } });
    expect(asksForGaps).toEqual([]);
    const { session } = greet({ sys: {}, user: { pith: { gap: true } } });
    expect(asksForGaps).toEqual([session.sid]);
  });

  test('what is no handshake is answered with 500', () => {
    const { greet, ended } = stage({ asks: false });
    expect(greet('hello').answer()).toEqual({ code: 500 });
    expect(ended[0]).toMatchObject({ reason: 'handshake_refused' });
    expect(ended[0]!.cause).toMatch(/^not a valid handshake: .*, within these bounds$/);
  });

  test('a client that no rule lets in is answered with 501, and the log says what it was', () => {
    const clientRules = [parseClientRule('unity-socket >=0.3.0')];
    const { greet, ended } = stage({ asks: false, clientRules });
    const sys = (type: string, version: string) => ({ sys: { type, version } });
    expect(greet(sys('unity-socket', '0.3.1')).answer()).toMatchObject({ code: 200 });
    expect(greet(sys('unity-socket', '0.2.9')).answer()).toEqual({ code: 501 });
    expect(greet(sys('js', '0.3.1')).answer()).toEqual({ code: 501 });
    expect(ended.map(({ cause }) => cause)).toEqual([
      'pomelo.client_types does not allow type "unity-socket" in version "0.2.9"',
      'pomelo.client_types does not allow type "js" in version "0.3.1"',
    ]);
  });

  test('where signatures are checked, a client needs a key', () => {
    const { greet, ended } = stage({ asks: false, needsKey: true });
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    const { n } = publicKey.export({ format: 'jwk' });
    const rsa = { rsa_n: Buffer.from(n!, 'base64url').toString('hex'), rsa_e: 65_537 };
    const client = greet({ sys: { type: 'js', version: '1.0', rsa } });
    expect(client.answer()).toMatchObject({ code: 200 });
    expect(client.session.publicKey).not.toBe(null);
    expect(greet().answer()).toEqual({ code: 500 });
    expect(ended[0]!.cause).toContain('the handshake has no RSA key');
  });
});

describe('the backend', () => {
  test('is asked with all that the client said, and has until the handshake is due', () => {
    const { greet, backend, clock } = stage();
    const client = greet({ sys: { type: 'js', version: '1.0' }, user: { token: 't' } });
    expect(backend.asked).toEqual([
      {
        session: client.session,
        client: client.session,
        lane: client.session.lane(0),
        user: { token: 't' },
        sys: { type: 'js', version: '1.0' },
        headers: {},
        resumed: false,
        refresh: false,
        deadline: clock.now() + 10_000,
        signal: expect.any(AbortSignal) as AbortSignal,
      },
    ]);
    expect(client.answer()).toBe(undefined);
  });

  test.each([[undefined], [null], ['token'], [['token']]])(
    'gets an object where the client said %j',
    (user) => {
      const { greet, backend } = stage();
      greet({ sys: {}, user });
      expect(backend.asked[0]!.user).toEqual({});
    },
  );

  test('lets a client in, with its block', async () => {
    const { greet, backend, lines } = stage();
    const client = greet();
    await backend.answer({ ...FOR_EVER, user: { name: 'ann' } });
    expect(client.answer()).toMatchObject({ code: 200, user: { name: 'ann' } });
    expect(lines).toEqual([]);
  });

  test('is believed once, where its answer does not expire', async () => {
    const { auth, backend, pass, session } = await comeIn(0);
    expect(auth.pending).toBe(0);
    for (let n = 0; n < 100; n++) {
      await pass(20_000);
      session.onPong();
    }
    expect(backend.asked).toHaveLength(1);
    expect(session.state).toBe('active');
  });

  test('changes the session before the client is in, and not before the bus confirms', async () => {
    const { greet, backend, confirm, registry } = stage();
    const client = greet();
    const patch: Patch = { uid: 'ann' };
    await backend.answer({ ...FOR_EVER, patch });
    expect(registry.byUid('ann').size).toBe(1);
    expect(client.answer()).toBe(undefined);
    await confirm();
    expect(client.answer()).toMatchObject({ code: 200 });
  });

  test('turns a client away for its own reason: 500', async () => {
    const { greet, backend, lines, ended } = stage();
    const client = greet();
    const { sid } = client.session;
    await backend.answer({ ...failure('FORBIDDEN'), reason: 'BANNED', message: 'until Monday' });
    expect(client.answer()).toMatchObject({ code: 500 });
    expect(lines).toEqual([
      {
        ref: `${sid}-0`,
        ...{ level: 'info', sid, remoteIp: '192.0.2.7', reason: 'BANNED', why: 'until Monday' },
        msg: 'handshake rejected',
      },
    ]);
    expect(ended).toMatchObject([{ reason: 'handshake_refused', cause: 'BANNED: until Monday' }]);
  });

  test.each(['BACKEND_AWAY', 'BUS_AWAY', 'OVERLOADED', 'TIMEOUT', 'DRAINING'] as const)(
    'says nothing of the client when it is %s: 503, it may try again',
    async (reason) => {
      const { greet, backend, lines } = stage();
      const client = greet();
      await backend.answer(failure(reason));
      expect(client.answer()).toMatchObject({ code: 503 });
      expect(lines).toMatchObject([{ level: 'warn', reason, msg: 'handshake rejected' }]);
    },
  );

  test('is in five lines of the log while it turns everyone away, and each refusal in its own', async () => {
    const { greet, backend, lines } = stage();
    for (let n = 0; n < 20; n++) {
      greet();
      await backend.answer(failure('BACKEND_AWAY'));
    }
    expect(lines).toHaveLength(5);
    for (let n = 0; n < 20; n++) {
      greet();
      await backend.answer(failure('FORBIDDEN'));
    }
    expect(lines).toHaveLength(25);
  });

  test('lets no one in by an answer that fits in no packet, nor by a change that is refused', async () => {
    const { greet, backend, registry, lines } = stage();
    const long = greet();
    const user = { text: 'x'.repeat(17 * 1024 * 1024) };
    await backend.answer({ ...FOR_EVER, user, patch: { uid: 'ann' } });
    expect(long.answer()).toMatchObject({ code: 500 });
    expect(registry.byUid('ann').size).toBe(0);
    const groups = greet();
    await backend.answer({ ...FOR_EVER, patch: { join: ['a', 'b', 'c', 'd'] } });
    expect(groups.answer()).toMatchObject({ code: 500 });
    expect(registry.byGroup('a').size).toBe(0);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ['warn', 'handshake rejected'],
      ['info', 'handshake rejected'],
    ]);
  });
});

describe('a handshake without an answer', () => {
  test('is 503 before the time for handshakes is over', async () => {
    const { greet, backend, pass } = stage();
    const client = greet();
    await pass(9_900);
    expect(client.answer()).toBe(undefined);
    await pass(100);
    expect(client.answer()).toMatchObject({ code: 503 });
    expect(backend.isAwaited).toBe(false);
  });

  test('of a client that leaves is awaited no more, and one that comes then changes nothing', async () => {
    const { greet, backend, registry } = stage();
    const client = greet();
    expect(backend.isAwaited).toBe(true);
    client.session.onEnd();
    expect(backend.isAwaited).toBe(false);
    expect(backend.asked[0]!.signal!.aborted).toBe(true);
    await backend.answer({ ...FOR_EVER, patch: { uid: 'ann' } });
    expect(client.answer()).toBe(undefined);
    expect(registry.byUid('ann').size).toBe(0);
  });

  test('of a client that leaves while the bus confirms', async () => {
    const { auth, greet, backend, confirm, pass, registry, lines } = stage();
    const client = greet();
    await backend.answer({ ...FOR_EVER, patch: { uid: 'ann' }, expiresInMs: 1_000 });
    client.session.onEnd();
    await confirm();
    expect(client.answer()).toBe(undefined);
    expect(registry.byUid('ann').size).toBe(0);
    await pass(2_000);
    expect(backend.asked).toHaveLength(1);
    expect(auth.pending).toBe(0);
    expect(lines).toEqual([]);
  });

  test('by a fault of ours is 500, and in the log', async () => {
    const { greet, backend, lines } = stage();
    backend.connect = () => Promise.reject(new Error('broken'));
    const client = greet();
    await turn();
    expect(client.answer()).toMatchObject({ code: 500 });
    expect(lines).toMatchObject([
      { level: 'error', msg: 'handshake failed', err: { message: 'broken' } },
    ]);
  });
});

describe('an answer that expires', () => {
  test('is asked for again after four fifths of its time, and holds as long again', async () => {
    const { backend, pass, clock, session } = await comeIn(10_000);
    await pass(7_980);
    expect(backend.asked).toHaveLength(1);
    await pass(40);
    expect(backend.asked).toHaveLength(2);
    expect(backend.asked[1]).toMatchObject({ refresh: true, session });
    // The rest of the time is less than the 5 s that it may take.
    expect(backend.asked[1]!.deadline).toBeLessThanOrEqual(clock.now() + 2_000);
    await backend.answer({ ...FOR_EVER, expiresInMs: 20_000 });
    await pass(15_960);
    expect(backend.asked).toHaveLength(2);
    await pass(60);
    expect(backend.asked).toHaveLength(3);
    await backend.answer(FOR_EVER);
    await pass(25_000);
    expect(backend.asked).toHaveLength(3);
    expect(session.state).toBe('active');
  });

  test('may change the session', async () => {
    const { backend, pass, session, confirm } = await comeIn(10_000);
    await pass(8_020);
    await backend.answer({ ...FOR_EVER, patch: { set: { level: 4 }, join: ['g'] } });
    await confirm();
    expect(session.data).toEqual({ level: 4 });
    expect(session.state).toBe('active');
  });

  test('is waited for 5 s at most', async () => {
    const { backend, pass, clock } = await comeIn(100_000);
    await pass(27_000);
    backend.asked[0]!.client.onPong();
    await pass(27_000);
    backend.asked[0]!.client.onPong();
    await pass(26_000);
    expect(backend.asked[1]!.deadline).toBe(clock.now() + 5_000);
  });

  test('ends the session when the backend says no', async () => {
    const { backend, pass, ended, lines, session } = await comeIn(10_000);
    await pass(8_020);
    await backend.answer({ ...failure('FORBIDDEN'), reason: 'BANNED', message: 'no more' });
    expect(ended).toMatchObject([{ reason: 'auth_expired' }]);
    const { sid } = session;
    expect(lines).toEqual([
      { level: 'info', sid, reason: 'BANNED', why: 'no more', msg: 're-authentication rejected' },
    ]);
  });

  test('ends the session when its changes are refused', async () => {
    const { backend, pass, ended } = await comeIn(10_000);
    await pass(8_020);
    await backend.answer({ ...FOR_EVER, patch: { join: ['a', 'b', 'c', 'd'] } });
    expect(ended).toMatchObject([{ reason: 'auth_expired' }]);
  });

  test('is asked for each second while the backend is away, until it is over', async () => {
    const { backend, pass, ended, session } = await comeIn(10_000);
    await pass(8_020);
    await backend.answer(failure('BACKEND_AWAY'));
    expect(session.state).toBe('active');
    await pass(1_020);
    expect(backend.asked).toHaveLength(3);
    await backend.answer(failure('OVERLOADED'));
    expect(session.state).toBe('active');
    await pass(900);
    expect(ended).toEqual([]);
    await pass(120);
    expect(backend.asked).toHaveLength(3);
    expect(ended).toMatchObject([{ reason: 'auth_expired' }]);
  });

  test('is asked for every twentieth of a long time while the backend is away', async () => {
    const { backend, pass, session } = await comeIn(200_000);
    for (let n = 0; n < 8; n++) {
      await pass(20_005);
      session.onPong();
    }
    expect(backend.asked).toHaveLength(2);
    await backend.answer(failure('BUS_AWAY'));
    await pass(9_900);
    expect(backend.asked).toHaveLength(2);
    await pass(140);
    expect(backend.asked).toHaveLength(3);
    await backend.answer({ ...FOR_EVER, expiresInMs: 200_000 });
    expect(session.state).toBe('active');
  });

  test('of a client that has left is asked for no more', async () => {
    const { auth, backend, pass, session, wheel } = await comeIn(10_000);
    expect(auth.pending).toBe(1);
    session.onEnd();
    expect(auth.pending).toBe(0);
    expect(wheel.size).toBe(0);
    await pass(20_000);
    expect(backend.asked).toHaveLength(1);
  });

  test('of a client that leaves while it is asked for', async () => {
    const { backend, pass, session, ended, lines } = await comeIn(10_000);
    await pass(8_020);
    session.onEnd();
    expect(backend.isAwaited).toBe(false);
    await backend.answer(failure('FORBIDDEN'));
    expect(ended).toMatchObject([{ reason: 'client_closed' }]);
    expect(lines).toEqual([]);
  });

  test('ends the session by a fault of ours', async () => {
    const { backend, pass, ended, lines } = await comeIn(10_000);
    backend.connect = () => Promise.reject(new Error('broken'));
    await pass(8_020);
    expect(ended).toMatchObject([{ reason: 'auth_expired' }]);
    expect(lines).toMatchObject([{ level: 'error', msg: 'handshake failed' }]);
  });
});
