/** How many lines of one kind are let through, and what is told of the others. */
import { expect, test } from 'vitest';

import { LogThrottle } from '../../../src/telemetry/log-throttle.ts';
import { ManualClock } from '../../support/clock.ts';

function stage() {
  const clock = new ManualClock();
  return { clock, throttle: new LogThrottle(clock) };
}

/** What became of `n` lines of a kind. */
function lines(throttle: LogThrottle, kind: string, n: number): unknown[] {
  return Array.from({ length: n }, () => throttle.allow(kind));
}

test('five lines of a kind in ten seconds, and the next says how many were left out', () => {
  const { clock, throttle } = stage();
  expect(lines(throttle, 'a', 8)).toEqual([{}, {}, {}, {}, {}, null, null, null]);
  clock.advance(9_999);
  expect(throttle.allow('a')).toBe(null);
  clock.advance(1);
  expect(lines(throttle, 'a', 6)).toEqual([{ leftOut: 4 }, {}, {}, {}, {}, null]);
});

test('the ten seconds begin with the first line, not with the last', () => {
  const { clock, throttle } = stage();
  expect(throttle.allow('a')).toEqual({});
  clock.advance(9_999);
  expect(lines(throttle, 'a', 5)).toEqual([{}, {}, {}, {}, null]);
  clock.advance(1);
  expect(lines(throttle, 'a', 2)).toEqual([{ leftOut: 1 }, {}]);
});

test('a period in which nothing was left out is not mentioned', () => {
  const { clock, throttle } = stage();
  lines(throttle, 'a', 5);
  clock.advance(10_000);
  expect(throttle.allow('a')).toEqual({});
});

test('each kind has its own lines', () => {
  const { throttle } = stage();
  lines(throttle, 'a', 6);
  expect(lines(throttle, 'b', 6)).toEqual([{}, {}, {}, {}, {}, null]);
});

test('a thousand kinds at a time; another is left out until some have been quiet for ten seconds', () => {
  const { clock, throttle } = stage();
  for (let n = 0; n < 500; n++) throttle.allow(`early ${n}`);
  clock.advance(5_000);
  for (let n = 0; n < 500; n++) throttle.allow(`late ${n}`);
  expect(throttle.allow('one more')).toBe(null);
  // Those that are known already go on.
  expect(throttle.allow('late 0')).toEqual({});
  clock.advance(4_999);
  expect(throttle.allow('one more')).toBe(null);
  clock.advance(1);
  expect(throttle.allow('one more')).toEqual({});
  // 500 of `late` are still known, and the one.
  for (let n = 0; n < 499; n++) expect(throttle.allow(`new ${n}`)).toEqual({});
  expect(throttle.allow('one too many')).toBe(null);
});
