/** Which sessions a watch sees, how much of them, and that nothing of it is left when it ends. */
import { describe, expect, test } from 'vitest';

import { PeerWatches } from '../../../src/bus/peer-watches.ts';
import type { Push } from '../../../src/contract/commands.ts';
import { JsonMessages } from '../../../src/control/json-messages.ts';
import type { WatchSpec } from '../../../src/watch/watch.ts';
import { Watches } from '../../../src/watch/watches.ts';
import { makeGateway } from '../bus/support.ts';

const messages = new JsonMessages('pith.v1.Control');
type Event = Record<string, unknown>;
const read = (event: Buffer): Event => messages.json('pith.v1.WatchEvent', event) as Event;

const ALL: WatchSpec = { target: {}, route: '', bodies: false, perSecond: 100 };
const push = (route: string, body = '{}'): Push => ({
  ...{ target: null, route, body: Buffer.from(body), delivery: 'must', latestKey: '' },
  ...{ expiresInMs: 0, afterReply: false },
});

function stage(mayShowBodies = true) {
  const gateway = makeGateway('g-0123456789');
  const { registry, clock } = gateway;
  const watches = new Watches({
    ...{ gatewayId: 'g-0123456789', clock, registry },
    mayShowBodies: () => mayShowBodies,
  });
  const events: Event[] = [];
  const begin = (spec: Partial<WatchSpec>) =>
    watches.begin({ ...ALL, ...spec }, (event) => void events.push(read(event)));
  const told = (): unknown[] => events.splice(0).map(({ kind, sid }) => [kind, sid]);
  return { ...gateway, watches, events, begin, told };
}

describe('a session is seen', () => {
  test.each([
    [{ sids: ['g-0123456789.1'] }],
    [{ uids: ['ann'] }],
    [{ groups: ['hall'] }],
    [{ groups: ['hall'], exceptSids: ['g-0123456789.2'], exceptUids: ['bob'] }],
    [{ all: true, exceptSids: ['g-0123456789.2'] }],
    [{ where: { level: 3 } }],
  ])('as %j selects it', (target) => {
    const { client, begin } = stage();
    const ann = client(1, 'ann', 'hall').session;
    ann.data['level'] = 3;
    const bob = client(2, 'bob').session;
    begin({ target });
    expect([ann.watchers, bob.watchers]).toEqual([1, 0]);
  });

  test('when it comes to be meant, and no longer when it does not', () => {
    const { client, begin, told, registry, watches } = stage();
    begin({ target: { uids: ['ann'] } });
    const { session } = client(1);
    watches.consider(session);
    void registry.bind(session, 'ann', 1);
    watches.consider(session);
    watches.consider(session);
    void registry.bind(session, '', 1);
    watches.consider(session);
    expect(told()).toEqual([
      ['seen', session.sid],
      ['unseen', session.sid],
    ]);
    expect(session.watchers).toBe(0);
  });

  test('by each of several watches, until each ends; a closed one by none', () => {
    const { client, begin, watches } = stage();
    const { session } = client(1, 'ann');
    const first = begin({})!;
    const second = begin({ target: { uids: ['ann'] } })!;
    expect([session.watchers, first.sessions, second.sessions]).toEqual([3, 1, 1]);
    watches.end(first);
    expect([session.watchers, watches.isOn]).toEqual([2, true]);
    watches.end(second);
    watches.end(second);
    expect([session.watchers, watches.isOn, watches.size]).toEqual([0, false, 0]);
    const third = begin({})!;
    watches.closed(session, {
      ...{ reason: 'kick', details: { text: '', code: 0, retryAfterMs: 0 }, cause: '' },
      ...{ lastedMs: 1, unanswered: 0, wasActive: true },
    } as Parameters<Watches['closed']>[1]);
    expect([session.watchers, third.sessions]).toEqual([0, 0]);
  });
});

test('there are at most thirty watches', () => {
  const { begin } = stage();
  const begun = Array.from({ length: 31 }, () => begin({ target: { uids: ['x'] } }) !== null);
  expect(begun.filter(Boolean)).toHaveLength(30);
  expect(begun.at(-1)).toBe(false);
});

