/** Commands to all gateways: what is done here, what goes to the others, and how their answers become one. */
import { describe, expect, test, vi } from 'vitest';

import { EmbeddedBus } from '../../../src/bus/embedded-bus.ts';
import {
  FleetCommands,
  type PresenceOutcome,
  type SessionsOutcome,
} from '../../../src/bus/fleet-commands.ts';
import type { PeerReplies, Peers, RequestsBySid } from '../../../src/bus/bus.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { type Failure, failure } from '../../../src/errors.ts';
import { makeGateway } from './support.ts';

const G = 'g-0123456789';
const OTHER = 'a-0123456789';
const PUSH: Push = {
  target: { all: true },
  route: 'onChat',
  body: Buffer.from('{}'),
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply: false,
};
const KICK = { reason: 'bye', code: 0, kick: true, retryAfterMs: 0 };
const NOBODY_ELSE: PeerReplies = { answers: [], silentGateways: [] };

/** Calls to the other gateways, which answer what the test says. */
class RecordedBus implements Peers, RequestsBySid {
  readonly calls: [string, unknown][] = [];
  replies: PeerReplies | Failure = NOBODY_ELSE;
  refused: Failure | null = null;
  /** What is not sent. */
  readonly refusedSids = new Map<string, Failure>();
  remote: { changed: number; version: number } | Failure = failure('NO_SESSION');

  push(...[target]: Parameters<Peers['push']>) {
    this.calls.push(['push', target]);
    return this.refused;
  }

  pushCounted(...[target]: Parameters<Peers['pushCounted']>) {
    return this.#call('pushCounted', target);
  }

  kick(...[target]: Parameters<Peers['kick']>) {
    return this.#call('kick', target);
  }

  list(...[target, page]: Parameters<Peers['list']>) {
    return this.#call('list', { ...target, ...page });
  }

  changeGroups(...[change]: Parameters<Peers['changeGroups']>) {
    return this.#call(change.verb, { ...change.target, groups: change.groups });
  }

  why(...[about]: Parameters<Peers['why']>) {
    return this.#call('why', { about });
  }

  mayResume(...[place]: Parameters<Peers['mayResume']>) {
    return this.#call('mayResume', place);
  }

  ended(...[gateway, after]: Parameters<Peers['ended']>) {
    return this.#call('ended', { gateway, after });
  }

  presence(...[uids]: Parameters<Peers['presence']>) {
    return this.#call('presence', { uids });
  }

  groups(...[prefix, page]: Parameters<Peers['groups']>) {
    return this.#call('groups', { prefix, ...page });
  }

  status(...[kind, fields]: Parameters<Peers['status']>) {
    return this.#call('status', { kind, ...fields });
  }

  orders(...[fields]: Parameters<Peers['orders']>) {
    return this.#call('orders', fields);
  }

  #call(what: string, about: object) {
    this.calls.push([what, about]);
    return this.refused ?? Promise.resolve(this.replies as PeerReplies);
  }

  patch(...[sid]: Parameters<RequestsBySid['patch']>) {
    this.calls.push(['patch', sid]);
    return this.refusedSids.get(sid) ?? this.refused ?? Promise.resolve(this.remote);
  }

  get(...[sid]: Parameters<RequestsBySid['get']>) {
    this.calls.push(['get', sid]);
    return Promise.resolve(failure('NO_SESSION'));
  }
}

function stage() {
  const gateway = makeGateway(G);
  const others = new RecordedBus();
  const bus = Object.assign(new EmbeddedBus(), { peers: others, bySid: others });
  const fleet = new FleetCommands(G, gateway.sessionCommands, bus);
  const ann = gateway.client(1, 'ann', 'r');
  const bob = gateway.client(2, 'bob', 'r');
  const sent = () =>
    [ann, bob].map(({ session, connection }) => {
      session.outbox.flush();
      return connection.messages.length;
    });
  return { ...gateway, others, fleet, ann, bob, sent };
}

const TOO_LARGE = failure('TOO_LARGE', 'larger than NATS takes');

