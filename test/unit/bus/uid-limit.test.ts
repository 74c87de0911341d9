/** One uid on several gateways: who stays, who goes and who is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { UidLimit } from '../../../src/bus/uid-claims.ts';
import type { Clock } from '../../../src/clock.ts';
import type { Patch } from '../../../src/contract/commands.ts';
import type { Changes, Incomplete } from '../../../src/bus/change-outcome.ts';
import { PacketType } from '../../../src/protocol/packet.ts';
import type { Session } from '../../../src/session/session.ts';
import { ManualClock } from '../../support/clock.ts';
import { turn } from '../session/support.ts';
import { Exchange, makeGateway, TestConnection } from './support.ts';

const KICK_OLD: UidLimit = { refuses: false, sessionsMax: 1 };
const REFUSE_NEW: UidLimit = { refuses: true, sessionsMax: 1 };

const IDS = ['a-0123456789', 'b-0123456789', 'c-0123456789'] as const;

/** @param skews Milliseconds that a gateway's wall clock is ahead. */
function makeFleet(
  limit: UidLimit | undefined,
  skews: readonly number[] = [0, 0],
  heartbeatMs = 0,
) {
  const exchange = new Exchange();
  exchange.echoes = false;
  const clock = new ManualClock(1_000);
  const gateways = skews.map((ms, i) =>
    makeGateway(IDS[i]!, exchange, clock, 0, () => null, {
      limit,
      wallClock: skewed(clock, ms),
      heartbeatMs,
    }),
  );
  const conflicts = exchange.hear('pith.event.session.conflict');
  /** All that was published has arrived, and all that is asked of the server is answered. */
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3;) {
      const before = exchange.count;
      exchange.deliver();
      for (const { connector } of gateways)
        for (const flush of connector.flushes.splice(0)) flush.resolve();
      await turn();
      quiet = exchange.count === before ? quiet + 1 : 0;
    }
  };
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(50, left));
      await settle();
    }
  };
  let n = 0;
  const player = (gateway: number, transport: 'ws' | 'tcp' = 'ws') => {
    const made = gateways[gateway]!.client(++n);
    Object.assign(made.connection, { transport });
    return { ...made, commands: gateways[gateway]!.sessionCommands };
  };
  type Player = ReturnType<typeof player>;
  const patch = ({ session, commands }: Player, change: Patch) =>
    commands.patchAll([session], change);
  const bind = async (who: Player, uid = '42'): Promise<Changes | Incomplete> => {
    const done = patch(who, { uid, set: { seat: 1 } });
    await settle();
    return done;
  };
  const holders = (uid = '42'): string[] =>
    gateways.flatMap(({ registry }) => [...registry.byUid(uid)].map(({ sid }) => sid));
  const cut = (gateway: number): void => {
    gateways[gateway]!.connector.up = false;
  };
  const join = (gateway: number): void => {
    const { connector } = gateways[gateway]!;
    connector.up = true;
    for (const listener of connector.listeners) listener.onUp?.(false);
  };
  return {
    ...{ exchange, clock, gateways, conflicts, settle, advance },
    ...{ player, patch, bind, holders, cut, join },
  };
}

function skewed(clock: ManualClock, ms: number): Clock {
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow() + ms,
    setTimer: (after, fn) => clock.setTimer(after, fn),
    soon: (fn) => {
      clock.soon(fn);
    },
  };
}

/** A WebSocket client that answers pings. */
function answersPings({ session, connection }: { session: Session; connection: object }): void {
  Object.assign(connection, {
    ping: () => {
      setImmediate(() => {
        session.onPong();
      });
    },
  });
}

function kickOf({ connection }: { connection: { packets: { type: number; body: Buffer }[] } }) {
  const kick = connection.packets.find(({ type }) => type === PacketType.KICK);
  return kick && (JSON.parse(kick.body.toString()) as unknown);
}

