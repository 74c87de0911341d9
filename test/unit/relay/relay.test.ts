import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { failure, REASONS, type Reason } from '../../../src/errors.ts';
import { encodeNotify, encodePush, encodeResponse } from '../../../src/protocol/message.ts';
import { errorJson } from '../../../src/dialect/error-body.ts';
import type { JsonObject, Push } from '../../../src/contract/commands.ts';
import type { Session } from '../../../src/session/session.ts';
import { packetBytes } from '../protocol/wire.ts';
import { bare, request, turn } from '../session/support.ts';
import { REPLY, setUp } from './support.ts';

const notify = (route: string) => bare(encodeNotify(route, Buffer.from('n'))!);
const push = (route: string, afterReply: boolean, bytes = 0): Push => ({
  target: null,
  route,
  body: encodePush(route, Buffer.alloc(bytes))!,
  delivery: 'must',
  latestKey: '',
  expiresInMs: 0,
  afterReply,
});

/** Reasons of the error answers that were sent. */
function reasons({
  connection,
  session,
}: ReturnType<ReturnType<typeof setUp>['client']>): string[] {
  session.outbox.flush();
  return connection.messages.map((text) => {
    const json = JSON.parse(text.slice(text.indexOf(' '))) as { code: number; reason: string };
    return `${json.code} ${json.reason}`;
  });
}

describe('a body in flight', () => {
  const wide = { packetBytesMax: 65_536 };
  /** A read of 60,000 bytes that ends with a packet of its own, which goes nowhere. */
  const readOf = (...messages: Buffer[]): Buffer => {
    const all = Buffer.allocUnsafeSlow(60_000);
    const begun = Buffer.concat(messages);
    begun.copy(all);
    packetBytes(3, Buffer.alloc(all.length - begun.length - 4)).copy(all, begun.length);
    return all;
  };

  test('keeps nothing in memory of what was read with it and went elsewhere', () => {
    const { backend, client } = setUp();
    const { session } = client(wide);
    session.onBytes(readOf(request(1, 'keep.a', 'question'), request(2, 'keep.a', 'another')));
    expect(backend.calls.map(({ body }) => body.toString())).toEqual(['question', 'another']);
    for (const { body } of backend.calls) expect(body.buffer.byteLength).toBe(body.length);
  });

  test('is not copied where it is a good part of that, or little was read', () => {
    const { backend, client } = setUp();
    const { session } = client(wide);
    const large = readOf(request(1, 'keep.a', 'x'.repeat(20_000)));
    session.onBytes(large);
    const small = Buffer.allocUnsafeSlow(200);
    small.fill(0).set(request(2, 'keep.a', 'question'));
    session.onBytes(small.subarray(0, request(2, 'keep.a', 'question').length));
    expect(backend.calls[0]!.body.buffer).toBe(large.buffer);
    expect(backend.calls[1]!.body.buffer).toBe(small.buffer);
  });

  test('counts until its message has ended, however it ends', () => {
    const { backend, client, relay } = setUp();
    const { session } = client();
    for (const id of [1, 2, 3]) session.onBytes(request(id, 'keep.a', 'question'));
    const { admission } = relay.parts;
    expect(admission.heldBytes).toBe(24);
    backend.take().succeed(Buffer.from('answer'));
    backend.take().fail(failure('BACKEND_AWAY'));
    expect(admission.heldBytes).toBe(8);
    session.close('closed');
    expect(admission.heldBytes).toBe(0);
  });
});

