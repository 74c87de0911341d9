/** A session is written in one process and read in another, where it does what it would have done. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { parseAsWritten } from '../../../src/protocol/exact-json.ts';
import { encodePush } from '../../../src/protocol/message.ts';
import {
  freezeSession,
  leaveSession,
  thawSession,
  whyNotMovable,
} from '../../../src/session/life.ts';
import type { FrozenSession } from '../../../src/session/frozen.ts';
import type { SessionLimits } from '../../../src/session/session-parts.ts';
import { readGateway } from '../../../src/takeover/gateway-state.ts';
import {
  changesOf,
  readChanges,
  readKey,
  readSession,
  sentOf,
  writeKey,
  writeSession,
} from '../../../src/takeover/session-state.ts';
import { takeToken } from '../../../src/relay/token-bucket.ts';
import { ROOT } from '../../support/serve.ts';
import {
  ACK,
  activate,
  connect,
  HANDSHAKE,
  HEARTBEAT,
  makeWorld,
  request,
  turn,
} from '../session/support.ts';

type Client = ReturnType<typeof connect>;

/** What others than the session itself write. */
function frozenOf({ session, clock }: Client): FrozenSession {
  return {
    ...freezeSession(session, clock.now()),
    ...{ publicKey: writeKey(session.publicKey), resuming: null, lanes: [] },
  };
}

/** On its way to the other process. */
function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** The other process: its clock says something else, and `afterMs` have passed on the way. */
function elsewhere(client: Client, limits: Partial<SessionLimits> = {}): Client {
  const ahead = writeSession(frozenOf(client));
  const before = readSession(asJson(ahead));
  const changes = changesOf(writeSession(frozenOf(client)), sentOf(ahead));
  const frozen = readChanges(asJson(changes), before);
  const world = makeWorld();
  world.clock.advance(5_000_000);
  const there = connect({ world, limits, n: frozen.n });
  thawSession(there.session, frozen, {
    now: world.clock.now(),
    publicKey: readKey(frozen.publicKey),
  });
  return there;
}

