import { describe, expect, test } from 'vitest';
import { encodeResponse } from '../../../src/protocol/message.ts';
import fc from 'fast-check';

import { applyPatch, type Changed, matcherOf } from '../../../src/session/changes.ts';
import type { JsonObject, Patch } from '../../../src/contract/commands.ts';
import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import { Registry } from '../../../src/session/registry.ts';
import type { Session } from '../../../src/session/session.ts';
import { activate, connect, makeWorld, turn } from './support.ts';

const LIMITS = { dataBytesMax: 200, groupsMax: 3 };

/** A registry whose subscriptions are confirmed when the test says so. */
function setUp() {
  const world = makeWorld();
  const asked: string[] = [];
  const confirm: (() => void)[] = [];
  let confirmed = true;
  const registry = new Registry('g-0123456789', {
    add(kind, name) {
      asked.push(`+${kind} ${name}`);
      return confirmed ? null : new Promise((resolve) => confirm.push(resolve));
    },
    remove(kind, name) {
      asked.push(`-${kind} ${name}`);
    },
  });
  const join = (n: number) => {
    const client = activate({ world, n });
    registry.add(client.session);
    return client;
  };
  const apply = (session: Session, patch: Patch, now = 1_000) =>
    applyPatch(registry, session, patch, LIMITS, now);
  const confirmLater = () => {
    confirmed = false;
  };
  return { registry, asked, confirm, confirmLater, join, apply, world };
}

test('numbers are kept as they were written, and are equal in any notation', () => {
  const { apply, join } = setUp();
  const { session } = join(1);
  const data = (json: string) => parseAsWritten(json) as JsonObject;
  expect(apply(session, { set: data('{"id":9007199254740993,"n":1.0}') })).toMatchObject({
    changed: 1,
  });
  expect(JSON.stringify(session.data)).toBe('{"id":9007199254740993,"n":1.0}');
  expect(apply(session, { set: data('{"id":9007199254740993.0,"n":1e0}') })).toMatchObject({
    changed: 0,
  });
  expect(matcherOf(data('{"id":9007199254740993,"n":1}'))(session.data)).toBe(true);
  expect(matcherOf({ id: 9007199254740992 })(session.data)).toBe(false);
  expect(matcherOf({ n: Number.NaN })(session.data)).toBe(false);
});

test('what is asked of a session takes no longer for a large where', () => {
  let looked = 0;
  const counted = (object: JsonObject) =>
    new Proxy(object, {
      ownKeys(target) {
        looked++;
        return Reflect.ownKeys(target);
      },
    });
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i]));
  const holds = matcherOf(counted({ in: counted(many), ...many }));
  for (let i = 0; i < 1_000; i++) expect(holds({ in: {} })).toBe(false);
  expect(looked).toBe(2);
  expect(holds({ in: many, ...many })).toBe(true);
});

test('a session says since when it has its uid', () => {
  const { apply, join } = setUp();
  const { session } = join(1);
  const boundAt = (patch: Patch, now: number) => {
    apply(session, patch, now);
    return session.boundAtWall;
  };
  expect(boundAt({ set: { a: 1 } }, 1_000)).toBe(0);
  expect(boundAt({ uid: 'ann' }, 2_000)).toBe(2_000);
  expect(boundAt({ uid: 'ann', set: { a: 2 } }, 3_000)).toBe(2_000);
  expect(boundAt({ uid: 'bob' }, 4_000)).toBe(2_000);
  expect(boundAt({ uid: '' }, 5_000)).toBe(0);
  expect(boundAt({ uid: 'bob' }, 6_000)).toBe(6_000);
});

test.each([{ uid: 'x\ud83d' }, { join: ['g\udc00'] }])(
  'half a character makes no name, %j: in subjects and headers it would be anybody’s',
  (patch) => {
    const { apply, join } = setUp();
    const { session } = join(1);
    expect(apply(session, patch)).toMatchObject({
      reason: 'BAD_ARGUMENT',
      message: 'a uid or group holds half a character, which is not valid UTF-8',
    });
    expect([session.uid, session.groups.size]).toEqual(['', 0]);
  },
);