describe('kick_old', () => {
  test('with nothing to say, a gateway is not woken up ten times a second for it', async () => {
    const fleet = makeFleet(KICK_OLD, [0]);
    await fleet.bind(fleet.player(0));
    await fleet.advance(1_000);
    let timers = 0;
    const { clock } = fleet;
    const setTimer = clock.setTimer.bind(clock);
    clock.setTimer = (ms, fn) => {
      timers++;
      return setTimer(ms, fn);
    };
    await fleet.advance(60_000);
    // The wheel looks once a second, and a claim is said every half minute.
    expect(timers).toBeLessThan(100);
  });

  test('the older session is kicked at once, on whichever gateway it is', async () => {
    const fleet = makeFleet(KICK_OLD);
    const old = fleet.player(0);
    const next = fleet.player(1);
    await fleet.bind(old);
    expect(await fleet.bind(next)).toMatchObject({ changed: 1 });
    expect(old.session.state).toBe('closed');
    expect(old.connection.closed).toEqual({ code: 1000, reason: 'logged_in_elsewhere' });
    expect(kickOf(old)).toEqual({ reason: 'logged_in_elsewhere' });
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts).toEqual([]);
    expect(fleet.gateways[0]!.connector.patterns).toEqual([]);
    expect(fleet.gateways[1]!.connector.patterns).toEqual(['pith.user.42.*']);
  });

  test('on one gateway the close of the old one leaves the new one its uid', async () => {
    const fleet = makeFleet(KICK_OLD, [0]);
    const [old, next] = [fleet.player(0), fleet.player(0)];
    await fleet.bind(old);
    await fleet.bind(next);
    expect(fleet.holders()).toEqual(['a-0123456789.2']);
    expect(next.session.boundAtWall).toBeGreaterThan(old.session.boundAtWall);
    expect(fleet.gateways[0]!.connector.patterns).toEqual(['pith.user.42.*']);
    expect(kickOf(old)).toEqual({ reason: 'logged_in_elsewhere' });
  });

  test.each([60_000, -60_000])(
    'no clock makes a player lose to its own ghost: %i ms',
    async (ms) => {
      const fleet = makeFleet(KICK_OLD, [ms, 0]);
      const ghost = fleet.player(0);
      const back = fleet.player(1);
      await fleet.bind(ghost);
      await fleet.advance(1_000);
      await fleet.bind(back);
      await fleet.advance(60_000);
      expect(fleet.holders()).toEqual(['b-0123456789.2']);
      expect(back.session.boundAtWall).toBeGreaterThan(ghost.session.boundAtWall);
      expect(fleet.conflicts).toEqual([]);
    },
  );

  test('what a ghost says again, while its player comes back, does not take its place', async () => {
    const fleet = makeFleet(KICK_OLD, [60_000, 0]);
    await fleet.bind(fleet.player(0));
    await fleet.advance(20_000);
    const back = fleet.player(1);
    const done = fleet.patch(back, { uid: '42' });
    const bound_at = fleet.gateways[0]!.registry.bySid('a-0123456789.1')!.boundAtWall;
    fleet.exchange.publish(
      'pith.user.42.claim',
      JSON.stringify({ sid: 'a-0123456789.1', uid: '42', bound_at, age_ms: 20_000, again: true }),
    );
    fleet.exchange.deliverLast();
    await fleet.settle();
    await done;
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
  });

  test('of two that come at the same moment one stays', async () => {
    const fleet = makeFleet(KICK_OLD, [0, 0, 0]);
    const players = [fleet.player(0), fleet.player(1), fleet.player(2)];
    const done = players.map((one) => fleet.patch(one, { uid: '42' }));
    await fleet.settle();
    await Promise.all(done);
    await fleet.advance(500);
    expect(fleet.holders()).toHaveLength(1);
  });

  test('a claim that one gateway missed is said again within half a second', async () => {
    const fleet = makeFleet(KICK_OLD);
    await fleet.bind(fleet.player(0));
    const next = fleet.player(1);
    const done = fleet.patch(next, { uid: '42' });
    // Servers of a cluster have not yet told each other of the subscription.
    fleet.gateways[0]!.connector.up = false;
    await fleet.settle();
    fleet.gateways[0]!.connector.up = true;
    await done;
    expect(fleet.holders()).toHaveLength(2);
    await fleet.advance(500);
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts).toEqual([]);
  });

  test('gateways that cannot reach each other let both in, and the newer stays when they can', async () => {
    const fleet = makeFleet(KICK_OLD);
    fleet.cut(1);
    await fleet.bind(fleet.player(0));
    await fleet.advance(1_000);
    await fleet.bind(fleet.player(1));
    await fleet.advance(20_000);
    expect(fleet.holders()).toHaveLength(2);
    fleet.join(1);
    await fleet.advance(500);
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts.map((event) => JSON.parse(event) as object)).toMatchObject([
      { session: { sid: 'a-0123456789.1', uid: '42' }, sids: ['b-0123456789.2'], seq: '2' },
    ]);
  });

  test('the same within a few seconds where no connection was lost, only servers did not reach each other', async () => {
    const fleet = makeFleet(KICK_OLD);
    for (const gateway of [0, 1]) fleet.join(gateway);
    await fleet.advance(60_000);
    fleet.exchange.apart.add(fleet.gateways[1]!.connector);
    await fleet.bind(fleet.player(0));
    await fleet.advance(1_000);
    await fleet.bind(fleet.player(1));
    // In another phase of the round in which all claims are said again.
    await fleet.advance(7_000);
    expect(fleet.holders()).toHaveLength(2);
    fleet.exchange.apart.clear();
    await fleet.advance(2_000);
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts.map((event) => JSON.parse(event) as object)).toMatchObject([
      { session: { sid: 'a-0123456789.1', uid: '42' }, sids: ['b-0123456789.2'] },
    ]);
  });

  test.each([0, 60_000])('whichever gateway is back first; clocks differ by %i ms', async (ms) => {
    for (const first of [0, 1]) {
      const fleet = makeFleet(KICK_OLD, [ms, 0]);
      // They know each other from before.
      for (const { bus } of fleet.gateways) bus.peers.greet();
      await fleet.advance(1_000);
      fleet.cut(0);
      fleet.cut(1);
      await fleet.bind(fleet.player(0));
      await fleet.advance(300);
      await fleet.bind(fleet.player(1));
      await fleet.advance(300);
      fleet.join(first);
      await fleet.advance(300);
      fleet.join(1 - first);
      await fleet.advance(500);
      expect(fleet.holders()).toEqual(['b-0123456789.2']);
      expect(fleet.conflicts).toHaveLength(1);
    }
  });

  test('a split that no gateway has noticed is healed within the half minute', async () => {
    const fleet = makeFleet(KICK_OLD);
    await fleet.bind(fleet.player(0));
    await fleet.advance(15_000);
    // As when the servers lose each other: the gateways go on.
    const { subscribers } = fleet.exchange;
    const [first] = [...subscribers].filter(({ subject }) => subject === 'pith.user.42.*');
    subscribers.delete(first!);
    await fleet.bind(fleet.player(1));
    await fleet.advance(15_000);
    expect(fleet.holders()).toHaveLength(2);
    subscribers.add(first!);
    await fleet.advance(30_000);
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts).toHaveLength(1);
  });

  test('claims are said again at once when there is a new connection, and then every half minute', async () => {
    const fleet = makeFleet(KICK_OLD, [0]);
    for (const uid of ['1', '2', '3']) await fleet.bind(fleet.player(0), uid);
    await fleet.advance(1_000);
    const said = () =>
      fleet.exchange.takeSent().filter(({ subject }) => subject.endsWith('.claim')).length;
    said();
    fleet.join(0);
    await fleet.advance(200);
    expect(said()).toBe(3);
    await fleet.advance(60_000);
    expect(said()).toBe(6);
  });

  test('binding again what is bound, another uid, and unbinding, close nobody', async () => {
    const fleet = makeFleet(KICK_OLD);
    const [one, two] = [fleet.player(0), fleet.player(1)];
    await fleet.bind(one);
    await fleet.bind(one);
    await fleet.bind(two, '43');
    await fleet.bind(one, '');
    await fleet.advance(40_000);
    expect([one.session.state, two.session.state]).toEqual(['active', 'active']);
    expect(fleet.holders('43')).toEqual(['b-0123456789.2']);
  });

  test('what is no claim is refused, and closes nobody', async () => {
    const fleet = makeFleet(KICK_OLD);
    const one = fleet.player(0);
    await fleet.bind(one);
    const good = { sid: 'z-0123456789.1', uid: '42', bound_at: 1e13 };
    for (const claim of [
      '',
      '7',
      '{',
      '{}',
      ...[
        { sid: 7 },
        { bound_at: '1' },
        { bound_at: -1 },
        { bound_at: 1e300 },
        { bound_at: 253_402_300_800_000 },
        { bound_at: 1.5 },
        { ask: 'nothing' },
        { ask: {} },
      ].map((wrong) => JSON.stringify({ ...good, ...wrong })),
    ])
      fleet.exchange.publish('pith.user.42.claim', claim);
    await fleet.settle();
    expect(fleet.holders()).toEqual(['a-0123456789.1']);
  });

  test('the newest claim that can be made does not stop the next player', async () => {
    const fleet = makeFleet(KICK_OLD);
    const one = fleet.player(0);
    await fleet.bind(one);
    const forged = { sid: 'z-0123456789.1', uid: '42', bound_at: 253_402_300_799_999 };
    fleet.exchange.publish('pith.user.42.claim', JSON.stringify(forged));
    await fleet.settle();
    expect(one.session.state).toBe('closed');
    const next = fleet.player(1);
    await fleet.bind(next);
    await fleet.advance(40_000);
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
  });
});

