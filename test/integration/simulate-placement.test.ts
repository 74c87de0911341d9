/**
 * Gateways added, replaced and configured anew, without a fault, in virtual time: real gateways, the simulated bus, and
 * players that hold them to all rules of the simulation. `make chaos SCENARIO=rebalance` does it with real processes.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';

import type { PlacementRun } from '../simulate/placement.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';

test('nobody is moved twice, or without an answer that is due; a reload closes nobody', async () => {
  const { code, output } = await run(process.execPath, [
    join(ROOT, 'test/simulate/placement.ts'),
    '1',
  ]);
  expect(code, output).toBe(0);
  const played = JSON.parse(output) as PlacementRun;
  expect(played.violations).toEqual([]);
  expect(played.answered).toBeGreaterThan(3_000);
  // A third of ninety players, and no more than come and go meanwhile.
  expect(played.moved).toBeGreaterThan(20);
  expect(played.moved).toBeLessThan(60);
  // The first gateway that is replaced sends its players to older ones: there is none of the newer generation yet.
  expect(played.most).toEqual({ moves: 1, rollout: 2 });
  expect(played.reloads).toEqual(Array(3).fill(['backends.rooms', 'drain.per_second']));
  expect(played.closedByReload).toBe(0);
});
