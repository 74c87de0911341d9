/** What a gateway tells on the bus of itself and of its sessions: proto/pith/v1/event.proto. */
import { describe, expect, test } from 'vitest';

import type { Session } from '../../../src/session/session.ts';
import { isCollected } from '../../support/collect.ts';
import { ACK, HANDSHAKE, turn } from '../session/support.ts';
import { makeEventGateway, namesOf, told } from './event-gateway.ts';

const ID = 'g-0123456789';
const HELLO = Buffer.concat([HANDSHAKE, ACK]);

test('events wait while what has an order is not to be published, and keep it', () => {
  const { connector, exchange, open } = makeEventGateway(ID);
  open(1);
  // Another connection takes the place of this one.
  connector.isMoving = true;
  open(2);
  open(3);
  expect(namesOf(told(exchange))).toEqual(['session.opened 1']);
  connector.isMoving = false;
  for (const listener of connector.listeners) listener.onRoom?.();
  expect(namesOf(told(exchange))).toEqual(['session.opened 2', 'session.opened 3']);
});

describe('a session', () => {
  test('is told when it opens, gets a uid, loses it, and ends', () => {
    const { clock, exchange, open, sessionCommands } = makeEventGateway(ID);
    const session = open(7);
    clock.advance(1_500);
    sessionCommands.patch(session, { uid: '42', set: { room: 'lobby' }, join: ['room.lobby'] });
    sessionCommands.patch(session, { uid: '' });
    sessionCommands.close(session, { reason: 'over', code: 4, kick: false, retryAfterMs: 0 });
    const facts = {
      ...{ sid: `${ID}.7`, uid: '', gateway: ID, remote_ip: session.remoteIp, client_type: '' },
      ...{ client_version: '', opened_at: '2026-01-01T00:00:00.000Z', data: {}, version: '0' },
      ...{ groups: [], transport: 'tcp', dialect: 'pomelo' },
    };
    const bound = { ...facts, uid: '42', version: '1', bound_at: '2026-01-01T00:00:01.500Z' };
    const free = { ...facts, version: '2' };
    expect(told(exchange)).toEqual([
      { name: 'session.opened', session: facts, again: false, resumed_from: '', seq: '1' },
      { name: 'session.bound', session: bound, seq: '2' },
      { name: 'session.unbound', session: free, uid: '42', seq: '3' },
      {
        ...{ name: 'session.closed', session: free, reason: 'over', code: 4 },
        ...{ close_reason: 'closed', lasted: '1.5s', seq: '4' },
      },
    ]);
  });

  test('that is bound in its handshake is opened first, and once', () => {
    const { exchange, connect, sessionCommands } = makeEventGateway(ID);
    const session = connect(1);
    sessionCommands.patch(session, { uid: '42' });
    session.onBytes(HELLO);
    expect(namesOf(told(exchange))).toEqual(['session.opened 1', 'session.bound 2']);
  });

  test('whose handshake never ends is not told', () => {
    const { exchange, connect } = makeEventGateway(ID);
    connect(1).close('handshake_timeout');
    expect(told(exchange)).toEqual([]);
  });

  test('is not told to be bound by a change that is refused, or changes no uid', () => {
    const { exchange, open, sessionCommands } = makeEventGateway(ID);
    const session = open(1);
    sessionCommands.patch(session, { uid: '42' });
    sessionCommands.patch(session, { uid: '42', set: { a: 1 } });
    sessionCommands.patch(session, { uid: '43' });
    sessionCommands.patch(session, { set: { a: 2 }, join: ['g'] });
    expect(namesOf(told(exchange))).toEqual(['session.opened 1', 'session.bound 2']);
  });

  test('is told with its last data and groups, as far as they are to be told', () => {
    const view = { data: ['room', 'level'], groups: true };
    const { exchange, open, sessionCommands } = makeEventGateway(ID, { view });
    const session = open(1);
    const set = { room: 'lobby', secret: 1 };
    sessionCommands.patch(session, { uid: '42', set, join: ['room.lobby', 'guild'] });
    session.close('client_closed');
    const [, bound, closed] = told(exchange);
    const what = { data: { room: 'lobby' }, groups: ['room.lobby', 'guild'], uid: '42' };
    expect(bound!['session']).toMatchObject(what);
    expect(closed!['session']).toMatchObject(what);
    expect(closed).toMatchObject({ reason: 'client_closed', code: 0 });
  });

  test('loses data and groups where the whole is more than NATS takes', () => {
    const view = { data: ['*'], groups: true };
    const made = makeEventGateway(ID, { view });
    const session = made.open(1);
    made.connector.payloadBytesMax = 2_048;
    made.sessionCommands.patch(session, { set: { a: 'x'.repeat(2_000) }, join: ['g'] });
    session.close('client_closed');
    const closed = told(made.exchange).at(-1)!;
    expect(closed).toMatchObject({ name: 'session.closed', session: { data: {}, groups: [] } });
    expect(made.metrics.count('pith_bus_refused_total', ['EVENT_CUT'])).toBe(1);
    expect(made.lines.at(-1)).toMatchObject({ msg: 'bus message refused', reason: 'EVENT_CUT' });
  });
});

