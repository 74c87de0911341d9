import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { Timeout, TimerWheel, WHEEL_TICK_MS } from '../../src/timer-wheel.ts';
import { ManualClock } from '../support/clock.ts';
import { TurnClock } from '../support/turn-clock.ts';

const TURN_MS = 1024 * WHEEL_TICK_MS;

type Fired = { readonly name: string | number; readonly atMs: number };

/** No time passes before the next turn of the event loop. */
class QuickClock extends ManualClock {
  override soon(fn: () => void): void {
    fn();
  }
}

/** A wheel, its clock, and a log of what fired when. */
function setUp(nowMs = 0) {
  const clock = new QuickClock(nowMs);
  const wheel = new TimerWheel(clock);
  const fired: Fired[] = [];
  const alarm = (name: string | number, then: () => void = () => {}) =>
    new Timeout(() => {
      fired.push({ name, atMs: clock.now() });
      then();
    });
  return { clock, wheel, fired, alarm, names: () => fired.map((entry) => entry.name) };
}

/** When an entry fires that was set at `setMs` for `ms`: at the first tick that is neither early nor past. */
function fireMs(setMs: number, ms: number): number {
  const deadlineTick = Math.ceil((setMs + Math.max(ms, 0)) / WHEEL_TICK_MS);
  return Math.max(deadlineTick, Math.floor(setMs / WHEEL_TICK_MS) + 1) * WHEEL_TICK_MS;
}

describe('when an entry fires', () => {
  for (const startMs of [0, 1, 7.25, 19.999, 20, 1_000_003]) {
    test(`never early and less than one tick late, from a clock at ${startMs} ms`, () => {
      for (const ms of [1, 5, 19, 20, 21, 39, 40, 41, 999, 1000, 1001, 5000]) {
        const { clock, wheel, fired, alarm } = setUp(startMs);
        wheel.set(alarm('x'), ms);
        clock.advance(ms - 0.5);
        expect(fired).toEqual([]);
        clock.advance(2 * WHEEL_TICK_MS);
        expect(fired).toHaveLength(1);
        const lateMs = fired[0]!.atMs - (startMs + ms);
        expect(lateMs).toBeGreaterThanOrEqual(0);
        // A look is due on the tick; timers count whole milliseconds.
        expect(lateMs).toBeLessThan(WHEEL_TICK_MS + 1);
      }
    });
  }

  test('a second entry is not late because the first armed the timer at another phase', () => {
    const { clock, wheel, fired, alarm } = setUp(19);
    wheel.set(alarm('first'), 500);
    wheel.set(alarm('second'), 2);
    clock.advance(600);
    expect(fired).toEqual([
      { name: 'second', atMs: 40 },
      { name: 'first', atMs: 520 },
    ]);
  });

  for (const ms of [0, -1, -10_000]) {
    test(`${ms} ms means the next tick`, () => {
      const { clock, wheel, fired, alarm } = setUp(100);
      wheel.set(alarm('x'), ms);
      expect(fired).toEqual([]);
      clock.advance(WHEEL_TICK_MS);
      expect(fired).toEqual([{ name: 'x', atMs: 120 }]);
    });
  }

  test('by deadline, and in the order of setting within one tick', () => {
    const { clock, wheel, names, alarm } = setUp();
    for (const [name, ms] of Object.entries({ d: 90, a: 25, c: 85, b: 30, e: 100 })) {
      wheel.set(alarm(name), ms);
    }
    clock.advance(200);
    expect(names()).toEqual(['a', 'b', 'd', 'c', 'e']);
  });

  test('once only', () => {
    const { clock, wheel, names, alarm } = setUp();
    wheel.set(alarm('x'), 50);
    clock.advance(3 * TURN_MS);
    expect(names()).toEqual(['x']);
  });

  test('after more than one turn of the wheel, and not at an earlier pass of its slot', () => {
    const { clock, wheel, fired, alarm } = setUp(60);
    const delays = [TURN_MS - 20, TURN_MS, TURN_MS + 20, 3 * TURN_MS + 40, 10 * TURN_MS];
    for (const ms of delays) wheel.set(alarm(ms), ms);
    wheel.set(alarm(40), 40);
    clock.advance(11 * TURN_MS);
    expect(fired).toEqual([40, ...delays].map((ms) => ({ name: ms, atMs: 60 + ms })));
  });
});

