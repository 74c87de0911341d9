/** What an operator reads of a backend: the lines, how many of them, and what is counted. */
import { expect, test } from 'vitest';

import type { Session } from '../../../src/session/session.ts';
import { BareCall } from '../../support/call.ts';
import { keptReport } from '../../support/report.ts';

function calledBy(sid: string, seq: number): BareCall {
  return Object.assign(new BareCall(), { session: { sid } as Session, seq });
}

test.each([
  ['away', 'warn'],
  ['ejected', 'warn'],
  ['unhealthy', 'warn'],
  ['unresolved', 'warn'],
  ['failed', 'warn'],
  ['connected', 'info'],
  ['serving', 'info'],
  ['attached', 'info'],
  ['leaving', 'info'],
  ['idle', 'info'],
])('an address that is %s is a line of level %s', (state, level) => {
  const { report, lines } = keptReport('game', 'grpc');
  report.state('10.0.0.1:50', state, 'because');
  expect(lines).toEqual([
    { level, backend: 'game', address: '10.0.0.1:50', state, why: 'because', msg: 'backend' },
  ]);
});

test('a reason in the words of a backend is cut', () => {
  const { report, lines } = keptReport('game', 'grpc');
  report.state('a:1', 'away', 'x'.repeat(501));
  expect(lines[0]!['why']).toBe('x'.repeat(500));
});

test('an address that comes and goes is logged a few times, and no other suffers from it', () => {
  const { report, lines, clock } = keptReport('game', 'grpc');
  for (let n = 0; n < 7; n++) report.state('a:1', 'away', '');
  report.state('b:1', 'away', '');
  clock.advance(10_000);
  report.state('a:1', 'away', '');
  expect(lines.map(({ address, leftOut }) => [address, leftOut])).toEqual([
    ...Array.from({ length: 5 }, () => ['a:1', undefined]),
    ['b:1', undefined],
    ['a:1', 2],
  ]);
});

test('addresses without end leave the lines of calls alone', () => {
  const { report, lines } = keptReport('game', 'dial_in');
  for (let n = 0; n < 2_000; n++) report.state(`10.0.0.1:${n}`, 'attached', '');
  expect(lines).toHaveLength(1_000);
  report.trouble(calledBy('gw.1', 2), 'late', {}, 'no answer');
  expect(lines).toHaveLength(1_001);
});

test('late replies are counted by how the backend is reached, and not logged', () => {
  const { report, lines, metrics } = keptReport('game', 'ipc');
  report.lateReply();
  report.lateReply();
  expect(metrics.count('pith_late_replies_total', ['ipc'])).toBe(2);
  expect(lines).toEqual([]);
});

test('a call that failed: where and why, five lines of a kind', () => {
  const { report, lines } = keptReport('game', 'http');
  const call = calledBy('gw.1', 2);
  for (let n = 1; n <= 8; n++)
    report.trouble(call, 'status 500', { route: 'game.a' }, `status ${n}`);
  expect(call).toMatchObject({ reported: true, why: 'status 8' });
  report.trouble(calledBy('gw.1', 3), 'late', { route: 'game.b' }, 'no answer');
  expect(lines).toHaveLength(6);
  expect(lines.slice(4)).toEqual([
    {
      level: 'warn',
      backend: 'game',
      ...{ ref: 'gw.1-2', sid: 'gw.1', notify: true },
      route: 'game.a',
      why: 'status 5',
      msg: 'call failed',
    },
    {
      level: 'warn',
      backend: 'game',
      ...{ ref: 'gw.1-3', sid: 'gw.1', notify: true },
      route: 'game.b',
      why: 'no answer',
      msg: 'call failed',
    },
  ]);
});

test.each([
  ['push', 'push refused'],
  ['change', 'session change refused'],
  ['line', 'backend line'],
  ['frame', 'backend frame'],
] as const)('%s that was not used: all counted, five of a kind logged', (what, msg) => {
  const { report, lines, metrics } = keptReport('game', 'ipc');
  for (let n = 0; n < 9; n++) report.dropped(what, 'bad', 'one kind', { route: 'onX' });
  report.dropped(what, 'worse', 'another');
  expect(metrics.count('pith_backend_messages_dropped_total', ['game', what])).toBe(10);
  expect(lines).toHaveLength(6);
  expect(lines[0]).toEqual({ level: 'warn', backend: 'game', route: 'onX', why: 'bad', msg });
  expect(lines[5]).toEqual({ level: 'warn', backend: 'game', why: 'worse', msg });
});

test('ends of sessions that a backend is not notified of', () => {
  const { report, lines, metrics } = keptReport('game', 'http');
  report.unreported('it does not read');
  report.unreported('404', 60_000);
  const line = { level: 'warn', backend: 'game', msg: 'could not report ended sessions' };
  expect(lines).toEqual([
    { ...line, why: 'it does not read' },
    { ...line, why: '404', notAgainForMs: 60_000 },
  ]);
  expect(metrics.count('pith_backend_messages_dropped_total', ['game', 'untold'])).toBe(2);
});
