/** What is done to many sessions at once: a part in each turn of the event loop, and in order for each session. */
import { describe, expect, test, vi } from 'vitest';

import type { Push, Target } from '../../../src/contract/commands.ts';
import { PushEncodings } from '../../../src/bus/push-encodings.ts';
import type { Wire } from '../../../src/dialect/wire.ts';
import type { Encoded } from '../../../src/protocol/packet.ts';
import type { Session } from '../../../src/session/session.ts';
import { showsLife } from '../../../src/session/signs-of-life.ts';
import { watchHeld } from '../../support/held.ts';
import { TurnClock } from '../../support/turn-clock.ts';
import { turn } from '../session/support.ts';
import { Exchange, makeGateway } from './support.ts';

const G = 'g-0123456789';
const OTHER = 'h-0123456789';
const push = (route: string, target: Target | null, more: Partial<Push> = {}): Push => ({
  ...{ target, route, body: Buffer.from('1'), delivery: 'must', latestKey: '', expiresInMs: 0 },
  ...{ afterReply: false, ...more },
});
const KICK = { reason: 'over', code: 0, kick: true, retryAfterMs: 0 };

type Choice = {
  readonly members?: number;
  readonly perTurn?: number;
  readonly waitingBytesMax?: number;
  readonly id?: string;
  readonly isUp?: boolean;
};

/** Clients 1 to `members` of the group `all`, each with a uid of its own; and what one turn of the event loop does. */
function stage(choice: Choice = {}, exchange = new Exchange(), clock = new TurnClock(1_000)) {
  const { members = 40, perTurn = 2, waitingBytesMax = 1e9, id = G, isUp = true } = choice;
  const gateway = makeGateway(id, exchange, clock, 0, () => null, { perTurn, waitingBytesMax });
  // Subscriptions are not waited for.
  gateway.connector.up = false;
  const clients = Array.from({ length: members }, (_, i) =>
    gateway.client(i + 1, `u${i + 1}`, 'all'),
  );
  clock.settle();
  gateway.connector.up = isUp;
  for (const { connection } of clients) connection.writes.length = 0;
  const writes = (): number =>
    clients.reduce((sum, { connection }) => sum + connection.writes.length, 0);
  /** Takes turns until nothing is left to do: how many clients each of them has written to. */
  const writesByTurn = (): number[] => {
    const turns: number[] = [];
    for (let before = writes(); clock.turn(); before = writes()) turns.push(writes() - before);
    return turns;
  };
  const client = (n: number) => clients[n - 1]!;
  const connectOne = gateway.client;
  const got = (n: number): string[] =>
    client(n).connection.messages.map((text) => text.split(' ')[0]!);
  const { sessionCommands } = gateway;
  const more = { clock, clients, client, connectOne, commands: sessionCommands };
  const { fanouts } = gateway.world;
  return { ...gateway, ...more, fanouts, got, writes, writesByTurn };
}

/** What a promise has resolved with by now, if it has. */
async function settled<T>(promise: T | Promise<T>): Promise<T | 'waits'> {
  return Promise.race([promise, new Promise<'waits'>((resolve) => setImmediate(resolve, 'waits'))]);
}