describe('a process that was stopped for a while', () => {
  for (const stopMs of [30, 1000, TURN_MS - 20, TURN_MS, TURN_MS + 20, 7.5 * TURN_MS]) {
    test(`fires at once all that came due in ${stopMs} ms, and nothing else`, () => {
      const { clock, wheel, names, alarm } = setUp();
      const delays = [20, 21, 500, 999, TURN_MS - 40, TURN_MS + 40, 5 * TURN_MS, 9 * TURN_MS];
      for (const ms of delays) wheel.set(alarm(ms), ms);
      clock.jump(stopMs);
      const due = delays.filter((ms) => Math.ceil(ms / 20) <= Math.floor(stopMs / 20));
      expect(new Set(names())).toEqual(new Set(due));
      expect(names()).toHaveLength(due.length);
      expect(wheel.size).toBe(delays.length - due.length);
      clock.advance(10 * TURN_MS);
      expect(new Set(names())).toEqual(new Set(delays));
      expect(names()).toHaveLength(delays.length);
    });
  }
});

describe('cancel and set', () => {
  test('a cancelled entry never fires, and cancelling again is harmless', () => {
    const { clock, wheel, names, alarm } = setUp();
    const x = alarm('x');
    wheel.set(x, 50);
    wheel.set(alarm('y'), 50);
    wheel.cancel(x);
    wheel.cancel(x);
    expect(wheel.size).toBe(1);
    clock.advance(TURN_MS * 2);
    expect(names()).toEqual(['y']);
  });

  test('cancelling an entry that was never set or has fired changes nothing', () => {
    const { clock, wheel, alarm } = setUp();
    const x = alarm('x');
    wheel.cancel(x);
    wheel.set(x, 10);
    clock.advance(20);
    wheel.cancel(x);
    expect(wheel.size).toBe(0);
  });

  test('setting again moves the entry, to later and to sooner', () => {
    const { clock, wheel, fired, alarm } = setUp();
    const [x, y] = [alarm('x'), alarm('y')];
    wheel.set(x, 100);
    wheel.set(y, 1000);
    clock.advance(80);
    wheel.set(x, 400);
    wheel.set(y, 100);
    expect(wheel.size).toBe(2);
    clock.advance(2000);
    expect(fired).toEqual([
      { name: 'y', atMs: 180 },
      { name: 'x', atMs: 480 },
    ]);
  });

  test('an entry may set itself again from onLate', () => {
    const { clock, wheel, fired, alarm } = setUp();
    const beat = alarm('beat', () => {
      wheel.set(beat, 100);
    });
    wheel.set(beat, 100);
    clock.advance(450);
    expect(fired.map((entry) => entry.atMs)).toEqual([100, 200, 300, 400]);
    expect(wheel.size).toBe(1);
  });

  test('set for 0 ms from onLate fires at the next tick, not a turn later', () => {
    const { clock, wheel, fired, alarm } = setUp();
    wheel.set(alarm('other'), 5000);
    const again = alarm('again');
    wheel.set(
      alarm('x', () => {
        wheel.set(again, 0);
      }),
      40,
    );
    clock.advance(100);
    expect(fired).toEqual([
      { name: 'x', atMs: 40 },
      { name: 'again', atMs: 60 },
    ]);
  });

  test('set for 0 ms from onLate after a stop does not fire twice in one look', () => {
    const { clock, wheel, fired, alarm } = setUp();
    wheel.set(alarm('other'), 50_000);
    const again = alarm('x', () => {
      wheel.set(again, 0);
    });
    wheel.set(again, 40);
    clock.jump(1000);
    expect(fired).toEqual([{ name: 'x', atMs: 1000 }]);
  });

  test('onLate may cancel another entry of the same slot, before its turn', () => {
    const { clock, wheel, names, alarm } = setUp();
    const victim = alarm('victim');
    const first = alarm('first', () => {
      wheel.cancel(victim);
    });
    wheel.set(first, 50);
    wheel.set(victim, 50);
    wheel.set(alarm('last'), 50);
    clock.advance(TURN_MS * 2);
    expect(names()).toEqual(['first', 'last']);
    expect(wheel.size).toBe(0);
  });

  test('onLate may move another late entry of the same slot', () => {
    const { clock, wheel, fired, alarm } = setUp();
    const moved = alarm('moved');
    wheel.set(
      alarm('first', () => {
        wheel.set(moved, 200);
      }),
      60,
    );
    wheel.set(moved, 60);
    clock.advance(1000);
    expect(fired).toEqual([
      { name: 'first', atMs: 60 },
      { name: 'moved', atMs: 260 },
    ]);
  });

  test('onLate may set an entry into the slot that is being fired, one turn on', () => {
    const { clock, wheel, fired, alarm } = setUp();
    const next = alarm('next');
    wheel.set(
      alarm('first', () => {
        wheel.set(next, TURN_MS);
      }),
      60,
    );
    clock.advance(3 * TURN_MS);
    expect(fired[1]).toEqual({ name: 'next', atMs: 60 + TURN_MS });
    expect(fired).toHaveLength(2);
  });
});