test('a patch that could not be read is refused with what is wrong', () => {
  const { apply, join } = setUp();
  expect(apply(join(1).session, { fault: 'set.hp is NaN' })).toMatchObject({
    reason: 'BAD_ARGUMENT',
    message: 'set.hp is NaN',
  });
});

/** All that a patch may change. */
function stateOf(session: Session) {
  const { uid, data, groups, version } = session;
  return { uid, data: JSON.stringify(data), groups: [...groups], version };
}

describe('a patch', () => {
  test('changes everything that it names, and the version once', () => {
    const { apply, join, registry } = setUp();
    const { session } = join(1);
    apply(session, { join: ['old'] });
    const patch = { uid: 'u', set: { a: 1, b: null }, join: ['g', 'h'], leave: ['old'] };
    expect(apply(session, patch)).toEqual({ changed: 1, version: 2, confirmed: null });
    expect(stateOf(session)).toEqual({ uid: 'u', data: '{"a":1}', groups: ['g', 'h'], version: 2 });
    expect([...registry.byUid('u')]).toEqual([session]);
    expect([...registry.byGroup('g')]).toEqual([session]);
    expect(registry.byGroup('old').size).toBe(0);
  });

  test.each<[string, Patch]>([
    ['nothing', {}],
    ['the uid that it has', { uid: 'u' }],
    ['data that is there', { set: { a: { y: 2, x: [1] } } }],
    ['the absence of what is absent', { set: { other: null } }],
    ['a group that it is in', { join: ['g'] }],
    ['a group that it is not in', { leave: ['other'] }],
    ['to leave and join the same group', { leave: ['g'], join: ['g'] }],
    ['the version that it has', { ifVersion: 1 }],
  ])('that says %s changes nothing, the version neither', (_name, patch) => {
    const { apply, asked, join } = setUp();
    const { session } = join(1);
    apply(session, { uid: 'u', set: { a: { x: [1], y: 2 } }, join: ['g'] });
    asked.length = 0;
    expect(apply(session, patch)).toEqual({ changed: 0, version: 1, confirmed: null });
    expect(session.version).toBe(1);
    expect(asked).toEqual([]);
  });

  const long = 'é'.repeat(128);
  test.each<[string, string, Patch]>([
    ['CONFLICT', 'another uid', { uid: 'v' }],
    ['CONFLICT', 'another version', { ifVersion: 2 }],
    ['TOO_LARGE', 'a group of 257 bytes', { join: [`${long}x`] }],
    ['TOO_LARGE', 'leaving a group of 257 bytes', { leave: [`${long}x`] }],
    ['TOO_LARGE', 'a key of 257 bytes', { set: { [`${long}x`]: null } }],
    ['TOO_LARGE', 'a group too many', { join: ['h', 'i', 'j', 'k'] }],
    ['TOO_LARGE', 'too much data', { set: { b: 'x'.repeat(200) } }],
    ['BAD_ARGUMENT', 'a group without a name', { join: [''] }],
  ])('is refused with %s for %s, whatever else it says', (reason, _name, patch) => {
    const { apply, asked, join } = setUp();
    const { session } = join(1);
    apply(session, { uid: 'u', set: { a: 1 }, join: ['g'] });
    const before = stateOf(session);
    asked.length = 0;
    expect(apply(session, { set: { c: 3 }, leave: ['g'], ...patch })).toMatchObject({ reason });
    expect(stateOf(session)).toEqual(before);
    expect(asked).toEqual([]);
  });

  test('binds nobody whose uid has 257 bytes', () => {
    const { apply, join } = setUp();
    const { session } = join(1);
    expect(apply(session, { uid: `${long}x` })).toMatchObject({ reason: 'TOO_LARGE' });
    expect(session.uid).toBe('');
  });

  test('takes names up to 256 bytes, and leaves groups before it counts them', () => {
    const { apply, join } = setUp();
    const { session } = join(1);
    const patch = { uid: long, set: { [long.slice(0, 50)]: 1 }, join: [long, 'b', 'c'] };
    expect(apply(session, patch)).toMatchObject({ changed: 1 });
    expect(apply(session, { leave: [long], join: ['d'] })).toMatchObject({ changed: 1 });
    expect(apply(session, { uid: '' })).toMatchObject({ changed: 1, version: 3 });
  });

  test('keeps a key called __proto__ as data', () => {
    const { apply, join } = setUp();
    const { session } = join(1);
    const set = JSON.parse('{"__proto__":{"admin":true},"constructor":1}') as JsonObject;
    expect(apply(session, { set })).toMatchObject({ changed: 1 });
    expect(JSON.stringify(session.data)).toBe('{"__proto__":{"admin":true},"constructor":1}');
    expect(session.data['admin']).toBeUndefined();
    apply(session, { set: JSON.parse('{"__proto__":null,"constructor":null}') as JsonObject });
    expect(JSON.stringify(session.data)).toBe('{}');
  });
});

