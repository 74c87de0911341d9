/** Requests that join a group first: when they are sent, what waits behind them, and how their joins end. */
import { expect, test } from 'vitest';

import { cursorText } from '../../../src/contract/cursor.ts';
import { failure } from '../../../src/errors.ts';
import { encodeNotify } from '../../../src/protocol/message.ts';
import { callFor } from '../../../src/relay/operator-call.ts';
import { GroupView } from '../../../src/session/group-view.ts';
import { HeldTotals } from '../../../src/session/held-pushes.ts';
import { bare, request, turn } from '../session/support.ts';
import { REPLY, setUp } from './support.ts';

const NO_TIME = new Promise<void>(() => {});

/** @param confirmed As of a subscription. */
function stage(confirmed: Promise<void> | null = null, refuses = false) {
  const stage = setUp({
    joins: (log) => ({
      begin: (_session, group) => {
        log.push(`join ${group}`);
        if (refuses) return failure('TOO_LARGE', '65 groups');
        return { view: new GroupView(group, new HeldTotals()), confirmed };
      },
      end: (session, { group }, answer) => {
        session.outbox.flush();
        const from = answer?.from ?? null;
        const what = answer === null ? 'failed' : from === null ? 'answered' : cursorText(from);
        log.push(`end ${group} ${what}`);
      },
    }),
  });
  const { session, connection } = stage.client();
  session.data['room'] = 'lobby';
  return { ...stage, session, connection };
}

test('a request joins the group of its session’s data, and ends that after its answer', () => {
  const { backend, session, connection, log, relay } = stage();
  session.onBytes(request(1, 'join.a'));
  expect(log).toEqual(['join room.lobby']);
  backend.take().answer({
    ...REPLY,
    body: Buffer.from('snapshot'),
    from: { epoch: 'e', n: 5 },
    patch: { uid: 'ann' },
  });
  expect(log).toEqual(['join room.lobby', 'patch ann', 'done ok', 'end room.lobby e.5']);
  expect(connection.messages).toEqual(['#1 snapshot']);
  // The slot has forgotten it.
  session.onBytes(request(2, 'join.a'));
  backend.take().succeed(Buffer.from('another'));
  expect(log.slice(4)).toEqual(['join room.lobby', 'done ok', 'end room.lobby answered']);
  session.onBytes(request(3, 'keep.a'));
  backend.take().succeed(Buffer.from('no snapshot'));
  expect(log.slice(7)).toEqual(['done ok']);
  expect(relay.inFlight).toBe(0);
});

test('the pushes of a reply are around what the join holds: before the answer, and after all of it', () => {
  const { backend, session, log } = stage();
  session.onBytes(request(1, 'join.a'));
  const push = (route: string, afterReply: boolean) => ({
    ...{ target: null, route, body: Buffer.from(''), delivery: 'must' as const, latestKey: '' },
    ...{ expiresInMs: 0, afterReply },
  });
  backend.take().answer({ ...REPLY, pushes: [push('first', false), push('last', true)] });
  expect(log).toEqual([
    'join room.lobby',
    'push first',
    'done ok',
    'end room.lobby answered',
    'push last',
  ]);
});

test('a session without the data joins nothing, and neither do a notify and an operator', async () => {
  const { backend, session, log, relay } = stage();
  session.onBytes(bare(encodeNotify('join.a', Buffer.from('n'))!));
  const asked = callFor(relay, session, {
    ...{ route: 'join.a', body: Buffer.from(''), wantsAnswer: true, timeoutMs: 0 },
  });
  delete session.data['room'];
  session.onBytes(request(1, 'join.a'));
  expect(backend.calls).toHaveLength(3);
  backend.take().sent();
  backend.take().succeed(Buffer.from('for the operator'));
  backend.take().succeed(Buffer.from('plain'));
  expect(log).toEqual(['done ok', 'done ok', 'done ok']);
  expect(await asked).toEqual(Buffer.from('for the operator'));
});

test('a join that is refused is the answer, and no backend sees the request', () => {
  const { backend, session, connection, log } = stage(null, true);
  session.onBytes(request(1, 'join.a'));
  session.outbox.flush();
  expect(backend.sent).toBe(0);
  expect(connection.messages).toEqual(['#1 {"code":413,"reason":"TOO_LARGE","msg":"65 groups"}']);
  expect(log).toEqual(['join room.lobby', 'done TOO_LARGE']);
});

test('a request waits until its session hears the group, and what came after it waits behind it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { backend, session } = stage(promise);
  session.onBytes(
    Buffer.concat([request(1, 'join.a'), request(2, 'keep.a'), request(3, 'none.a')]),
  );
  expect(backend.calls.map(({ rawId }) => rawId)).toEqual([3]);
  resolve();
  await turn();
  expect(backend.calls.map(({ rawId }) => rawId)).toEqual([3, 1, 2]);
  session.onBytes(request(4, 'keep.a'));
  expect(backend.calls.map(({ rawId }) => rawId)).toEqual([3, 1, 2, 4]);
});

test('one that need not keep its order holds nobody up', () => {
  const { backend, session } = stage(NO_TIME);
  session.onBytes(Buffer.concat([request(1, 'join-none.a'), request(2, 'keep.a')]));
  expect(backend.calls.map(({ rawId }) => rawId)).toEqual([2]);
});

test('its time ends, or its client leaves, while it waits: the join ends, and what is behind it goes on', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { backend, session, connection, log, clock, relay } = stage(promise);
  session.onBytes(Buffer.concat([request(1, 'join.a'), request(2, 'keep.a')]));
  clock.advance(5_020);
  session.outbox.flush();
  expect(connection.messages[0]).toContain('"reason":"TIMEOUT"');
  expect(log.slice(0, 3)).toEqual(['join room.lobby', 'done TIMEOUT', 'end room.lobby failed']);
  session.onBytes(request(3, 'join.a'));
  session.close('closed');
  expect(log.filter((line) => line.startsWith('end'))).toHaveLength(2);
  resolve();
  await turn();
  expect(backend.calls.filter(({ rawId }) => rawId === 1 || rawId === 3)).toEqual([]);
  expect(relay.inFlight).toBe(0);
});

test.each([
  ['a refusal', { ...REPLY, failure: failure('FORBIDDEN') }],
  ['a refused change', { ...REPLY, patch: { uid: 'ann' }, from: { epoch: 'e', n: 1 } }],
] as const)('after %s the join has failed', (_what, reply) => {
  const { backend, session, log, refusePatch } = stage();
  refusePatch.now = true;
  session.onBytes(request(1, 'join.a'));
  backend.take().answer(reply);
  expect(log.filter((line) => line.startsWith('end'))).toEqual(['end room.lobby failed']);
});
