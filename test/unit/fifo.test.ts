import { expect, test } from 'vitest';
import fc from 'fast-check';

import { Fifo } from '../../src/fifo.ts';
import { isCollected } from '../support/collect.ts';

test('gives back what it was given, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 1, max: 900 }))), (steps) => {
      const fifo = new Fifo<{ n: number }>();
      const model: { n: number }[] = [];
      let n = 0;
      for (const pushes of steps) {
        for (let i = 0; i < (pushes ?? 0); i++) {
          const item = { n: n++ };
          fifo.push(item);
          model.push(item);
        }
        for (let i = 0; i < 500; i++) expect(fifo.take()).toBe(model.shift() ?? null);
        expect(fifo.length).toBe(model.length);
        expect([...fifo]).toEqual(model);
      }
      fifo.clear();
      expect(fifo.take()).toBe(null);
    }),
    { numRuns: 30 },
  );
});

test('keeps nothing of what was taken, though it is never empty', async () => {
  const fifo = new Fifo<object>();
  fifo.push({});
  fifo.push({});
  const taken = new WeakRef(fifo.take()!);
  expect(await isCollected(() => taken.deref() === undefined)).toBe(true);
  expect(fifo.length).toBe(1);
});

test('takes from a hundred thousand in constant time each: places are moved once for each item at most', () => {
  const fifo = new Fifo<{ n: number }>();
  for (let n = 0; n < 100_000; n++) fifo.push({ n });
  const { splice } = Array.prototype;
  let moved = 0;
  Array.prototype.splice = function counted(this: unknown[], ...args: [number, number]) {
    moved += this.length - args[1];
    return splice.apply(this, args);
  };
  try {
    for (let n = 0; n < 100_000; n++) expect(fifo.take()!.n).toBe(n);
  } finally {
    Array.prototype.splice = splice;
  }
  expect(moved).toBeLessThanOrEqual(100_000);
});
