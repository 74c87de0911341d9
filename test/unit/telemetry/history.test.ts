/** What was counted during the last hour, step by step. */
import { expect, test } from 'vitest';

import { History } from '../../../src/telemetry/history.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { ManualClock } from '../../support/clock.ts';

const STEP_MS = 10_000;

/** Whose wall clock can be set back. */
class WallClock extends ManualClock {
  setBackMs = 0;

  override wallNow(): number {
    return super.wallNow() - this.setBackMs;
  }
}

function stage() {
  const clock = new WallClock();
  const wheel = new TimerWheel(clock);
  const metrics = new Metrics();
  const open = { sessions: 0 };
  const history = new History({ clock, wheel, metrics, sessions: () => open.sessions });
  history.start();
  /** The values of a series from the first that is not 0. */
  const shown = (): Record<string, number[]> =>
    Object.fromEntries(
      history.read().series.map(({ kind, name, values }) => {
        expect(values).toHaveLength(360);
        return [`${kind} ${name}`.trim(), values.slice(values.findIndex((one) => one !== 0))];
      }),
    );
  return { clock, metrics, open, history, shown };
}

test('each count is in the step in which it was counted', () => {
  const { clock, metrics, open, history, shown } = stage();
  metrics.add('pith_connections_accepted_total', ['tcp'], 2);
  metrics.add('pith_connections_accepted_total', ['ws']);
  metrics.add('pith_requests_total', ['chat', 'ok'], 5);
  metrics.add('pith_requests_total', ['chat', 'TIMEOUT'], 2);
  metrics.add('pith_requests_total', ['game', 'TIMEOUT']);
  metrics.add('pith_requests_total', ['game', 'client_gone']);
  metrics.add('pith_messages_refused_total', ['NO_ROUTE'], 4);
  open.sessions = 3;
  clock.advance(STEP_MS);
  metrics.add('pith_sessions_closed_total', ['kick'], 2);
  metrics.add('pith_requests_total', ['chat', 'TIMEOUT']);
  open.sessions = 1;
  clock.advance(STEP_MS);
  expect(shown()).toEqual({
    opened: [3, 0, 0],
    messages: [9, 1, 0],
    'failed TIMEOUT': [3, 1, 0],
    'refused NO_ROUTE': [4, 0, 0],
    'closed kick': [2, 0],
    sessions: [3, 1, 1],
  });
  const { startMs } = history.read();
  expect(startMs % STEP_MS).toBe(0);
  expect(startMs + 359 * STEP_MS).toBeLessThanOrEqual(clock.wallNow());
  expect(startMs + 360 * STEP_MS).toBeGreaterThan(clock.wallNow());
});

test('what is older than an hour is forgotten, however long nobody looked', () => {
  const { clock, metrics, open, shown } = stage();
  open.sessions = 1;
  metrics.add('pith_sessions_closed_total', ['kick'], 7);
  clock.advance(359 * STEP_MS);
  expect(shown()['closed kick']).toHaveLength(360);
  clock.advance(STEP_MS);
  expect(shown()).toEqual({ sessions: Array.from({ length: 360 }, () => 1) });
  metrics.add('pith_sessions_closed_total', ['kick']);
  clock.advance(1_000 * STEP_MS);
  expect(shown()).toEqual({ sessions: Array.from({ length: 360 }, () => 1) });
});

test('where nothing has happened yet it says since when', () => {
  const { history, clock } = stage();
  const { startMs, series } = history.read();
  expect(series).toEqual([
    { kind: 'sessions', name: '', values: Array.from({ length: 360 }, () => 0) },
  ]);
  expect(startMs + 360 * STEP_MS).toBeGreaterThan(clock.wallNow());
});

test('a wall clock that is set back loses no count', () => {
  const { clock, metrics, shown } = stage();
  clock.advance(5 * STEP_MS);
  clock.setBackMs = 3 * STEP_MS;
  metrics.add('pith_sessions_closed_total', ['kick'], 2);
  expect(shown()['closed kick']).toEqual([2]);
});
