/** Kept pushes: each once, in order, before anything newer, whatever comes in between. The stream is a double. */
import { describe, expect, test } from 'vitest';

import { READS_AT_ONCE } from '../../../src/bus/catch-ups.ts';
import { EmbeddedBus } from '../../../src/bus/embedded-bus.ts';
import { HOLD_MS_MAX } from '../../../src/bus/catch-up-pushes.ts';
import { PAGE_PUSHES_MAX } from '../../../src/bus/kept-stream.ts';
import type { ReplayStart } from '../../../src/bus/replay.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { ManualClock } from '../../support/clock.ts';
import type { KeepStreamDouble } from '../../support/keep-stream.ts';
import { activate, turn } from '../session/support.ts';
import { lines, makeStream } from './kept.ts';
import { Exchange, makeGateway } from './support.ts';

const WINDOW_MS = 60_000;
const FRESH: ReplayStart = { cursor: '', kept: null, issuedAtWall: 0 };

type Options = {
  perUser?: number;
  isOld?: boolean;
  outboxBytesMax?: number;
  outboxesBytesMax?: number;
};

async function stage(options: Options = {}) {
  const exchange = new Exchange();
  const clock = new ManualClock(1_000);
  const js = makeStream(exchange, clock);
  js.stream.isOld = options.isOld ?? false;
  js.stream.config.perUser = options.perUser ?? 100;
  const replay = { windowMs: WINDOW_MS, outboxBytesMax: options.outboxBytesMax ?? 65_536 };
  const more = { replay, outboxesBytesMax: options.outboxesBytesMax ?? 1e9 };
  const make = (id: string) => makeGateway(id, exchange, clock, 0, () => null, more);
  const gateway = make('g-0123456789');
  /** Lets everything that is under way arrive. */
  const settle = async (turns = 12): Promise<void> => {
    for (let i = 0; i < turns; i++) {
      exchange.deliver();
      for (const { resolve } of gateway.connector.flushes.splice(0)) resolve();
      await turn();
    }
  };
  const keep = (n: number, uid = 'ann', ...headers: string[]): void => {
    const head = lines('Pith-Route: onMail', ...headers);
    exchange.publish(`pith.keep.user.${uid}`, `{"n":${n}}`, '', head);
  };
  const up = async (first = true): Promise<void> => {
    for (const listener of gateway.connector.listeners) listener.onUp?.(first);
    await settle();
  };
  let n = 0;
  /** A client that asks for cursors, bound. */
  const come = async (start: ReplayStart = FRESH, uid = 'ann') => {
    const client = gateway.client(++n, uid);
    gateway.bus.replay!.begin(client.session, start, null);
    await settle();
    return client;
  };
  await up();
  return { ...gateway, exchange, clock, js, make, settle, keep, come, up };
}

type Client = ReturnType<typeof activate>;

function got({ connection }: Client): string[] {
  return connection.messages;
}

const live = (n: number, seq: number): string[] => [
  `onMail {"n":${n}}`,
  `pith.cursor {"seq":${seq}}`,
];