describe('a push to many', () => {
  test('is put into 8 outboxes for each write of a turn, and written to as many clients as a turn allows', () => {
    const { commands, client, clients, got, writesByTurn, clock } = stage({ perTurn: 2 });
    commands.push(push('big', { groups: ['all'] }));
    const put = (): number =>
      clients.filter(({ session }) => session.outbox.unsentBytes > 0).length;
    expect(put()).toBe(0);
    clock.turn();
    expect(put()).toBe(16);
    const turns = writesByTurn();
    expect(Math.max(...turns)).toBe(2);
    expect(turns.reduce((sum, count) => sum + count, 0)).toBe(40);
    for (const { session } of clients) expect(got(session.n)).toEqual(['big']);
    expect(client(1).session.outbox.unsentBytes).toBe(0);
  });

  test('is put at once, if what one turn may put is more', () => {
    const { commands, clients, writesByTurn } = stage({ perTurn: 6 });
    commands.push(push('big', { groups: ['all'] }));
    expect(clients.filter(({ session }) => session.outbox.unsentBytes > 0)).toHaveLength(40);
    expect(writesByTurn()).toEqual([6, 6, 6, 6, 6, 6, 4]);
  });

  test('costs by its bytes, too: 16 KiB are as dear as a write', () => {
    const { commands, clients, clock, writesByTurn } = stage({ perTurn: 16 });
    commands.push(push('big', { groups: ['all'] }, { body: Buffer.alloc(64 * 1024, '1') }));
    clock.turn();
    expect(clients.filter(({ session }) => session.outbox.unsentBytes > 0)).toHaveLength(4);
    // A write and four times 16 KiB are five; after three of them one is left of the sixteen.
    expect(Math.max(...writesByTurn())).toBe(4);
  });

  test('is written to as few clients in a turn as its bytes allow', () => {
    const { world, clients, clock, writesByTurn } = stage({ perTurn: 10 });
    const encoded = clients[0]!.session.wire.push('big', Buffer.alloc(64 * 1024, '1')) as Encoded;
    // As several of them are, which are put in one turn.
    world.outboxes.isBulk = true;
    for (const { session } of clients) session.push(encoded, null);
    world.outboxes.isBulk = false;
    // A write and four times 16 KiB are five.
    expect(writesByTurn().slice(0, 3)).toEqual([2, 2, 2]);
    clock.settle();
  });

  test('does not keep up what comes after it for one to whom it has not been written yet', () => {
    const { commands, client, got, clock, writes } = stage({ perTurn: 6 });
    commands.push(push('big', { groups: ['all'] }));
    const { session } = client(40);
    session.send(session.wire.push('answer', Buffer.from('1')) as Encoded);
    clock.turn();
    expect(got(40)).toEqual(['big', 'answer']);
    expect(writes()).toBe(7);
  });

  test('is encoded once, however many turns it takes', () => {
    const { commands, clients, writesByTurn } = stage();
    const encode = vi.spyOn(clients[0]!.session.wire, 'push');
    commands.push(push('big', { all: true }));
    writesByTurn();
    expect(encode).toHaveBeenCalledOnce();
    encode.mockRestore();
    const [first, ...rest] = clients.map(({ connection }) => connection.writes[0]![0]!);
    for (const encoded of rest) expect(encoded).toBe(first);
  });

  test('arrives as it came, though the bytes that it came in are used again', () => {
    const { commands, client, writesByTurn } = stage();
    const body = Buffer.from('1234');
    commands.push(push('big', { groups: ['all'] }, { body }));
    body.fill(0xff);
    writesByTurn();
    expect(client(40).connection.messages).toEqual(['big 1234']);
  });

  test('is counted when all have it', async () => {
    const { commands, client, writesByTurn, metrics } = stage({ members: 40 });
    client(40).session.close('client_closed');
    const count = commands.pushCounted(push('big', { groups: ['all'] }));
    expect(await settled(count)).toBe('waits');
    client(39).session.onClosed(null);
    writesByTurn();
    // One had left before it came. One has left since: it was meant, and did not get it.
    expect(await count).toEqual({ delivered: 38, dropped: 0, refused: 1 });
    expect(metrics.count('pith_pushes_total', ['delivered'])).toBe(38);
    expect(metrics.count('pith_pushes_total', ['refused'])).toBe(1);
    expect(metrics.render()).toContain('pith_push_fanout_count 1\n');
    expect(metrics.render()).toContain('pith_push_fanout_sum 38\n');
  });

  test('by several names reaches each session once', async () => {
    const { commands, clients, got, writesByTurn } = stage();
    const sids = clients.map(({ session }) => session.sid);
    const uids = clients.map(({ session }) => session.uid);
    const count = commands.pushCounted(push('big', { groups: ['all', 'all'], uids, sids }));
    writesByTurn();
    expect(await count).toEqual({ delivered: 40, dropped: 0, refused: 0 });
    for (const { session } of clients) expect(got(session.n)).toEqual(['big']);
  });

  test('leaves out whom it excepts, and whose data is not as `where` says', async () => {
    const { commands, clients, got, writesByTurn } = stage();
    for (const { session } of clients) session.data['team'] = session.n % 2 === 0 ? 'red' : 'blue';
    const exceptUids = ['u2', 'u4'];
    const exceptSids = [`${G}.6`];
    const where = { team: 'red' };
    const count = commands.pushCounted(
      push('big', { groups: ['all'], exceptUids, exceptSids, where }),
    );
    writesByTurn();
    expect(await count).toEqual({ delivered: 17, dropped: 0, refused: 0 });
    const reached = clients.filter(({ session }) => got(session.n).length > 0);
    expect(reached.map(({ session }) => session.n)).toEqual([8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40]); // prettier-ignore
  });

  test('expires by the time at which it came', () => {
    const { commands, clients, clock, writesByTurn } = stage();
    commands.push(push('big', { groups: ['all'] }, { expiresInMs: 100 }));
    clock.advance(100);
    writesByTurn();
    expect(clients.filter(({ connection }) => connection.messages.length > 0)).toEqual([]);
  });
});

