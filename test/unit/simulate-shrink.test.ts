/** Shrinking a list of faults: what is left is as small as it can be, and breaks the same rule. */
import { expect, test } from 'vitest';

import type { Fault } from '../simulate/faults.ts';
import type { RunOptions } from '../simulate/runs.ts';
import { shrink, type Small } from '../simulate/shrink.ts';

const LIMITS = { triesMax: 1_000, jobs: 2 };

function faultAt(atMs: number, ms = 1_000): Fault {
  return { atMs, kind: 'gateway: pause', ms, target: `g${atMs}` };
}

function startWith(faults: readonly Fault[]): Small {
  return { seed: '1', hours: 1, gateways: 3, clients: 40, faults };
}

const timesOf = ({ faults }: Small): number[] => faults.map(({ atMs }) => atMs);

test('two of many faults are enough, and neither alone', async () => {
  const many = Array.from({ length: 50 }, (_, i) => faultAt(100 * i));
  const tried: RunOptions[] = [];
  const { options, tries } = await shrink(
    startWith(many),
    4_000,
    async (one) => {
      tried.push(one);
      const times = one.faults!.map(({ atMs }) => atMs);
      return times.includes(700) && times.includes(3_100) ? { atMs: 4_000 } : null;
    },
    LIMITS,
  );
  expect(timesOf(options)).toEqual([700, 3_100]);
  expect(tries).toBe(tried.length);
  expect(tries).toBeLessThan(120);
});

test('what comes after the rule is broken is never tried', async () => {
  const many = [faultAt(100), faultAt(200), faultAt(5_000)];
  const { options } = await shrink(
    startWith(many),
    1_000,
    async ({ faults }) => {
      expect(faults!.every(({ atMs }) => atMs < 5_000)).toBe(true);
      return faults!.some(({ atMs }) => atMs === 200) ? { atMs: 900 } : null;
    },
    LIMITS,
  );
  expect(timesOf(options)).toEqual([200]);
  expect(options.hours).toBeCloseTo(1_900 / 3_600_000);
});

test('a bug that needs no fault is shown without one', async () => {
  const { options, tries } = await shrink(
    startWith([faultAt(1), faultAt(2)]),
    50,
    async () => ({ atMs: 50 }),
    LIMITS,
  );
  expect(options.faults).toEqual([]);
  expect(options.clients).toBe(1);
  expect(options.gateways).toBe(1);
  expect(tries).toBeLessThan(20);
});

test('faults become shorter, players and gateways fewer, as long as it shows', async () => {
  const { options } = await shrink(
    startWith([faultAt(1_000, 8_000)]),
    2_000,
    async ({ faults, clients, gateways }) =>
      faults![0]?.ms !== undefined && faults![0].ms >= 2_000 && clients >= 7 && gateways >= 2
        ? { atMs: 2_000 }
        : null,
    LIMITS,
  );
  expect(options.faults[0]!.ms).toBe(2_000);
  expect(options.gateways).toBe(2);
  expect(options.clients).toBeLessThan(11);
  expect(options.clients).toBeGreaterThanOrEqual(7);
});

test('rounds without a fault before the first are left out', async () => {
  const { options } = await shrink(
    startWith([faultAt(1_250_000)]),
    1_300_000,
    async ({ faults }) => (faults!.length === 1 ? { atMs: faults![0]!.atMs + 50_000 } : null),
    LIMITS,
  );
  expect(timesOf(options)).toEqual([50_000]);
});

test('it ends when it has tried as often as it may', async () => {
  let tries = 0;
  await shrink(
    startWith(Array.from({ length: 200 }, (_, i) => faultAt(i))),
    1_000,
    async ({ faults }) => {
      tries++;
      return faults!.length > 150 ? { atMs: 1_000 } : null;
    },
    { triesMax: 10, jobs: 2 },
  );
  expect(tries).toBeLessThanOrEqual(11);
});