describe('an answer', () => {
  test('is the backend’s body, or {} where it has none', () => {
    const { backend, client, relay } = setUp();
    const { session, connection } = client();
    for (const id of [1, 2, 3]) session.onBytes(request(id, 'keep.a', 'question'));
    expect(backend.calls[0]!.body.toString()).toBe('question');
    backend.take().succeed(Buffer.from('answer'));
    backend.take().succeed(Buffer.alloc(0));
    backend.take().answer(REPLY);
    session.outbox.flush();
    expect(connection.messages).toEqual(['#1 answer', '#2 {}', '#3 {}']);
    expect(relay.inFlight).toBe(0);
  });

  test('leaves nothing of its message in the slot, which may be idle for long', () => {
    const { backend, client } = setUp();
    client().session.onBytes(request(1, 'keep.a', 'question'));
    const call = backend.take();
    call.succeed(Buffer.from('answer'));
    const { session, lane, body, pending, trace } = call;
    expect([session, lane, body.length, pending, trace]).toEqual([
      undefined,
      undefined,
      0,
      null,
      null,
    ]);
  });

  test('comes after the patch and its pushes, before the later pushes and the close', () => {
    const { backend, client, log } = setUp();
    const { session, connection } = client();
    session.onBytes(request(1, 'keep.a'));
    backend.take().answer({
      ...REPLY,
      body: Buffer.from('answer'),
      patch: { uid: 'u' },
      pushes: [push('after', true), push('before', false)],
      close: { reason: '', code: 0, kick: true, retryAfterMs: 0 },
    });
    expect(log).toEqual(['patch u', 'push before', 'done ok', 'push after', 'close']);
    const heads = connection.messages.map((text) => text.split(' ')[0]);
    expect(heads).toEqual(['before', '#1', 'after']);
    expect(connection.types.at(-1)).toBe(5);
  });

  test('whose patch is refused is the refusal, and nothing else of it happens', () => {
    const { backend, client, log, refusePatch } = setUp();
    const one = client();
    refusePatch.now = true;
    one.session.onBytes(request(1, 'keep.a'));
    backend.take().answer({ ...REPLY, patch: { uid: 'u' }, pushes: [push('p', false)] });
    expect(reasons(one)).toEqual(['409 CONFLICT']);
    expect(log).toEqual(['patch u', 'done CONFLICT']);
  });

  test('is none where the session is ended by what had begun before, while it joins for a request', () => {
    const begin = (session: Session) => {
      session.close('kick');
      return failure('CLOSING');
    };
    const { backend, client, log, relay } = setUp({ joins: () => ({ begin, end: () => {} }) });
    const one = client();
    one.session.onBytes(request(1, 'join-none.a'));
    expect([backend.sent, relay.inFlight, log]).toEqual([0, 0, ['done client_gone']]);
  });

  test('to a client whose session is ended by what had begun before only tells others', () => {
    const { backend, client, log, relay, refusePatch } = setUp();
    const one = client();
    refusePatch.before = (session) => {
      session.close('kick');
    };
    for (const id of [1, 2]) one.session.onBytes(request(id, 'keep.a'));
    const toOthers = { ...push('others', false), target: { all: true } };
    backend.take().answer({ ...REPLY, patch: { uid: 'u' }, pushes: [push('p', false), toOthers] });
    expect(log).toContain('push others');
    expect(log).not.toContain('push p');
    expect([one.session.state, relay.inFlight]).toEqual(['closed', 0]);
  });

  describe('that binds a uid which others are asked about', () => {
    function setUpAsked() {
      const made = setUp();
      const one = made.client();
      const asked = Promise.withResolvers<object>();
      made.ask.now = async (isWanted) => {
        const outcome = await asked.promise;
        made.log.push(isWanted() ? 'wanted' : 'not wanted');
        return outcome;
      };
      one.session.onBytes(request(1, 'keep.a'));
      const body = Buffer.from('{}');
      const before = push('before', false);
      made.backend.take().answer({
        ...REPLY,
        body,
        patch: { uid: 'u' },
        pushes: [push('after', true), before],
      });
      // Whoever has read them reads on.
      body.fill(0xff);
      before.body.fill(0xff);
      return { ...made, one, asked };
    }

    test('waits for them, and comes in the same order', async () => {
      const { asked, log, one, relay } = setUpAsked();
      expect([log, relay.inFlight, one.session.inFlight]).toEqual([[], 1, 1]);
      asked.resolve({ changed: 1 });
      await turn();
      expect(log).toEqual(['wanted', 'push before', 'done ok', 'push after']);
      const messages = one.connection.messages.map((text) => text.trim());
      expect(messages).toEqual(['before', '#1 {}', 'after']);
    });

    test('is the refusal, if it is taken', async () => {
      const { asked, log, one } = setUpAsked();
      asked.resolve(failure('UID_IN_USE'));
      await turn();
      expect(reasons(one)).toEqual(['409 UID_IN_USE']);
      expect(log).toEqual(['wanted', 'done UID_IN_USE']);
    });

    test('is late by its deadline, and changes nothing then', async () => {
      const { admission, asked, clock, log, one } = setUpAsked();
      clock.advance(5_100);
      expect(reasons(one)).toEqual(['504 TIMEOUT']);
      one.session.onBytes(request(2, 'keep.a'));
      asked.resolve({ changed: 1 });
      await turn();
      expect(log).toEqual(['done TIMEOUT', 'not wanted']);
      expect([admission.inFlight(0), one.session.inFlight]).toEqual([1, 1]);
    });

    test('changes nothing when its client has gone', async () => {
      const { asked, log, one, relay } = setUpAsked();
      one.session.close('closed');
      asked.resolve({ changed: 1 });
      await turn();
      expect(log).toEqual(['done client_gone', 'not wanted']);
      expect(relay.inFlight).toBe(0);
    });

    test('is a failure of the gateway, if asking fails', async () => {
      const { asked, one } = setUpAsked();
      asked.reject(new Error('broken'));
      await turn();
      expect(reasons(one)).toEqual(['500 INTERNAL']);
    });
  });

  test.each(['answer', 'push'] as const)(
    'too large for the client ends its session and the call once: %s',
    async (what) => {
      const { admission, backend, client, relay } = setUp();
      const { session, connection } = client();
      session.onBytes(Buffer.concat([request(1, 'keep.a'), request(2, 'keep.a')]));
      connection.stuck = true;
      for (let id = 97; id < 100; id++) {
        session.send(encodeResponse(id, Buffer.alloc(10))!);
        await turn();
      }
      if (what === 'answer') backend.take().succeed(Buffer.alloc(70_000));
      else backend.take().answer({ ...REPLY, pushes: [push('big', false, 70_000)] });
      expect(session.state).toBe('closed');
      expect(connection.destroyed).toBe(true);
      expect([relay.inFlight, admission.inFlight(0), session.inFlight]).toEqual([0, 0, 0]);
      expect(backend.cancelled).toContain(2);
    },
  );
});