describe('a session that ends', () => {
  test('is bound no more while it drains, but may be unbound and changed', () => {
    const { apply, join } = setUp();
    const { session } = join(1);
    session.drain();
    expect(apply(session, { uid: 'u', set: { a: 1 } })).toMatchObject({ reason: 'CLOSING' });
    expect(stateOf(session)).toMatchObject({ data: '{}', version: 0 });
    expect(apply(session, { uid: '', join: ['g'] })).toMatchObject({ changed: 1 });
  });

  test('is changed no more when it is closed', () => {
    const { apply, join } = setUp();
    const { session } = join(1);
    session.close('closed');
    for (const patch of [{}, { uid: 'u' }, { uid: '' }, { set: { a: 1 } }, { join: ['g'] }]) {
      expect(apply(session, patch)).toMatchObject({ reason: 'CLOSING' });
    }
  });
});

describe('the outbox', () => {
  test('keeps everything back until all subscriptions are confirmed', async () => {
    const { apply, confirm, confirmLater, join } = setUp();
    const { session, connection } = join(1);
    confirmLater();
    const { confirmed } = apply(session, { uid: 'u', join: ['g'] }) as Changed;
    session.send(encodeResponse(1, Buffer.from('done'))!);
    await turn();
    confirm[0]!();
    await turn();
    expect(connection.messages).toEqual([]);
    confirm[1]!();
    await confirmed;
    await turn();
    expect(connection.messages).toEqual(['#1 done']);
  });

  test('is not held up by a change that needs no subscription', async () => {
    const { apply, confirmLater, join } = setUp();
    const { session, connection } = join(1);
    confirmLater();
    expect(apply(session, { set: { a: 1 }, leave: ['g'] })).toMatchObject({ confirmed: null });
    session.send(encodeResponse(1, Buffer.from('done'))!);
    await turn();
    expect(connection.messages).toEqual(['#1 done']);
  });

  test('gives up what it holds when the session is closed before the confirmation', async () => {
    const { apply, confirm, confirmLater, join } = setUp();
    const { session, connection } = join(1);
    confirmLater();
    const { confirmed } = apply(session, { uid: 'u' }) as Changed;
    session.send(encodeResponse(1, Buffer.from('done'))!);
    session.close('kick');
    expect(connection.messages).toEqual(['#1 done']);
    expect(connection.types.at(-1)).toBe(5);
    confirm[0]!();
    await confirmed;
    await turn();
    expect(connection.types).toHaveLength(2);
  });
});