describe('refuse_new', () => {
  test('a uid that nobody holds is bound at once', async () => {
    const fleet = makeFleet(REFUSE_NEW);
    expect(await fleet.bind(fleet.player(0))).toMatchObject({ changed: 1 });
    expect(fleet.holders()).toEqual(['a-0123456789.1']);
    expect(fleet.gateways[0]!.connector.patterns).toEqual(['pith.user.42.*']);
  });

  test.each([0, 1])(
    'while its holder lives a bind is refused, on gateway %i, and nothing of its patch applied',
    async (gateway) => {
      const fleet = makeFleet(REFUSE_NEW);
      const holder = fleet.player(0);
      answersPings(holder);
      await fleet.bind(holder);
      const next = fleet.player(gateway);
      const done = fleet.patch(next, { uid: '42', set: { seat: 2 }, join: ['room'] });
      await fleet.advance(200);
      expect(await done).toMatchObject({ code: 409, reason: 'UID_IN_USE', changed: 0 });
      expect([next.session.uid, next.session.data, next.session.groups.size, next.session.version]).toEqual(['', {}, 0, 0]); // prettier-ignore
      expect(holder.session.state).toBe('active');
      expect(fleet.gateways[1]!.connector.patterns).toEqual([]);
      expect(fleet.gateways[gateway]!.uids!.asks!.size).toBe(0);
    },
  );

  test.each([0, 1])(
    'a holder that is silent for 2 s has lost its place, to gateway %i',
    async (gateway) => {
      const fleet = makeFleet(REFUSE_NEW);
      const ghost = fleet.player(0);
      await fleet.bind(ghost);
      await fleet.advance(100);
      const back = fleet.player(gateway);
      const done = fleet.patch(back, { uid: '42' });
      await fleet.advance(1_900);
      expect([ghost.session.state, back.session.uid]).toEqual(['active', '']);
      await fleet.advance(400);
      expect(await done).toMatchObject({ changed: 1 });
      expect(kickOf(ghost)).toEqual({ reason: 'logged_in_elsewhere' });
      expect(fleet.holders()).toEqual([back.session.sid]);
    },
  );

  test('so has one whose gateway says nothing; it closes when it hears of it', async () => {
    const fleet = makeFleet(REFUSE_NEW, [60_000, 0]);
    const holder = fleet.player(0);
    answersPings(holder);
    await fleet.bind(holder);
    // Its process is stopped: what comes meanwhile is read when it goes on.
    const { subscribers } = fleet.exchange;
    const unread: (() => void)[] = [];
    const { connector: stopped } = fleet.gateways[0]!;
    const connection = new TestConnection(fleet.exchange);
    for (const one of [...subscribers]) {
      if (one.connection !== stopped) continue;
      subscribers.delete(one);
      const onMessage: typeof one.onMessage = (error, message) =>
        void unread.push(() => {
          one.onMessage(error, message);
        });
      subscribers.add({ ...one, onMessage, connection });
    }
    fleet.cut(0);
    const back = fleet.player(1);
    const done = fleet.patch(back, { uid: '42' });
    await fleet.advance(3_000);
    expect(await done).toMatchObject({ changed: 1 });
    await fleet.advance(12_000);
    stopped.up = true;
    for (const read of unread.splice(0)) read();
    await fleet.settle();
    for (const read of unread.splice(0)) read();
    await fleet.settle();
    expect(fleet.holders()).toEqual(['b-0123456789.2']);
    expect(fleet.conflicts).toHaveLength(1);
  });

  test('who only listens holds nobody up for long', async () => {
    const fleet = makeFleet(REFUSE_NEW);
    fleet.gateways[0]!.bus.peers.greet();
    await fleet.settle();
    fleet.exchange.hear('pith.>');
    const one = fleet.player(1);
    const done = fleet.patch(one, { uid: '42' });
    await fleet.advance(600);
    expect(await done).toMatchObject({ changed: 1 });
  });

  test('a client over TCP that was heard within a heartbeat interval lives; one that was not is waited for', async () => {
    const fleet = makeFleet(REFUSE_NEW, [0, 0], 30_000);
    const holder = fleet.player(0, 'tcp');
    await fleet.bind(holder);
    expect(await fleet.bind(fleet.player(1))).toMatchObject({ reason: 'UID_IN_USE' });
    await fleet.advance(31_000);
    const done = fleet.patch(fleet.player(1), { uid: '42' });
    await fleet.advance(2_100);
    expect(await done).toMatchObject({ changed: 1 });
    expect(holder.session.state).toBe('closed');
  });

  test('of those that come at the same moment at most one is let in', async () => {
    const fleet = makeFleet(REFUSE_NEW, [0, 0, 0]);
    const players = [0, 0, 1, 2].map((gateway) => fleet.player(gateway));
    for (const one of players) answersPings(one);
    const done = players.map((one) => fleet.patch(one, { uid: '42' }));
    await fleet.advance(600);
    const let_in = (await Promise.all(done)).filter(({ changed }) => changed === 1);
    expect(let_in).toHaveLength(1);
    expect(fleet.holders()).toHaveLength(1);
    expect(fleet.gateways.map(({ uids }) => uids!.asks!.size)).toEqual([0, 0, 0]);
  });

  test('a client that leaves while its bind is asked for leaves nothing behind', async () => {
    const fleet = makeFleet(REFUSE_NEW);
    const one = fleet.player(0);
    const done = fleet.patch(one, { uid: '42' });
    one.session.close('closed');
    await fleet.settle();
    expect(await done).toMatchObject({ reason: 'CLOSING' });
    expect(fleet.gateways[0]!.connector.patterns).toEqual([]);
    expect(await fleet.bind(fleet.player(1))).toMatchObject({ changed: 1 });
  });

  test('a bind that nobody wants any more once it is permitted is not made', async () => {
    const fleet = makeFleet(REFUSE_NEW);
    const { session, commands } = fleet.player(0);
    const asked = commands.patchAsked(session, { uid: '42' }, () => false);
    await fleet.settle();
    expect(await asked).toMatchObject({ reason: 'TIMEOUT' });
    expect([session.uid, fleet.gateways[0]!.connector.patterns]).toEqual(['', []]);
  });

  test('without a bus it holds for the sessions of this gateway', async () => {
    const fleet = makeFleet(REFUSE_NEW);
    fleet.cut(0);
    const holder = fleet.player(0);
    answersPings(holder);
    await fleet.bind(holder);
    const done = fleet.patch(fleet.player(0), { uid: '42' });
    await fleet.advance(100);
    expect(await done).toMatchObject({ reason: 'UID_IN_USE' });
  });
});

