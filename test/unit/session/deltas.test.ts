/**
 * What a client gets of a group whose pushes are numbered, around a request whose answer is a snapshot: the order of
 * events is the test's, and the client's view is what it was sent.
 */
import { describe, expect, test } from 'vitest';

import { SessionCommands } from '../../../src/bus/session-commands.ts';
import type { Push, Target } from '../../../src/contract/commands.ts';
import { isFailure } from '../../../src/errors.ts';
import type { GroupView } from '../../../src/session/group-view.ts';
import { SnapshotJoins } from '../../../src/session/snapshot-joins.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { keptLog } from '../../support/report.ts';
import { activate, atOnce, makeWorld, turn } from './support.ts';

type Choice = { readonly gap?: boolean; readonly bytesMax?: number; readonly outboxes?: number };

function cursorOf(text: string) {
  const [epoch, n] = text.split('.');
  return { epoch: epoch!, n: Number(n) };
}

function stage({ gap = false, bytesMax = 65_536, outboxes = 1e9 }: Choice = {}) {
  const world = makeWorld(outboxes);
  const { registry, clock, wheel, fanouts } = world;
  const metrics = new Metrics();
  const { log } = keptLog();
  const limits = { dataBytesMax: 1_024, groupsMax: 3 };
  const commands = new SessionCommands({
    ...{ registry, limits, groupTtlMs: 0, clock, wheel, log, metrics, fanouts },
  });
  const joins = new SnapshotJoins({ ...world, sessionCommands: commands, metrics, bytesMax });
  let n = 0;
  const client = (asks = gap) => {
    const one = activate({ world, n: ++n });
    registry.add(one.session);
    if (asks) joins.tellGaps(one.session);
    return one;
  };
  const one = client();
  const { session, connection } = one;
  const begin = (group = 'g') => {
    const joined = joins.begin(session, group);
    if (isFailure(joined)) throw new Error(joined.message);
    return joined.view;
  };
  const answer = (view: GroupView, from = '', body = `snapshot ${from}`) => {
    session.push(activateAnswer(body), null);
    joins.end(session, view, { from: from === '' ? null : cursorOf(from) });
  };
  const fail = (view: GroupView) => {
    joins.end(session, view, null);
  };
  const activateAnswer = (body: string) => {
    const encoded = session.wire.push('answer', Buffer.from(body));
    if (isFailure(encoded)) throw new Error(encoded.message);
    return encoded;
  };
  /** A push to the group; its body is its cursor. */
  const push = (cursor: string, more: Partial<Push> = {}, target: Target = { groups: ['g'] }) => {
    const message: Push = {
      ...{ target, route: 'd', body: Buffer.from(cursor), delivery: 'must', latestKey: '' },
      ...{ expiresInMs: 0, afterReply: false },
      ...(/^\w+\.\d+$/.test(cursor) && { cursor: cursorOf(cursor) }),
      ...more,
    };
    return atOnce(commands.pushCounted(message));
  };
  /** What the client has got since it was last asked. */
  const got = async () => {
    await turn();
    const messages = connection.messages.map((message) => message.replace(/^d /, ''));
    connection.writes.length = 0;
    return messages;
  };
  const count = (outcome: string) => metrics.count('pith_deltas_total', [outcome]);
  return {
    ...world,
    ...one,
    client,
    joins,
    commands,
    begin,
    answer,
    fail,
    push,
    got,
    count,
    metrics,
  };
}

const GAP = (from: string, to: string) => `pith.gap {"group":"g","from":"${from}","to":"${to}"}`;

