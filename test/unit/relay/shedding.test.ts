/** While the event loop lags, new requests are refused, and nothing else. The samples are the test's, and so is time. */
import { describe, expect, test } from 'vitest';

import { Shedding } from '../../../src/relay/shedding.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';
import { HEARTBEAT, request } from '../session/support.ts';
import { FakeLag, setUp } from './support.ts';

/** Half a second is how often it looks. */
const LOOK_MS = 500;

function shed(limitMs = 200) {
  const clock = new ManualClock(5_000);
  const { log, lines } = keptLog();
  const lag = new FakeLag();
  const shedding = new Shedding({ clock, log, lag }, limitMs);
  shedding.start();
  /** What one look sees. */
  const see = (...samples: number[]): boolean => {
    lag.samples = samples;
    clock.advance(LOOK_MS);
    return shedding.refusal !== null;
  };
  return { clock, lines, lag, shedding, see };
}

const CALM = Array.from({ length: 25 }, () => 1);

describe('it begins', () => {
  test('when every sample of half a second is over the limit, and not at it', () => {
    const { see } = shed();
    expect(see(...CALM)).toBe(false);
    expect(see(200, 200, 200)).toBe(false);
    expect(see(201, 250, 300)).toBe(true);
  });

  test.each<[string, number[]]>([
    ['one stall, as of the garbage collector', [...CALM, 3_000, ...CALM]],
    ['a second stall', [2_000, 2_000, 2_000, 0]],
    ['a machine that was suspended', [60_000, 1]],
    ['a stall at the very beginning', [4_000, 0, 0]],
  ])('not by %s', (_, samples) => {
    expect(shed().see(...samples)).toBe(false);
  });

  test('by three samples at least, which two looks may bring together', () => {
    const { clock, lag, shedding, see } = shed();
    expect(see(400)).toBe(false);
    expect(lag.samples).toEqual([400]);
    lag.samples.push(450, 500);
    clock.advance(LOOK_MS);
    expect(shedding.refusal).toMatchObject({
      code: 503,
      reason: 'OVERLOADED',
      message: 'this gateway has too much to do; try again',
      retryAfterMs: 1_000,
      detail: 'the event loop lags by 400 ms, and limits.event_loop_lag is 200 ms',
    });
  });

  test('not by what was before it started', () => {
    const clock = new ManualClock();
    const lag = new FakeLag();
    const shedding = new Shedding({ clock, log: keptLog().log, lag }, 200);
    lag.samples = [900, 900, 900];
    clock.advance(LOOK_MS);
    shedding.start();
    clock.advance(LOOK_MS);
    expect(shedding.refusal).toBe(null);
  });
});

describe('it ends', () => {
  test('once half of the samples are below half of the limit', () => {
    const { see } = shed();
    see(300, 300, 300);
    expect(see(1, 150, 150)).toBe(true);
    expect(see(99, 100, 101)).toBe(true);
    expect(see(98, 99, 150)).toBe(false);
    expect(see(150, 150, 150)).toBe(false);
  });

  test('with a line of the log each time, and no more', () => {
    const { lines, see } = shed();
    for (let i = 0; i < 10; i++) see(250, 300, 350);
    for (let i = 0; i < 10; i++) see(...CALM);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ['warn', 'overloaded: new requests are refused'],
      ['info', 'no longer overloaded: new requests are taken'],
    ]);
    expect(lines[0]).toMatchObject({
      lagMs: 250,
      why: 'the event loop lags by 250 ms, and limits.event_loop_lag is 200 ms',
    });
    expect(lines[1]).toMatchObject({ lastedMs: 5_000 });
  });

  test('when the limit is taken away, and begins by another one', () => {
    const { clock, shedding, see } = shed();
    see(300, 300, 300);
    shedding.setLimit(0);
    expect(shedding.refusal).toBe(null);
    expect(clock.timerCount).toBe(0);
    shedding.setLimit(1_000);
    expect(see(900, 900, 900)).toBe(false);
    expect(see(1_001, 1_001, 1_001)).toBe(true);
  });

  test('when the gateway stops, with its timer', () => {
    const { clock, shedding, see } = shed();
    see(300, 300, 300);
    shedding.stop();
    shedding.setLimit(100);
    expect([shedding.refusal, clock.timerCount]).toEqual([null, 0]);
  });
});

test('0s is never', () => {
  const { clock, see } = shed(0);
  expect([see(9_000, 9_000, 9_000), clock.timerCount]).toEqual([false, 0]);
});

test('new requests are answered 503; heartbeats, what is in flight and pushes are not touched', () => {
  const { backend, clock, client, lag, relay, shedding } = setUp();
  shedding.start();
  const { session, connection } = client();
  session.onBytes(request(1, 'keep.a'));
  lag.samples = [300, 300, 300];
  clock.advance(LOOK_MS);
  session.onBytes(request(2, 'keep.a'));
  session.onBytes(HEARTBEAT);
  expect(backend.calls).toHaveLength(1);
  backend.take().succeed(Buffer.from('answer'));
  session.outbox.flush();
  expect(connection.messages).toEqual([
    '#2 {"code":503,"reason":"OVERLOADED","msg":"this gateway has too much to do; try again","retry_after_ms":1000}',
    '#1 answer',
  ]);
  expect(connection.types).toEqual([4, 3, 4]);
  lag.samples = CALM;
  clock.advance(LOOK_MS);
  session.onBytes(request(3, 'keep.a'));
  expect([backend.calls.length, relay.inFlight]).toEqual([1, 1]);
});

test('a client may bring a newer token meanwhile, as often as it may send messages', () => {
  const { clock, client, lag, relay, shedding } = setUp();
  shedding.start();
  const brought: string[] = [];
  relay.refresh = { receive: (_session, _message, body) => brought.push(body.toString()) };
  const { session, connection } = client();
  lag.samples = [300, 300, 300];
  clock.advance(LOOK_MS);
  session.onBytes(request(1, 'pith.refresh', '{"token":"a"}'));
  session.onBytes(request(2, 'pith.other', '{}'));
  session.outbox.flush();
  expect(brought).toEqual(['{"token":"a"}']);
  expect(connection.messages).toEqual([expect.stringMatching(/^#2 \{"code":503,/)]);
  relay.parts.admission.limits = {
    ...relay.parts.admission.limits,
    messagesPerSecond: 1,
    burst: 1,
  };
  for (let id = 3; id < 9; id++) session.onBytes(request(id, 'pith.refresh', '{"token":"b"}'));
  expect(brought.length).toBeLessThanOrEqual(2);
  relay.refresh = null;
  session.onBytes(request(10, 'pith.refresh', '{"token":"c"}'));
  session.outbox.flush();
  expect(connection.messages.at(-1)).toMatch(/^#10 \{"code":503,/);
});