describe('pushes to many that come as fast as they go', () => {
  const BYTES = 64 * 1024;
  /** One for each of the three is put in a turn. */
  const steady = () => {
    const made = stage({ members: 3, perTurn: 12 });
    // Nothing is written to any of them, and of each the newest is kept.
    for (const { connection } of made.clients) connection.congested = true;
    const pushOne = (): void => {
      const body = Buffer.alloc(BYTES, '1');
      made.commands.push(push('big', { groups: ['all'] }, { body, delivery: 'latest' }));
    };
    return { ...made, pushOne };
  };

  test('keep what is counted, though something waits for everyone all the time', async () => {
    const { clock, pushOne, world } = steady();
    const held = await watchHeld();
    for (let i = 0; i < 10; i++) pushOne();
    for (let i = 0; i < 500; i++) {
      pushOne();
      clock.turn();
      expect(world.fanouts.waitingBytes).toBeGreaterThan(5 * BYTES);
    }
    const { waitingBytes } = world.fanouts;
    await held.expectGrownLess(waitingBytes + 3 * BYTES + 1024 * 1024);
    expect(waitingBytes).toBeLessThan(40 * BYTES);
    clock.settle();
    expect(world.fanouts.waitingBytes).toBe(0);
  });

  test('count with what they are encoded to: at once for one kind of client, and for each more', () => {
    const { commands, world, client } = stage({ members: 2, perTurn: 1 });
    const body = Buffer.alloc(BYTES, '1');
    const one = push('big', { groups: ['all'] }, { body });
    commands.push(one);
    expect(world.fanouts.waitingBytes).toBeGreaterThan(2 * BYTES);
    const { wire } = client(1).session;
    const other = { push: wire.push.bind(wire) } as Partial<Wire> as Wire;
    const encodings = new PushEncodings(one);
    for (const each of [wire, wire, other]) encodings.of(each);
    expect(encodings.bytes).toBe(2 * (wire.push('big', body) as Encoded).length);
  });

  test('reach everyone in turn, though one alone would fill each turn', () => {
    const { clock, commands, clients, got } = stage({ members: 2, perTurn: 1 });
    for (let turn = 0; turn < 6; turn++) {
      // Each turn puts eight.
      for (let i = 0; i < 8; i++) commands.push(push('small', { groups: ['all'] }));
      clock.turn();
    }
    const counts = clients.map(({ session }) => got(session.n).length);
    expect(Math.min(...counts)).toBeGreaterThan(8);
    clock.settle();
    expect(clients.map(({ session }) => got(session.n).length)).toEqual([48, 48]);
  });
});