describe('each piece of a session', () => {
  test('a request is answered as before, and nothing is sent for the move itself', async () => {
    const there = elsewhere(activate());
    await turn();
    expect(there.connection.types).toEqual([]);
    there.session.onBytes(request(7));
    expect(there.host.messages).toEqual(['7 a.b.c']);
    there.session.push(encodePush('on.a', Buffer.from('{}'))!, null);
    await turn();
    expect(there.connection.messages).toEqual(['on.a {}']);
  });

  test('one that waits for the ack is active with it', () => {
    const here = connect();
    here.session.onBytes(HANDSHAKE);
    const there = elsewhere(here);
    expect(there.session.state).toBe('handshaking');
    there.session.onBytes(ACK);
    expect(there.session.state).toBe('active');
    expect(there.connection.types).toEqual([3]);
  });

  test('a second handshake counts as little as before', () => {
    const there = elsewhere(activate());
    there.session.onBytes(HANDSHAKE);
    expect([there.session.state, there.connection.types]).toEqual(['active', []]);
  });

  test('half a packet is whole with the rest of it', () => {
    const here = activate();
    here.session.onBytes(request(3).subarray(0, 5));
    const there = elsewhere(here);
    there.session.onBytes(request(3).subarray(5));
    expect(there.host.messages).toEqual(['3 a.b.c']);
  });

  test('the time for half a packet goes on', () => {
    const limits = { assembleMs: 8_000 };
    const here = activate({ limits });
    here.session.onBytes(request(3).subarray(0, 5));
    here.clock.advance(6_000);
    const there = elsewhere(here, limits);
    there.clock.advance(1_900);
    expect(there.host.ended).toEqual([]);
    there.clock.advance(200);
    expect(there.host.ended.map(({ reason }) => reason)).toEqual(['assemble_timeout']);
  });

  test('silence counts from when the client was last heard', () => {
    const here = activate();
    here.session.onBytes(HEARTBEAT);
    here.clock.advance(50_000);
    const there = elsewhere(here);
    there.clock.advance(9_900);
    expect(there.host.ended).toEqual([]);
    there.clock.advance(200);
    expect(there.host.ended.map(({ reason }) => reason)).toEqual(['heartbeat_timeout']);
  });

  test.each([
    ['idle', { idleMs: 60_000 }, 'idle_timeout', 60_000],
    ['unbound', { bindMs: 60_000 }, 'bind_timeout', 60_000],
    // Its number decides how much earlier: n is 1, so 0.1 × 0.618 of it.
    ['old', { maxAgeMs: 60_000 }, 'max_age', 56_292],
  ] as const)('%s: its time goes on', async (_what, limits, reason, totalMs) => {
    const here = activate({ limits });
    here.clock.advance(40_000);
    here.session.onBytes(HEARTBEAT);
    const there = elsewhere(here, limits);
    there.clock.advance(10_000);
    there.session.onBytes(HEARTBEAT);
    await turn();
    there.clock.advance(totalMs - 50_000 - 200);
    expect(there.host.ended).toEqual([]);
    there.clock.advance(400);
    expect(there.host.ended.map((end) => end.reason)).toEqual([reason]);
    expect(there.host.ended[0]!.lastedMs).toBeGreaterThan(totalMs - 300);
  });

  test('who it is, its data as written, its version and its counts', () => {
    const here = activate();
    const { session } = here;
    Object.assign(session.data, {
      level: 3,
      name: 'ann',
      exact: parseAsWritten('12345678901234567890'),
    });
    session.version = 4;
    session.seq = 9;
    session.malformed = 2;
    session.roundTripMs = 12.5;
    session.isAnnounced = true;
    session.clientType = 'unity';
    session.clientVersion = '2.1';
    session.outbox.sent = 17;
    const { session: there } = elsewhere(here);
    expect(JSON.stringify(there.data)).toBe(
      '{"level":3,"name":"ann","exact":12345678901234567890}',
    );
    expect(Object.getPrototypeOf(there.data)).toBe(null);
    expect([there.version, there.seq, there.malformed, there.roundTripMs]).toEqual([4, 9, 2, 12.5]);
    expect([there.isAnnounced, there.clientType, there.clientVersion]).toEqual([
      true,
      'unity',
      '2.1',
    ]);
    expect([there.outbox.sent, there.sid]).toEqual([17, 'g-0123456789.1']);
    expect(there.openedAtWall).toBe(session.openedAtWall + 5_000_000);
  });

  test('what is left of its rates', () => {
    const here = activate();
    const { session, clock } = here;
    for (let i = 0; i < 9; i++) expect(takeToken(session, 1, 10, clock.now())).toBe(0);
    session.rates = new Map([['chat.>', { tokens: 0.5, tokensAt: clock.now() }]]);
    const there = elsewhere(here);
    expect(takeToken(there.session, 1, 10, there.clock.now())).toBe(0);
    expect(takeToken(there.session, 1, 10, there.clock.now())).toBe(1_000);
    expect(takeToken(there.session.rates!.get('chat.>')!, 1, 1, there.clock.now())).toBe(500);
  });

  test('how it is spoken to, and its key', () => {
    const here = activate();
    here.session.wire = here.session.listenerDialect.wireNamed('libpomelo2')!;
    here.session.publicKey = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey;
    const there = elsewhere(here);
    expect(there.session.wire.profile).toBe('libpomelo2');
    expect(there.session.publicKey!.equals(here.session.publicKey)).toBe(true);
  });

  test('its place in the stream of kept pushes', () => {
    const here = activate();
    here.session.kept = { seq: 41, isOwn: true, since: 1_000, tellsCursor: true, catchUp: null };
    const place = { seq: 41, isOwn: true, since: 1_000, tellsCursor: true, catchUp: null };
    expect(elsewhere(here).session.kept).toEqual(place);
  });
});

describe('it cannot move', () => {
  const movable = (client: Client): Client => {
    Object.assign(client.connection, { movable: {} });
    return client;
  };
  const rows: readonly (readonly [why: string, make: () => Client])[] = [
    ['only plain TCP and WebSocket can move', () => activate()],
    [
      'a request has no answer yet',
      () => {
        const client = movable(activate());
        client.session.track({ rawId: 1, wantsAnswer: true, abandon() {}, giveUp() {} });
        return client;
      },
    ],
    [
      'a message is on its way to its backend',
      () => {
        const client = movable(activate());
        client.session.lane(0).unanswered({ ended: false, whenReceived() {} });
        return client;
      },
    ],
    [
      'its client has not taken all that it was sent',
      () => {
        const client = movable(activate());
        client.connection.bufferedBytes = 1;
        return client;
      },
    ],
    [
      'a change waits for the bus',
      () => {
        const client = movable(activate());
        client.session.outbox.cork();
        return client;
      },
    ],
    [
      'a WebSocket message is not whole',
      () => {
        const client = movable(activate());
        client.connection.assembling = true;
        return client;
      },
    ],
    [
      'it is not read from',
      () => {
        const client = movable(activate());
        client.session.readGate.wait();
        return client;
      },
    ],
    [
      'it is about to end',
      () => {
        const client = movable(activate());
        client.session.drain();
        return client;
      },
    ],
  ];

  test.each(rows)('%s', (why, make) => {
    expect(whyNotMovable(make().session)).toBe(why);
  });

  test('and one of which nothing is on its way can', () => {
    expect(whyNotMovable(movable(activate()).session)).toBe(null);
    expect(whyNotMovable(movable(connect()).session)).toBe(null);
  });
});

