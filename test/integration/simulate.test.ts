/**
 * The short form of `make simulate` and `make simulate-planted`: a few seeds keep all rules, a seed is one history, and
 * bugs that show quickly are found. More of each, with other seeds, by those commands.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { find } from '../simulate/find.ts';
import { PLANTED } from '../simulate/planted.ts';
import { type Run, type RunOptions, startRun } from '../simulate/runs.ts';
import { PATIENCE_MS } from '../support/wait.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** One round: a storm and the calm after it. */
const ROUND: Omit<RunOptions, 'seed'> = { hours: 1 / 6, gateways: 3, clients: 40 };

function play(seed: string): Promise<Run> {
  return startRun(ROOT, { ...ROUND, seed }, 2 * PATIENCE_MS).run;
}

describe('a seed', () => {
  test.each(['1', '2', '3'])('%s keeps all rules', async (seed) => {
    const run = await play(seed);
    expect(run.violations, run.lastLines.join('\n')).toEqual([]);
    expect(run.counts.answered).toBeGreaterThan(1_000);
    expect(Object.keys(run.injected).length).toBeGreaterThan(10);
  });

  test('is one history, and another is another', async () => {
    const [one, again, other] = await Promise.all([play('1'), play('1'), play('4')]);
    expect(again.digest).toBe(one.digest);
    expect(again.steps).toBe(one.steps);
    expect(other.digest).not.toBe(one.digest);
  });
});

describe('a planted bug is found, and found again', () => {
  test.each(['slot-keeps-idempotent', 'lane-is-overtaken'])('%s', async (name) => {
    const planted = PLANTED.find((one) => one.name === name)!;
    const { hit, again } = await find(ROOT, planted, { seedsMax: 5, jobs: 1, shrinks: false });
    expect(hit).not.toBeNull();
    expect(again!.digest).toBe(hit!.run.digest);
    expect(again!.violations).toEqual(hit!.run.violations);
  });
});
