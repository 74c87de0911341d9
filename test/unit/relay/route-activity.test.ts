/** What is counted by rules, while somebody asks. */
import { expect, test } from 'vitest';

import { RouteActivity } from '../../../src/relay/route-activity.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';

test('it counts from the first time that it is asked until a minute after the last', () => {
  const clock = new ManualClock();
  const routes = new RouteActivity(new TimerWheel(clock));
  expect([routes.isOn, routes.countedMs]).toEqual([false, 0]);
  routes.asked();
  routes.done('chat.>', 'ok', 3);
  routes.done('chat.>', 'ok', null);
  routes.done('chat.>', 'TIMEOUT', 10_001);
  clock.advance(50_000);
  routes.asked();
  clock.advance(50_000);
  expect([routes.isOn, routes.countedMs]).toEqual([true, 100_000]);
  const { outcomes, latency } = routes.of('chat.>')!;
  expect([...outcomes]).toEqual([
    ['ok', 2],
    ['TIMEOUT', 1],
  ]);
  expect([latency.count, latency.counts[2], latency.counts.at(-1)]).toEqual([2, 1, 1]);
  clock.advance(10_100);
  expect([routes.isOn, routes.of('chat.>')]).toEqual([false, undefined]);
});