describe('pushes to the group, while a request that joins it is in flight', () => {
  test('wait, and those that the answer does not have follow it in order', async () => {
    const { begin, answer, push, got, count } = stage();
    const view = begin();
    for (const cursor of ['e.4', 'e.5', 'e.6', 'e.7']) expect(push(cursor).delivered).toBe(1);
    expect(await got()).toEqual([]);
    answer(view, 'e.5');
    expect(await got()).toEqual(['answer snapshot e.5', 'e.6', 'e.7']);
    push('e.8');
    expect(await got()).toEqual(['e.8']);
    expect([count('held'), count('in_snapshot')]).toEqual([4, 2]);
  });

  test('follow it all where the answer does not say what it has', async () => {
    const { begin, answer, push, got } = stage();
    const view = begin();
    push('e.4');
    push('e.5');
    answer(view);
    expect(await got()).toEqual(['answer snapshot ', 'e.4', 'e.5']);
    push('e.4');
    expect(await got()).toEqual(['e.4']);
  });

  test('wait in their place without a number too', async () => {
    const { begin, answer, push, got } = stage();
    const view = begin();
    for (const one of ['e.4', 'news', 'e.5', 'more news', 'e.6']) push(one);
    answer(view, 'e.5');
    expect(await got()).toEqual(['answer snapshot e.5', 'news', 'more news', 'e.6']);
  });

  test('wait as part of a larger target, and nothing else does', async () => {
    const { begin, answer, push, got, session } = stage();
    const view = begin();
    push('to both', {}, { groups: ['h', 'g'], sids: [session.sid] });
    push('to it', {}, { sids: [session.sid] });
    push('to all', {}, { all: true });
    expect(await got()).toEqual(['to it', 'to all']);
    answer(view, 'e.1');
    expect(await got()).toEqual(['answer snapshot e.1', 'to both']);
  });

  test('do not wait for other sessions, or in other groups', async () => {
    const { begin, push, got, client, commands, session } = stage();
    const other = client();
    commands.patch(other.session, { join: ['g'] });
    begin();
    commands.patch(session, { join: ['h'] });
    push('e.1');
    push('h.1', {}, { groups: ['h'] });
    expect(await got()).toEqual(['h.1']);
    expect(other.connection.messages).toEqual(['d e.1']);
  });

  test('that come late are dropped for ten seconds, though later ones came before', async () => {
    const { begin, answer, push, got, clock, session } = stage();
    answer(begin(), 'e.5');
    push('e.7');
    push('e.5');
    push('e.6');
    expect(await got()).toEqual(['answer snapshot e.5', 'e.7', 'e.6']);
    clock.advance(9_000);
    push('e.5');
    expect(await got()).toEqual([]);
    clock.advance(2_000);
    // Nothing is left of it.
    expect(session.deltas).toBeNull();
    push('e.5');
    expect(await got()).toEqual(['e.5']);
  });
});

describe('a request that fails', () => {
  test('leaves the group that it has joined, and what waited goes nowhere', async () => {
    const { begin, fail, push, got, session, registry, outboxes } = stage();
    const before = outboxes.heldBytes;
    const view = begin();
    expect([...session.groups]).toEqual(['g']);
    push('e.1');
    expect(outboxes.heldBytes).toBeGreaterThan(before);
    fail(view);
    expect([...session.groups]).toEqual([]);
    expect(registry.byGroup('g').size).toBe(0);
    expect(outboxes.heldBytes).toBe(before);
    expect(session.deltas).toBeNull();
    expect(await got()).toEqual([]);
  });

  test('leaves a member a member, with everything that waited', async () => {
    const { begin, fail, push, got, session, commands } = stage();
    commands.patch(session, { join: ['g'] });
    const view = begin();
    push('e.1');
    push('e.2');
    fail(view);
    expect([...session.groups]).toEqual(['g']);
    expect(await got()).toEqual(['e.1', 'e.2']);
  });

  test('leaves one that a backend has put into the group meanwhile', async () => {
    const { begin, fail, push, got, session, commands } = stage();
    const view = begin();
    push('e.1');
    commands.patch(session, { join: ['g'] });
    fail(view);
    expect([...session.groups]).toEqual(['g']);
    expect(await got()).toEqual(['e.1']);
  });

  test('ends nothing that was taken from the group meanwhile', async () => {
    const { begin, answer, push, got, session, commands } = stage();
    const view = begin();
    push('e.1');
    commands.patch(session, { leave: ['g'] });
    const again = begin();
    push('e.2');
    answer(view, 'e.0');
    expect(await got()).toEqual(['answer snapshot e.0']);
    answer(again, 'e.1');
    expect(await got()).toEqual(['answer snapshot e.1', 'e.2']);
    expect([...session.groups]).toEqual(['g']);
  });

  test('of a session that may be in no more groups is refused before it is sent', () => {
    const { joins, session, commands } = stage();
    commands.patch(session, { join: ['a', 'b', 'c'] });
    expect(joins.begin(session, 'g')).toMatchObject({ code: 413, reason: 'TOO_LARGE' });
    expect(session.deltas).toBeNull();
  });
});

