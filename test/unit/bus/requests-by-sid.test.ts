/** Sessions that another gateway holds: how they are asked for, and which answers are believed. */
import { describe, expect, test } from 'vitest';

import { isFailure } from '../../../src/errors.ts';
import { ManualClock } from '../../support/clock.ts';
import { turn } from '../session/support.ts';
import { Exchange, makeGateway } from './support.ts';

const A = 'a-0123456789';
const B = 'b-0123456789';

function stage() {
  const exchange = new Exchange();
  const clock = new ManualClock(1_000);
  const a = makeGateway(A, exchange, clock);
  const b = makeGateway(B, exchange, clock);
  const ann = b.client(7, 'ann');
  return { exchange, clock, a, b, ann, remote: a.bus.bySid };
}

/** What it has resolved with; null: it has not yet. */
async function settled(call: Promise<object> | object): Promise<unknown> {
  return Promise.race([call, turn().then(() => null)]);
}

describe('a change', () => {
  test('is this message, and is answered by the gateway that holds the session', async () => {
    const { exchange, remote, ann } = stage();
    const patch = { uid: 'ann', set: { x: 1 }, join: [], leave: ['r'], ifVersion: 0 };
    const call = remote.patch(`${B}.7`, patch, 250);
    expect(exchange.sent).toEqual([
      {
        subject: `pith.session.${B}.7.patch`,
        reply: expect.stringMatching(/^_INBOX\.a-0123456789\.ask\./) as string,
        headers: [],
        payload: '{"uid":"ann","set":{"x":1},"join":[],"leave":["r"],"if_version":0}',
      },
    ]);
    exchange.deliver();
    await turn();
    exchange.deliver();
    expect(await call).toEqual({ changed: 1, version: 1 });
    expect(ann.session.data).toEqual({ x: 1 });
  });

  test('that is refused there is refused here, for the same reason', async () => {
    const { exchange, remote } = stage();
    const call = remote.patch(`${B}.7`, { uid: 'bob' }, 250);
    exchange.deliver();
    await turn();
    exchange.deliver();
    expect(await call).toMatchObject({ code: 409, reason: 'CONFLICT', message: /ann/ });
  });

  test('waits 2 s longer than it was told: for the confirmation of a subscription there', async () => {
    const { exchange, clock, remote } = stage();
    exchange.hear(`pith.session.${B}.8.patch`);
    const call = remote.patch(`${B}.7`, { set: {} }, 250);
    clock.advance(2_249);
    expect(await settled(call)).toBe(null);
    clock.advance(1);
    expect(await settled(call)).toMatchObject({ code: 504, reason: 'TIMEOUT' });
  });
});

describe('a look-up', () => {
  test('is this message; the session comes as JSON', async () => {
    const { exchange, remote } = stage();
    const call = remote.get(`${B}.7`, 250);
    expect(exchange.sent).toMatchObject([{ subject: `pith.session.${B}.7.get`, payload: '{}' }]);
    exchange.deliver();
    expect(await call).toMatchObject({ sid: `${B}.7`, uid: 'ann' });
  });

  test.each([
    ['of a session that its gateway no longer has', `${B}.9`],
    ['of a gateway that does not exist', 'c-0123456789.1'],
  ])('%s: there is none', async (_, sid) => {
    const { exchange, remote } = stage();
    const call = remote.get(sid, 250);
    exchange.deliver();
    expect(await call).toMatchObject({ code: 404, reason: 'NO_SESSION' });
  });

  test.each(['', 'x', 'a.b.c', `${B}.0`, `${B}.07`, `${B}.*`, `${B}.>`, '*.1'])(
    'of %j is refused, and nothing is sent',
    (sid) => {
      const { exchange, remote } = stage();
      expect(remote.get(sid, 250)).toMatchObject({ code: 400, reason: 'BAD_ARGUMENT' });
      expect(exchange.sent).toEqual([]);
    },
  );

  test('ends when its time is up', async () => {
    const { exchange, clock, b, remote } = stage();
    exchange.hear(`pith.session.${B}.7.get`);
    b.connector.up = false;
    const call = remote.get(`${B}.7`, 250);
    exchange.deliver();
    clock.advance(249);
    expect(await settled(call)).toBe(null);
    clock.advance(1);
    expect(await settled(call)).toMatchObject({
      reason: 'TIMEOUT',
      message: 'the gateway that holds the session did not answer',
    });
  });

  test.each([
    ['another gateway', '{"gateway":"c-0123456789","sessions":[{"sid":"b-0123456789.7"}]}'],
    ['no gateway', '{"sessions":[{"sid":"b-0123456789.7"}]}'],
    [
      'it, about another session',
      '{"gateway":"b-0123456789","sessions":[{"sid":"b-0123456789.8"}]}',
    ],
    ['it, without sessions', '{"gateway":"b-0123456789"}'],
    ['nobody who writes JSON', 'nonsense'],
  ])('passes over an answer of %s', async (_, answer) => {
    const { exchange, remote } = stage();
    const call = remote.get(`${B}.7`, 250);
    exchange.publish(exchange.sent[0]!.reply, answer);
    expect(isFailure(call)).toBe(false);
    // The forged answer comes first, the true one after it.
    exchange.deliverLast();
    expect(await settled(call)).toBe(null);
    exchange.deliver();
    expect(await call).toMatchObject({ sid: `${B}.7`, uid: 'ann' });
  });
});
