import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { BLOCK_BYTES, Held, Slabs } from '../../src/held.ts';

const SLAB_BYTES = 1_048_576;

describe('what is held', () => {
  test('is what was added, however it was cut, and stays what it was when it is held no more', () => {
    const pieces = fc.array(fc.nat(3 * BLOCK_BYTES), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(pieces, (sizes) => {
        const slabs = new Slabs();
        const held = new Held(slabs);
        // What others hold between.
        const other = new Held(slabs);
        const all: Buffer[] = [];
        for (const [i, size] of sizes.entries()) {
          const piece = Buffer.alloc(size, `${i} abcdefg`);
          held.add(piece);
          other.add(Buffer.alloc(size, 'z'));
          all.push(Buffer.from(piece));
          piece.fill('x');
          expect(held.bytes).toBe(all.reduce((sum, { length }) => sum + length, 0));
        }
        const whole = held.all();
        expect(whole.equals(Buffer.concat(all))).toBe(true);
        held.clear();
        held.add(Buffer.alloc(5 * BLOCK_BYTES, 'y'));
        expect(whole.equals(Buffer.concat(all))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('takes no blocks while it is little, and then as many as it needs', () => {
    const slabs = new Slabs();
    const held = new Held(slabs);
    for (let i = 0; i < BLOCK_BYTES; i++) held.add(Buffer.from([1]));
    expect([slabs.blocks, slabs.bytes]).toEqual([0, 0]);
    held.add(Buffer.from([2]));
    expect([slabs.blocks, slabs.bytes]).toEqual([2, SLAB_BYTES]);
    held.add(Buffer.alloc(BLOCK_BYTES - 1));
    expect(slabs.blocks).toBe(2);
    held.clear();
    expect([held.bytes, slabs.blocks]).toEqual([0, 0]);
  });
});

describe('slabs', () => {
  const megabytes = (slabs: Slabs, count: number): Held[] =>
    Array.from({ length: count }, () => {
      const held = new Held(slabs);
      held.add(Buffer.alloc(SLAB_BYTES));
      return held;
    });

  test('are given back when they are empty, in any order, but for one', () => {
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [2, 0, 3, 1],
    ]) {
      const slabs = new Slabs();
      const held = megabytes(slabs, 4);
      expect([slabs.blocks, slabs.bytes]).toEqual([1_024, 4 * SLAB_BYTES]);
      const left = order.map((one) => {
        held[one]!.clear();
        return slabs.bytes / SLAB_BYTES;
      });
      expect(left).toEqual([4, 3, 2, 1]);
      expect(slabs.blocks).toBe(0);
      // What was given back is used again.
      for (const one of megabytes(slabs, 4)) one.clear();
      expect([slabs.blocks, slabs.bytes]).toEqual([0, SLAB_BYTES]);
    }
  });

  test('are filled from the first that has room, so that the last become empty', () => {
    const slabs = new Slabs();
    const [first, ...others] = megabytes(slabs, 4);
    first!.clear();
    const small = new Held(slabs);
    small.add(Buffer.alloc(2 * BLOCK_BYTES));
    for (const one of others) one.clear();
    expect([slabs.blocks, slabs.bytes]).toEqual([2, 2 * SLAB_BYTES]);
    small.clear();
    expect([slabs.blocks, slabs.bytes]).toEqual([0, SLAB_BYTES]);
  });

  test('are memory of their own: what they hold is resident, and afterwards it is not', () => {
    const slabs = new Slabs();
    const before = process.memoryUsage.rss();
    const held = megabytes(slabs, 32);
    // Of the rest of the process some megabytes may go back meanwhile.
    expect(process.memoryUsage.rss() - before).toBeGreaterThan(20 * SLAB_BYTES);
    for (const one of held) one.clear();
    expect(process.memoryUsage.rss() - before).toBeLessThan(10 * SLAB_BYTES);
  });
});