describe('several requests that join one group', () => {
  test('hold it until the last is answered, whose snapshot counts', async () => {
    const { begin, answer, push, got } = stage();
    const [first, second] = [begin(), begin()];
    for (const cursor of ['e.6', 'e.7', 'e.8', 'e.9']) push(cursor);
    answer(second, 'e.8');
    expect(await got()).toEqual(['answer snapshot e.8']);
    push('e.10');
    answer(first, 'e.6');
    expect(await got()).toEqual(['answer snapshot e.6', 'e.7', 'e.8', 'e.9', 'e.10']);
  });

  test('leave it if all of them fail, and stay if one does not', async () => {
    const { begin, answer, fail, push, got, session } = stage();
    const [first, second] = [begin(), begin()];
    push('e.1');
    fail(first);
    expect([...session.groups]).toEqual(['g']);
    fail(second);
    expect([...session.groups]).toEqual([]);
    const [third, fourth] = [begin(), begin()];
    push('e.2');
    answer(third, 'e.1');
    fail(fourth);
    expect([...session.groups]).toEqual(['g']);
    expect(await got()).toEqual(['answer snapshot e.1', 'e.2']);
  });

  test('each hold their own group', async () => {
    const { begin, answer, push, got } = stage();
    const [g, h] = [begin('g'), begin('h')];
    push('e.1');
    push('x.1', {}, { groups: ['h'] });
    answer(h, 'x.0');
    expect(await got()).toEqual(['answer snapshot x.0', 'x.1']);
    answer(g, 'e.0');
    expect(await got()).toEqual(['answer snapshot e.0', 'e.1']);
  });
});

describe('a publisher that has begun anew', () => {
  test('before the answer: what came before its own pushes is of the one that is gone', async () => {
    const { begin, answer, push, got } = stage();
    const view = begin();
    for (const cursor of ['d.8', 'd.9', 'e.1', 'e.2', 'e.3']) push(cursor);
    answer(view, 'e.2');
    expect(await got()).toEqual(['answer snapshot e.2', 'e.3']);
  });

  test('after the answer: what came after its pushes is of the next', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    const view = begin();
    for (const cursor of ['d.8', 'd.9', 'e.1', 'e.2']) push(cursor);
    answer(view, 'd.8');
    expect(await got()).toEqual(['answer snapshot d.8', 'd.9', GAP('d.10', 'e.0'), 'e.1', 'e.2']);
  });

  test('where nothing tells which came first: they are dropped, and told', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    const view = begin();
    push('d.8');
    push('d.9');
    answer(view, 'e.2');
    expect(await got()).toEqual(['answer snapshot e.2', GAP('d.8', 'd.9')]);
    push('e.3');
    expect(await got()).toEqual(['e.3']);
  });

  test('where the client knew one of the two: that one is the older', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    answer(begin(), 'd.5');
    push('d.6');
    await got();
    const view = begin();
    push('d.7');
    answer(view, 'e.1');
    expect(await got()).toEqual(['answer snapshot e.1']);
    const again = begin();
    push('f.1');
    answer(again, 'e.1');
    expect(await got()).toEqual(['answer snapshot e.1', GAP('e.2', 'f.0'), 'f.1']);
  });
});

