/** How a handshake's call ends: once, whatever comes first, and without leaving anything behind. */
import { describe, expect, test } from 'vitest';

import type { Accepted, JsonObject } from '../../../src/contract/commands.ts';
import { type Failure, failure } from '../../../src/errors.ts';
import { Lane } from '../../../src/session/lane.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import { ConnectCall } from '../../../src/upstream/connect-call.ts';
import { FixedReply } from '../../../src/upstream/fixed-reply.ts';
import type { ConnectAsk } from '../../../src/upstream/upstream.ts';
import { ManualClock } from '../../support/clock.ts';
import { connect } from '../session/support.ts';

const ACCEPTED: Accepted = { patch: null, user: { hi: 1 }, expiresInMs: 0 };

/** An upstream that writes down what is cancelled. */
class Cancels extends FixedReply implements PendingCall {
  readonly calls: Call[] = [];

  constructor() {
    super({});
  }

  cancel(call: Call): void {
    this.calls.push(call);
  }
}

function stage(more: Partial<ConnectAsk> = {}) {
  const clock = new ManualClock(1_000);
  const wheel = new TimerWheel(clock);
  const upstream = new Cancels();
  const { session } = connect();
  const ask: ConnectAsk = {
    ...{ session, client: session },
    lane: new Lane(),
    user: {},
    sys: {},
    headers: {},
    resumed: false,
    refresh: false,
    deadline: clock.now() + 5_000,
    ...more,
  };
  const read = (body: Uint8Array): Accepted | Failure =>
    body.length > 0 ? ACCEPTED : failure('BAD_REPLY', 'empty');
  const call = new ConnectCall(ask, upstream, wheel, read);
  if (!call.ended) call.pending = upstream;
  return { clock, wheel, upstream, call };
}

test('it is not among the messages of its lane, which has its own in flight', () => {
  expect(stage().call.isInLane).toBe(false);
});

describe('it ends', () => {
  test('with what the backend said first, and hears nothing more', async () => {
    const { clock, wheel, upstream, call } = stage();
    call.answered(ACCEPTED);
    call.answered(failure('FORBIDDEN'));
    call.fail(failure('BACKEND_AWAY'));
    clock.advance(60_000);
    expect(await call.outcome).toBe(ACCEPTED);
    expect(call.refused).toBe(false);
    expect(upstream.calls).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  test('by the deadline and not after it, when the backend is told to stop', async () => {
    const { clock, wheel, upstream, call } = stage();
    clock.advance(4_900);
    expect(call.ended).toBe(false);
    expect(call.leftMs(clock.now())).toBe(80);
    expect(call.leftMs(clock.now() + 5_000)).toBe(1);
    clock.advance(100);
    expect(await call.outcome).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    expect(upstream.calls).toEqual([call]);
    expect(wheel.size).toBe(0);
  });

  test('when the client has left, when the backend is told to stop', async () => {
    const left = new AbortController();
    const { wheel, upstream, call } = stage({ signal: left.signal });
    left.abort();
    expect(await call.outcome).toMatchObject({ reason: 'CLOSING' });
    expect(upstream.calls).toEqual([call]);
    expect(wheel.size).toBe(0);
  });

  test('at once, and is not sent, when the client had left before', async () => {
    const { upstream, call, wheel } = stage({ signal: AbortSignal.abort() });
    expect(call.ended).toBe(true);
    expect(await call.outcome).toMatchObject({ reason: 'CLOSING' });
    expect(upstream.calls).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  test.for(['user', 'sys'])('at once, when %s is nested too deep for backends', async (key) => {
    let deep: JsonObject = {};
    for (let i = 0; i < 40; i++) deep = { deep };
    const { call } = stage({ [key]: deep });
    expect(call.ended).toBe(true);
    expect(await call.outcome).toMatchObject({ code: 400, reason: 'BAD_BODY' });
  });

  test('at once, when it is nested a hundred thousand deep', async () => {
    const user = JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) as JsonObject;
    expect(await stage({ user }).call.outcome).toMatchObject({ reason: 'BAD_BODY' });
  });
});

describe('an answer as requests get it', () => {
  const reply = { patch: null, pushes: [], close: null };

  test('is read as the upstream says', async () => {
    const plain = stage().call;
    plain.succeed(Buffer.from('{}'));
    expect(await plain.outcome).toBe(ACCEPTED);
    const withHeaders = stage().call;
    withHeaders.answer({ ...reply, body: Buffer.from('{}'), failure: null });
    expect(await withHeaders.outcome).toBe(ACCEPTED);
  });

  test('that is an error refuses', async () => {
    const { call } = stage();
    call.answer({ ...reply, body: null, failure: failure('FORBIDDEN', 'banned') });
    expect(await call.outcome).toMatchObject({ code: 403, message: 'banned' });
    expect(call.refused).toBe(true);
  });

  test('that says nothing is no refusal: the backend may have meant to accept', async () => {
    const { call } = stage();
    call.answer({ ...reply, body: null, failure: null });
    expect(await call.outcome).toMatchObject({ reason: 'BAD_REPLY' });
    expect(call.refused).toBe(false);
  });
});

test('a fixed reply cannot decide who may connect', async () => {
  expect(await new FixedReply({ code: 200 }).connect({} as ConnectAsk)).toMatchObject({
    code: 501,
    reason: 'UNSUPPORTED',
  });
});
