import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { chosen, instanceFor, renamed, RouteTable } from '../../../src/routing/route-table.ts';
import type { Rule } from '../../../src/routing/rule.ts';

function rule(match: string, more: Partial<Rule> = {}): Rule {
  const standard = { backend: 'main', timeoutMs: 5_000, order: 'keep', to: '', join: '' } as const;
  return {
    match,
    ...standard,
    otherwise: 'error',
    forward: [],
    bound: false,
    roles: [],
    codec: 'auto',
    method: '',
    path: '',
    pushRoute: '',
    idempotent: false,
    rate: 0,
    split: null,
    rename: '',
    ...more,
  };
}

const found = (table: RouteTable, route: string) => table.find(route)?.match ?? null;

describe('a route of a client', () => {
  test.for<[route: string, goes: string]>([
    ['chat.room.join', 'chat.>'],
    ['a'.repeat(20), 'no rule in routes matches it'],
    ['a'.repeat(21), 'BAD_ROUTE'],
    ['chat..join', 'BAD_ROUTE'],
    ['chat.room.constructor', 'BAD_ROUTE'],
    ['', 'BAD_ROUTE'],
    ['pith', 'routes that begin with pith are reserved for the gateway'],
    ['pith.connect', 'routes that begin with pith are reserved for the gateway'],
    ['pithy.a', 'no rule in routes matches it'],
  ])('%s: %s, every time', ([route, goes]) => {
    const table = new RouteTable([rule('chat.>')], ['main'], 20);
    for (let time = 0; time < 3; time++) {
      const target = table.resolve(route);
      expect('match' in target ? target.match : target.detail || target.reason).toBe(goes);
    }
  });

  test('is remembered by its whole text, and not the one beside it', () => {
    const table = new RouteTable([rule('chat.*'), rule('>', { backend: 'b' })], ['main', 'b']);
    for (let i = 0; i < 20_000; i++)
      expect(table.resolve(`chat.r${i}`)).toMatchObject({ match: 'chat.*' });
    expect(table.resolve('chat.r7.x')).toMatchObject({ match: '>', backendOrdinal: 1 });
    expect(table.resolve('chat.r7')).toMatchObject({ match: 'chat.*', backendOrdinal: 0 });
  });
});

describe('a rule', () => {
  test.each([
    ['chat.room.join', 'chat.room.join', true],
    ['chat.room.join', 'chat.room', false],
    ['chat.room', 'chat.room.join', false],
    ['chat.*.join', 'chat.room.join', true],
    ['chat.*', 'chat', false],
    ['chat.*', 'chat.room.join', false],
    ['*', 'chat', true],
    ['*', 'chat.room', false],
    ['chat.>', 'chat.room', true],
    ['chat.>', 'chat.room.join', true],
    ['chat.>', 'chat', false],
    ['chat.>', 'chatter.room', false],
    ['>', 'chat', true],
    ['>', 'a.b.c.d.e', true],
    ['*.*.>', 'a.b', false],
    ['*.*.>', 'a.b.c', true],
    ['Chat', 'chat', false],
  ])('%s takes %s: %j', (match, route, takes) => {
    const table = new RouteTable([rule(match)], ['main']);
    expect(found(table, route)).toEqual(takes ? match : null);
  });

  test('that comes first wins', () => {
    const table = new RouteTable(
      [rule('chat.room.join', { backend: 'b' }), rule('chat.*.*'), rule('chat.>'), rule('*.a')],
      ['main', 'b'],
    );
    const routes = ['chat.room.join', 'chat.room.leave', 'chat.a', 'world.a', 'world.b'];
    expect(routes.map((route) => found(table, route))).toEqual([
      'chat.room.join',
      'chat.*.*',
      'chat.>',
      '*.a',
      null,
    ]);
    expect(table.find('chat.room.join')).toMatchObject({ ordinal: 0, backendOrdinal: 1 });
    expect(table.find('world.a')).toMatchObject({ ordinal: 3, backendOrdinal: 0 });
  });

  test('is found as by a regular expression, for any table', () => {
    const word = fc.constantFrom('a', 'b', 'c');
    const segment = fc.oneof(word, fc.constant('*'));
    const match = fc
      .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('>', 'a', '*'))
      .map(([head, last]) => [...head, last].join('.'));
    const route = fc.array(word, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.array(match, { maxLength: 6 }), fc.array(route), (matches, routes) => {
        const table = new RouteTable(
          matches.map((one) => rule(one)),
          ['main'],
        );
        for (const one of routes) {
          const first = matches.findIndex((pattern) =>
            new RegExp(
              `^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+').replace('>', '.+')}$`,
            ).test(one),
          );
          expect(table.find(one)?.ordinal ?? -1).toBe(first);
        }
      }),
    );
  });

  test('is found when more routes have been asked for than are remembered', () => {
    const table = new RouteTable([rule('a.>')], ['main']);
    const wrong: string[] = [];
    for (let i = 0; i < 20_000; i++) if (found(table, `a.${i}`) !== 'a.>') wrong.push(`a.${i}`);
    expect(wrong).toEqual([]);
  });
});