describe('the stream', () => {
  test('is found by its subject, and then the gateway is ready', async () => {
    const { bus } = await stage();
    expect(bus.replay!.problem).toBeNull();
  });

  test.each([
    [
      (js: KeepStreamDouble) => void (js.exists = false),
      'sessions.resume.replay needs a JetStream stream of pith.keep.user.*, and there is none: run `make keep-stream`',
    ],
    [
      (js: KeepStreamDouble) => void (js.config.allowDirect = false),
      'the JetStream stream PITH_KEEP of pith.keep.user.* does not allow direct access: run `make keep-stream`',
    ],
    [
      (js: KeepStreamDouble) => void (js.config.dest = 'pith.user.{{wildcard(1)}}.push'),
      'the JetStream stream PITH_KEEP of pith.keep.user.* does not republish from pith.keep.user.* to pith.user.{{wildcard(1)}}.kept: run `make keep-stream`',
    ],
    [
      (js: KeepStreamDouble) => void (js.config.maxAgeMs = 59_000),
      'the JetStream stream PITH_KEEP of pith.keep.user.* keeps pushes for 59s, which is less than sessions.resume.window: run `make keep-stream`',
    ],
  ])('that cannot be used is named, and looked for again', async (spoil, sentence) => {
    const exchange = new Exchange();
    const clock = new ManualClock(1_000);
    const js = makeStream(exchange, clock);
    const good = { ...js.stream.config };
    spoil(js.stream);
    const {
      bus,
      connector,
      lines: logged,
    } = makeGateway('g-0', exchange, clock, 0, () => null, {
      replay: { windowMs: WINDOW_MS, outboxBytesMax: 65_536 },
    });
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 8; i++) {
        exchange.deliver();
        await turn();
      }
    };
    for (const listener of connector.listeners) listener.onUp?.(true);
    await settle();
    expect(bus.replay!.problem).toBe(sentence);
    expect(logged.filter(({ what }) => what === sentence)).toHaveLength(1);
    js.stream.exists = true;
    Object.assign(js.stream.config, good);
    clock.advance(5_000);
    await settle();
    expect(bus.replay!.problem).toBeNull();
  });

  test('of a server without JetStream is named', async () => {
    const exchange = new Exchange();
    const { bus, connector } = makeGateway('g-0', exchange, undefined, 0, () => null, {
      replay: { windowMs: WINDOW_MS, outboxBytesMax: 65_536 },
    });
    for (const listener of connector.listeners) listener.onUp?.(true);
    for (let i = 0; i < 8; i++) {
      exchange.deliver();
      await turn();
    }
    expect(bus.replay!.problem).toMatch(
      /^sessions\.resume\.replay needs JetStream, which does not/,
    );
  });
});

describe('a client that is there', () => {
  test('gets a kept push and its number in one write', async () => {
    const { come, keep, settle } = await stage();
    const ann = await come();
    keep(1);
    await settle();
    keep(2);
    await settle();
    expect(got(ann)).toEqual([...live(1, 1), ...live(2, 2)]);
    expect(ann.connection.writes).toHaveLength(2);
  });

  test('that has not asked gets no numbers', async () => {
    const { come, keep, settle, client } = await stage();
    const quiet = await come({ cursor: undefined, kept: null, issuedAtWall: 0 });
    const stranger = client(50, 'ann');
    keep(1);
    await settle();
    expect([got(quiet), got(stranger)]).toEqual([['onMail {"n":1}'], ['onMail {"n":1}']]);
  });

  test('gets what was stored while the gateway had no connection, once and in order', async () => {
    const { come, keep, settle, connector, up } = await stage();
    const ann = await come();
    keep(1);
    await settle();
    connector.up = false;
    keep(2);
    keep(3);
    await settle();
    connector.up = true;
    keep(4);
    await up(false);
    expect(got(ann)).toEqual([...live(1, 1), ...live(2, 2), ...live(3, 3), ...live(4, 4)]);
  });

  test('gets what the gateway missed without losing its connection, before what follows', async () => {
    const { come, keep, settle, connector, exchange } = await stage();
    const ann = await come();
    keep(1);
    await settle();
    connector.up = false;
    keep(2);
    exchange.deliver();
    connector.up = true;
    keep(3);
    await settle();
    expect(got(ann)).toEqual([...live(1, 1), ...live(2, 2), ...live(3, 3)]);
  });

  test('is not sent what was stored before it was bound', async () => {
    const { come, keep, settle, connector, up } = await stage();
    keep(1);
    await settle();
    const ann = await come();
    connector.up = false;
    keep(2);
    await settle();
    connector.up = true;
    await up(false);
    expect(got(ann)).toEqual(live(2, 2));
  });

  test('gets nothing of a user that it no longer is', async () => {
    const { come, keep, settle, sessionCommands, connector, up } = await stage();
    const ann = await come();
    keep(1);
    await settle();
    await Promise.all([sessionCommands.patchAll([ann.session], { uid: '' }), settle()]);
    await Promise.all([sessionCommands.patchAll([ann.session], { uid: 'bob' }), settle()]);
    expect(ann.session.kept).toMatchObject({ seq: 1, isOwn: false });
    connector.up = false;
    keep(2);
    keep(3, 'bob');
    await settle();
    connector.up = true;
    await up(false);
    expect(got(ann)).toEqual([...live(1, 1), ...live(3, 3)]);
  });

  test('gets it on each of its sessions, whatever each has got before', async () => {
    const { come, keep, settle } = await stage();
    const one = await come();
    keep(1);
    await settle();
    const two = await come();
    keep(2);
    await settle();
    expect([got(one), got(two)]).toEqual([[...live(1, 1), ...live(2, 2)], live(2, 2)]);
  });
});