/**
 * One client's message waits behind its notify, which leaves when the other client's second request is cancelled. It
 * then gets the slot of the first one, which is being ended at that moment.
 */
type World = Pick<ReturnType<typeof setUpReuse>, 'clock' | 'one'>;

function setUpReuse() {
  const world = setUp();
  const { backend, client } = world;
  const one = client();
  one.session.onBytes(Buffer.concat([request(1, 'keep.a'), request(2, 'keep.a')]));
  const other = client({ inFlightMax: 1 });
  other.session.onBytes(Buffer.concat([notify('keep.b'), request(7, 'keep.c')]));
  const first = backend.take();
  backend.onCancel = () => {
    backend.onCancel = () => {};
    backend.take(backend.calls.findIndex(({ route }) => route === 'keep.b')).sent();
  };
  /** The other client's message is in flight, and is answered when the backend answers it. */
  const expectOtherUntouched = (): void => {
    expect(backend.calls.map(({ route }) => route)).toEqual(['keep.c']);
    expect(backend.calls[0] === first, 'the slot is used again').toBe(true);
    other.session.outbox.flush();
    expect(other.connection.messages).toEqual([]);
    expect([world.relay.inFlight, world.admission.inFlight(0)]).toEqual([1, 1]);
    expect(other.session.inFlight).toBe(1);
    backend.take().succeed(Buffer.from('its own'));
    other.session.outbox.flush();
    expect(other.connection.messages).toEqual(['#7 its own']);
    expect(world.relay.inFlight).toBe(0);
  };
  return { ...world, one, first, expectOtherUntouched };
}

describe('a message that gets the slot of one that is being ended', () => {
  test.each([
    ['an answer', { body: Buffer.alloc(70_000) }],
    ['an error', { failure: { ...failure('BACKEND_ERROR'), body: Buffer.alloc(70_000) } }],
    ['a push before the answer', { pushes: [push('big', false, 70_000)], body: Buffer.from('a') }],
    [
      'a push before an error',
      { pushes: [push('big', false, 70_000)], failure: failure('FORBIDDEN') },
    ],
  ] as const)('is not ended by %s that ends the session', async (_what, reply) => {
    const { one, first, expectOtherUntouched } = setUpReuse();
    one.connection.stuck = true;
    for (let id = 97; id < 100; id++) {
      one.session.send(encodeResponse(id, Buffer.alloc(10))!);
      await turn();
    }
    first.answer({ ...REPLY, ...reply });
    expect(one.session.state).toBe('closed');
    expectOtherUntouched();
  });

  test.each([
    ['the deadline', ({ clock }: World) => clock.advance(5_020)],
    ['the drain', ({ one }: World) => one.session.giveUp(failure('DRAINING'))],
  ])('is not ended by %s, if the session ends while the first is cancelled', (_what, end) => {
    const { one, first, expectOtherUntouched, ...world } = setUpReuse();
    const { backend } = world;
    const leave = backend.onCancel;
    first.pending = { cancel: () => one.session.close('closed') };
    end({ ...world, one });
    expect(backend.onCancel).not.toBe(leave);
    expectOtherUntouched();
  });
});

