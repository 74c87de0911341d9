/**
 * The short form of `make simulate` and `make simulate-planted`: a few seeds keep all rules, a seed is one history, and
 * a bug that shows quickly is found. More of each, with other seeds, by those commands.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { find } from '../simulate/find.ts';
import { PLANTED } from '../simulate/planted.ts';
import { type Run, type RunOptions, startRun } from '../simulate/runs.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** CPU of a run: many times what it takes. */
const CPU_MS_MAX = 60_000;
/** One round: a storm and the calm after it. */
const ROUND: Omit<RunOptions, 'seed'> = { hours: 1 / 6, gateways: 3, clients: 40 };

function play(seed: string, hours = ROUND.hours): Promise<Run> {
  return startRun(ROOT, { ...ROUND, hours, seed }, CPU_MS_MAX).run;
}

describe('a seed', () => {
  test.each(['9', '10'])('%s keeps all rules', async (seed) => {
    const run = await play(seed);
    expect(run.violations, run.lastLines.join('\n')).toEqual([]);
    expect(run.counts.answered).toBeGreaterThan(1_000);
    expect(Object.keys(run.injected).length).toBeGreaterThan(10);
  });

  test('is one history, and another than another', async () => {
    const [one, again, other] = [
      await play('11', 0.03),
      await play('11', 0.03),
      await play('12', 0.03),
    ];
    expect(one.counts.answered).toBeGreaterThan(100);
    expect([again.digest, again.steps]).toEqual([one.digest, one.steps]);
    expect(other.digest).not.toBe(one.digest);
  });
});

describe('a planted bug is found, and found again', () => {
  test.each(['unbind-keeps-the-user'])('%s', async (name) => {
    const planted = PLANTED.find((one) => one.name === name)!;
    // By which seed it shows changes with all that happens before.
    const options = { seedsMax: 12, rounds: 1, jobs: 1, shrinks: false };
    const { hit, again } = await find(ROOT, planted, options);
    expect(hit).not.toBeNull();
    expect(again!.digest).toBe(hit!.run.digest);
    expect(again!.violations).toEqual(hit!.run.violations);
  });
});
