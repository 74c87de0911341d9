/** Commands to the sessions of one gateway: whom they reach, what becomes of a push, what is counted and logged. */
import { describe, expect, test } from 'vitest';

import type { Push, Target } from '../../../src/contract/commands.ts';
import { JsonDialect } from '../../../src/dialect/json.ts';
import { atOnce, connect, turn } from '../session/support.ts';
import { makeGateway } from './support.ts';

const G = 'g-0123456789';
const PUSH: Push = {
  target: null,
  route: 'onChat',
  body: Buffer.from('{"n":1}'),
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};

/** Five sessions: ann twice, bob, and two who have not logged in; rooms r and s. */
function stage() {
  const gateway = makeGateway(G);
  const clients = [
    gateway.client(1, 'ann', 'r'),
    gateway.client(2, 'ann', 's'),
    gateway.client(3, 'bob', 'r', 's'),
    gateway.client(4),
    gateway.client(5, '', 'r'),
  ];
  const { sessionCommands } = gateway;
  const numbers = (target: Target) => sessionCommands.select(target).map(({ n }) => n);
  const push = (target: Target, more: Partial<Push> = {}) =>
    atOnce(sessionCommands.pushCounted({ ...PUSH, ...more, target }));
  const counted = () =>
    (['delivered', 'dropped', 'refused'] as const).map((outcome) =>
      gateway.metrics.count('pith_pushes_total', [outcome]),
    );
  return { ...gateway, clients, numbers, push, counted };
}

/** What a client has been sent. */
function messages({
  session,
  connection,
}: ReturnType<ReturnType<typeof stage>['client']>): string[] {
  session.outbox.flush();
  return connection.messages;
}

describe('a target means', () => {
  test.each<readonly [string, Target, number[]]>([
    ['sessions by sid', { sids: [`${G}.3`, `${G}.1`] }, [3, 1]],
    ['a sid twice, once', { sids: [`${G}.3`, `${G}.3`] }, [3]],
    ['no session of another gateway, of none, or of what is no sid', { sids: ['x-0123456789.1', `${G}.9`, `${G}.`, 'x', `${G}.01`] }, []], // prettier-ignore
    ['all sessions of a user', { uids: ['ann'] }, [1, 2]],
    ['nobody by the uid of those who have not logged in', { uids: [''] }, []],
    ['a group', { groups: ['r'] }, [1, 3, 5]],
    ['two groups, each session once', { groups: ['s', 'r'] }, [2, 3, 1, 5]],
    ['all', { all: true }, [1, 2, 3, 4, 5]],
    ['the union, each session once', { sids: [`${G}.4`], uids: ['bob'], groups: ['s'] }, [4, 3, 2]],
    [
      'none of those excepted by sid',
      { all: true, exceptSids: [`${G}.1`, `${G}.9`] },
      [2, 3, 4, 5],
    ],
    ['none of those excepted by uid', { groups: ['r'], exceptUids: ['ann'] }, [3, 5]],
    [
      'those who have not logged in, whom no uid excepts',
      { all: true, exceptUids: ['', 'ann', 'bob'] },
      [4, 5],
    ],
    ['nobody', {}, []],
  ])('%s', (_, target, expected) => {
    expect(stage().numbers(target)).toEqual(expected);
  });

  test('those whose data is as `where` says', () => {
    const { clients, numbers } = stage();
    clients[0]!.session.data['level'] = 3;
    clients[1]!.session.data['level'] = '3';
    Object.assign(clients[2]!.session.data, { level: 3, zone: 'x' });
    expect(numbers({ all: true, where: { level: 3 } })).toEqual([1, 3]);
    expect(numbers({ uids: ['ann'], where: { level: 3 } })).toEqual([1]);
    expect(numbers({ all: true, where: { level: 3, zone: 'x' } })).toEqual([3]);
    expect(numbers({ all: true, where: { level: null } })).toEqual([]);
  });
});

