/** Who comes faster than the gateway lets in waits for a turn, in order. On a manual clock. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AcceptPace, type Arrival } from '../../../src/transport/accept-pace.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';

function setUp(perSecond: number) {
  const clock = new ManualClock(7_000);
  const { log, lines } = keptLog();
  const pace = new AcceptPace({ wheel: new TimerWheel(clock), log }, perSecond);
  const begun: number[] = [];
  let came = 0;
  const arrive = (): Arrival => {
    const n = ++came;
    const arrival = { begin: () => void begun.push(n) };
    if (pace.enter(arrival)) begun.push(n);
    return arrival;
  };
  return { clock, pace, lines, begun, arrive };
}

describe('at the start', () => {
  test('a fifth of a second may come at once; the rate is an eighth, and doubles each second', () => {
    const { clock, pace, begun, arrive } = setUp(800);
    for (let i = 0; i < 5_000; i++) arrive();
    expect([begun.length, pace.waiting, pace.delayed]).toEqual([160, 4_840, 4_840]);
    const inSeconds: number[] = [];
    for (let second = 0; second < 6; second++) {
      const before = begun.length;
      clock.advance(1_000);
      inSeconds.push(begun.length - before);
    }
    // 100 a second at first, 800 from the third second on: the integral of it, and a tick more or less.
    const expected = [144, 289, 577, 800, 800, 800];
    for (const [i, count] of inSeconds.entries())
      expect(Math.abs(count - expected[i]!)).toBeLessThanOrEqual(20);
    expect(begun).toEqual(Array.from({ length: begun.length }, (_, i) => i + 1));
  });

  test('is the first connection, however long nobody came', () => {
    const { clock, begun, arrive } = setUp(800);
    clock.advance(3_600_000);
    for (let i = 0; i < 1_000; i++) arrive();
    clock.advance(1_000);
    expect(begun.length).toBeLessThanOrEqual(160 + 144 + 20);
  });
});

/** One that has been there for a while. */
function warm(perSecond: number) {
  const all = setUp(perSecond);
  all.arrive();
  all.clock.advance(10_000);
  all.begun.length = 0;
  return all;
}

describe('later', () => {
  test('nobody waits who comes at the rate', () => {
    const { clock, pace, begun, arrive } = warm(100);
    for (let i = 0; i < 1_000; i++) {
      clock.advance(10);
      arrive();
    }
    expect([begun.length, pace.delayed]).toEqual([1_000, 0]);
  });

  test('nobody overtakes', () => {
    const { clock, begun, arrive } = warm(10);
    for (let i = 0; i < 5; i++) arrive();
    clock.advance(150);
    arrive();
    clock.advance(10_000);
    expect(begun).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test('who leaves costs no turn, and none is called who left', () => {
    const { clock, pace, begun, arrive } = warm(10);
    const arrivals = Array.from({ length: 12 }, () => arrive());
    for (const arrival of arrivals.slice(2, 10)) pace.leave(arrival);
    expect(pace.waiting).toBe(2);
    clock.advance(240);
    expect(begun).toEqual([2, 3, 12, 13]);
    expect(clock.timerCount).toBeLessThanOrEqual(1);
  });

  test('whatever comes when, the rate is kept, and everybody has a turn', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.array(fc.tuple(fc.nat(400), fc.nat(60)), { minLength: 1, maxLength: 30 }),
        (perSecond, crowds) => {
          const { clock, begun, arrive } = warm(perSecond);
          let all = 0;
          let ms = 0;
          for (const [rest, crowd] of crowds) {
            clock.advance(rest);
            ms += rest;
            for (let i = 0; i < crowd; i++) arrive();
            all += crowd;
            const most = Math.max(1, perSecond / 5) + (perSecond * ms) / 1_000;
            expect(begun.length).toBeLessThanOrEqual(most + 1e-6);
          }
          // A slow rate loses up to a tick with each turn.
          clock.advance((1.25 * (all + 1) * 1_000) / perSecond + 100);
          expect(begun.length).toBe(all);
        },
      ),
    );
  });

  test('another rate holds at once, for those who wait too', () => {
    const { clock, pace, begun, arrive } = warm(10);
    for (let i = 0; i < 1_002; i++) arrive();
    expect(begun.length).toBe(2);
    pace.perSecond = 1_000;
    clock.advance(500);
    expect(Math.abs(begun.length - 502)).toBeLessThanOrEqual(25);
  });

  test('the log says once that they wait, which key it is, and how many', () => {
    const { clock, lines, arrive } = warm(10);
    for (let i = 0; i < 100; i++) arrive();
    clock.advance(9_000);
    for (let i = 0; i < 100; i++) arrive();
    expect(lines).toEqual([
      {
        level: 'warn',
        msg: 'new connections wait for their turn',
        what: 'limits.accepts_per_second is 10; in the first seconds it is less',
      },
    ]);
  });
});