describe('max_sessions_per_uid', () => {
  test('closes the oldest, wherever they are', async () => {
    const fleet = makeFleet({ refuses: false, sessionsMax: 2 }, [0, 90_000, 0]);
    const players = [0, 1, 2, 1].map((gateway) => fleet.player(gateway));
    for (const one of players) {
      await fleet.bind(one);
      await fleet.advance(450);
    }
    expect(players.map(({ session }) => session.state)).toEqual(['closed', 'closed', 'active', 'active']); // prettier-ignore
    expect(kickOf(players[0]!)).toEqual({ reason: 'logged_in_elsewhere' });
    expect(fleet.conflicts).toEqual([]);
  });

  test('within half a second of the last, where the clocks of those that come one after the other differ', async () => {
    const fleet = makeFleet({ refuses: false, sessionsMax: 2 }, [-3_600_000, 0]);
    await fleet.bind(fleet.player(1));
    await fleet.advance(1_000);
    // While the others are asked for the one, the next comes, and is told of the time by the slow clock.
    await fleet.bind(fleet.player(0));
    await fleet.advance(50);
    await fleet.bind(fleet.player(1));
    await fleet.advance(500);
    expect(fleet.holders()).toEqual(['a-0123456789.2', 'b-0123456789.3']);
  });

  test('not the one that comes to a slow gateway while the others are asked for the one before it', async () => {
    const fleet = makeFleet({ refuses: false, sessionsMax: 2 }, [-3_600_000, 0]);
    await fleet.bind(fleet.player(1));
    await fleet.advance(1_000);
    await fleet.bind(fleet.player(0));
    await fleet.advance(50);
    await fleet.bind(fleet.player(0));
    await fleet.advance(500);
    expect(fleet.holders()).toEqual(['a-0123456789.2', 'a-0123456789.3']);
  });

  test('also where a gateway did not answer in time when it was asked first', async () => {
    const fleet = makeFleet({ refuses: false, sessionsMax: 2 }, [0, 0, 0]);
    for (const gateway of [0, 1]) await fleet.bind(fleet.player(gateway));
    await fleet.advance(1_000);
    fleet.gateways[0]!.connector.up = false;
    await fleet.bind(fleet.player(2));
    await fleet.advance(150);
    fleet.gateways[0]!.connector.up = true;
    expect(fleet.holders()).toHaveLength(3);
    await fleet.advance(500);
    expect(fleet.holders()).toEqual(['b-0123456789.2', 'c-0123456789.3']);
    expect(fleet.conflicts).toEqual([]);
  });

  test('after a split too, and says so', async () => {
    const fleet = makeFleet({ refuses: false, sessionsMax: 2 });
    fleet.cut(1);
    for (const gateway of [0, 0, 1, 1]) await fleet.bind(fleet.player(gateway));
    await fleet.advance(11_000);
    fleet.join(1);
    await fleet.advance(31_000);
    expect(fleet.holders()).toHaveLength(2);
    expect(fleet.conflicts).toHaveLength(2);
  });
});