describe('the timer behind the wheel', () => {
  test('none is armed before the first set, one however many are set, none after the last fired', () => {
    const { clock, wheel, alarm } = setUp();
    expect(clock.timerCount).toBe(0);
    for (const ms of [10, 50, 90]) wheel.set(alarm(ms), ms);
    expect(clock.timerCount).toBe(1);
    clock.advance(99);
    expect([clock.timerCount, wheel.size]).toEqual([1, 1]);
    clock.advance(1);
    expect([clock.timerCount, wheel.size]).toEqual([0, 0]);
  });

  test('wakes the process up when something is due, and else once a second', () => {
    const { clock, wheel, names, alarm } = setUp();
    let wakings = 0;
    const setTimer = clock.setTimer.bind(clock);
    clock.setTimer = (ms, fn) =>
      setTimer(ms, () => {
        wakings++;
        fn();
      });
    wheel.set(alarm('far'), 9_990);
    wheel.set(alarm('near'), 450);
    clock.advance(400);
    expect([wakings, clock.timerCount]).toEqual([0, 1]);
    wheel.set(alarm('nearest'), 15);
    clock.advance(9_600);
    expect(names()).toEqual(['nearest', 'near', 'far']);
    // At 420 and 460 ms, once in each second after that, and at 10 s.
    expect([wakings, clock.timerCount]).toEqual([12, 0]);
  });

  test('after the last cancel it goes within a second, and the wheel still works', () => {
    const { clock, wheel, fired, alarm } = setUp();
    const x = alarm('x');
    wheel.set(x, 500);
    wheel.cancel(x);
    clock.advance(1_000);
    expect(clock.timerCount).toBe(0);
    clock.advance(TURN_MS);
    wheel.set(x, 30);
    clock.advance(40);
    expect(fired).toEqual([{ name: 'x', atMs: 1_000 + TURN_MS + 40 }]);
  });

  test('stop forgets everything and takes the timer away at once', () => {
    const { clock, wheel, names, alarm } = setUp();
    const x = alarm('x');
    wheel.set(x, 30);
    wheel.set(alarm('far'), 5 * TURN_MS);
    wheel.stop();
    expect([clock.timerCount, wheel.size]).toEqual([0, 0]);
    clock.advance(6 * TURN_MS);
    expect(names()).toEqual([]);
    wheel.set(x, 30);
    clock.advance(60);
    expect(names()).toEqual(['x']);
  });

  test('stop from onLate keeps what is late in the same slot from firing', () => {
    const { clock, wheel, names, alarm } = setUp();
    wheel.set(
      alarm('stopper', () => {
        wheel.stop();
      }),
      50,
    );
    wheel.set(alarm('same slot'), 50);
    wheel.set(alarm('later'), 90);
    clock.advance(1000);
    expect(names()).toEqual(['stopper']);
    expect([clock.timerCount, wheel.size]).toEqual([0, 0]);
  });

  test('now() is the clock of the wheel', () => {
    const { clock, wheel } = setUp(12);
    clock.advance(30);
    expect(wheel.now()).toBe(42);
  });
});