describe('what goes to the other gateways', () => {
  test.each([
    ['all', { all: true }, { all: true, sids: [] }],
    ['users, who may be there as well', { uids: ['ann'] }, { uids: ['ann'], sids: [] }],
    ['of sids those of others', { sids: [`${G}.1`, `${OTHER}.1`] }, { sids: [`${OTHER}.1`] }],
    ['nothing of own sids alone', { sids: [`${G}.1`, `${G}.99`] }, null],
    ['nothing of what is for this gateway alone', { all: true, local: true }, null],
  ])('%s', async (_, target, elsewhere) => {
    const { fleet, others } = stage();
    fleet.push({ ...PUSH, target }, null);
    await fleet.pushCounted({ ...PUSH, target }, 250);
    await fleet.close(target, KICK);
    await fleet.list(target, { limit: 10, after: '' });
    expect(others.calls).toEqual(
      elsewhere === null
        ? []
        : [
            ['push', elsewhere],
            ['pushCounted', elsewhere],
            ['kick', elsewhere],
            ['list', { ...elsewhere, limit: 10, after: '' }],
          ],
    );
  });

  test('a list that names nobody means all', async () => {
    const { fleet, others } = stage();
    await fleet.list({}, { limit: 10, after: '' });
    expect(others.calls).toEqual([['list', { all: true, sids: [], limit: 10, after: '' }]]);
  });
});

describe('a command that cannot be sent to the others', () => {
  test('has not been carried out here either', async () => {
    const { fleet, others, sent, ann } = stage();
    others.refused = TOO_LARGE;
    expect(fleet.push(PUSH, null)).toBe(TOO_LARGE);
    expect(await fleet.pushCounted(PUSH, 250)).toBe(TOO_LARGE);
    expect(await fleet.close({ all: true }, KICK)).toBe(TOO_LARGE);
    const patched = await fleet.patchAll({ sids: [`${G}.1`, `${OTHER}.1`] }, { set: { x: 1 } });
    expect(patched).toEqual({ ...TOO_LARGE, changed: 0, version: 0 });
    expect(await fleet.list({}, { limit: 1, after: '' })).toBe(TOO_LARGE);
    expect(sent()).toEqual([0, 0]);
    expect([ann.session.state, ann.session.data]).toEqual(['active', {}]);
  });
});

describe('a push', () => {
  test('without a target is for the session whose request is answered', () => {
    const { fleet, others, ann, sent } = stage();
    expect(fleet.push({ ...PUSH, target: null }, ann.session)).toBe(null);
    expect(sent()).toEqual([1, 0]);
    expect(others.calls).toEqual([]);
  });

  test.each([
    [{ target: null }, 'push.target is missing'],
    [{ target: {} }, 'push.target is empty: give sids, uids, groups or all'],
    [{ route: '' }, 'push.route is 0 bytes; 1 to 127 are allowed'],
  ])('with %o is refused, and goes nowhere', async (more, message) => {
    const { fleet, others, sent } = stage();
    const push = { ...PUSH, ...more };
    expect(fleet.push(push, null)).toMatchObject({ reason: 'BAD_ARGUMENT', message });
    expect(await fleet.pushCounted(push, 250)).toMatchObject({ reason: 'BAD_ARGUMENT', message });
    expect([sent(), others.calls]).toEqual([[0, 0], []]);
  });

  test('that is counted: the sums, who is nowhere, and who was silent', async () => {
    const { fleet, others } = stage();
    others.replies = {
      answers: [
        { gateway: OTHER, delivered: 3, dropped: 1, uids: ['cat'], sids: [`${OTHER}.1`] },
        { gateway: 'b-0123456789', refused: 2, uids: ['ann'] },
        { gateway: 'c-0123456789' },
      ],
      silentGateways: ['d-0123456789'],
    };
    const target = {
      uids: ['ann', 'cat', 'dog'],
      sids: [`${G}.2`, `${G}.9`, `${OTHER}.1`, `${OTHER}.2`],
    };
    expect(await fleet.pushCounted({ ...PUSH, target }, 250)).toEqual({
      delivered: 5,
      dropped: 1,
      refused: 2,
      gateways: 4,
      kept: 0,
      unknownUids: ['dog'],
      unknownSids: [`${G}.9`, `${OTHER}.2`],
      silentGateways: ['d-0123456789'],
    });
  });

  test('names 1,000 unknown users, and no more', async () => {
    const uids = Array.from({ length: 1_001 }, (_, i) => `u${i}`);
    const outcome = await stage().fleet.pushCounted({ ...PUSH, target: { uids } }, 250);
    expect(outcome).toMatchObject({ unknownUids: uids.slice(0, 1_000) });
  });
});

