/** Faults that nobody waits for, and steps of the stop that hang or fail. */
import { expect, test } from 'vitest';

import { inBackground } from '../../src/background.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { Faults } from '../../src/faults.ts';
import { ManualClock } from '../support/clock.ts';

function stage() {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as never);
  const log = makeLog({ clock, level: 'info', format: 'json', write });
  return { clock, metrics, lines, faults: new Faults(clock, log, metrics) };
}

test('work that fails in the background is told to whoever was named, and to nobody else', async () => {
  const heard: unknown[] = [];
  const error = new Error('no');
  inBackground(Promise.reject(error), (why) => void heard.push(why));
  inBackground(Promise.resolve(1), (why) => void heard.push(why));
  await Promise.resolve();
  await Promise.resolve();
  expect(heard).toEqual([error]);
});

test('faults are counted each, and logged a few times', () => {
  const { metrics, lines, faults } = stage();
  for (let n = 0; n < 100; n++) faults.onFault(new Error('lost'));
  faults.onFault('a text');
  expect(metrics.count('pith_internal_errors_total', [])).toBe(101);
  expect(lines).toHaveLength(5);
  expect(lines[0]).toMatchObject({
    level: 'error',
    msg: 'internal error',
    err: { message: 'lost' },
  });
});

test('a step of the stop that rejects, throws or never ends is followed by the next', async () => {
  const { clock, lines, faults } = stage();
  await faults.step('one', 5_000, () => Promise.reject(new Error('refused')));
  await faults.step('two', 5_000, () => {
    throw new Error('broken');
  });
  const never = faults.step('three', 5_000, () => new Promise(() => {}));
  clock.advance(5_000);
  await never;
  expect(lines.map(({ what, why, ms }) => [what, why ?? ms])).toEqual([
    ['one', 'refused'],
    ['two', 'broken'],
    ['three', 5_000],
  ]);
});
