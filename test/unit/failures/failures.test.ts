/** What a gateway keeps of failures: how many, of whom, in what words. */
import { describe, expect, test } from 'vitest';

import { adviceOn, ANSWERED, DROPPED, ENDED } from '../../../src/failures/advice.ts';
import { BackendTroubles } from '../../../src/failures/backend-troubles.ts';
import { type FailureRecord, recordOf } from '../../../src/failures/failure-record.ts';
import {
  FAILURES_MAX,
  FAILURES_PER_SESSION_MAX,
  FAILURES_SHOWN_MAX,
  Failures,
  ORDINARY_ENDS_MAX,
} from '../../../src/failures/failures.ts';

const RECORD: FailureRecord = {
  ...{ ref: 'g.1-1', at: 1_000, what: 'request', uid: '', remoteIp: '203.0.113.77' },
  ...{ route: 'a.b', rule: 'a.*', backend: 'game', address: 'pith.rpc.a.b' },
  ...{ waitedMs: 1, tookMs: 2, retries: 0, code: 503, reason: 'BACKEND_AWAY' },
  ...{ message: 'the backend is unavailable; try again', cause: '', by: 'gateway' },
};

function failure(sid: string, seq: number, more: Partial<FailureRecord> = {}): FailureRecord {
  return { ...RECORD, ref: `${sid}-${seq}`, at: seq, ...more };
}

const refs = (records: readonly FailureRecord[]): string[] => records.map(({ ref }) => ref);

describe('what is kept', () => {
  test('has these bounds', () => {
    expect([FAILURES_PER_SESSION_MAX, FAILURES_MAX, ORDINARY_ENDS_MAX]).toEqual([8, 4_096, 1_024]);
  });

  test('is the last eight of a session, found by ref, sid and uid', () => {
    const failures = new Failures();
    for (let seq = 1; seq <= 20; seq++)
      failures.add(failure('g.1', seq, { uid: seq > 15 ? 'ann' : '' }));
    failures.add(failure('g.2', 1));
    expect(failures.size).toBe(9);
    const last = Array.from({ length: 8 }, (_, i) => `g.1-${13 + i}`);
    expect(refs(failures.about('g.1'))).toEqual(last);
    expect(refs(failures.about('ann'))).toEqual(last);
    expect(refs(failures.about('g.1-14'))).toEqual(['g.1-14']);
    expect(failures.about('g.1-12')).toEqual([]);
    expect(refs(failures.about('bob', ['g.2']))).toEqual(['g.2-1']);
  });

  test('is so many in all, the oldest go first', () => {
    const failures = new Failures();
    for (let n = 1; n <= FAILURES_MAX + 10; n++) failures.add(failure(`g.${n}`, 1));
    expect(failures.size).toBe(FAILURES_MAX);
    expect(failures.about('g.10')).toEqual([]);
    expect(refs(failures.about('g.11'))).toEqual(['g.11-1']);
  });

  test('of ends in which nothing went wrong less, so that they leave room for failures', () => {
    const failures = new Failures();
    failures.add(failure('g.1', 1));
    for (let n = 2; n <= 3 * FAILURES_MAX; n++)
      failures.add(failure(`g.${n}`, 0, { what: 'session', reason: 'client_closed' }));
    expect(failures.size).toBe(1 + ORDINARY_ENDS_MAX);
    expect(refs(failures.about('g.1'))).toEqual(['g.1-1']);
  });

  test('one session that fails all the time pushes nobody out', () => {
    const failures = new Failures();
    failures.add(failure('g.1', 1));
    for (let seq = 1; seq <= 2 * FAILURES_MAX; seq++) failures.add(failure('g.2', seq));
    expect(failures.size).toBe(9);
    expect(refs(failures.about('g.1'))).toEqual(['g.1-1']);
  });

  test('gives no more than so many at once', () => {
    const failures = new Failures();
    for (let n = 1; n <= 100; n++) failures.add(failure(`g.${n}`, n, { uid: 'ann' }));
    const found = failures.about('ann');
    expect(found).toHaveLength(FAILURES_SHOWN_MAX);
    expect(found.at(-1)!.ref).toBe('g.100-100');
  });

  test.each([
    ['full', '203.0.113.77'],
    ['masked', '203.0.113.0/24'],
    ['off', ''],
  ] as const)('has the address as log.client_ip %s shows it', (how, shown) => {
    const failures = new Failures(how);
    failures.add(RECORD);
    expect(failures.about('g.1')[0]!.remoteIp).toBe(shown);
  });

  test('is cut, and well-formed', () => {
    const failures = new Failures();
    failures.add({ ...RECORD, cause: `\ud800${'x'.repeat(9_000)}`, route: 'r'.repeat(9_000) });
    const [{ cause, route } = RECORD] = failures.about('g.1');
    expect([cause.length, route.length, cause.isWellFormed()]).toEqual([500, 256, true]);
  });
});

test.each([
  [null],
  [7],
  ['x'],
  [{}],
  [{ ref: 'g.1' }],
  [{ ref: 'g.1-1' }],
  [{ ref: 7, reason: 'X' }],
])('what another gateway says is checked: %j is no record', (value) => {
  expect(recordOf(value)).toBe(null);
});

test('of what another gateway says the fields of a wrong type are empty', () => {
  const odd = { ref: 'g.1-1', reason: 'X', at: 'now', code: Infinity, by: 'me', what: {}, uid: 7 };
  expect(recordOf(odd)).toMatchObject({
    ...{ at: 0, code: 0, by: 'gateway', what: 'request', uid: '' },
  });
});

test('every kind has its advice, and a sentence', () => {
  for (const advice of [ANSWERED, ENDED, DROPPED])
    for (const text of Object.values(advice)) expect(text).toMatch(/^[A-Z].+\.$/);
});

test.each([
  [{}, /Check that the backend runs, and that backends\.game has its address/],
  [{ cause: 'its circuit breaker is open' }, /after failures in a row \(backends\.game\.breaker\)/],
  [{ reason: 'TOO_POOR', by: 'backend' }, /The backend has refused it/],
  [{ what: 'dropped', reason: 'duplicate_id' }, /must count its ids up/],
  [{ what: 'session', reason: 'max_age' }, /sessions\.max_age.* Nothing: the client comes back\./],
  [{ what: 'session', reason: 'handshake_refused', cause: 'BAD_TOKEN: expired' }, /auth\.jwt/],
  [{ what: 'session', reason: 'of_the_future' }, /A later release/],
] as const)('the advice on %j', (more, text) => {
  expect(adviceOn({ ...RECORD, ...more })).toMatch(text);
});

test('what was last wrong with a backend, and how long before', () => {
  const troubles = new BackendTroubles();
  expect(troubles.of('game', 5_000)).toBe('');
  troubles.had('game', 'a:1 is away: nothing listens there', 2_000);
  expect(troubles.of('game', 4_500)).toBe('a:1 is away: nothing listens there (2.5 s before)');
});
