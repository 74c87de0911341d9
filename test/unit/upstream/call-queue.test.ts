/** Calls that wait for a connection: in order, bounded, and gone when they are cancelled. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import { BareCall } from '../../support/call.ts';
import { CallQueue } from '../../../src/upstream/call-queue.ts';
import { Waits } from '../../../src/upstream/waits.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';

const PENDING: PendingCall = { cancel: () => {} };

function call(bytes = 0): Call {
  const made = new BareCall();
  made.body = Buffer.alloc(bytes);
  return made;
}

type Step = (waiting: CallQueue, model: Call[]) => void;

const STEPS: Readonly<Record<string, Step>> = {
  add(waiting, model) {
    const one = call();
    expect(waiting.add(one, PENDING, null)).toBe(true);
    model.push(one);
  },
  take(waiting, model) {
    expect(waiting.take()?.call).toBe(model.shift());
  },
  cancelFirst(waiting, model) {
    const one = model.shift();
    if (one !== undefined) waiting.remove(one);
  },
  cancelLast(waiting, model) {
    const one = model.pop();
    if (one !== undefined) waiting.remove(one);
  },
};

test('is a queue whatever is added, taken and cancelled', () => {
  const step = fc.constantFrom('add', 'add', 'take', 'cancelFirst', 'cancelLast');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const waiting = new CallQueue(Number.MAX_SAFE_INTEGER);
      const model: Call[] = [];
      for (const what of steps) {
        STEPS[what]!(waiting, model);
        expect(waiting.size).toBe(model.length);
        expect(model.every(({ pending }) => pending === PENDING)).toBe(true);
      }
      for (const one of model) expect(waiting.take()?.call).toBe(one);
      expect(waiting.take()).toBeNull();
    }),
    { numRuns: 100 },
  );
});

test('many pass through it, taken or cancelled, and those that wait keep their order', () => {
  const waiting = new CallQueue(10_000_000);
  const stays = Array.from({ length: 5 }, () => call());
  for (const one of stays) expect(waiting.add(one, PENDING, null)).toBe(true);
  for (let i = 0; i < 10_000; i++) {
    const one = call(1_000);
    expect(waiting.add(one, PENDING, null)).toBe(true);
    waiting.remove(one);
  }
  for (const one of stays) expect(waiting.take()?.call).toBe(one);
  for (let i = 0; i < 10_000; i++) {
    const one = call(1_000);
    expect(waiting.add(one, PENDING, null)).toBe(true);
    expect(waiting.take()?.call).toBe(one);
  }
});

test('bytes are bounded, and a place that is cancelled is free again', () => {
  const waiting = new CallQueue(10_000);
  const big = call(8_000);
  expect(waiting.add(big, PENDING, null)).toBe(true);
  expect(waiting.add(call(0), PENDING, null)).toBe(false);
  waiting.remove(big);
  expect(big.pending).toBeNull();
  expect(waiting.add(call(8_000), PENDING, null)).toBe(true);
});

test('what is to be sent waits with its call; calls are bounded in number, and bytes as they are given', () => {
  const few = new CallQueue<string>(1_000, 2);
  const [first, second] = [call(), call()];
  for (const [one, what] of [
    [first, 'a'],
    [second, 'b'],
  ] as const)
    expect(few.add(one, PENDING, what, 1)).toBe(true);
  expect(few.add(call(), PENDING, 'c', 1)).toBe(false);
  expect(few.take()).toEqual({ call: first, what: 'a', bytes: 1 });
  expect(few.bytes).toBe(1);
  expect(few.add(call(), PENDING, 'c', 1_000)).toBe(false);
  expect(few.add(call(), PENDING, 'c', 999)).toBe(true);
});

test('what waits is counted, and what has waited', () => {
  const metrics = new Metrics();
  const queue = new CallQueue(10_000, 3, new Waits(metrics, 'takeover'));
  const counted = () =>
    ['pith_calls_waiting', 'pith_calls_waited_total'].map((name) =>
      metrics.count(name as 'pith_calls_waiting', ['takeover']),
    );
  const [first, second, third] = [call(), call(), call()];
  expect(counted()).toEqual([0, 0]);
  for (const one of [first, second, third]) queue.add(one, PENDING, null);
  // It cannot wait.
  queue.add(call(), PENDING, null);
  expect(counted()).toEqual([3, 3]);
  queue.remove(second);
  queue.remove(second);
  queue.take();
  queue.take();
  queue.take();
  expect(counted()).toEqual([0, 3]);
});