/** What a token says that was made when the client had got `seq`. */
const token = (seq: number, cursor: unknown = seq): ReplayStart => ({
  cursor,
  kept: { seq, since: Date.UTC(2026, 0, 1) },
  issuedAtWall: Date.UTC(2026, 0, 1),
});

describe('a client that comes back', () => {
  test('gets what it missed before anything newer, once', async () => {
    const { keep, settle, client, bus, sessionCommands, exchange } = await stage();
    for (let n = 1; n <= 3; n++) keep(n);
    await settle();
    const ann = client(9, 'ann');
    bus.replay!.begin(ann.session, token(1), null);
    exchange.publish('pith.user.ann.push', '{}', '', lines('Pith-Route: onNews'));
    keep(4);
    sessionCommands.push({ ...PLAIN, route: 'onLate' }, [ann.session]);
    await turn();
    expect(got(ann)).toEqual([]);
    await settle();
    expect(got(ann)).toEqual([
      ...[...live(2, 2), ...live(3, 3), ...live(4, 4)],
      ...['onLate {}', 'onNews {}'],
    ]);
    expect(ann.session.outbox.isCorked).toBe(false);
    keep(5);
    await settle();
    expect(got(ann).slice(-2)).toEqual(live(5, 5));
  });

  test('is believed its own number where that is higher than its token has it', async () => {
    const { come, keep, settle } = await stage();
    for (let n = 1; n <= 4; n++) keep(n);
    await settle();
    const [low, high, text] = [
      await come(token(2, 1)),
      await come(token(2, 3)),
      await come(token(2, '3')),
    ];
    expect(got(low)).toEqual([...live(3, 3), ...live(4, 4)]);
    expect(got(high)).toEqual(live(4, 4));
    expect(got(text)).toEqual(live(4, 4));
  });

  test.each([[-1], [1.5], [Number.NaN], [1e300], ['x'], [{ seq: 4 }], [null], [[4]], ['']])(
    'and says %j as its number is taken to have none',
    async (cursor) => {
      const { come, keep, settle } = await stage();
      for (let n = 1; n <= 3; n++) keep(n);
      await settle();
      expect(got(await come(token(2, cursor)))).toEqual(live(3, 3));
    },
  );

  test('and claims a number that the stream does not have gets what is kept', async () => {
    const { come, keep, settle } = await stage();
    for (let n = 1; n <= 2; n++) keep(n);
    await settle();
    expect(got(await come(token(1, 1_000)))).toEqual([...live(1, 1), ...live(2, 2)]);
  });

  test('to a stream that was made again gets all that is in it', async () => {
    const { come, keep, settle, js } = await stage();
    for (let n = 1; n <= 5; n++) keep(n);
    await settle();
    js.stream.makeAgain();
    keep(6);
    await settle();
    const ann = await come(token(5));
    expect(got(ann)).toEqual(live(6, 1));
    keep(7);
    await settle();
    js.stream.makeAgain();
    keep(8);
    await settle();
    expect(got(ann).slice(2)).toEqual([...live(7, 2), ...live(8, 1)]);
  });

  test('with a token that knows no number gets what was stored since then, or a second before', async () => {
    const { come, keep, settle, clock } = await stage();
    keep(1);
    await settle();
    clock.advance(5_000);
    keep(2);
    await settle();
    clock.advance(800);
    const since = clock.wallNow();
    keep(3);
    await settle();
    const ann = await come({ cursor: 0, kept: { seq: -1, since }, issuedAtWall: since });
    expect(got(ann)).toEqual([...live(2, 2), ...live(3, 3)]);
    const old = await come({ cursor: 0, kept: null, issuedAtWall: since });
    expect(got(old)).toEqual([...live(2, 2), ...live(3, 3)]);
  });

  test('gets many, in pages, and those with servers that know none', async () => {
    for (const isOld of [false, true]) {
      const { come, keep, settle } = await stage({ isOld, perUser: 300, outboxBytesMax: 1e6 });
      for (let n = 1; n <= 200; n++) keep(n);
      await settle();
      const ann = await come(token(50));
      await settle(400);
      const wanted = Array.from({ length: 150 }, (_, i) => live(51 + i, 51 + i)).flat();
      expect(got(ann)).toEqual(wanted);
    }
  });

  test('gets all pages before others begin, so that little is held', async () => {
    const { settle, keep, client, bus, exchange, gatewayId } = await stage();
    const users = Array.from({ length: READS_AT_ONCE + 1 }, (_, i) => `u${i}`);
    for (const uid of users) for (let n = 1; n <= PAGE_PUSHES_MAX + 1; n++) keep(n, uid);
    await settle();
    exchange.takeSent();
    for (const [i, uid] of users.entries())
      bus.replay!.begin(client(100 + i, uid).session, token(0), null);
    await settle(30);
    const read = exchange
      .takeSent()
      .filter(({ subject, reply }) => subject.includes('DIRECT.GET') && reply.includes(gatewayId))
      .map(({ payload }) => (JSON.parse(payload) as { next_by_subj: string }).next_by_subj);
    const first = read.indexOf(`pith.keep.user.${users.at(-1)!}`);
    expect(new Set(read.slice(0, first)).size).toBe(READS_AT_ONCE);
    expect(first).toBeGreaterThan(READS_AT_ONCE);
    expect(bus.replay!.waiting).toBe(0);
  });

  test('is told where some that it missed are no longer kept', async () => {
    const { come, keep, settle, metrics } = await stage({ perUser: 3 });
    for (let n = 1; n <= 6; n++) keep(n);
    await settle();
    const ann = await come(token(1));
    expect(got(ann)).toEqual([
      ...[...live(4, 4), ...live(5, 5), ...live(6, 6)],
      'pith.cursor {"seq":6,"missed":true}',
    ]);
    // Three are kept, and its own last one is before them, or is one of them: nothing is missing.
    expect(got(await come(token(4)))).toEqual([...live(5, 5), ...live(6, 6)]);
    expect(metrics.render()).toContain('pith_replays_total{outcome="missed"} 1');
  });

  test('and gets more while it is read for than is kept of a user has missed nothing', async () => {
    const { come, keep, settle, js, clock } = await stage({ perUser: 3 });
    for (let n = 1; n <= 3; n++) keep(n);
    await settle();
    js.stream.readsUpTo = 2;
    const ann = await come(token(1));
    keep(4);
    await settle();
    js.stream.readsUpTo = Infinity;
    keep(5);
    clock.advance(100);
    await settle();
    expect(got(ann)).toEqual([...live(2, 2), ...live(3, 3), ...live(4, 4), ...live(5, 5)]);
  });

  test('does not get again what arrives late, and was read before', async () => {
    const { come, keep, settle, exchange } = await stage();
    for (let n = 1; n <= 3; n++) keep(n);
    await settle();
    const ann = await come(token(1));
    const late = ['Nats-Stream: PITH_KEEP', 'Nats-Sequence: 3', 'Nats-Last-Sequence: 2'];
    exchange.publish('pith.user.ann.kept', '{"n":3}', '', lines('Pith-Route: onMail', ...late));
    await settle();
    expect(got(ann)).toEqual([...live(2, 2), ...live(3, 3)]);
  });

  test('is not sent what has expired, or was not for it', async () => {
    const { come, keep, settle, clock } = await stage();
    keep(1, 'ann', 'Pith-Expires-Ms: 500');
    keep(2, 'ann', 'Pith-Expires-Ms: 5000');
    keep(3, 'ann', 'Pith-Where: {"vip":true}');
    keep(4, 'ann', 'Pith-Except-Uids: ["ann"]');
    await settle();
    clock.advance(1_000);
    const ann = await come(token(0));
    expect(got(ann)).toEqual(live(2, 2));
    expect(ann.session.kept).toMatchObject({ seq: 4 });
  });

  test('gets what follows one that cannot be read', async () => {
    const { come, keep, settle, exchange, metrics } = await stage();
    exchange.publish('pith.keep.user.ann', 'no route');
    exchange.publish('pith.keep.user.ann', '{}', '', lines('Pith-Route: a', 'Pith-Where: {'));
    exchange.publish('pith.keep.user.ann', '{}', '', lines('Pith-Route: a', 'Pith-Cursor: k.1'));
    keep(3);
    await settle();
    expect(got(await come(token(0)))).toEqual(live(3, 4));
    expect(metrics.render()).toContain('pith_bus_refused_total{reason="BAD_ARGUMENT"} 3');
  });

  test('does not wait longer than 2 s with all else, and still gets them', async () => {
    const { come, keep, settle, clock, js, sessionCommands } = await stage();
    for (let n = 1; n <= 2; n++) keep(n);
    await settle();
    js.isSilent = true;
    const ann = await come(token(1));
    sessionCommands.push(PLAIN, [ann.session]);
    clock.advance(HOLD_MS_MAX - 40);
    await settle();
    expect(got(ann)).toEqual([]);
    clock.advance(60);
    await settle();
    expect(got(ann)).toEqual(['onNews {}']);
    keep(3);
    await settle();
    js.isSilent = false;
    for (let i = 0; i < 40; i++) {
      clock.advance(250);
      await settle(4);
    }
    expect(got(ann).slice(1)).toEqual([...live(2, 2), ...live(3, 3)]);
  });

  test('to a server that reads too little yet waits for the rest', async () => {
    const { come, keep, settle, clock, js } = await stage();
    for (let n = 1; n <= 2; n++) keep(n);
    await settle();
    js.stream.readsUpTo = 1;
    const ann = await come(token(1));
    keep(3);
    await settle();
    // The number of the one before does not follow: it is not sent until that was read.
    expect(got(ann)).toEqual([]);
    js.stream.readsUpTo = Infinity;
    clock.advance(100);
    await settle();
    expect(got(ann)).toEqual([...live(2, 2), ...live(3, 3)]);
  });

  test('is looked after once more, a second later', async () => {
    const { come, keep, settle, clock, js } = await stage();
    for (let n = 1; n <= 2; n++) keep(n);
    await settle();
    js.stream.readsUpTo = 1;
    const ann = await come(token(1));
    js.stream.readsUpTo = Infinity;
    expect(got(ann)).toEqual([]);
    clock.advance(1_040);
    await settle();
    expect(got(ann)).toEqual(live(2, 2));
  });

  test('that goes again leaves nothing behind, be it read for or not', async () => {
    const { keep, settle, js, bus, client, registry } = await stage();
    keep(1);
    await settle();
    js.isSilent = true;
    const gone = Array.from({ length: READS_AT_ONCE + 10 }, (_, i) => client(100 + i, `u${i}`));
    for (const { session } of gone) bus.replay!.begin(session, token(0), null);
    await settle();
    expect(bus.replay!.waiting).toBe(READS_AT_ONCE + 10);
    for (const { session } of gone) {
      session.close('client_closed');
      registry.remove(session);
    }
    expect(bus.replay!.waiting).toBe(0);
  });

  test('holds bytes that count as if its outbox had them, until they go out', async () => {
    const { keep, settle, js, bus, client, clock, world } = await stage();
    const waits = (): number => world.outboxes.heldBytes;
    for (let n = 1; n <= 10; n++) keep(n);
    await settle();
    js.stream.readsUpTo = 6;
    const ann = client(100, 'ann');
    const before = waits();
    bus.replay!.begin(ann.session, token(0), null);
    keep(11);
    await settle();
    // Six pushes and their cursors, with 128 bytes each besides; the seventh has not been read.
    expect(got(ann)).toEqual([]);
    expect(waits() - before).toBeGreaterThan(12 * 128);
    expect(waits() - before).toBeLessThan(12 * 256);
    clock.advance(HOLD_MS_MAX + 60);
    await settle();
    expect(got(ann)).toHaveLength(12);
    expect(waits()).toBe(before);
  });

  test('closes the client that is furthest behind where all of them hold too much', async () => {
    const { keep, settle, js, bus, client, world, sessionCommands } = await stage({
      outboxesBytesMax: 4_000,
    });
    for (const uid of ['ann', 'bob']) for (let n = 1; n <= 10; n++) keep(n, uid);
    await settle();
    js.stream.readsUpTo = 15;
    const [ann, bob] = [client(100, 'ann'), client(101, 'bob')];
    bus.replay!.begin(ann.session, token(0), null);
    keep(11);
    await settle();
    expect(ann.session.state).toBe('active');
    // Two turns, in which ann could have taken something.
    for (let i = 0; i < 2; i++) {
      sessionCommands.push(PLAIN, [bob.session]);
      await settle();
    }
    bus.replay!.begin(bob.session, token(0), null);
    keep(12, 'bob');
    await settle();
    expect([ann.session.state, bob.session.state]).toEqual(['closed', 'active']);
    expect(world.outboxes.heldBytes).toBeLessThanOrEqual(4_000);
  });
});