test('without a limit nothing is said', async () => {
  const fleet = makeFleet(undefined);
  await fleet.bind(fleet.player(0));
  await fleet.bind(fleet.player(1));
  await fleet.advance(31_000);
  expect(fleet.holders()).toHaveLength(2);
  expect(fleet.exchange.sent.filter(({ subject }) => subject.startsWith('pith.user'))).toEqual([]);
});

// ---- by chance ------------------------------------------------------------------------------------------------

type Step =
  | { readonly kind: 'bind' | 'unbind' | 'leave'; readonly who: number; readonly uid: string }
  | { readonly kind: 'cut' | 'join'; readonly who: number; readonly uid: '' }
  | { readonly kind: 'pass'; readonly who: number; readonly uid: '' }
  | { readonly kind: 'settle'; readonly who: 0; readonly uid: '' };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('bind' as const), who: fc.nat(8), uid: fc.constantFrom('u', 'v') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('unbind' as const, 'leave' as const), who: fc.nat(8), uid: fc.constant('') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'join' as const), who: fc.nat(2), uid: fc.constant('' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const), who: fc.constantFrom(50, 300, 3_000, 12_000), uid: fc.constant('' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('settle' as const), who: fc.constant(0 as const), uid: fc.constant('' as const) }) },
); // prettier-ignore