describe('every error', () => {
  for (const reason of Object.keys(REASONS) as Reason[]) {
    test(`${reason} reaches the client with its code and words`, () => {
      const { backend, client, log } = setUp();
      const one = client();
      one.session.onBytes(request(1, 'keep.a'));
      backend.take().fail(failure(reason));
      expect(reasons(one)).toEqual([`${REASONS[reason].code} ${reason}`]);
      expect(log).toEqual([`done ${reason}`]);
    });
  }

  test('of the backend’s own is told as it says, and counted as its own', () => {
    const { backend, client, log } = setUp();
    const { session, connection } = client();
    for (const id of [1, 2]) session.onBytes(request(id, 'keep.a'));
    const why = { ...failure('BACKEND_ERROR', 'all gone', 250), code: 1_234, reason: 'SOLD_OUT' };
    backend.take().fail({ ...why, fields: { item: 'none left' } });
    backend.take().fail({ ...why, body: Buffer.from('own') });
    session.outbox.flush();
    expect(connection.messages).toEqual([
      '#1 {"code":1234,"reason":"SOLD_OUT","msg":"all gone","retry_after_ms":250,"fields":{"item":"none left"}}',
      '#2 own',
    ]);
    expect(log).toEqual(['done BACKEND', 'done BACKEND']);
    expect(errorJson({ ...why, message: '', retryAfterMs: 0 }).toString()).toBe(
      '{"code":1234,"reason":"SOLD_OUT","msg":""}',
    );
  });

  test.each([
    ['400 BAD_ROUTE', 'no such.route'],
    ['400 BAD_ROUTE', 'keep.constructor'],
    ['404 NO_ROUTE', 'other.a'],
    ['401 NOT_BOUND', 'bound.a'],
    ['403 FORBIDDEN', 'staff.a'],
  ])('%s is the relay’s own for %s, and the backend hears nothing', (reason, route) => {
    const { backend, client } = setUp();
    const one = client();
    one.session.onBytes(Buffer.concat([request(1, route), notify(route)]));
    expect(reasons(one)).toEqual([reason]);
    expect(backend.sent).toBe(0);
  });

  test('429, 503 and 504 are the relay’s own too', () => {
    const limited = setUp({ messagesPerSecond: 1, inFlightPerBackend: 1 });
    const one = limited.client();
    for (const id of [1, 2, 3]) one.session.onBytes(request(id, 'keep.a'));
    expect(reasons(one)).toEqual(['503 OVERLOADED', '429 TOO_MANY']);
    limited.clock.advance(5_020);
    expect(limited.backend.cancelled).toEqual([1]);
    one.session.drain();
    one.session.onBytes(request(4, 'keep.a'));
    expect(reasons(one).slice(2)).toEqual(['504 TIMEOUT', '503 DRAINING']);
  });
});

describe('the roles of a route', () => {
  test.each<[allowed: boolean, data: JsonObject]>([
    [true, { roles: ['admin'] }],
    [true, { roles: ['player', 'support'] }],
    [false, {}],
    [false, { roles: [] }],
    [false, { roles: ['player'] }],
    [false, { roles: ['administrator', 'Admin', ''] }],
    [false, { roles: 'admin' }],
    [false, { roles: { 0: 'admin', length: 1 } }],
    [false, { roles: [['admin']] }],
    [false, { role: ['admin'] }],
    [false, { roles: null as unknown as [] }],
  ])('%j: with the data %j', (allowed, data) => {
    const { backend, client } = setUp();
    const one = client();
    Object.assign(one.session.data, data);
    one.session.onBytes(request(1, 'staff.a'));
    expect([backend.sent, reasons(one)]).toEqual(allowed ? [1, []] : [0, ['403 FORBIDDEN']]);
  });

  test('are looked at anew for each message', () => {
    const { backend, client } = setUp();
    const one = client();
    one.session.data['roles'] = ['admin'];
    one.session.onBytes(request(1, 'staff.a'));
    one.session.data['roles'] = [];
    one.session.onBytes(request(2, 'staff.a'));
    expect([backend.sent, reasons(one)]).toEqual([1, ['403 FORBIDDEN']]);
  });
});