test('a gateway tells that it is ready, draining and stopped', () => {
  const { exchange, events, open } = makeEventGateway(ID);
  events.gateway('ready');
  const session = open(1);
  events.gateway('draining');
  session.close('draining');
  events.gateway('stopped');
  expect(told(exchange).filter(({ name }) => name.startsWith('gateway.'))).toEqual([
    { name: 'gateway.ready', gateway: ID, sessions: 0, seq: '1' },
    { name: 'gateway.draining', gateway: ID, sessions: 1, seq: '3' },
    { name: 'gateway.stopped', gateway: ID, sessions: 0, seq: '5' },
  ]);
});

describe('while the bus is away', () => {
  test('events wait, and what was not confirmed is published again with the same number', async () => {
    const made = makeEventGateway(ID);
    const { exchange, events, open } = made;
    open(1);
    await made.confirm();
    open(2);
    expect(namesOf(told(exchange))).toEqual(['session.opened 1', 'session.opened 2']);
    await made.breaks();
    open(3);
    expect(told(exchange)).toEqual([]);
    expect(events.queue.size).toBe(2);
    made.comesBack();
    const again = exchange.sent.filter(({ subject }) => subject.startsWith('pith.event.session'));
    expect(again.map(({ headers }) => headers)).toEqual([
      [`Nats-Msg-Id: ${ID}.2`],
      [`Nats-Msg-Id: ${ID}.3`],
    ]);
    expect(namesOf(told(exchange))).toEqual(['session.opened 2', 'session.opened 3']);
    await made.confirm();
    expect(events.queue.size).toBe(0);
  });

  test('nothing is kept of what is confirmed, though there is always something that is not', async () => {
    const { events, exchange, connector } = makeEventGateway(ID);
    const subject = 'pith.event.session.closed';
    const add = (seq: number): WeakRef<Buffer> => {
      const payload = Buffer.alloc(65_536);
      events.queue.add({ seq, subject, payload });
      return new WeakRef(payload);
    };
    const confirmed = add(1);
    add(2);
    connector.flushes.shift()!.resolve();
    await turn();
    exchange.deliver();
    exchange.takeSent();
    expect(await isCollected(() => confirmed.deref() === undefined)).toBe(true);
    expect(events.queue.size).toBe(1);
  });

  test('what one round trip did not follow is not confirmed by it', async () => {
    const made = makeEventGateway(ID);
    made.open(1);
    made.open(2);
    expect(made.connector.flushes).toHaveLength(1);
    made.connector.flushes.shift()!.resolve();
    await turn();
    expect(made.events.queue.size).toBe(1);
    expect(made.connector.flushes).toHaveLength(1);
  });

  test('10,000 events wait; a gap stands in for the oldest of more', async () => {
    const made = makeEventGateway(ID);
    const { exchange, events } = made;
    events.gateway('ready');
    await made.confirm();
    await made.breaks();
    told(exchange);
    for (let i = 0; i < 10_003; i++) events.gateway('draining');
    expect(events.queue.size).toBe(10_000);
    expect(events.hasGap).toBe(false);
    made.comesBack();
    const all = told(exchange);
    expect(all[0]).toEqual({ name: 'gateway.gap', gateway: ID, seq: '4', from: '2', to: '4' });
    expect(all.slice(1, -1).map(({ seq }) => Number(seq))).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i + 5),
    );
    expect(all.at(-1)).toMatchObject({ name: 'gateway.returned', seq: '10005' });
    expect(made.metrics.count('pith_events_dropped_total', [])).toBe(3);
    expect(made.lines.filter(({ from }) => from === 2)).toEqual([
      {
        ...{ level: 'warn', from: 2, to: 4 },
        msg: 'events dropped: more than can wait for the bus; all sessions will be told again',
      },
    ]);
  });

  test('16 MiB of events wait', async () => {
    const view = { data: ['*'], groups: false };
    const made = makeEventGateway(ID, { view });
    await made.breaks();
    const sessions: Session[] = [];
    for (let n = 1; n <= 40; n++) sessions.push(made.open(n));
    for (const session of sessions)
      made.sessionCommands.patch(session, { set: { a: 'x'.repeat(900_000) } });
    for (const session of sessions) session.close('client_closed');
    expect(made.events.queue.size).toBe(18);
  });

  test('what NATS does not take for the moment is published when there is room', () => {
    const made = makeEventGateway(ID);
    made.connector.overloaded = true;
    made.open(1);
    expect(told(made.exchange)).toEqual([]);
    made.connector.overloaded = false;
    for (const listener of made.connector.listeners) listener.onRoom?.();
    expect(namesOf(told(made.exchange))).toEqual(['session.opened 1']);
  });

  test('an event that the next server does not take becomes a gap', async () => {
    const view = { data: ['*'], groups: false };
    const made = makeEventGateway(ID, { view });
    const session = made.open(1);
    await made.confirm();
    await made.breaks();
    made.sessionCommands.patch(session, { uid: '42', set: { a: 'x'.repeat(5_000) } });
    made.open(2);
    told(made.exchange);
    made.connector.payloadBytesMax = 2_048;
    made.comesBack();
    expect(namesOf(told(made.exchange))).toEqual([
      'gateway.gap 2',
      'session.opened 3',
      'gateway.returned 4',
      'session.opened 5',
      'session.opened 6',
    ]);
  });
});
