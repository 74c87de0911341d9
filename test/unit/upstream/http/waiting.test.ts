/** Calls that wait for a connection: in order, bounded, and gone when they are cancelled. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Call, type CallEnd } from '../../../../src/upstream/call.ts';
import { Waiting } from '../../../../src/upstream/http/waiting.ts';

function call(bytes = 0): Call {
  const made = new Call({} as CallEnd);
  made.body = Buffer.alloc(bytes);
  return made;
}

test('is a queue whatever is added, taken and cancelled', () => {
  const step = fc.constantFrom('add', 'add', 'take', 'cancel first', 'cancel last');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const waiting = new Waiting(Number.MAX_SAFE_INTEGER);
      const model: Call[] = [];
      for (const what of steps) {
        if (what === 'add') {
          const one = call();
          expect(waiting.add(one)).toBe(true);
          model.push(one);
        } else if (what === 'take') {
          expect(waiting.take()).toBe(model.shift() ?? null);
        } else {
          const one = what === 'cancel first' ? model.shift() : model.pop();
          if (one !== undefined) waiting.cancel(one);
        }
        expect(model.every(({ slot }) => slot === waiting)).toBe(true);
      }
      for (const one of model) expect(waiting.take()).toBe(one);
      expect(waiting.take()).toBeNull();
      expect(waiting.isEmpty).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('many pass through it, and only what waits takes room', () => {
  const waiting = new Waiting(10_000);
  for (let i = 0; i < 5_000; i++) {
    expect(waiting.add(call(1_000))).toBe(true);
    if (i >= 2) expect(waiting.take()).not.toBeNull();
  }
});

test('bytes are bounded, and a place that is cancelled is free again', () => {
  const waiting = new Waiting(10_000);
  const big = call(8_000);
  expect(waiting.add(big)).toBe(true);
  expect(waiting.add(call(0))).toBe(false);
  waiting.cancel(big);
  expect(big.slot).toBeNull();
  expect(waiting.add(call(8_000))).toBe(true);
});
