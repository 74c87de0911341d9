/** A log level that is changed for a time ends by itself, whatever else is changed meanwhile. */
import { expect, test } from 'vitest';

import { LevelSwitch } from '../../../src/telemetry/level-switch.ts';
import { ManualClock } from '../../support/clock.ts';
import { keptLog } from '../../support/report.ts';

function stage() {
  const clock = new ManualClock();
  const { log, lines } = keptLog();
  log.level = 'info';
  const level = new LevelSwitch({ clock, log }, 'info');
  const told: string[] = [];
  level.onChange = () => void told.push(log.level);
  return { clock, log, level, lines, told };
}

test('it ends by itself, and says so in the log', () => {
  const { clock, log, level, told } = stage();
  level.set('debug', 60_000);
  expect([log.level, level.untilWall - clock.wallNow()]).toEqual(['debug', 60_000]);
  clock.advance(59_999);
  expect(log.level).toBe('debug');
  clock.advance(1);
  expect([log.level, level.untilWall]).toEqual(['info', 0]);
  expect(told).toEqual(['debug', 'info']);
});

test('the next change counts from then on, and an end of the last one does not come any more', () => {
  const { clock, log, level } = stage();
  level.set('debug', 10_000);
  level.set('warn', 0);
  clock.advance(20_000);
  expect([log.level, level.untilWall]).toEqual(['warn', 0]);
  level.set('debug', 10_000);
  level.set(null, 0);
  expect([log.level, level.untilWall]).toEqual(['info', 0]);
});

test('a reload that changes the level ends it; one that does not leaves it', () => {
  const { clock, log, level } = stage();
  level.set('debug', 10_000);
  level.configure('info');
  expect(log.level).toBe('debug');
  level.configure('warn');
  expect([log.level, level.untilWall]).toEqual(['warn', 0]);
  level.set('debug', 10_000);
  clock.advance(10_000);
  expect(log.level).toBe('warn');
});

test('what changes nothing is not said', () => {
  const { level, told } = stage();
  level.set(null, 0);
  level.set('info', 0);
  expect(told).toEqual([]);
  // That it ends, or does not any more, is a change.
  level.set('info', 10_000);
  level.set('info', 0);
  expect(told).toEqual(['info', 'info']);
});