describe('the registry', () => {
  test('asks for a name with each member and lets go of it with the last', () => {
    const { apply, asked, join, registry } = setUp();
    const [a, b] = [join(1).session, join(2).session];
    apply(a, { uid: 'u', join: ['g'] });
    apply(b, { uid: 'u', join: ['g'] });
    expect(asked).toEqual(['+user u', '+group g', '+user u', '+group g']);
    asked.length = 0;
    apply(a, { uid: '', leave: ['g'] });
    expect(asked).toEqual([]);
    registry.remove(b);
    registry.remove(b);
    expect(asked).toEqual(['-user u', '-group g']);
    expect([registry.byUid('u').size, registry.byGroup('g').size, registry.size]).toEqual([
      0, 0, 1,
    ]);
  });

  test('finds a session by its sid and by nothing like it', () => {
    const { join, registry } = setUp();
    const { session } = join(12);
    expect(registry.bySid('g-0123456789.12')).toBe(session);
    for (const sid of [
      ...[
        '',
        '.',
        '12',
        '.12',
        'g-0123456789',
        'g-0123456789.',
        'g-0123456789.1',
        'g-012345678.12',
      ],
      ...['g-9876543210.12', 'g-0123456789.012', 'g-0123456789.12 ', 'g-0123456789.+12'],
      ...['g-0123456789.1e1', 'g-0123456789.12.12', 'x.g-0123456789.12', 'g-0123456789.0xc'],
      ...['g-0123456789.12.', `g-0123456789.${'9'.repeat(17)}`, 'g-0123456789.-12'],
    ]) {
      expect([sid, registry.bySid(sid)]).toEqual([sid, undefined]);
    }
  });

  test('holds what the sessions say of themselves, and the interest that goes with it', () => {
    const name = fc.constantFrom('a', 'b', 'c', '__proto__');
    const patch: fc.Arbitrary<Patch> = fc.record(
      {
        uid: fc.constantFrom('', 'u', 'v', '__proto__'),
        join: fc.array(name, { maxLength: 3 }),
        leave: fc.array(name, { maxLength: 3 }),
      },
      { requiredKeys: [] },
    );
    const steps = fc.array(fc.tuple(fc.nat(3), fc.option(patch, { freq: 8 })), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (done) => {
        const { apply, asked, join, registry } = setUp();
        const sessions = [1, 2, 3, 4].map((n) => join(n).session);
        let last = 4;
        for (const [i, one] of done) {
          if (one === null) {
            registry.remove(sessions[i]!);
            sessions[i] = join(++last).session;
          } else {
            apply(sessions[i]!, one);
          }
          const held = new Set<string>();
          for (const session of sessions) {
            if (session.uid !== '') held.add(`user ${session.uid}`);
            for (const group of session.groups) held.add(`group ${group}`);
          }
          const wanted = new Set<string>();
          for (const words of asked) {
            const what = words.slice(1);
            const known = wanted.has(what);
            if (words[0] === '+') wanted.add(what);
            else wanted.delete(what);
            expect(words[0] === '+' || known).toBe(true);
          }
          expect(wanted).toEqual(held);
          for (const kind of ['u', 'v', '__proto__']) {
            const members = sessions.filter((session) => session.uid === kind);
            expect(new Set(registry.byUid(kind))).toEqual(new Set(members));
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('where', () => {
  const data: JsonObject = { room: 'a', n: 1, on: true, deep: { x: [1, { y: null }], z: 2 } };
  test.each<[JsonObject, boolean]>([
    [{}, true],
    [{ room: 'a' }, true],
    [{ room: 'a', n: 1, on: true }, true],
    [{ deep: { z: 2, x: [1, { y: null }] } }, true],
    [{ room: 'b' }, false],
    [{ room: 'a', n: '1' }, false],
    [{ on: 1 }, false],
    [{ other: null }, false],
    [{ deep: { z: 2 } }, false],
    [{ deep: { z: 2, x: { 0: 1 } } }, false],
    [{ deep: [] }, false],
    [{ toString: 1 }, false],
  ])('%j holds: %j', (where, holds) => {
    expect(matcherOf(where)(Object.assign(Object.create(null), data) as JsonObject)).toBe(holds);
  });

  test('needs an own key, even of a plain object', () => {
    expect(matcherOf(JSON.parse('{"__proto__":{}}') as JsonObject)({})).toBe(false);
  });
});

test('a session not yet active may be changed', () => {
  const { registry, apply, world } = setUp();
  const { session } = connect({ world, n: 5 });
  registry.add(session);
  expect(apply(session, { uid: 'u' })).toMatchObject({ changed: 1, version: 1 });
});
