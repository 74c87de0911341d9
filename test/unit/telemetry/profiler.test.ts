/** Profiles of the process itself, as developer tools read them. */
import { expect, test } from 'vitest';

import { Profiler } from '../../../src/telemetry/profiler.ts';

/** Something that is found again in a profile. */
function burnForTheProfile(): number {
  let sum = 0;
  for (let i = 0; i < 20_000_000; i++) sum += Math.sqrt(i);
  return sum;
}

test('cpu: what ran, and for how long', async () => {
  const profiler = new Profiler();
  const text = await profiler.take('cpu', async () => {
    expect(burnForTheProfile()).toBeGreaterThan(0);
    await Promise.resolve();
  });
  const profile = JSON.parse(text) as {
    nodes: { callFrame: { functionName: string } }[];
    samples: number[];
    timeDeltas: number[];
  };
  const names = profile.nodes.map(({ callFrame }) => callFrame.functionName);
  expect(names).toContain('burnForTheProfile');
  expect(profile.samples).toHaveLength(profile.timeDeltas.length);
});

test('heap: what is held, and no data', async () => {
  const kept: Buffer[][] = [];
  const text = await new Profiler().take('heap', () => {
    for (let i = 0; i < 2_000; i++)
      kept.push(Array.from({ length: 64 }, () => Buffer.from('hunter2')));
    return Promise.resolve();
  });
  const { head } = JSON.parse(text) as { head: { children: unknown[] } };
  expect(head.children.length).toBeGreaterThan(0);
  expect(kept).toHaveLength(2_000);
  expect(text).not.toContain('hunter2');
});

test('one at a time, and again once it is over, however it ended', async () => {
  const profiler = new Profiler();
  const going = Promise.withResolvers<void>();
  const first = profiler.take('cpu', () => going.promise);
  expect(profiler.isBusy).toBe(true);
  await expect(profiler.take('heap', () => Promise.resolve())).rejects.toThrow('already');
  going.reject(new Error('gone'));
  await expect(first).rejects.toThrow('gone');
  expect(profiler.isBusy).toBe(false);
});