describe('lines that a sender has forged', () => {
  test('do not count: those of the stream are the last', async () => {
    const { come, keep, settle } = await stage();
    const ann = await come();
    const forged = ['Nats-Sequence: 900', 'Nats-Last-Sequence: 900', 'Nats-Num-Pending: 7'];
    keep(1, 'ann', 'Nats-Stream: X', ...forged);
    await settle();
    keep(2);
    await settle();
    expect(got(ann)).toEqual([...live(1, 1), ...live(2, 2)]);
    const again = await come(token(0));
    expect(got(again)).toEqual([...live(1, 1), ...live(2, 2)]);
  });

  test('of an old server neither', async () => {
    const { come, keep, settle } = await stage({ isOld: true });
    keep(1, 'ann', 'Nats-Stream: X', 'Nats-Num-Pending: 7', 'Nats-Sequence: 900');
    keep(2);
    await settle();
    expect(got(await come(token(0)))).toEqual([...live(1, 1), ...live(2, 2)]);
  });

  test('and a push that no stream has kept is refused', async () => {
    const { come, settle, exchange, metrics } = await stage();
    const ann = await come();
    exchange.publish('pith.user.ann.kept', '{}', '', lines('Pith-Route: onMail'));
    await settle();
    expect(got(ann)).toEqual([]);
    expect(metrics.render()).toContain('pith_bus_refused_total{reason="BAD_ARGUMENT"} 1');
  });

  test('of a number that is too high, where nothing forbids it, do not lose what follows', async () => {
    const { come, keep, settle, exchange } = await stage();
    const ann = await come();
    const head = lines('Pith-Route: onMail', 'Nats-Stream: PITH_KEEP', 'Nats-Sequence: 999');
    exchange.publish('pith.user.ann.kept', '{"n":0}', '', head);
    await settle();
    keep(1);
    await settle();
    expect(got(ann)).toEqual([...live(0, 999), ...live(1, 1)]);
  });
});