describe('a close', () => {
  test('counts all gateways', async () => {
    const { fleet, others, ann, bob } = stage();
    others.replies = {
      answers: [{ gateway: OTHER, closed: 3 }, { gateway: 'b-0123456789' }],
      silentGateways: ['c-0123456789'],
    };
    expect(await fleet.close({ groups: ['r'] }, KICK)).toEqual({
      closed: 5,
      gateways: 3,
      silentGateways: ['c-0123456789'],
    });
    expect([ann, bob].map(({ session }) => session.state)).toEqual(['closed', 'closed']);
  });

  test('of nobody is refused', async () => {
    const message = 'target is empty: give sids, uids, groups or all';
    expect(await stage().fleet.close({}, KICK)).toMatchObject({ reason: 'BAD_ARGUMENT', message });
  });
});

describe('a list', () => {
  const session = (sid: string) => ({ sid }) as never;

  test('is in the order of gateways, then of numbers, and ends where a gateway has more', async () => {
    const { fleet, others } = stage();
    others.replies = {
      answers: [
        { gateway: OTHER, sessions: [session(`${OTHER}.9`), session(`${OTHER}.10`)] },
        { gateway: 'z-0123456789', sessions: [session('z-0123456789.1')] },
      ],
      silentGateways: [],
    };
    const sids = async (limit: number) => {
      const list = await fleet.list({}, { limit, after: '' });
      return (list as SessionsOutcome).sessions.map(({ sid }) => sid);
    };
    expect(await sids(10)).toEqual([
      `${OTHER}.9`,
      `${OTHER}.10`,
      `${G}.1`,
      `${G}.2`,
      'z-0123456789.1',
    ]);
    expect(await sids(3)).toEqual([`${OTHER}.9`, `${OTHER}.10`, `${G}.1`]);
    others.replies = {
      answers: [{ ...others.replies.answers[0]!, more: true }],
      silentGateways: [],
    };
    expect(await sids(10)).toEqual([`${OTHER}.9`, `${OTHER}.10`]);
  });

  test('is refused where one gateway refuses its part', async () => {
    const { fleet, others } = stage();
    const why = failure('TOO_LARGE', 'one session is too large');
    others.replies = { answers: [{ gateway: OTHER, failure: why }], silentGateways: [] };
    expect(await fleet.list({}, { limit: 1, after: '' })).toMatchObject({
      code: 413,
      reason: 'TOO_LARGE',
      message: 'one session is too large',
    });
  });
});

describe('a change', () => {
  test('of one session: here, there, or of none', async () => {
    const { fleet, others } = stage();
    others.remote = { changed: 1, version: 4 };
    expect(await fleet.patch(`${G}.1`, { set: { x: 1 } })).toEqual({ changed: 1, version: 1 });
    expect(await fleet.patch(`${OTHER}.1`, { set: { x: 1 } })).toEqual({ changed: 1, version: 4 });
    expect(await fleet.patch(`${G}.9`, { set: { x: 1 } })).toMatchObject({ reason: 'NO_SESSION' });
    expect(others.calls).toEqual([['patch', `${OTHER}.1`]]);
  });

  test('of several: the sum, and the highest version', async () => {
    const { fleet, others } = stage();
    others.remote = { changed: 1, version: 9 };
    const target = { sids: [`${OTHER}.1`, `${OTHER}.2`], groups: ['r'] };
    expect(await fleet.patchAll(target, { set: { x: 1 } })).toEqual({ changed: 4, version: 9 });
    expect(others.calls).toEqual([
      ['patch', `${OTHER}.1`],
      ['patch', `${OTHER}.2`],
    ]);
  });

  test('of several of which one is nowhere: why, though the others are changed', async () => {
    const { fleet, ann } = stage();
    const target = { sids: [`${G}.1`, `${G}.9`] };
    expect(await fleet.patchAll(target, { set: { x: 1 } })).toMatchObject({
      reason: 'NO_SESSION',
      changed: 1,
      version: 1,
    });
    expect(ann.session.data).toEqual({ x: 1 });
  });

  test('that cannot be sent for one session elsewhere is made in all others, and counted', async () => {
    const { fleet, others, ann } = stage();
    others.remote = { changed: 1, version: 9 };
    others.refusedSids.set(`${OTHER}.2`, failure('OVERLOADED'));
    const target = { sids: [`${OTHER}.1`, `${OTHER}.2`, `${OTHER}.3`, `${G}.1`] };
    expect(await fleet.patchAll(target, { set: { x: 1 } })).toMatchObject({
      ...{ code: 503, reason: 'OVERLOADED', changed: 3, version: 9 },
    });
    expect(others.calls.map(([, sid]) => sid)).toEqual([1, 2, 3].map((n) => `${OTHER}.${n}`));
    expect(ann.session.data).toEqual({ x: 1 });
  });

  test('that cannot be sent for the first session elsewhere is made in none', async () => {
    const { fleet, others, ann } = stage();
    others.refusedSids.set(`${OTHER}.1`, failure('OVERLOADED'));
    const target = { sids: [`${G}.9`, `${OTHER}.1`, `${OTHER}.2`, `${G}.1`] };
    expect(await fleet.patchAll(target, { set: { x: 1 } })).toMatchObject({
      ...{ code: 503, reason: 'OVERLOADED', changed: 0, version: 0 },
    });
    expect([others.calls, ann.session.data]).toEqual([[['patch', `${OTHER}.1`]], {}]);
  });

  test('does not reach a session elsewhere that is excepted, or beyond a target of this gateway alone', async () => {
    const { fleet, others, ann } = stage();
    const sids = [`${G}.1`, `${OTHER}.1`];
    const excepted = { sids, exceptSids: [`${OTHER}.1`] };
    expect(await fleet.patchAll(excepted, { set: { x: 1 } })).toEqual({ changed: 1, version: 1 });
    const local = { sids, local: true };
    expect(await fleet.patchAll(local, { set: { x: 2 } })).toMatchObject({ reason: 'NO_SESSION' });
    expect([others.calls, ann.session.data]).toEqual([[], { x: 2 }]);
  });

  test('of 1,001 sessions elsewhere is refused before any is changed', async () => {
    const { fleet, others, ann } = stage();
    const far = Array.from({ length: 1_001 }, (_, i) => `${OTHER}.${i + 1}`);
    const target = { sids: [`${G}.1`, ...far] };
    expect(await fleet.patchAll(target, { set: { x: 1 } })).toMatchObject({ code: 413 });
    expect([others.calls, ann.session.data]).toEqual([[], {}]);
    others.remote = { changed: 0, version: 1 };
    await fleet.patchAll({ sids: far.slice(1) }, { set: { x: 1 } });
    expect(others.calls).toHaveLength(1_000);
  });
});

