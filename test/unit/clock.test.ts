/** The system's clock, where Node's timers have their ways. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { systemClock } from '../../src/clock.ts';

test('a timer for longer than Node can wait is not called at once', async () => {
  const called: string[] = [];
  const cancel = systemClock.setTimer(2 ** 31, () => called.push('after 24.8 days'));
  systemClock.setTimer(1, () => called.push('after 1 ms'));
  await pause(30);
  cancel();
  expect(called).toEqual(['after 1 ms']);
});