describe('a client that asked is told', () => {
  test('of a jump, before the push behind it; nobody else is', async () => {
    for (const gap of [true, false]) {
      const { begin, answer, push, got, metrics } = stage({ gap });
      const view = begin();
      push('e.2');
      push('e.5');
      answer(view, 'e.2');
      push('e.6');
      push('e.8');
      const jumps = [
        'answer snapshot e.2',
        GAP('e.3', 'e.4'),
        'e.5',
        'e.6',
        GAP('e.7', 'e.7'),
        'e.8',
      ];
      expect(await got()).toEqual(gap ? jumps : ['answer snapshot e.2', 'e.5', 'e.6', 'e.8']);
      expect(metrics.count('pith_gaps_told_total', [])).toBe(gap ? 2 : 0);
    }
  });

  test('of a group that a backend has put it into, from the first push on', async () => {
    const { push, got, session, commands } = stage({ gap: true });
    commands.patch(session, { join: ['g'] });
    for (const cursor of ['e.7', 'e.8', 'e.10']) push(cursor);
    expect(await got()).toEqual(['e.7', 'e.8', GAP('e.9', 'e.9'), 'e.10']);
  });

  test('of a publisher that begins anew', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    answer(begin(), 'e.2');
    push('e.3');
    push('f.3');
    expect(await got()).toEqual(['answer snapshot e.2', 'e.3', GAP('e.4', 'f.2'), 'f.3']);
  });

  test('not of pushes that are not for it', async () => {
    const { begin, answer, push, got, session } = stage({ gap: true });
    const view = begin();
    const except = { groups: ['g'], exceptSids: [session.sid] };
    push('e.3', {}, except);
    push('e.4');
    answer(view, 'e.2');
    push('e.5', {}, except);
    push('e.6', {}, { groups: ['g'], where: { level: 3 } });
    push('e.7');
    expect(await got()).toEqual(['answer snapshot e.2', 'e.4', 'e.7']);
  });

  test('of a droppable push that it was too slow for, when it takes something again', async () => {
    const { begin, answer, push, got, clock, connection, session } = stage({ gap: true });
    answer(begin(), 'e.0');
    await got();
    connection.stuck = true;
    push('e.1');
    await turn();
    clock.advance(5_000);
    expect(push('e.2', { delivery: 'droppable' })).toMatchObject({ dropped: 1 });
    expect(push('e.3', { delivery: 'droppable' })).toMatchObject({ dropped: 1 });
    expect(await got()).toEqual(['e.1']);
    connection.drain();
    session.onDrain();
    clock.advance(1_100);
    expect(await got()).toEqual([GAP('e.2', 'e.3')]);
    push('e.4');
    expect(await got()).toEqual(['e.4']);
  });

  test('of a push that a newer one has replaced, or that has expired', async () => {
    const { begin, answer, push, got, clock, connection, session } = stage({ gap: true });
    answer(begin(), 'e.0');
    await got();
    connection.stuck = true;
    push('e.1');
    await turn();
    push('e.2', { delivery: 'latest', latestKey: 'k' });
    push('e.3', { delivery: 'latest', latestKey: 'k' });
    push('e.4', { expiresInMs: 100 });
    clock.advance(200);
    connection.drain();
    session.onDrain();
    await turn();
    clock.advance(40);
    expect(await got()).toEqual(['e.1', 'e.3', GAP('e.2', 'e.2'), GAP('e.4', 'e.4')]);
  });

  test('that a snapshot is older than what it had', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    answer(begin(), 'e.0');
    for (const cursor of ['e.1', 'e.2', 'e.3']) push(cursor);
    await got();
    const view = begin();
    push('e.4');
    answer(view, 'e.1');
    expect(await got()).toEqual(['answer snapshot e.1', GAP('e.2', 'e.3'), 'e.4']);
  });

  test('nothing while a snapshot is on its way, which mends it', async () => {
    const { begin, answer, push, got } = stage({ gap: true });
    answer(begin(), 'e.0');
    const view = begin();
    push('e.4');
    answer(view, 'e.4');
    push('e.5');
    expect(await got()).toEqual(['answer snapshot e.0', 'answer snapshot e.4', 'e.5']);
  });
});