const PLAIN: Push = {
  target: null,
  route: 'onNews',
  body: Buffer.from('{}'),
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};

describe('a push that is to be kept, from who cannot publish it', () => {
  const KEEP: Push = { ...PLAIN, target: { uids: ['ann', 'bob', 'ann'] }, keep: true };

  test('goes to the stream once for each user, and through it to who is there', async () => {
    const { come, settle, fleet } = await stage();
    const ann = await come();
    const outcome = fleet.pushCounted({ ...KEEP, expiresInMs: 9_000 }, 250);
    await settle();
    expect(await outcome).toMatchObject({ kept: 2, delivered: 0, gateways: 0 });
    expect(got(ann)).toEqual(['onNews {}', 'pith.cursor {"seq":1}']);
    expect(got(await come(token(0), 'bob'))).toEqual(['onNews {}', 'pith.cursor {"seq":2}']);
  });

  test('of a reply is for the user of its session', async () => {
    const { come, settle, fleet, client } = await stage();
    const ann = await come();
    expect(fleet.push({ ...KEEP, target: null }, ann.session)).toBeNull();
    await settle();
    expect(got(ann)).toEqual(['onNews {}', 'pith.cursor {"seq":1}']);
    const nobody = client(70);
    expect(fleet.push({ ...KEEP, target: null }, nobody.session)).toMatchObject({
      reason: 'BAD_ARGUMENT',
    });
  });

  test.each([
    [{}, 'BAD_ARGUMENT'],
    [{ all: true }, 'BAD_ARGUMENT'],
    [{ groups: ['g'] }, 'BAD_ARGUMENT'],
    [{ uids: ['ann'], sids: ['g-0.1'] }, 'BAD_ARGUMENT'],
    [{ uids: ['ann', ''] }, 'BAD_ARGUMENT'],
    [{ uids: ['\ud800'] }, 'BAD_ARGUMENT'],
    [{ uids: Array.from({ length: 1_001 }, (_, i) => `u${i}`) }, 'TOO_LARGE'],
  ])('to %j is refused', async (target, reason) => {
    const { fleet, exchange } = await stage();
    const before = exchange.count;
    expect(await fleet.pushCounted({ ...KEEP, target }, 250)).toMatchObject({ reason });
    expect(fleet.push({ ...KEEP, target }, null)).toMatchObject({ reason });
    expect(exchange.count).toBe(before);
  });

  test('is refused where no stream keeps it, or none says so', async () => {
    const { fleet, exchange, js, settle, clock, metrics } = await stage();
    js.isSilent = true;
    js.stores = false;
    const late = fleet.pushCounted(KEEP, 250);
    await settle();
    clock.advance(2_000);
    expect(await late).toMatchObject({ reason: 'TIMEOUT' });
    for (const one of [...exchange.subscribers])
      if (one.connection === js.connection) exchange.subscribers.delete(one);
    const none = fleet.pushCounted(KEEP, 250);
    await settle();
    expect(await none).toMatchObject({
      reason: 'UNSUPPORTED',
      message: 'no JetStream stream keeps pith.keep.user.*: run `make keep-stream`',
    });
    expect(metrics.render()).toContain('pith_bus_refused_total{reason="UNKEPT"} 2');
  });

  test('is refused in a batch, and without NATS', async () => {
    const { come, exchange, settle, metrics, gatewayId } = await stage();
    const ann = await come();
    // PushBatch { pushes { target { uids: "ann" } route: "onNews" keep: true } }
    const push = Buffer.from('0a051203616e6e12066f6e4e6577734801', 'hex');
    exchange.publish(
      `pith.gateway.${gatewayId}.push`,
      Buffer.concat([Buffer.from([0x0a, push.length]), push]),
    );
    await settle();
    expect(got(ann)).toEqual([]);
    expect(metrics.render()).toContain('pith_bus_refused_total{reason="BAD_ARGUMENT"} 1');
    expect(await new EmbeddedBus().keeping.keep(KEEP)).toMatchObject({ reason: 'UNSUPPORTED' });
  });
});