describe('what comes after a push to many, to one that it has not reached yet', () => {
  /** The 40th is reached last. */
  function behind() {
    const made = stage();
    made.commands.push(push('big', { groups: ['all'] }));
    return { ...made, last: made.client(40).session };
  }

  test.each(['must', 'droppable', 'latest'] as const)('a small push follows it: %s', (delivery) => {
    const { commands, got, writesByTurn } = behind();
    commands.push(push('small', { uids: ['u40'] }, { delivery }));
    writesByTurn();
    expect(got(40)).toEqual(['big', 'small']);
    expect(got(39)).toEqual(['big']);
  });

  test('an answer follows it, and leaves in the next turn', () => {
    const { last, got, clock, writes } = behind();
    last.send(last.wire.push('answer', Buffer.from('1')) as Encoded);
    clock.turn();
    expect(got(40)).toEqual(['big', 'answer']);
    // With those two of whose turn it is.
    expect(writes()).toBeLessThanOrEqual(3);
  });

  test('other pushes to many follow it, all in one write', () => {
    const { commands, client, got, writesByTurn } = behind();
    commands.push(push('second', { groups: ['all'] }));
    commands.push(push('third', { all: true }));
    writesByTurn();
    expect(got(40)).toEqual(['big', 'second', 'third']);
    expect(client(40).connection.writes).toHaveLength(1);
  });

  test('a kick of all follows it', async () => {
    const { commands, client, clients, got, writesByTurn, registry } = behind();
    const closed = commands.closeAll(commands.select({ groups: ['all'] }), KICK);
    commands.push(push('late', { uids: ['u40'] }));
    writesByTurn();
    expect(await closed).toBe(40);
    expect(registry.size).toBe(0);
    for (const { session } of clients) expect(got(session.n)).toEqual(['big']);
    expect(client(40).connection.packets.map(({ type }) => type)).toEqual([4, 5]);
  });

  test('one that joins does not get it, and one that leaves does', () => {
    const { commands, connectOne, client, got, writesByTurn } = behind();
    const newcomer = connectOne(41, 'u41');
    commands.patch(newcomer.session, { join: ['all'] });
    commands.patch(client(40).session, { leave: ['all'] });
    writesByTurn();
    expect(newcomer.connection.messages).toEqual([]);
    expect(got(40)).toEqual(['big']);
  });

  test('`where` and `except_uids` mean the data and the uid that it had when the push came', async () => {
    const { commands, client, got, writesByTurn } = stage();
    client(40).session.data['team'] = 'red';
    const count = commands.pushCounted(push('red', { groups: ['all'], where: { team: 'red' } }));
    commands.push(push('not u39', { groups: ['all'], exceptUids: ['u39'] }));
    await commands.patchAll([client(40).session], { set: { team: 'blue' } });
    commands.patch(client(39).session, { set: { team: 'red' }, uid: '' });
    writesByTurn();
    expect(await count).toEqual({ delivered: 1, dropped: 0, refused: 0 });
    expect(got(40)).toEqual(['red', 'not']);
    expect(got(39)).toEqual([]);
  });

  test('the end of its session does, and a drained one has it', () => {
    const { last, got } = behind();
    last.close('draining');
    expect(got(40)).toEqual(['big']);
  });

  test('those who connect meanwhile do not get it', () => {
    const { commands, connectOne, writesByTurn } = stage();
    commands.push(push('big', { all: true }));
    const newcomer = connectOne(41);
    writesByTurn();
    expect(newcomer.connection.messages).toEqual([]);
  });
});

describe('while too much waits', () => {
  /** One push and its sessions take more than there may be. */
  const full = () => {
    const made = stage({ waitingBytesMax: 1_000 });
    made.commands.push(push('big', { groups: ['all'] }));
    return made;
  };
  const WHY = 'pushes to many sessions wait with 1794 bytes; limits.fanout.waiting allows 1000';

  test('a push to many is refused, and the log says why', async () => {
    const { commands, got, writesByTurn, lines, metrics } = full();
    expect(await commands.pushCounted(push('more', { groups: ['all'] }))).toMatchObject({
      ...{ code: 503, reason: 'OVERLOADED', message: WHY },
      ...{ delivered: 0, dropped: 0, refused: 40 },
    });
    expect(metrics.count('pith_pushes_total', ['refused'])).toBe(40);
    expect(lines).toEqual([
      { level: 'warn', sessions: 40, why: WHY, msg: 'push to many sessions refused' },
    ]);
    writesByTurn();
    expect(got(1)).toEqual(['big']);
  });

  test('a push to one is not, and neither is one to many once there is room', async () => {
    const { commands, got, writesByTurn } = full();
    commands.push(push('small', { uids: ['u40'] }));
    writesByTurn();
    const count = commands.pushCounted(push('more', { groups: ['all'] }));
    writesByTurn();
    expect(await count).toEqual({ delivered: 40, dropped: 0, refused: 0 });
    expect(got(40)).toEqual(['big', 'small', 'more']);
  });

  test('a kick of all is carried out at once', async () => {
    const { commands, client, registry } = full();
    expect(commands.closeAll(commands.select({ all: true }), KICK)).toBe(40);
    expect(registry.size).toBe(0);
    expect(client(40).connection.packets.map(({ type }) => type)).toEqual([4, 5]);
  });

  test('a verb that is a request is answered so', () => {
    const { exchange } = full();
    expect(ask(exchange, 'pith.group.all.push')).toEqual([
      { error: { code: 503, reason: 'OVERLOADED', msg: WHY } },
    ]);
  });
});