test('who has left is silent here: no end is told, nothing is sent, no time is over', () => {
  const here = activate();
  let isLetGo = false;
  Object.assign(here.connection, { movable: { letGo: () => (isLetGo = true) } });
  leaveSession(here.session);
  here.session.onClosed(null);
  here.session.push(encodePush('on.a', Buffer.from('{}'))!, null);
  here.clock.advance(600_000);
  expect([here.host.ended, here.connection.writes, isLetGo]).toEqual([[], [], true]);
  expect([here.session.state, here.connection.closed]).toEqual(['closed', null]);
});

const SOUND = asJson(writeSession(frozenOf(activate()))) as Record<string, unknown>;

describe('what has changed since it was sent', () => {
  test('is all that is told, beside the deadlines', () => {
    const client = activate();
    const { session } = client;
    const groups = new Set(['a']);
    session.groups = groups;
    session.data['level'] = 1;
    const sent = sentOf(writeSession(frozenOf(client)));
    const changes = (): object => {
      const { deadlines, ...rest } = changesOf(writeSession(frozenOf(client)), sent);
      expect(deadlines).toBeDefined();
      return rest;
    };
    expect(changes()).toEqual({ n: 1 });
    // In place.
    session.data['level'] = 2;
    groups.add('b');
    session.seq = 7;
    expect(changes()).toEqual({
      n: 1,
      seq: 7,
      data: '{"level":2}',
      groups: [
        { name: 'a', leftMs: null },
        { name: 'b', leftMs: null },
      ],
    });
  });

  test('is what it becomes', () => {
    const client = activate();
    const before = readSession(asJson(writeSession(frozenOf(client))));
    const { seq, version, groups } = readChanges({ n: 1, seq: 9 }, { ...before, version: 3 });
    expect([seq, version, groups]).toEqual([9, 3, []]);
  });
});

describe('what is refused', () => {
  const rows: readonly (readonly [what: string, change: object, error: string])[] = [
    ['no number', { n: 0 }, 'n is not a whole number from 1 on'],
    ['a text for a number', { seq: '9' }, 'seq is not a whole number from 0 on'],
    ['an unknown state', { state: 'closed' }, 'state is not opening or handshaking or active or draining'], // prettier-ignore
    ['an unknown transport', { transport: 'tls' }, 'transport is not ws or tcp'],
    ['a field that is unknown', { color: 'red' }, 'color is not known here'],
    ['a field that is missing', { uid: undefined }, 'uid is not a string'],
    ['a group without a name', { groups: [{ leftMs: null }] }, 'groups[0].name is not a string'],
    ['data that is a list', { data: '[]' }, 'data is not an object'],
    ['data that is no JSON', { data: '{' }, 'data is not JSON'],
    ['bytes that are none', { held: '%%%' }, 'held is not base64'],
    ['a key that is none', { publicKey: 'AAAA' }, 'publicKey is no key'],
    [
      'a deadline that is none',
      { deadlines: { openedMs: 1 } },
      'deadlines.heardMs is not a number',
    ],
    ['half a cursor', { deltas: { tellsGaps: true, views: [{ group: 'a', from: { epoch: 'e' }, seen: null, missed: null, forgetMs: null }] } }, 'deltas.views[0].from.n is not a whole number from 0 on'], // prettier-ignore
    ['a token without an end', { auth: '{"token":{"holder":"a"},"backend":null}' }, 'auth.token.leftMs is not a number'], // prettier-ignore
  ];

  test('the sound one is read', () => {
    expect(readSession(SOUND).n).toBe(1);
  });

  test.each(rows)('%s', (_what, change, error) => {
    const read = (): unknown => {
      const frozen = readSession(asJson({ ...SOUND, ...change }));
      return readKey(frozen.publicKey);
    };
    expect(read).toThrow(error);
  });

  test('what is no object', () => {
    expect(() => readSession('{}')).toThrow('is not an object');
  });

  test.each([
    ['a field that is unknown', { n: 1, color: 'red' }, 'color is not known here'],
    ['a text for a number', { n: 1, seq: '9' }, 'seq is not a whole number from 0 on'],
  ])('of changes: %s', (_what, changes, error) => {
    expect(() => readChanges(changes, readSession(SOUND))).toThrow(error);
  });
});

