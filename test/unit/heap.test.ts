import { expect, test } from 'vitest';

import { growWithLoad, type NewSpace, shrinkWhenQuiet } from '../../src/heap.ts';
import { ManualClock } from '../support/clock.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

const MIB = 1024 * 1024;

/**
 * How often it has been collected after the first two seconds, and after each 30 s that follow, in which so much processor
 * time was spent.
 */
function collections(sizeMib: number, firstMs: number, ...spentMs: readonly number[]): number[] {
  const clock = new ManualClock();
  let spent = 5_000_000;
  let count = 0;
  const space: NewSpace = {
    size: () => sizeMib * MIB,
    mayGrow: () => {},
    collect: () => void count++,
  };
  shrinkWhenQuiet(clock, () => ({ user: 1_000_000, system: spent }), space);
  return [firstMs, ...spentMs].map((ms, i) => {
    spent += ms * 1_000;
    clock.advance(i === 0 ? 2_000 : 30_000);
    return count;
  });
}

test('a large new space is collected when hardly anything happens', () => {
  expect(collections(32, 90, 1_600, 1_400, 1_600)).toEqual([1, 1, 2, 2]);
});

test('a small one is not, but for what the start has left', () => {
  expect(collections(8, 90, 0, 0)).toEqual([1, 1, 1]);
});

test('what the start has left waits for the first two seconds in which hardly anything happens', () => {
  // All of the 30 s at their beginning, so that two seconds of them are busy and the next two quiet.
  expect(collections(8, 110, 4_000)).toEqual([0, 1]);
});

test('it grows up to 16 MiB, and again once it has become smaller', () => {
  const clock = new ManualClock();
  let sizeMib = 4;
  const said: boolean[] = [];
  const space: NewSpace = {
    size: () => sizeMib * MIB,
    mayGrow: (may) => void said.push(may),
    collect: () => {},
  };
  growWithLoad(clock, space);
  const after100Ms = (mib: number): boolean[] => {
    sizeMib = mib;
    clock.advance(100);
    return [...said];
  };
  expect(said).toEqual([true]);
  expect(after100Ms(8)).toEqual([true]);
  expect(after100Ms(16)).toEqual([true, false]);
  expect(after100Ms(32)).toEqual([true, false]);
  expect(after100Ms(8)).toEqual([true, false, true]);
});

test('V8 does what it is told', async () => {
  const script = `
    import { startSmall, systemNewSpace } from './src/heap.ts';
    const kept = [];
    const churn = () => { for (let i = 0; i < 3e6; i++) kept[i % 20_000] = { i, list: [i, i, i] }; };
    const mib = () => Math.round(systemNewSpace.size() / ${MIB});
    const seen = [];
    startSmall(); churn(); seen.push(mib());
    systemNewSpace.mayGrow(true); churn(); seen.push(mib());
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    systemNewSpace.collect(); seen.push(mib());
    console.log(JSON.stringify(seen));
  `;
  const { output } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
  });
  const [held, grown, shrunk] = JSON.parse(output) as [number, number, number];
  expect(held).toBeLessThanOrEqual(8);
  expect(grown).toBeGreaterThan(12);
  expect(shrunk).toBeLessThan(grown / 2);
});