test('a session is looked up where it is', async () => {
  const { fleet, others } = stage();
  expect(await fleet.get(`${G}.1`)).toMatchObject({ sid: `${G}.1`, uid: 'ann', groups: ['r'] });
  expect(await fleet.get(`${G}.9`)).toMatchObject({ code: 404, reason: 'NO_SESSION' });
  expect(await fleet.get(`${OTHER}.1`)).toMatchObject({ code: 404, reason: 'NO_SESSION' });
  expect(others.calls).toEqual([['get', `${OTHER}.1`]]);
});

describe('groups', () => {
  const join = (target: object, ...groups: string[]) => ({ verb: 'join' as const, target, groups });
  const leave = (target: object, ...groups: string[]) => ({
    verb: 'leave' as const,
    target,
    groups,
  });

  test('are joined and left here and elsewhere, and the answer is the sum', async () => {
    const { connector, fleet, others, ann, bob } = stage();
    // Its subscriptions wait for no confirmation then.
    connector.up = false;
    others.replies = {
      answers: [{ gateway: OTHER, did: 'join', changed: 3, refused: 1 }],
      silentGateways: ['z'],
    };
    expect(await fleet.changeGroups(join({ uids: ['ann'], sids: [`${G}.9`] }, 'x', 'r'))).toEqual({
      ...{ changed: 4, refused: 1, gateways: 2, silentGateways: ['z'] },
    });
    expect([...ann.session.groups, ...bob.session.groups]).toEqual(['r', 'x', 'r']);
    others.replies = NOBODY_ELSE;
    expect(await fleet.changeGroups(leave({ groups: ['r'] }, 'r', 'none'))).toMatchObject({
      changed: 2,
    });
    expect([...ann.session.groups, ...bob.session.groups]).toEqual(['x']);
    expect(others.calls).toEqual([
      ['join', { uids: ['ann'], sids: [], groups: ['x', 'r'] }],
      ['leave', { groups: ['r', 'none'], sids: [] }],
    ]);
  });

  test.each([
    [join({}, 'x'), 'BAD_ARGUMENT', 'target is empty: give sids, uids, groups or all'],
    [join({ all: true }), 'BAD_ARGUMENT', 'groups is missing: name at least one'],
    [join({ all: true }, ''), 'BAD_ARGUMENT', 'a group has no name'],
    [join({ all: true }, 'x'.repeat(257)), 'TOO_LARGE', 'more than 256 bytes'],
  ])('that cannot be joined: %j', async (change, reason, message) => {
    const { fleet, others } = stage();
    expect(await fleet.changeGroups(change)).toMatchObject({
      reason,
      message: expect.stringContaining(message) as string,
    });
    expect(others.calls).toEqual([]);
  });

  test('that only some sessions can join are joined by those; the reason is told where none could', async () => {
    const { connector, fleet, others, ann, bob } = stage();
    // Its subscriptions wait for no confirmation then.
    connector.up = false;
    const seven = Array.from({ length: 7 }, (_, i) => `g${i}`);
    ann.session.groups = new Set([...ann.session.groups, ...seven]);
    const all = join({ all: true }, 'x');
    expect(await fleet.changeGroups(all)).toMatchObject({ changed: 1, refused: 1 });
    expect([ann.session.groups.has('x'), bob.session.groups.has('x')]).toEqual([false, true]);
    expect(await fleet.changeGroups(all)).toMatchObject({
      reason: 'TOO_LARGE',
      message: '9 groups; sessions.groups allows 8',
    });
    const away = failure('CLOSING');
    others.replies = {
      answers: [{ gateway: OTHER, did: 'join', refused: 1, failure: away }],
      silentGateways: [],
    };
    expect(await fleet.changeGroups(join({ sids: [`${OTHER}.1`] }, 'x'))).toBe(away);
  });

  test('are joined by many sessions over several turns of the event loop', async () => {
    const { connector, client, clock, fleet } = stage();
    // Its subscriptions wait for no confirmation then.
    connector.up = false;
    for (let n = 3; n <= 5_000; n++) client(n);
    const turns = vi.spyOn(clock, 'soon');
    expect(await fleet.changeGroups(join({ all: true }, 'a', 'b'))).toMatchObject({
      changed: 5_000,
    });
    expect(turns.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  test('are listed with their members on all gateways, page by page', async () => {
    const { fleet, others, client } = stage();
    client(3, '', 'r', 's', 't', 'other');
    others.replies = {
      answers: [
        {
          gateway: OTHER,
          did: 'groups',
          groups: [
            ['q', 5],
            ['s', 2],
          ],
          more: true,
        },
      ],
      silentGateways: ['z'],
    };
    expect(await fleet.groups('', { limit: 10, after: 'other' })).toEqual({
      groups: [
        { name: 'q', sessions: 5, gateways: 1 },
        { name: 'r', sessions: 3, gateways: 1 },
        { name: 's', sessions: 3, gateways: 2 },
      ],
      more: true,
      silentGateways: ['z'],
    });
    expect(others.calls).toEqual([['groups', { prefix: '', limit: 10, after: 'other' }]]);
  });
});

describe('presence', () => {
  test('says who is online, where and since when; the oldest bind first', async () => {
    const { fleet, others, client, bob } = stage();
    bob.session.boundAtWall = 3_000;
    client(3, 'bob');
    others.replies = {
      answers: [{ gateway: OTHER, presence: [{ index: 2, sessions: 2, entries: [[7, 2_000]] }] }],
      silentGateways: ['z'],
    };
    const { users, ...rest } = (await fleet.presence([
      'ann',
      'gone',
      'bob',
      'ann',
    ])) as PresenceOutcome;
    expect(rest).toEqual({ gateways: 2, silentGateways: ['z'] });
    expect(Object.fromEntries(users)).toEqual({
      ann: { sessions: 1, entries: [{ sid: `${G}.1`, gateway: G, boundAtWall: 1_000 }] },
      bob: {
        sessions: 4,
        entries: [
          { sid: `${G}.3`, gateway: G, boundAtWall: 1_000 },
          { sid: `${OTHER}.7`, gateway: OTHER, boundAtWall: 2_000 },
          { sid: `${G}.2`, gateway: G, boundAtWall: 3_000 },
        ],
      },
    });
    expect(others.calls).toEqual([['presence', { uids: ['ann', 'gone', 'bob'] }]]);
  });

  test('of nobody asks nobody, and of too many is refused', async () => {
    const { fleet, others } = stage();
    expect(await fleet.presence([])).toEqual({ users: new Map(), gateways: 1, silentGateways: [] });
    const uids = Array.from({ length: 10_001 }, (_, i) => `u${i}`);
    expect(await fleet.presence(uids)).toMatchObject({
      reason: 'TOO_LARGE',
      message: '10001 uids; at most 10000 are allowed',
    });
    expect(others.calls).toEqual([]);
  });
});