describe('an instance', () => {
  const session = {
    uid: 'u1',
    data: { room: 'r-7', n: 12, empty: '', on: true, list: ['x'], none: null },
  };
  const name = (to: string, of: Parameters<typeof instanceFor>[1] = session) => {
    const { instance } = new RouteTable([rule('a', { to })], ['main']).targets[0]!;
    return instance === null ? null : instanceFor(instance, of);
  };

  test.each([
    ['', null],
    ['fixed', 'fixed'],
    ['{data.room}', 'r-7'],
    ['{uid}', 'u1'],
    ['{data.n}', '12'],
    ['room-{data.room}-{uid}!', 'room-r-7-u1!'],
    ['{data.missing}', ''],
    ['x-{data.missing}', ''],
    ['{data.empty}', ''],
    ['{data.on}', ''],
    ['{data.list}', ''],
    ['{data.none}', ''],
    ['{data.toString}', ''],
    ['{data.__proto__}', ''],
  ])('of %j is %j', (to, expected) => {
    expect(name(to)).toBe(expected);
  });

  test('is any one for a session without a uid', () => {
    expect(name('for-{uid}', { uid: '', data: {} })).toBe('');
  });
});

describe('several backends', () => {
  const shares = [
    { backend: 'main', weight: 9 },
    { backend: 'canary', weight: 1 },
  ];
  const target = (by: string) =>
    new RouteTable([rule('a.>', { split: { shares, by } })], ['main', 'canary']).find('a.b')!;
  const facts = (sid: string, uid = '', data = {}) => ({ sid, uid, data });

  test('get their shares of the sessions, and each session stays', () => {
    const one = target('sid');
    let canaries = 0;
    for (let n = 1; n <= 10_000; n++) {
      const session = facts(`pith-0123456789.${n}`);
      const { backend, backendOrdinal } = chosen(one, session);
      expect(chosen(one, session).backend).toBe(backend);
      if (backendOrdinal === 1) canaries++;
    }
    expect(canaries).toBeGreaterThan(900);
    expect(canaries).toBeLessThan(1_100);
  });

  test('are chosen by uid or a data key, by the sid where that is empty', () => {
    const key = (by: string, session: ReturnType<typeof facts>) =>
      chosen(target(by), session).backend;
    for (let n = 0; n < 50; n++) {
      const bySid = key('sid', facts(`s.${n}`));
      expect(key('uid', facts(`s.${n}`))).toBe(bySid);
      expect(key('uid', facts('other', `s.${n}`))).toBe(bySid);
      expect(key('data.room', facts('other', '', { room: `s.${n}` }))).toBe(bySid);
    }
  });
});

test.each([
  ['v2.{server}.{handler}.{method}', 'chat.room.say', 'v2.chat.room.say'],
  ['v2.{server}.{handler}.{method}', 'chat.say', 'v2.chat.say'],
  ['{handler}.{method}', 'chat.room.inner.say', 'room.inner.say'],
  ['{method}', 'say', 'say'],
  ['{server}.x', 'say', 'say.x'],
])('%s makes of %s: %s', (template, route, expected) => {
  expect(renamed(template, route)).toBe(expected);
});
