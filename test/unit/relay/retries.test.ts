import { describe, expect, test } from 'vitest';

import type { RelayCall } from '../../../src/relay/relay-call.ts';
import { failure } from '../../../src/errors.ts';
import { request } from '../session/support.ts';
import { setUp } from './support.ts';

const AWAY = failure('BACKEND_AWAY');

function asked(route = 'again.a') {
  const world = setUp();
  const one = world.client();
  const answers = (): string[] => {
    one.session.outbox.flush();
    return one.connection.messages;
  };
  one.session.onBytes(request(1, route));
  return { ...world, ...one, answers };
}

describe('a message of an idempotent route whose backend is away', () => {
  test('is sent again, and answered once', () => {
    const { backend, clock, answers, relay } = asked();
    backend.take().fail(AWAY);
    expect([answers(), relay.inFlight]).toEqual([[], 1]);
    clock.advance(200);
    expect(backend.sent).toBe(2);
    backend.take().succeed(Buffer.from('late but well'));
    expect([answers(), relay.inFlight]).toEqual([['#1 late but well'], 0]);
  });

  test('fails after the third time', () => {
    const { backend, clock, answers } = asked();
    for (let i = 0; i < 3; i++) {
      backend.take().fail(AWAY);
      clock.advance(500);
    }
    expect(backend.sent).toBe(3);
    expect(answers()[0]).toContain('BACKEND_AWAY');
  });

  test('is not sent again once its deadline has passed', () => {
    const { backend, clock, answers } = asked();
    clock.advance(4_990);
    backend.take().fail(AWAY);
    clock.advance(500);
    expect(backend.sent).toBe(1);
    expect(answers()).toHaveLength(1);
  });

  test('is not sent again for a client that has gone, nor for the next message in its slot', () => {
    const { backend, clock, session, client, relay } = asked();
    backend.take().fail(AWAY);
    session.onClosed(null);
    expect(relay.inFlight).toBe(0);
    const other = client();
    other.session.onBytes(request(1, 'keep.a'));
    clock.advance(500);
    expect(backend.sent).toBe(2);
    expect(backend.calls.map(({ route }) => route)).toEqual(['keep.a']);
  });

  test('ends at its deadline while it waits to be sent again', () => {
    const { backend, clock, answers } = asked();
    backend.onSend = (call) => {
      backend.take().fail(AWAY);
      expect((call as RelayCall).state).not.toBe('free');
      backend.onSend = () => {};
    };
    backend.take().fail(AWAY);
    clock.advance(20_000);
    expect(answers()).toHaveLength(1);
  });
});

test('a message is sent again where its method says that it may', () => {
  const { backend, clock, answers } = asked('none.a');
  const call = backend.take();
  call.idempotent = true;
  call.fail(AWAY);
  clock.advance(500);
  expect([backend.sent, answers()]).toEqual([2, []]);
});

test.each([
  ['its route does not say so', 'none.a', AWAY],
  ['the backend has answered with an error', 'again.a', failure('BACKEND_ERROR')],
  ['it took too long', 'again.a', failure('TIMEOUT')],
])('a message is not sent again when %s', (_why, route, why) => {
  const { backend, clock, answers } = asked(route);
  backend.take().fail(why);
  clock.advance(1_000);
  expect(backend.sent).toBe(1);
  expect(answers()).toHaveLength(1);
});

test('a backend that stays away is sent no more than a share again', async () => {
  const { backend, client, clock } = setUp();
  backend.onSend = () => {
    backend.take().fail(AWAY);
  };
  const messages = 2_000;
  for (let i = 1; i <= messages; i++) client().session.onBytes(request(1, 'again.a'));
  // What waits is sent by 64 in a turn.
  for (let ms = 0; ms < 2_000; ms += 20) {
    clock.advance(20);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const again = backend.sent - messages;
  expect(again).toBeGreaterThan(100);
  expect(again).toBeLessThanOrEqual(100 + messages * 0.2);
});