describe('what is refused of the gateway', () => {
  const sound = { version: 5, id: 'g-1', sessions: 0, sessionsEver: 0, bus: null, orders: [], ended: [] }; // prettier-ignore
  const rows: readonly (readonly [what: string, change: object, error: string])[] = [
    ['a later version', { version: 6, color: 'red' }, 'version 6 of the state is not known here, only 5'], // prettier-ignore
    ['no version', { version: undefined }, 'version is not a whole number from 0 on'],
    ['a field that is unknown', { color: 'red' }, 'color is not known here'],
    ['half a bus', { bus: { seq: 1 } }, 'bus.announced is not a whole number from 0 on'],
    ['an order without a stamp', { orders: [{ key: 'a' }] }, 'orders[0].at is not a whole number from 0 on'], // prettier-ignore
    ['an end without a time', { ended: [{ lineage: 'a', upTo: null }] }, 'ended[0].leftMs is not a number'], // prettier-ignore
  ];

  test('the sound one is read', () => {
    expect(readGateway(JSON.stringify(sound))).toEqual(sound);
  });

  test.each(rows)('%s', (_what, change, error) => {
    expect(() => readGateway(JSON.stringify({ ...sound, ...change }))).toThrow(error);
  });
});

/**
 * Every field of these classes: either it is handed over, or it is made anew. A field that comes later fails here until
 * somebody has decided which.
 */
const FIELDS: Readonly<Record<string, { frozen: string; anew: string }>> = {
  'session/session.ts': {
    frozen: 'outbox deadlines state reader handshakeCame',
    anew: 'readGate parts message inFlight isGone onPacket',
  },
  'session/session-record.ts': {
    frozen:
      'n remoteIp openedAtWall openedAt wire publicKey clientType clientVersion uid boundAtWall data groups groupEnds kept deltas version resuming roundTripMs isAnnounced seq malformed tokens tokensAt rates lanes',
    // The sid is made of the gateway's id and n.
    anew: 'sid gatewayId connection watching traffic listenerDialect watchers',
  },
  'session/deadlines.ts': {
    frozen:
      'openedAt lookAt openingMs handshakenAt pingedAt lastHeardAt lastSpokeAt endsAt incompleteSince tickAt hadUid',
    anew: 'wheel limits session restsSince',
  },
  'session/group-view.ts': {
    frozen: 'group forgetAt missed from seen',
    anew: 'pending isTrial isGone held before isAnswered dropped',
  },
  'session/deltas.ts': {
    frozen: 'tellsGaps views',
    anew: 'parts session totals countedBytes behindSinceTurn',
  },
  'session/kept-place.ts': { frozen: 'seq isOwn since tellsCursor', anew: 'catchUp' },
  'resume/resuming-session.ts': {
    frozen: 'lineage resumedFrom counter isTooLarge grantedUntil timeout madeAt isStale',
    anew: 'session parts make hasEnded',
  },
  'session/outbox.ts': {
    frozen: 'sent',
    anew: 'connection outboxes limits owner queue putBytes countedBytes besideBytes corks due ended released backlogSince takenBytes overfullSinceTurn behindSinceTurn',
  },
};

const FIELD = /^ {2}(?:protected |private )?(?:readonly )?#?([a-zA-Z]+)[!?]?(?::| =)/;

test.each(Object.entries(FIELDS))('%s: every field is handed over, or made anew', (file, names) => {
  const source = readFileSync(join(ROOT, 'src', file), 'utf8');
  const body = source.slice(source.search(/^export (class|type KeptPlace)/m));
  const fields = body.split('\n').flatMap((line) => FIELD.exec(line)?.[1] ?? []);
  const known = `${names.frozen} ${names.anew}`.split(' ');
  expect([...new Set(fields)].toSorted()).toEqual(known.toSorted());
});