describe('the rate of a route', () => {
  test('so many at once, and so many a second; other routes and other sessions have their own', () => {
    const { client, clock, backend } = setUp();
    const [one, two] = [client(), client()];
    for (const id of [1, 2, 3]) one.session.onBytes(request(id, 'rated.a'));
    // The same rule, by another route.
    one.session.onBytes(request(4, 'rated.b'));
    expect(reasons(one)).toEqual(['429 TOO_MANY', '429 TOO_MANY']);
    one.session.onBytes(request(5, 'keep.a'));
    for (const id of [1, 2]) two.session.onBytes(request(id, 'rated.a'));
    expect([reasons(one).length, reasons(two)]).toEqual([2, []]);
    expect(backend.sent).toBe(5);
    clock.advance(499);
    one.session.onBytes(request(6, 'rated.a'));
    expect(reasons(one)).toHaveLength(3);
    clock.advance(1);
    one.session.onBytes(request(7, 'rated.a'));
    expect(reasons(one)).toHaveLength(3);
    expect(backend.sent).toBe(6);
  });

  test('a message that is refused for another reason does not count', () => {
    const { client } = setUp();
    const one = client();
    one.session.onBytes(request(1, 'rare.a'));
    expect(reasons(one)).toEqual(['401 NOT_BOUND']);
    one.session.uid = 'ann';
    one.session.onBytes(request(2, 'rare.a'));
    one.session.onBytes(request(3, 'rare.a'));
    expect(reasons(one).slice(1)).toEqual(['429 TOO_MANY']);
  });
});

describe('order', () => {
  test('serial: the next one goes when the one before is answered', () => {
    const { backend, client } = setUp();
    const { session } = client();
    for (const id of [1, 2]) session.onBytes(request(id, 'serial.a'));
    session.onBytes(request(3, 'none.a'));
    expect(backend.calls.map(({ rawId }) => rawId)).toEqual([1, 3]);
    backend.take().succeed(Buffer.alloc(0));
    expect(backend.calls.map(({ rawId }) => rawId)).toEqual([3, 2]);
  });

  test('a bind by an answer counts for what waits behind it', () => {
    const { backend, client } = setUp();
    const { session } = client();
    session.onBytes(request(1, 'none.a'));
    session.uid = 'u';
    session.onBytes(request(2, 'none.a'));
    expect(backend.calls.map(({ instance }) => instance)).toEqual(['', 'u']);
  });

  test('what waits for its turn is not sent when its client is gone', () => {
    const { admission, backend, client, relay } = setUp();
    const { session } = client();
    for (const id of [1, 2, 3]) session.onBytes(request(id, 'serial.a'));
    // A backend that is away fails calls while they are being sent.
    backend.onSend = () => backend.take().fail(failure('BACKEND_AWAY'));
    session.onClosed(null);
    expect(backend.sent).toBe(1);
    expect([relay.inFlight, admission.inFlight(0), session.inFlight]).toEqual([0, 0, 0]);
  });

  test('what waited too long is ended once, though the client says something bad just then', () => {
    const { admission, backend, client, clock, log, relay, wheel } = setUp();
    const { session } = client({ inFlightMax: 4 });
    const requests = [1, 2, 3, 4].map((id) => request(id, 'serial.a'));
    // Not read before half of those are done.
    session.onBytes(Buffer.concat([...requests, packetBytes(99)]));
    // The first has more time than those that wait for it.
    wheel.set(backend.calls[0]!, 60_000);
    clock.advance(5_020);
    expect(session.state).toBe('closed');
    expect(log.toSorted()).toEqual([
      'done TIMEOUT',
      'done TIMEOUT',
      'done client_gone',
      'done client_gone',
    ]);
    expect([relay.inFlight, admission.inFlight(0), session.inFlight]).toEqual([0, 0, 0]);
  });

  test('a notify goes on when its client is gone', () => {
    const { backend, client, relay } = setUp();
    const { session } = client();
    session.onBytes(Buffer.concat([request(1, 'serial.a'), notify('serial.b')]));
    session.onClosed(null);
    expect(backend.calls.map(({ route }) => route)).toEqual(['serial.b']);
    backend.take().sent();
    expect(relay.inFlight).toBe(0);
  });
});