describe('what waits', () => {
  test('is bounded by the outbox: the session is closed for what must be sent', async () => {
    const { begin, push, session, host, got, outboxes } = stage({ bytesMax: 1_000 });
    begin();
    let held = 0;
    while (held < 100 && push(`e.${held + 1}`, { body: Buffer.alloc(190) }).delivered === 1) held++;
    // 190 bytes and the packet around them, five times.
    expect(held).toBe(4);
    expect(session.state).toBe('closed');
    expect(host.ended.map(({ reason }) => reason)).toEqual(['outbox_full']);
    expect(outboxes.heldBytes).toBe(0);
    await got();
  });

  test('is one push that is larger, if there is nothing else', async () => {
    const { begin, answer, push, got } = stage({ bytesMax: 1_000 });
    const view = begin();
    expect(push('e.1', { body: Buffer.alloc(2_000, 'x') }).delivered).toBe(1);
    answer(view, 'e.0');
    expect((await got()).map((message) => message.length)).toEqual([19, 2_000]);
  });

  test('is dropped beyond that where it may be, and told', async () => {
    const { begin, answer, push, got, session } = stage({ gap: true, bytesMax: 1_000 });
    const view = begin();
    for (let n = 1; n <= 4; n++) push(`e.${n}`, { body: Buffer.alloc(190, 'x') });
    const wide = { body: Buffer.alloc(190) };
    expect(push('e.5', { ...wide, delivery: 'droppable' }).dropped).toBe(1);
    expect(push('e.6', { ...wide, delivery: 'latest' }).dropped).toBe(1);
    expect(session.state).toBe('active');
    answer(view, 'e.3');
    expect((await got()).slice(2)).toEqual([GAP('e.5', 'e.6')]);
  });

  test('is the newest of a key', async () => {
    const { begin, answer, push, got } = stage({ gap: true, bytesMax: 1_000 });
    const view = begin();
    for (let n = 1; n <= 5_000; n++) push(`e.${n}`, { delivery: 'latest', latestKey: 'k' });
    answer(view, 'e.4999');
    expect(await got()).toEqual(['answer snapshot e.4999', 'e.5000']);
  });

  test('counts among all outboxes, and the fullest is closed when they are full', async () => {
    const { begin, push, session, host, client, outboxes, commands } = stage({ outboxes: 4_000 });
    const other = client();
    commands.patch(other.session, { join: ['h'] });
    begin();
    for (let n = 1; n <= 10; n++) push(`e.${n}`, { body: Buffer.alloc(190) });
    for (let i = 0; i < 3; i++) {
      await turn();
      push(`e.${11 + i}`);
    }
    expect(session.state).toBe('active');
    other.connection.stuck = true;
    push('x.1', { body: Buffer.alloc(3_000) }, { groups: ['h'] });
    expect(host.ended.length + other.host.ended.length).toBe(1);
    expect(session.state).toBe('closed');
    expect(outboxes.heldBytes).toBeLessThan(3_500);
  });

  test('of a group that the session has left since it was chosen is nothing', async () => {
    const { push, session, commands, got } = stage({ gap: true });
    commands.patch(session, { join: ['g'] });
    push('e.1');
    commands.patch(session, { leave: ['g'] });
    const late: Push = {
      ...{ target: { groups: ['g'] }, route: 'd', body: Buffer.from('e.2'), delivery: 'must' },
      ...{ latestKey: '', expiresInMs: 0, afterReply: false, cursor: cursorOf('e.2') },
    };
    const encoded = session.wire.push('d', late.body);
    if (isFailure(encoded)) throw new Error(encoded.message);
    session.deltas!.put(late, ['g'], encoded, null);
    session.deltas!.pass('g', cursorOf('e.3'));
    expect(session.deltas!.size).toBe(0);
    expect(await got()).toEqual(['e.1', 'e.2']);
  });

  test('ends with the session, and its place with it', async () => {
    const { begin, answer, push, session, outboxes, wheel, registry } = stage();
    const view = begin();
    push('e.1');
    session.close('closed');
    expect([session.deltas, outboxes.heldBytes, registry.byGroup('g').size]).toEqual([null, 0, 0]);
    answer(view, 'e.0');
    await turn();
    expect(wheel.size).toBe(0);
  });
});