test('no more than asked for in a second, and what is left out is counted', () => {
  const { client, begin, events, watches, clock } = stage();
  const { session } = client(1);
  begin({ perSecond: 2 });
  for (const route of ['a', 'b', 'c', 'd']) watches.pushed(session, push(route), 'taken');
  expect(events.map(({ route }) => route)).toEqual(['a', 'b']);
  clock.advance(1_000);
  watches.pushed(session, push('e'), 'taken');
  expect(events.slice(2).map(({ kind, route, over_rate: left }) => [kind, route, left])).toEqual([
    ['skipped', '', 2],
    ['push', 'e', 0],
  ]);
});

describe('a body', () => {
  const shown = (spec: Partial<WatchSpec>, one: Push, mayShow = true): unknown => {
    const { client, begin, events, watches } = stage(mayShow);
    const { session } = client(1);
    begin(spec);
    watches.pushed(session, one, 'taken');
    return events[0]!['body'];
  };

  test('is shown where it is asked for and may be', () => {
    expect(shown({ bodies: true }, push('onChat', '{"a":1}'))).toEqual({ text: '{"a":1}' });
    expect(shown({ bodies: false }, push('onChat', '{"a":1}'))).toBeUndefined();
    expect(shown({ bodies: true }, push('onChat', '{"a":1}'), false)).toBeUndefined();
  });

  test('of a route of the gateway’s own is never shown', () => {
    expect(shown({ bodies: true }, push('pith.resume', '{"token":"t"}'))).toBeUndefined();
  });

  test('is cut after 16,384 bytes, and not within a character', () => {
    const { text } = shown({ bodies: true }, push('onChat', `a${'é'.repeat(9_000)}`)) as {
      text: string;
    };
    expect(text).toBe(`a${'é'.repeat(8_191)}`);
  });
});

describe('for another gateway', () => {
  const ASK = {
    gateway: 'a-0123456789',
    target: { uids: ['ann'] },
    route: '',
    bodies: false,
    per_second: 100,
  };
  const MESSAGE = { subject: 'pith.fleet.watch', reply: '_INBOX.x' } as never;

  function peers() {
    const made = stage();
    const sent: object[] = [];
    const peerWatches = new PeerWatches({
      ...{ gatewayId: 'g-0123456789', clock: made.clock, watches: made.watches },
      replies: { bytesMax: 1_048_576, send: (_to, _asked, answer) => void sent.push(answer) },
    });
    const ask = (more: object) => peerWatches.onCall({ ...ASK, ...more }, MESSAGE);
    return { ...made, sent, peerWatches, ask };
  }

  test('it holds as long as it is asked for again, and no longer than 15 s after that', () => {
    const { clock, ask, client, peerWatches } = peers();
    const { session } = client(1, 'ann');
    expect(ask({ id: 'x' })).toEqual({ did: 'watch', watching: true, sessions: 1 });
    clock.advance(14_999);
    ask({ id: 'x' });
    clock.advance(14_999);
    expect([peerWatches.size, session.watchers]).toEqual([1, 1]);
    clock.advance(1);
    expect([peerWatches.size, session.watchers]).toEqual([0, 0]);
  });

  test('what is seen goes together after 50 ms, and what is left when it ends', () => {
    const { clock, ask, client, sent, watches } = peers();
    const { session } = client(1, 'ann');
    ask({ id: 'x' });
    watches.pushed(session, push('a'), 'taken');
    expect(sent).toEqual([]);
    clock.advance(50);
    watches.pushed(session, push('b'), 'taken');
    ask({ id: 'x', end: true });
    const routes = sent.map((answer) =>
      (answer as { events: string[] }).events.map((event) => {
        const { kind, route } = read(Buffer.from(event, 'base64'));
        return [kind, route];
      }),
    );
    expect(routes).toEqual([
      [
        ['seen', ''],
        ['push', 'a'],
      ],
      [['push', 'b']],
    ]);
    expect(session.watchers).toBe(0);
  });

  test('there are at most twenty, so that places stay for this one’s own callers', () => {
    const { ask, watches } = peers();
    for (let i = 0; i < 20; i++) ask({ id: `${i}` });
    expect(ask({ id: 'one more' })).toEqual({ did: 'watch' });
    expect(watches.size).toBe(20);
  });

  test('its own question does nothing', () => {
    const { ask, watches } = peers();
    expect(ask({ id: 'x', gateway: 'g-0123456789' })).toEqual({});
    expect(watches.size).toBe(0);
  });
});
