/** Calls that wait for a connection: in order, bounded, and gone when they are cancelled. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Call, PendingCall } from '../../../src/upstream/call.ts';
import { BareCall } from '../../support/call.ts';
import { Waiting } from '../../../src/upstream/waiting.ts';

const PENDING: PendingCall = { cancel: () => {} };

function call(bytes = 0): Call {
  const made = new BareCall();
  made.body = Buffer.alloc(bytes);
  return made;
}

type Step = (waiting: Waiting, model: Call[]) => void;

const STEPS: Readonly<Record<string, Step>> = {
  add(waiting, model) {
    const one = call();
    expect(waiting.add(one, PENDING)).toBe(true);
    model.push(one);
  },
  take(waiting, model) {
    expect(waiting.take()).toBe(model.shift() ?? null);
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
      const waiting = new Waiting(Number.MAX_SAFE_INTEGER);
      const model: Call[] = [];
      for (const what of steps) {
        STEPS[what]!(waiting, model);
        expect(waiting.isEmpty).toBe(model.length === 0);
        expect(model.every(({ pending }) => pending === PENDING)).toBe(true);
      }
      for (const one of model) expect(waiting.take()).toBe(one);
      expect(waiting.take()).toBeNull();
    }),
    { numRuns: 100 },
  );
});

test('many pass through it, taken or cancelled, and those that wait keep their order', () => {
  const waiting = new Waiting(10_000_000);
  const stays = Array.from({ length: 5 }, () => call());
  for (const one of stays) expect(waiting.add(one, PENDING)).toBe(true);
  for (let i = 0; i < 10_000; i++) {
    const one = call(1_000);
    expect(waiting.add(one, PENDING)).toBe(true);
    waiting.remove(one);
  }
  for (const one of stays) expect(waiting.take()).toBe(one);
  for (let i = 0; i < 10_000; i++) {
    const one = call(1_000);
    expect(waiting.add(one, PENDING)).toBe(true);
    expect(waiting.take()).toBe(one);
  }
});

test('bytes are bounded, and a place that is cancelled is free again', () => {
  const waiting = new Waiting(10_000);
  const big = call(8_000);
  expect(waiting.add(big, PENDING)).toBe(true);
  expect(waiting.add(call(0), PENDING)).toBe(false);
  waiting.remove(big);
  expect(big.pending).toBeNull();
  expect(waiting.add(call(8_000), PENDING)).toBe(true);
});