describe('a push', () => {
  test('goes to those meant, and is counted by session', () => {
    const { clients, push, counted, metrics } = stage();
    expect(push({ uids: ['ann'] })).toEqual({ delivered: 2, dropped: 0, refused: 0 });
    expect(clients.map((client) => messages(client).length)).toEqual([1, 1, 0, 0, 0]);
    expect(messages(clients[0]!)).toEqual(['onChat {"n":1}']);
    expect(counted()).toEqual([2, 0, 0]);
    expect(metrics.render()).toContain('pith_push_fanout_sum 2\n');
  });

  test('to nobody counts nothing', () => {
    const { push, counted, metrics } = stage();
    expect(push({ uids: ['zed'] })).toEqual({ delivered: 0, dropped: 0, refused: 0 });
    expect(counted()).toEqual([0, 0, 0]);
    expect(metrics.render()).not.toContain('pith_push_fanout_sum 1');
  });

  test('to a session that has ended is refused', () => {
    const { clients, push, counted } = stage();
    clients[0]!.session.close('client_closed');
    const { sessionCommands } = stage();
    expect(sessionCommands.pushCounted(PUSH, [clients[0]!.session])).toEqual({
      delivered: 0,
      dropped: 0,
      refused: 1,
    });
    expect(push({ uids: ['ann'] })).toEqual({ delivered: 1, dropped: 0, refused: 0 });
    expect(counted()).toEqual([1, 0, 0]);
  });

  test('is encoded once for all who read it alike', () => {
    const { clients, push } = stage();
    push({ all: true });
    for (const { session } of clients) session.outbox.flush();
    const [first, ...rest] = clients.map(({ connection }) => connection.writes[0]![0]!);
    for (const encoded of rest) expect(encoded).toBe(first);
  });

  test('that some clients cannot be sent is refused for these, and logged once', () => {
    const { clients, push, world, lines, counted } = stage();
    const dialect = new JsonDialect();
    for (const n of [6, 7]) {
      const { session } = connect({ world, n, gatewayId: G, dialect });
      world.registry.add(session);
    }
    const body = Buffer.from('no JSON');
    expect(push({ all: true }, { body })).toEqual({ delivered: 5, dropped: 0, refused: 2 });
    expect(messages(clients[0]!)).toEqual(['onChat no JSON']);
    expect(counted()).toEqual([5, 0, 2]);
    expect(lines).toEqual([
      {
        level: 'warn',
        route: 'onChat',
        why: expect.stringMatching(/JSON/) as string,
        msg: 'push cannot be encoded for some clients',
      },
    ]);
  });

  test('of many that cannot be encoded five are logged in 10 s, then how many were not', () => {
    const { sessionCommands, world, lines, clock } = stage();
    const { session } = connect({ world, n: 6, gatewayId: G, dialect: new JsonDialect() });
    const push = { ...PUSH, body: Buffer.from('no JSON') };
    for (let i = 0; i < 20; i++) sessionCommands.push(push, [session]);
    expect(lines).toHaveLength(5);
    clock.advance(10_000);
    sessionCommands.push(push, [session]);
    expect(lines.at(-1)).toMatchObject({ route: 'onChat', leftOut: 15 });
  });
});

describe('its delivery', () => {
  /** A client that takes nothing, with a message before. */
  function slow() {
    const made = stage();
    const { session, connection } = made.clients[3]!;
    connection.stuck = true;
    made.push({ sids: [session.sid] });
    session.outbox.flush();
    connection.writes.length = 0;
    const push = (more: Partial<Push>) => made.push({ sids: [session.sid] }, more);
    const later = () => {
      connection.drain();
      session.onDrain();
      return connection.messages;
    };
    return { ...made, session, connection, push, later };
  }
  const taken = { delivered: 1, dropped: 0, refused: 0 };

  test('droppable: dropped while the client is slow', () => {
    const { push, clock, counted, later } = slow();
    expect(push({ delivery: 'droppable', route: 'early' })).toEqual(taken);
    clock.advance(1_001);
    expect(push({ delivery: 'droppable', route: 'late' })).toEqual({
      delivered: 0,
      dropped: 1,
      refused: 0,
    });
    expect(push({ route: 'must' })).toEqual(taken);
    expect(counted()).toEqual([3, 1, 0]);
    expect(later()).toEqual(['early {"n":1}', 'must {"n":1}']);
  });

  test('latest: the newest of a key is kept; without a key, of a route', () => {
    const { push, later } = slow();
    for (const [route, latestKey] of [
      ['a', 'k'],
      ['b', 'k'],
      ['pos', ''],
      ['pos', ''],
      ['hp', ''],
    ] as const)
      // prettier-ignore
      expect(push({ delivery: 'latest', route, latestKey })).toEqual(taken);
    expect(later()).toEqual(['b {"n":1}', 'pos {"n":1}', 'hp {"n":1}']);
  });

  test.each(['must', 'droppable', 'latest'] as const)(
    '%s: not sent once it has expired',
    (delivery) => {
      const { push, clock, later } = slow();
      push({ delivery, route: 'brief', expiresInMs: 100 });
      push({ delivery, route: 'long', expiresInMs: 101 });
      clock.advance(100);
      expect(later()).toEqual(['long {"n":1}']);
    },
  );

  test('must: what does not fit ends the session, and counts as refused', async () => {
    const { push, counted, session } = slow();
    const body = Buffer.alloc(60_000, ' ');
    const counts = [];
    // What two turns bring is taken in any case.
    for (let i = 0; i < 3; i++) {
      counts.push(push({ body }));
      await turn();
    }
    expect(counts).toEqual([taken, taken, { delivered: 0, dropped: 0, refused: 1 }]);
    expect(session.state).toBe('closed');
    expect(counted()).toEqual([3, 0, 1]);
  });
});