describe('other changes of many', () => {
  test('a kick closes a sixteenth of what a turn may put', async () => {
    const { commands, clients, clock } = stage({ perTurn: 20 });
    const closed = (): number => clients.filter(({ connection }) => connection.closed).length;
    const count = commands.closeAll(commands.select({ all: true }), KICK);
    const turns: number[] = [];
    for (let before = closed(); clock.turn(); before = closed()) turns.push(closed() - before);
    expect(Math.max(...turns)).toBe(5);
    expect(await count).toBe(40);
  });

  test('joins and leaves take their turns, and come in their order', async () => {
    const { commands, registry, clients, clock } = stage({ perTurn: 4, isUp: false });
    const all = clients.map(({ session }) => session);
    const joined = commands.changeGroups(all, { join: ['g', 'h'] });
    const left = commands.changeGroups(all, { leave: ['g'] });
    const one = commands.patch(clients[39]!.session, { leave: ['h'] });
    expect(one).toMatchObject({ changed: 1 });
    clock.turn();
    expect(registry.byGroup('h').size).toBeLessThan(8);
    clock.settle();
    expect(registry.byGroup('g').size).toBe(0);
    expect(registry.byGroup('h').size).toBe(39);
    expect(await joined).toEqual({ changed: 40, refused: 0, failure: null });
    expect(await left).toEqual({ changed: 40, refused: 0, failure: null });
  });
});

describe('clients that go', () => {
  const LEAVE = {
    'end their side': (session: Session) => session.onEnd(),
    'are cut off': (session: Session) => session.onClosed(new Error('read ECONNRESET')),
  };

  test.each(Object.entries(LEAVE))('and %s all at once take their turns', (_how, leave) => {
    const { clients, clock, registry } = stage({ perTurn: 20 });
    for (const { session } of clients) leave(session);
    const turns: number[] = [];
    let before = 40;
    do {
      turns.push(before - registry.size);
      before = registry.size;
    } while (clock.turn());
    // Each costs as much as four writes.
    expect(turns).toEqual([5, 5, 5, 5, 5, 5, 5, 5, 0]);
    for (const { host } of clients) expect(host.ended).toHaveLength(1);
  });

  test('one by one are ended at once', () => {
    const { client, clock, registry } = stage({ perTurn: 4 });
    client(1).session.onEnd();
    expect(registry.size).toBe(39);
    clock.settle();
    client(2).session.onClosed(null);
    expect(registry.size).toBe(38);
  });

  test('have gone, whatever else is done to them before their turn', async () => {
    const { client, clients, clock, commands, got } = stage({ perTurn: 4 });
    for (const { session } of clients) session.onClosed(null);
    const count = commands.pushCounted(push('late', { uids: ['u39'] }));
    expect(count).toEqual({ delivered: 0, dropped: 0, refused: 1 });
    commands.close(client(40).session, KICK);
    expect(client(40).host.ended).toMatchObject([{ reason: 'client_closed' }]);
    expect(got(39)).toEqual([]);
    expect(client(38).session.state).toBe('active');
    expect(await showsLife(client(38).session, clock)).toBe(false);
    expect(client(38).session.state).toBe('closed');
  });

  test('get what had come for them before', () => {
    const { client, commands, clock, got } = stage({ perTurn: 4 });
    commands.push(push('big', { groups: ['all'] }));
    client(40).session.onEnd();
    clock.settle();
    expect(got(40)).toEqual(['big']);
    expect(client(40).host.ended).toMatchObject([{ reason: 'client_closed' }]);
  });

  test('make room for others, one for each', () => {
    const { clients, clock, fanouts, registry } = stage({ perTurn: 4 });
    expect(fanouts.endOne()).toBe(false);
    for (const { session } of clients) session.onEnd();
    expect(registry.size).toBe(39);
    expect(fanouts.endOne()).toBe(true);
    expect(registry.size).toBe(38);
    clock.settle();
    expect(registry.size).toBe(0);
    expect(fanouts.endOne()).toBe(false);
    expect(fanouts.waitingBytes).toBe(0);
  });
});