describe.each<readonly [string, UidLimit]>([
  ['kick_old', KICK_OLD],
  ['refuse_new', REFUSE_NEW],
  ['at most 2', { refuses: false, sessionsMax: 2 }],
])('whatever happens, with %s', (_, limit) => {
  test('as many sessions of each uid are left as may be', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyStep, { maxLength: 40 }),
        fc.array(fc.constantFrom(0, -30_000, 30_000), { minLength: 1, maxLength: 3 }),
        async (steps, skews) => {
          const fleet = makeFleet(limit, skews);
          const done: Promise<unknown>[] = [];
          const players: (ReturnType<typeof fleet.player> | undefined)[] = [];
          /** Sessions of one uid while every gateway could reach the others. */
          let most = 0;
          let isWhole = true;
          for (const { kind, who, uid } of steps) {
            if (kind === 'cut') isWhole = false;
            const gateway = who % skews.length;
            if (kind === 'settle') await fleet.settle();
            if (kind === 'settle' && isWhole && limit.sessionsMax === 1) {
              for (const name of ['u', 'v']) most = Math.max(most, fleet.holders(name).length);
            }
            if (kind === 'pass') await fleet.advance(who);
            else if (kind === 'cut') fleet.cut(gateway);
            else if (kind === 'join') fleet.join(gateway);
            else if (kind !== 'settle') {
              if (players[who] === undefined || players[who].session.state === 'closed') {
                players[who] = fleet.player(gateway);
                answersPings(players[who]);
              }
              const player = players[who];
              if (kind === 'leave') player.session.close('closed');
              else done.push(fleet.patch(player, { uid: kind === 'bind' ? uid : '' }));
            }
          }
          expect(most).toBeLessThanOrEqual(1);
          await fleet.settle();
          for (const [i] of skews.entries()) fleet.join(i);
          await fleet.advance(9_000);
          await Promise.all(done);
          const before = ['u', 'v'].map((uid) => fleet.holders(uid).length);
          await fleet.advance(62_000);
          const after = ['u', 'v'].map((uid) => fleet.holders(uid).length);
          expect(after).toEqual(before.map((count) => Math.min(count, limit.sessionsMax)));
          for (const { registry } of fleet.gateways)
            for (const session of [...registry.all()]) session.close('closed');
          await fleet.settle();
          for (const { connector, registry, uids } of fleet.gateways) {
            expect(connector.patterns).toEqual([]);
            expect([registry.size, uids!.asks?.size ?? 0]).toEqual([0, 0]);
          }
        },
      ),
      { numRuns: 25, endOnFailure: true },
    );
  });
});