describe('is checked first', () => {
  const NOBODY = 'push.target is empty: give sids, uids, groups or all';
  test.each<readonly [string, Partial<Push>, string]>([
    ['a fault of its own', { fault: 'expires_in is negative' }, 'expires_in is negative'],
    ['no route', { route: '' }, 'push.route is 0 bytes; 1 to 127 are allowed'],
    [
      'a route of 128 bytes',
      { route: 'ö'.repeat(64) },
      'push.route is 128 bytes; 1 to 127 are allowed',
    ],
    [
      'a key of 257 bytes',
      { latestKey: 'k'.repeat(257) },
      'push.latest_key is 257 bytes; at most 256 are allowed',
    ],
    ['a target that names nobody', { target: {} }, NOBODY],
    ['one that only excepts', { target: { exceptUids: ['ann'], sids: [] } }, NOBODY],
  ])('%s', (_, more, message) => {
    const why = stage().sessionCommands.check({ ...PUSH, ...more });
    expect(why).toMatchObject({ code: 400, reason: 'BAD_ARGUMENT', message });
  });

  test.each<Partial<Push>>([
    { route: 'r'.repeat(127) },
    { latestKey: 'k'.repeat(256) },
    { target: { all: true } },
    { target: null },
  ])('%o may pass', (more) => {
    expect(stage().sessionCommands.check({ ...PUSH, ...more })).toBe(null);
  });
});

describe('changes and closes', () => {
  test('of several sessions: the sum of the changes, and the highest version', async () => {
    const { clients, sessionCommands } = stage();
    const [a, b, c] = clients.map(({ session }) => session);
    await sessionCommands.patchAll([c!], { set: { x: 1 } });
    await sessionCommands.patchAll([c!], { set: { x: 2 } });
    expect(await sessionCommands.patchAll([c!, a!, b!], { set: { x: 2 } })).toEqual({
      changed: 2,
      version: 2,
    });
    expect(await sessionCommands.patchAll([], { set: { x: 2 } })).toEqual({
      changed: 0,
      version: 0,
    });
  });

  test('of several of which one is refused: why, though the others are changed', async () => {
    const { clients, sessionCommands } = stage();
    const sessions = clients.map(({ session }) => session);
    sessions[1]!.version = 7;
    const changed = await sessionCommands.patchAll(sessions, { set: { x: 1 }, ifVersion: 7 });
    expect(changed).toMatchObject({ code: 409, reason: 'CONFLICT', changed: 1, version: 8 });
    expect(sessions.map(({ data }) => data['x'])).toEqual([undefined, 1, undefined, undefined, undefined]); // prettier-ignore
  });

  test.each([
    [true, 'kick', ['{"reason":"bye","code":7}']],
    [false, 'closed', []],
  ])('a close with kick %o', (kick, reason, bodies) => {
    const { clients, sessionCommands } = stage();
    const { session, connection, host } = clients[0]!;
    const close = { reason: 'bye', code: 7, kick, retryAfterMs: 0 };
    expect(sessionCommands.closeAll([session], close)).toBe(1);
    expect(connection.packets.map(({ body }) => body.toString())).toEqual(bodies);
    expect(host.ended).toMatchObject([{ reason }]);
  });
});
