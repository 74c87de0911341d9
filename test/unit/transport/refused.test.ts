// Refusals are logged with what to do, and a flood of them does not fill the disk.
import { describe, expect, test } from 'vitest';

import { makeLog } from '../../../src/telemetry/log.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { REFUSALS, RefusalLog, type RefusedConnection } from '../../../src/transport/refused.ts';
import { ManualClock } from '../../support/clock.ts';

/** Longer than the second in which there is one line, by the wheel's coarseness. */
const SECOND_MS = 1_040;

function refusals() {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const log = makeLog({
    clock,
    level: 'info',
    format: 'json',
    write: (line) => {
      const { time: _time, ...rest } = JSON.parse(line) as Record<string, unknown>;
      lines.push(rest);
    },
  });
  const wheel = new TimerWheel(clock);
  return { clock, wheel, lines, refused: new RefusalLog(() => 'ws://127.0.0.1:3010', log, wheel) };
}

describe('the log of refusals', () => {
  test.each(Object.keys(REFUSALS) as RefusedConnection[])('%s says what to do', (why) => {
    const { lines, refused } = refusals();
    refused.note(why, '192.0.2.1', '');
    expect(lines).toEqual([
      {
        level: 'info',
        msg: 'connection refused',
        why,
        what: REFUSALS[why],
        remoteAddress: '192.0.2.1',
        listener: 'ws://127.0.0.1:3010',
      },
    ]);
    expect(REFUSALS[why].length).toBeGreaterThan(40);
  });

  test('the detail is there when there is one', () => {
    const { lines, refused } = refusals();
    refused.note('tls_failed', '192.0.2.1', 'unsupported protocol');
    expect(lines[0]).toMatchObject({ detail: 'unsupported protocol' });
  });

  test('one line per reason and second, and then what was left out', () => {
    const { clock, lines, refused } = refusals();
    for (let i = 0; i < 100; i++) refused.note('silent', `192.0.2.${i}`, '');
    refused.note('connection_limit', '192.0.2.200', '');
    expect(lines.map(({ why, remoteAddress }) => [why, remoteAddress])).toEqual([
      ['silent', '192.0.2.0'],
      ['connection_limit', '192.0.2.200'],
    ]);
    clock.advance(SECOND_MS);
    expect(lines.slice(2)).toMatchObject([
      { why: 'silent', remoteAddress: '192.0.2.99', leftOut: 98 },
    ]);
  });

  test('a flood is one line a second, and every refusal is in one of them', () => {
    const { clock, lines, refused } = refusals();
    const noted = 2_500;
    for (let i = 0; i < noted; i++) {
      refused.note('silent', '192.0.2.1', '');
      clock.advance(10);
    }
    clock.advance(SECOND_MS);
    const told = lines.reduce((sum, { leftOut = 0 }) => sum + 1 + (leftOut as number), 0);
    expect(told).toBe(noted);
    expect(lines.length).toBeLessThanOrEqual(27);
  });

  test('after a quiet second the next one is told at once, and nothing is waited for', () => {
    const { clock, wheel, lines, refused } = refusals();
    refused.note('silent', '192.0.2.1', '');
    clock.advance(SECOND_MS);
    expect(wheel.size).toBe(0);
    refused.note('silent', '192.0.2.2', '');
    expect(lines.map(({ remoteAddress }) => remoteAddress)).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(lines[1]).not.toHaveProperty('leftOut');
  });
});
