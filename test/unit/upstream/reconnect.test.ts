/** How soon a connection is tried again. */
import { describe, expect, test } from 'vitest';

import { TimerWheel } from '../../../src/timer-wheel.ts';
import { Reconnect } from '../../../src/upstream/reconnect.ts';
import { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';

function stage(): { clock: ManualClock; reconnect: Reconnect; tries: number[] } {
  const clock = new ManualClock();
  const tries: number[] = [];
  const wheel = new TimerWheel(clock);
  const reconnect = new Reconnect(wheel, seededRandom(), () => void tries.push(clock.now()));
  return { clock, reconnect, tries };
}

/** How long the next try takes to come, in milliseconds. */
function pause({ clock, reconnect, tries }: ReturnType<typeof stage>): number {
  const from = clock.now();
  reconnect.later();
  const count = tries.length;
  while (tries.length === count) clock.advance(20);
  return tries.at(-1)! - from;
}

describe('a connection that cannot be made', () => {
  test('is tried less and less often, up to a bound', () => {
    const all = stage();
    const pauses = Array.from({ length: 10 }, () => pause(all));
    for (const [n, ms] of pauses.entries()) {
      const most = Math.min(100 * 2 ** n, 5_000);
      expect(ms).toBeGreaterThanOrEqual(most / 2);
      expect(ms).toBeLessThanOrEqual(most + 40);
    }
  });
});

describe('a connection that is lost', () => {
  test('is made again at once when it was there for a while', () => {
    const all = stage();
    for (let n = 0; n < 5; n++) pause(all);
    all.reconnect.up();
    all.clock.advance(1_000);
    expect(pause(all)).toBeLessThanOrEqual(140);
  });

  test('is not, when each one ends as soon as it is there', () => {
    const all = stage();
    let waited = 0;
    for (let n = 0; n < 20; n++) {
      waited += pause(all);
      all.reconnect.up();
      all.clock.advance(10);
    }
    // Twenty tries in a second and less would be a storm.
    expect(waited).toBeGreaterThan(35_000);
  });
});
