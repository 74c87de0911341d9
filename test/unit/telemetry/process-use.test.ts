/** What the process uses of the machine, in the process that runs the test. */
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';

import { GcPauses, processUseOf } from '../../../src/telemetry/process-use.ts';
import { turn } from '../session/support.ts';

test('the garbage collector is seen at work, until nobody looks any more', async () => {
  const pauses = new GcPauses();
  const count = () => Object.values(pauses.byKind).reduce((sum, kind) => sum + kind.count, 0);
  const litter = (): unknown[] => Array.from({ length: 200_000 }, (_, i) => ({ i, text: `${i}` }));
  pauses.start();
  for (let round = 0; round < 200 && count() === 0; round++) {
    litter();
    await turn();
  }
  expect(count()).toBeGreaterThan(0);
  pauses.stop();
  const before = count();
  for (let round = 0; round < 5; round++) {
    litter();
    await turn();
  }
  expect(count()).toBe(before);
});

test('a descriptor more is one more', () => {
  const { descriptors } = processUseOf(process, 100);
  const before = descriptors();
  const opened = Array.from({ length: 5 }, () => openSync('/dev/null', 'r'));
  expect(descriptors()).toBe(before + 5);
  for (const one of opened) closeSync(one);
  expect(descriptors()).toBe(before);
});

test('processor time grows with work, and the loop was busy while it was done', () => {
  const { cpu, loopUtilization } = processUseOf(process, 100);
  const before = cpu().user;
  let sum = 0;
  for (let i = 0; i < 3e7; i++) sum += Math.sqrt(i);
  expect(sum).toBeGreaterThan(0);
  expect(cpu().user).toBeGreaterThan(before);
  const share = loopUtilization();
  expect(share).toBeGreaterThanOrEqual(0);
  expect(share).toBeLessThanOrEqual(1);
});