describe('whatever dies and when', () => {
  const route = fc.constantFrom('keep.a', 'serial.a', 'none.a', 'bound.a', 'bad..route', 'other.a');
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ ask: route, who: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ tell: route, who: fc.nat(2) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        end: fc.constantFrom('succeed', 'fail', 'answer', 'big', 'big push'),
        at: fc.nat(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ wait: fc.constantFrom(20, 1_000, 6_000) }) },
    { weight: 1, arbitrary: fc.record({ away: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ gone: fc.nat(2), how: fc.constantFrom('drain', 'close', 'lost') }),
    },
  );

  test('each request is answered once while its session lives, and never twice; a notify never', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
        const { admission, backend, client, clock, log, relay } = setUp();
        const small = { bytesMax: 40_000, dropAfterMs: 1_000 };
        const clients = [client(), client({ inFlightMax: 3 }), client({ outbox: small })];
        // A message may go when another is cancelled, as on a link that takes no more at once.
        backend.onCancel = () => {
          const at = backend.calls.findIndex(({ wantsAnswer }) => !wantsAnswer);
          if (at >= 0) backend.take(at).sent();
        };
        // This one reads nothing, so that large answers end its session, once it has had its turns.
        clients[2]!.connection.stuck = true;
        const asked: Set<number>[] = clients.map(() => new Set());
        let messages = 0;
        for (const [i, one] of steps.entries()) {
          const id = (i % 120) + 1;
          if ('ask' in one || 'tell' in one) {
            const { session } = clients[one.who]!;
            if (session.state === 'closed') continue;
            messages++;
            if ('ask' in one) asked[one.who]!.add(id);
            session.onBytes('ask' in one ? request(id, one.ask) : notify(one.tell));
          } else if ('end' in one && backend.calls.length > 0) {
            const call = backend.take(one.at % backend.calls.length);
            // So that each client can tell whose answer it gets.
            const body = Buffer.from(String(call.rawId).padEnd(one.end === 'big' ? 30_000 : 3));
            const pushes = [push('p', false, one.end === 'big push' ? 30_000 : 0)];
            if (one.end === 'fail') call.fail(failure('BACKEND_ERROR'));
            else if (/answer|push/.test(one.end)) call.answer({ ...REPLY, pushes, body });
            else call.succeed(body);
          } else if ('wait' in one) {
            clock.advance(one.wait);
            await turn();
          } else if ('away' in one) {
            const fail = () => backend.calls.pop()!.fail(failure('BACKEND_AWAY'));
            backend.onSend = one.away ? fail : () => {};
          } else if ('gone' in one) {
            const { session } = clients[one.gone]!;
            if (one.how === 'drain') session.drain();
            else if (one.how === 'close') session.close('closed');
            else session.onClosed(new Error('lost'));
          }
          for (const { session } of clients) session.outbox.flush();
        }
        backend.onSend = () => {};
        clients[2]!.connection.drain();
        clients[2]!.session.onDrain();
        for (let i = 0; i < 50; i++) {
          clock.advance(5_020);
          while (backend.calls.length > 0) backend.take().succeed(Buffer.from('{}'));
          for (const { session } of clients) session.outbox.flush();
        }
        for (const [i, { session, connection }] of clients.entries()) {
          const answers = connection.messages.filter((text) => text.startsWith('#'));
          const ids = answers.map((text) => Number(text.slice(1, text.indexOf(' '))));
          expect(new Set(ids).size).toBe(ids.length);
          const bodies = answers.map((text) => Number(text.slice(text.indexOf(' '))));
          const others = bodies.filter((id, at) => !Number.isNaN(id) && id !== ids[at]);
          expect(others).toEqual([]);
          expect(ids.filter((id) => !asked[i]!.has(id))).toEqual([]);
          const unanswered = [...asked[i]!].filter((id) => !ids.includes(id));
          expect(session.state === 'closed' ? [] : unanswered).toEqual([]);
        }
        expect([relay.inFlight, admission.inFlight(0), backend.calls.length]).toEqual([0, 0, 0]);
        const ends = log.filter((text) => /^(done|refused)/.test(text)).length;
        expect(ends).toBeLessThanOrEqual(messages);
      }),
      { numRuns: 200 },
    );
  });
});