/** xorshift32: fast-check picks the seed, so that 100 000 steps cost no shrinking. */
function randomInts(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

describe('against a naive model', () => {
  const sizes = {
    '1 000': { entries: 1000, numRuns: 20 },
    '100 000': { entries: 100_000, numRuns: 1 },
  };
  for (const [name, { entries, numRuns }] of Object.entries(sizes))
    test(`${name} entries set, moved and cancelled at random fire exactly when and in the order they should`, () => {
      fc.assert(
        fc.property(fc.integer(), fc.integer({ min: 0, max: 50_000 }), (seed, startMs) => {
          const random = randomInts(seed);
          const { clock, wheel, fired, alarm } = setUp(startMs);
          const alarms = Array.from({ length: entries }, (_, i) => alarm(i));
          const waiting = new Map<number, number>();
          const expected: Fired[] = [];
          const expire = () => {
            // A map keeps the order of setting and the sort is stable: the wheel's order within a tick.
            const due = [...waiting].filter(([, atMs]) => atMs <= clock.now());
            for (const [name, atMs] of due.toSorted((a, b) => a[1] - b[1])) {
              waiting.delete(name);
              expected.push({ name, atMs });
            }
          };
          const set = (name: number) => {
            const ms = random(10) === 0 ? random(4 * TURN_MS) : random(2000) - 5;
            wheel.set(alarms[name]!, ms);
            waiting.delete(name);
            waiting.set(name, fireMs(clock.now(), ms));
          };
          for (let name = 0; name < alarms.length; name++) {
            set(name);
            if (random(4) === 0) set(random(name + 1));
            if (random(4) === 0) {
              const other = random(name + 1);
              wheel.cancel(alarms[other]!);
              waiting.delete(other);
            }
            if (random(1000) === 0) {
              clock.advance(random(300));
              expire();
            }
          }
          expect(wheel.size).toBe(waiting.size);
          clock.advance(5 * TURN_MS);
          expire();
          expect(waiting.size).toBe(0);
          expect(wheel.size).toBe(0);
          expect(clock.timerCount).toBe(0);
          expect(fired.length).toBe(expected.length);
          const wrong = fired.findIndex(
            (entry, i) => entry.name !== expected[i]!.name || entry.atMs !== expected[i]!.atMs,
          );
          expect(wrong).toBe(-1);
        }),
        { numRuns },
      );
    });
});

describe('many that are due at once', () => {
  function due(count: number) {
    const clock = new TurnClock(0);
    const wheel = new TimerWheel(clock);
    const fired: number[] = [];
    const alarms = Array.from({ length: count }, (_, n) => new Timeout(() => fired.push(n)));
    for (const alarm of alarms) wheel.set(alarm, 100);
    clock.advance(100);
    return { clock, wheel, fired, alarms };
  }

  test('fire in their order, 64 in a turn of the event loop', () => {
    const { clock, wheel, fired } = due(200);
    const counts = [fired.length];
    while (clock.turn()) counts.push(fired.length);
    expect(counts).toEqual([64, 128, 192, 200]);
    expect(fired).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(wheel.size).toBe(0);
  });

  test('those that wait can be cancelled, and set again', () => {
    const { clock, wheel, fired, alarms } = due(400);
    wheel.cancel(alarms[300]!);
    wheel.set(alarms[399]!, 1_000);
    expect(wheel.leftMs(alarms[398]!)).toBe(0);
    clock.settle();
    expect(fired).toHaveLength(398);
    expect(fired).not.toContain(300);
    clock.advance(1_000);
    expect(fired.slice(398)).toEqual([399]);
  });

  test('what is due a tick later fires after them', () => {
    const { clock, wheel, fired } = due(600);
    wheel.set(new Timeout(() => fired.push(-1)), WHEEL_TICK_MS);
    clock.advance(2 * WHEEL_TICK_MS);
    expect(fired).toHaveLength(64);
    clock.settle();
    expect(fired.at(-1)).toBe(-1);
    expect(fired).toHaveLength(601);
  });

  test('none fires after a stop', () => {
    const { clock, wheel, fired } = due(600);
    wheel.stop();
    clock.settle();
    expect(fired).toHaveLength(64);
    expect(wheel.size).toBe(0);
  });
});

describe('a moment', () => {
  test('has one time, however long it takes, and one that begins within it is the same', () => {
    const { clock, wheel } = setUp(1_000);
    expect(wheel.beginMoment()).toBe(true);
    clock.advance(7);
    expect(wheel.beginMoment()).toBe(false);
    expect(wheel.now()).toBe(1_000);
    wheel.endMoment();
    expect(wheel.now()).toBe(1_007);
    expect(wheel.beginMoment()).toBe(true);
    expect(wheel.now()).toBe(1_007);
  });

  test('that begins at 0 is one, too', () => {
    const { clock, wheel } = setUp(0);
    wheel.beginMoment();
    clock.advance(7);
    expect(wheel.now()).toBe(0);
  });

  test('is what entries that are set in it count from', () => {
    const { clock, wheel, alarm, names } = setUp(1_000);
    wheel.beginMoment();
    clock.advance(WHEEL_TICK_MS / 2);
    wheel.set(alarm('late'), 5 * WHEEL_TICK_MS);
    wheel.endMoment();
    clock.advance(4.5 * WHEEL_TICK_MS - 1);
    expect(names()).toEqual([]);
    clock.advance(1);
    expect(names()).toEqual(['late']);
  });
});
