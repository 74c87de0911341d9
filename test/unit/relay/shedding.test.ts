/** While the event loop lags, new requests are refused, and nothing else. The samples are the test's, and so is time. */
import { describe, expect, test } from 'vitest';

import { Shedding } from '../../../src/relay/shedding.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';
import { HEARTBEAT, request } from '../session/support.ts';
import { FakeLag, setUp } from './support.ts';

/** Half a second is how often it looks, and half of that while it refuses. */
const LOOK_MS = 500;
const SHEDDING_LOOK_MS = 250;

function shed(limitMs = 200) {
  const clock = new ManualClock(5_000);
  const { log, lines } = keptLog();
  const lag = new FakeLag();
  const shedding = new Shedding({ clock, log, lag }, limitMs);
  shedding.start();
  /** What one look sees. True: it refuses from then on. */
  const see = (...samples: number[]): boolean => {
    lag.samples = samples;
    clock.advance(shedding.share === 0 ? LOOK_MS : SHEDDING_LOOK_MS);
    return shedding.share > 0;
  };
  /** How many of so many requests are refused. */
  const refusedOf = (count: number): number =>
    Array.from({ length: count }, () => shedding.refuseNext()).filter((why) => why !== null).length;
  return { clock, lines, lag, shedding, see, refusedOf };
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
    expect(shedding.refuseNext()).toMatchObject({
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
    expect(shedding.refuseNext()).toBe(null);
  });
});

describe('how much is refused', () => {
  test('all at first, then less and less, down to none after two seconds without lag', () => {
    const { see, refusedOf } = shed();
    see(300, 300, 300);
    expect(refusedOf(1_000)).toBe(1_000);
    const refused: number[] = [];
    for (let i = 0; i < 8; i++) {
      see(0, 0, 0);
      refused.push(refusedOf(1_000));
    }
    expect(refused).toEqual([875, 750, 625, 500, 375, 250, 125, 0]);
  });

  test('those that are refused are spread evenly', () => {
    const { see, shedding } = shed();
    see(300, 300, 300);
    for (let i = 0; i < 6; i++) see(0, 0, 0);
    const refused = Array.from({ length: 12 }, () => shedding.refuseNext() !== null);
    expect(refused.map(Number).join('')).toBe('000100010001');
  });

  test('the same while half of the samples are at half of the limit', () => {
    const { see, refusedOf } = shed();
    see(300, 300, 300);
    for (let i = 0; i < 4; i++) see(0, 0, 0);
    for (let i = 0; i < 10; i++) see(90, 100, 3_000);
    expect(refusedOf(1_000)).toBe(500);
  });

  test('more the more it lags above that, and never more than all', () => {
    const { see, refusedOf } = shed();
    see(300, 300, 300);
    for (let i = 0; i < 6; i++) see(0, 0, 0);
    expect(refusedOf(1_000)).toBe(250);
    see(200, 200, 200);
    expect(refusedOf(1_000)).toBe(375);
    see(300, 300, 300);
    expect(refusedOf(1_000)).toBe(625);
    see(5_000, 5_000, 5_000);
    expect(refusedOf(1_000)).toBe(1_000);
    see(0, 0, 0);
    expect(refusedOf(1_000)).toBe(875);
  });
});

describe('it ends', () => {
  test('and all are taken until every sample is over the limit again', () => {
    const { see, refusedOf } = shed();
    see(300, 300, 300);
    for (let i = 0; i < 8; i++) see(...CALM);
    expect(see(...CALM)).toBe(false);
    expect(see(150, 190, 200)).toBe(false);
    expect(refusedOf(100)).toBe(0);
    expect(see(201, 300, 300)).toBe(true);
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
    // Nine looks at 300 ms of lag, and nine until nothing is left of it.
    expect(lines[1]).toMatchObject({ lastedMs: 4_500 });
  });

  test('when the limit is taken away, and begins by another one', () => {
    const { clock, shedding, see } = shed();
    see(300, 300, 300);
    shedding.setLimit(0);
    expect(shedding.refuseNext()).toBe(null);
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
    expect([shedding.refuseNext(), clock.timerCount]).toEqual([null, 0]);
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
  for (let i = 0; i < 9; i++) {
    lag.samples = CALM;
    clock.advance(SHEDDING_LOOK_MS);
  }
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
