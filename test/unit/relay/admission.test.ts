import { describe, expect, test } from 'vitest';
import fc from 'fast-check';

import { Admission } from '../../../src/relay/admission.ts';
import { connect } from '../session/support.ts';

const rate = (messagesPerSecond: number, burst: number) => {
  const limits = { inFlightPerBackend: 2, inFlightBytes: 1_000 };
  const admission = new Admission({ messagesPerSecond, burst, ...limits });
  admission.addBackend();
  admission.addBackend();
  return admission;
};

describe('a session', () => {
  test('may send its burst at once, then as many as its rate allows', () => {
    const admission = rate(10, 5);
    const { session } = connect();
    const at = (now: number) => admission.refusal(session, now) === null;
    expect([1, 2, 3, 4, 5, 6].map(() => at(1_000))).toEqual([true, true, true, true, true, false]);
    expect([at(1_099), at(1_100), at(1_150), at(1_200)]).toEqual([false, true, false, true]);
    expect([1, 2, 3, 4, 5, 6].map(() => at(60_000))).toEqual([true, true, true, true, true, false]);
  });

  test('keeps its rate over time however it asks, and gets no less', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 2, max: 20 }),
        gaps,
        (...given) => {
          const [perSecond, burst, waits] = given;
          const admission = rate(perSecond, burst);
          const { session } = connect();
          let now = 1_000;
          let taken = 0;
          for (let i = 0; i < 2_000; i++) {
            now += waits[i % waits.length]!;
            if (admission.refusal(session, now) === null) taken++;
            expect(taken).toBeLessThanOrEqual(burst + ((now - 1_000) * perSecond) / 1_000 + 1e-6);
          }
          // Asked often enough, it gets all of it but one.
          const often = waits.every((wait) => wait * perSecond < 500);
          const due = Math.min(2_000, burst + ((now - 1_000) * perSecond) / 1_000);
          expect(taken).toBeGreaterThan(often ? due - 2 : 0);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('has no limit at 0', () => {
    const admission = rate(0, 0);
    const { session } = connect();
    expect(
      Array.from({ length: 100 }, () => admission.refusal(session, 1) === null).every(Boolean),
    ).toBe(true);
  });
});

test('a backend takes as many as may be in flight, and its neighbour its own', () => {
  const admission = rate(0, 0);
  expect([0, 0, 0, 1].map((backend) => admission.enter(backend))).toEqual([
    true,
    true,
    false,
    true,
  ]);
  expect([admission.inFlight(0), admission.inFlight(1)]).toEqual([2, 1]);
  admission.leave(0, 0);
  expect(admission.enter(0)).toBe(true);
});

test('bodies of all backends together hold as many bytes as may be in flight, to the byte', () => {
  const admission = rate(0, 0);
  expect([600, 300, 101, 100, 1].map((bytes) => admission.hold(bytes))).toEqual([
    true,
    true,
    false,
    true,
    false,
  ]);
  expect(admission.heldBytes).toBe(1_000);
  admission.enter(1);
  admission.leave(1, 300);
  expect(admission.heldBytes).toBe(700);
  expect([301, 300].map((bytes) => admission.hold(bytes))).toEqual([false, true]);
});

test('the log says which number a message passed', () => {
  const admission = rate(0, 0);
  expect(admission.overload('in_flight_per_backend')).toMatchObject({
    ...{ code: 503, reason: 'OVERLOADED', detail: 'limits.in_flight_per_backend is 2' },
  });
  expect(admission.overload('in_flight_bytes').detail).toBe('limits.in_flight_bytes is 1000 bytes');
});

test('who asks too much is told when to come again, and the log which number it was', () => {
  const admission = new Admission({
    messagesPerSecond: 4,
    burst: 1,
    inFlightPerBackend: 2,
    inFlightBytes: 10,
  });
  const { session } = connect();
  expect(admission.refusal(session, 1_000)).toBe(null);
  expect(admission.refusal(session, 1_050)).toMatchObject({
    ...{ code: 429, reason: 'TOO_MANY', retryAfterMs: 200 },
    detail: 'limits.messages_per_second is 4, with a burst of 1',
  });
});