/** The answers that have come so far to a push on this subject. */
function ask(exchange: Exchange, subject: string, body = '1'): unknown[] {
  const head = Buffer.from('NATS/1.0\r\nPith-Route: asked\r\n\r\n');
  exchange.takeSent();
  exchange.publish(subject, body, '_INBOX.x', head);
  return answers(exchange);
}

function answers(exchange: Exchange): unknown[] {
  exchange.deliver();
  return exchange
    .takeSent()
    .filter(({ subject }) => subject === '_INBOX.x')
    .map(({ payload }) => JSON.parse(payload) as unknown);
}

/** A push of a PushBatch: 1 pushes { 1 target { 3 groups }, 2 route, 3 body { 1 bytes } }. */
function toGroup(route: string): Buffer {
  const bytes = (field: number, content: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(field << 3) | 2, content.length]), content]);
  const target = bytes(1, bytes(3, Buffer.from('all')));
  const body = bytes(3, bytes(1, Buffer.from('1')));
  return bytes(1, Buffer.concat([target, bytes(2, Buffer.from(route)), body]));
}

describe('over the bus', () => {
  const GROUPS = Buffer.from(JSON.stringify({ groups: ['a', 'b', 'c', 'd', 'e', 'f'] }));

  // Each message costs 1 more, which is counted where it comes in.
  test.each([
    ['a push to one', `session.${G}.7.push`, '1', 0],
    ['a verb', `session.${G}.7.get`, '{}', 2],
    ['a join of six groups', `session.${G}.7.join`, String(GROUPS), 2 + 6 / 3],
    ['a push to 40', 'group.all.push', '1', 40 / 64],
  ])('%s takes its part of what a turn does for NATS', (_what, subject, body, cost) => {
    const { exchange, clock, share } = stage({ perTurn: 64 });
    clock.settle();
    ask(exchange, `pith.${subject}`, body);
    expect(share.hasRoom(64 - cost)).toBe(true);
    expect(share.hasRoom(64 - cost + 0.01)).toBe(false);
    clock.settle();
  });

  const ALL = { delivered: 40, dropped: 0, refused: 0 };

  test.each(['group.all', 'all'])('a push to %s is answered when all have it', async (scope) => {
    const { exchange, clock } = stage();
    expect(ask(exchange, `pith.${scope}.push`)).toEqual([]);
    clock.settle();
    await turn();
    expect(answers(exchange)).toEqual([ALL]);
  });

  test('a push to a user of one session, and to a session, at once', () => {
    const { exchange } = stage();
    expect(ask(exchange, 'pith.user.u7.push')).toEqual([{ ...ALL, delivered: 1 }]);
    expect(ask(exchange, `pith.session.${G}.7.push`)).toEqual([{ ...ALL, delivered: 1 }]);
  });

  test('a batch is answered with the sums when all have all', async () => {
    const { exchange, clock, got } = stage();
    exchange.takeSent();
    const batch = Buffer.concat(['one', 'two'].map(toGroup));
    exchange.publish(`pith.gateway.${G}.push`, batch, '_INBOX.x');
    expect(answers(exchange)).toEqual([]);
    clock.settle();
    await turn();
    expect(answers(exchange)).toEqual([{ ...ALL, delivered: 80 }]);
    expect(got(40)).toEqual(['one', 'two']);
  });

  test('a counted push to the fleet has the sums of all gateways', async () => {
    const exchange = new Exchange();
    const clock = new TurnClock(1_000);
    const here = stage({}, exchange, clock);
    const there = stage({ id: OTHER }, exchange, clock);
    for (const { bus } of [here, there]) bus.peers.onUp();
    exchange.deliver();
    const target = { groups: ['all'], uids: ['u1', 'zed'], exceptUids: ['u1'] };
    const outcome = here.fleet.pushCounted(push('big', target), 250);
    for (let i = 0; i < 10; i++) {
      exchange.deliver();
      clock.settle();
      await turn();
    }
    clock.advance(250);
    expect(await outcome).toMatchObject({
      ...{ delivered: 78, dropped: 0, refused: 0, gateways: 2 },
      // The other one is online, though it was left out.
      ...{ unknownUids: ['zed'], silentGateways: [] },
    });
    expect(there.got(40)).toEqual(['big']);
  });
});
